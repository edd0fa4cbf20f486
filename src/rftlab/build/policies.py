"""The policy that a finished run ended with, and its responses to some prompts; the run folder is read alone."""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from rftlab import runs
from rftlab.config.make import make
from rftlab.errors import UserError
from rftlab.files import AppendFile, disk_errors, read_lines
from rftlab.loops.evaluation import places_of, respond
from rftlab.loops.lab import Task
from rftlab.models import Policy, chat_of, load_policy
from rftlab.runs import RunRecord
from rftlab.sampling.sample import prompts_at_once
from rftlab.stop import StopFlag
from rftlab.streams import row_noise, stream
from rftlab.types import BeamSearch, Example, Sampling

TRAIN_NOTHING = ("Responses", "Diagnose")  # loops whose runs stand for the policy that they start from
FINAL, HEADS = "final", "heads.safetensors"
Bar = Callable[[Iterable[int], str], Iterable[int]]

log = logging.getLogger("rftlab")


def finished_run(name: str, outputs: Path) -> RunRecord:
    """Find a finished run by its key or its folder.

    Raises:
        UserError: There is none.
    """
    expected = "the run key, or the folder, of a finished run"
    folder = Path(name)
    if (folder / "config.yaml").is_file():
        record = runs.read_run(folder.resolve())
    elif records := runs.find_key(outputs, name) if len(name) == runs.KEY_LENGTH and name.isalnum() else []:
        record = records[0]  # finished ones come first
    else:
        raise UserError(f"{name}, which is no run in {outputs}", expected, "the command, or paths.outputs")
    if not record.done:
        raise UserError(f"{name}, a run that is {record.state}", expected, "the command, or finish that run")
    return record


def refuse_without_policy(record: RunRecord) -> None:
    """Refuse a run that ends with no policy that answers by itself.

    Raises:
        UserError: It trains something else, or decodes with more than its policy.
    """
    who = f"{record.key}, a run of algo={record.config['algo']['name']}"
    expected = "a run that ends with a policy on texts"
    if (record.folder / FINAL / HEADS).exists():
        raise UserError(f"{who}, which decodes with value heads beside its policy", expected, "the command")
    if not _trained(record) and _loop(record) not in TRAIN_NOTHING:
        raise UserError(f"{who}, which keeps no policy", expected, "the command")


def policy_of(record: RunRecord, outputs: Path, hub_mirror: Path | None, device: torch.device) -> Policy:
    """Load the policy that a run ended with; of one that trains nothing, the policy that it started from.

    Raises:
        UserError: Its weights cannot be had.
    """
    refuse_without_policy(record)
    policy = _loaded(record, outputs, hub_mirror)
    policy.talk(chat_of(record.config["data"]["prompt"]))
    policy.marked = record.config["data"]["prompt"].get("format") == "marked"
    return policy.to(device)


def _loaded(record: RunRecord, outputs: Path, hub_mirror: Path | None) -> Policy:
    node = record.config["model"]["policy"]
    if _trained(record):
        kept = {name: node[name] for name in ("family", "dtype", "compute_dtype")}
        return load_policy(source=record.folder / FINAL, tokenizer=None, init="pretrained", **kept)
    if (start := record.config.get("init_from")) is not None:
        return _loaded(finished_run(start, outputs), outputs, hub_mirror)
    return make(node, hub_mirror=hub_mirror, generator=stream(record.config["seed"], "initialisation"))


def _trained(record: RunRecord) -> bool:
    """Say whether a run left a folder of transformers."""
    return (record.folder / FINAL / "config.json").is_file()


def _loop(record: RunRecord) -> str:
    return record.config["algo"]["loop"]["_target_"].rpartition(".")[2]


def stored_responses(file: Path) -> dict[str, str]:
    """Return what a file of responses has, by the place of the prompt."""
    return {line["place"]: line["response"] for line in read_lines(file)}


def responses_of(
    load: Callable[[], Policy],
    task: Task,
    examples: Sequence[Example],
    decoding: Sampling | BeamSearch,
    seed: int,
    batch_size: int,
    file: Path,
    bar: Bar,
    stop: StopFlag,
) -> list[str]:
    """Answer every prompt once, in the order of the prompts; what the file has is not sampled again.

    The noise of a response is a function of seed and place of the prompt: the same for every policy that is compared.

    Raises:
        StopRequested: After a batch; it is kept.
    """
    places = places_of(examples)
    known = stored_responses(file)
    missing = [number for number, place in enumerate(places) if place not in known]
    if missing:
        policy = load()
        with disk_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        lines, size = AppendFile(file), prompts_at_once(batch_size, 1)
        for start in bar(range(0, len(missing), size), file.stem):
            stop.check()
            some = missing[start : start + size]
            here = [places[number] for number in some]
            steps = decoding.max_new_tokens
            noise = row_noise(seed, "judge", places=here, samples=1, steps=steps)
            with torch.no_grad():
                texts, lengths = respond(policy, task, [examples[n] for n in some], decoding, 1, noise)
            rows: list[dict[str, Any]] = [
                {"place": place, "response": text, "tokens": length}
                for place, text, length in zip(here, texts, lengths, strict=True)
            ]
            lines.append("".join(f"{json.dumps(row)}\n" for row in rows))
            known |= {row["place"]: row["response"] for row in rows}
        lines.flush()
        lines.close()
    return [known[place] for place in places]
