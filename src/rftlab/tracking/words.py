"""What a tracking server is told of a run in words: its name, its description, its tags."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rftlab.runs import RunRecord
from rftlab.runs.axes import Words, asked_axes, spelled, words_of_run
from rftlab.runs.naming import NEAR_CHANCE, data_name, data_source, headline, model_name, near_chance, start_in_words
from rftlab.sweeps.asked import read_asked

NOTE = "mlflow.note.content"  # a tag that the server shows as a description
TITLE = "title"  # the name that was given to a run here, as a person may have given it another one since
IN_NAMES = ("data", "algo", "heuristic")  # groups that the name of a run says already


def title(record: RunRecord, axes: Sequence[str]) -> str:
    """Name a run by what tells it from the others of its sweep, so that a narrow column shows just that."""
    words = words_of_run(record)
    values = {key: words.value(key) for key in axes if key not in IN_NAMES}
    settings = settings_in_words({key: value for key, value in values.items() if value is not None}, "=")
    seed = f"seed={record.config['seed']}" if "seed" in record.config else ""
    told = " ".join(part for part in (settings, seed) if part)
    return f"{told} · {record.name}" if settings else f"{record.name} {told}".strip()


def settings_in_words(settings: Mapping[str, Any], sign: str) -> str:
    """Write settings by the last words of their keys, whole where two keys share them."""
    last = [key.rpartition(".")[2] for key in settings]
    names = {key: key if last.count(word) > 1 else word for key, word in zip(settings, last, strict=True)}
    return " ".join(f"{names[key]}{sign}{spelled(value)}" for key, value in settings.items())


def axes_asked(outputs: Path, sweep: str) -> list[str]:
    """Return what the runs that a sweep was asked for differ in; known before the first of them starts."""
    return asked_axes([Words({}, one.overrides, one.key) for one in read_asked(outputs, sweep).values()])


def description(record: RunRecord) -> str:
    """Describe a run in Markdown: what it trains, from what, and how to find or repeat it."""
    flat = record.flat
    lines = []
    if {"model.name", "data.name", "scale", "name"} <= flat.keys():
        lines.append(f"{headline(flat)}; starts from {start_in_words(flat)}.")
    lines.append(f"Folder: `{record.folder}`")
    if record.overrides is not None:
        words = [*record.overrides, f"seed={record.config['seed']}", f"sweep.name={record.sweep}"]
        lines.append(f"Alone: `{shlex.join(['python', 'src/train.py', *words])}`")
    return "\n\n".join(lines)


def tags(record: RunRecord) -> dict[str, str]:
    """Return what a run can be searched by."""
    env = record.env
    found = {
        "run_key": record.key,
        "attempt": record.status.get("attempt"),
        "sweep": record.sweep,
        "scale": record.config.get("scale"),
        **names(record.flat),
        "host": record.status.get("host"),
        "git_sha": env.get("git_sha"),
        "git_dirty": env.get("git_dirty"),
    }
    return {name: str(value) for name, value in found.items() if value is not None}


def names(flat: Mapping[str, Any]) -> dict[str, str]:
    """Say what the run loaded; the architecture is known once the model is."""
    found = {"data_source": data_source(flat)}
    found |= {"model": model_name(flat)} if "model.name" in flat else {}
    found |= {"data": data_name(flat)} if "data.name" in flat else {}
    found |= {"architecture": str(flat["loaded.architecture"])} if "loaded.architecture" in flat else {}
    found |= {"synonyms": str(flat["reward.synonyms_found"])} if "reward.synonyms_found" in flat else {}
    return found | ({"warning": NEAR_CHANCE} if near_chance(flat) else {})
