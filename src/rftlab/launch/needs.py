"""What runs need, of the hub and of finished runs, looked up before the first of them takes its folder."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rftlab import runs
from rftlab.assets import locate
from rftlab.config.reward_nodes import reward_nodes
from rftlab.errors import UserError
from rftlab.hub import hub_answers
from rftlab.runs.parents import needed_runs
from rftlab.sweeps.job import Job

SHOWN = 3  # names in a message


def require_runs(jobs: Sequence[Job], coming: Sequence[Job] = ()) -> None:
    """Refuse runs that name another one by a key that is given and not finished, before their parents are made.

    Raises:
        UserError: There is no such finished run, and neither these jobs, nor their parents, nor those `coming` make it.
    """
    made = {job.key for job in (*jobs, *coming)} | {parent.key for job in jobs for parent in job.parents}
    needed = {
        (place, key, job.config["paths"]["outputs"]) for job in jobs for place, key in needed_runs(job.config).items()
    }
    for place, key, outputs in sorted(needed):
        if key not in made and not any(record.done for record in runs.find_key(Path(outputs), key)):
            raise UserError(f"{place}={key}, which is no finished run in {outputs}", "the key of a finished run", place)


def require_hub(configs: Iterable[Mapping[str, Any]]) -> None:
    """Refuse runs whose datasets or models only the hub has, where it does not answer.

    Raises:
        UserError: The hub is asked for, and is out of reach.
    """
    needed = sorted({name for config in configs for name in only_on_the_hub(config)})
    if needed and not hub_answers():
        names = ", ".join(needed[:SHOWN]) + (", ..." if len(needed) > SHOWN else "")
        raise UserError(
            f"a hub that cannot be reached, for {names}",
            "a network connection or local copies",
            ", ".join(["paths.hub_mirror to a folder with them", *_ways_out(needed)]),
        )


def _ways_out(needed: Sequence[str]) -> list[str]:
    """Name the keys that do without the hub, of what only it has."""
    keys = [name.rpartition("(")[2].rstrip(")") for name in needed]
    local = [f"{key}=FOLDER" for key in dict.fromkeys(keys) if key.startswith("reward.")]
    bundled = ["data.source=bundled"] if "data.loader.hub_id" in keys else []
    return [*local, *bundled, *(["or scale"] if len(local) < len(set(keys)) else [])]


def only_on_the_hub(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ids, each with its key, of what a run reads from the hub: what is in no folder, mirror or cache.

    Raises:
        UserError: A model that is neither embedded nor in a folder, and no id of the hub.
    """
    mirror, data = config["paths"]["hub_mirror"], config["data"]
    if data.get("source") == "hub" and mirror is None:
        yield f"{data['loader']['hub_id']} (data.loader.hub_id)"
    for key, node in (("model.policy", config["model"].get("policy")), *reward_nodes(config.get("reward"))):
        for name in ("source", "tokenizer", "trunk"):
            value = node.get(name) if isinstance(node, Mapping) else None
            where = locate(value, mirror, f"{key}.{name}") if isinstance(value, str) else None
            if isinstance(where, str) and not _cached(where):
                yield f"{where} ({key}.{name})"


def _cached(model: str) -> bool:
    """Say whether the hub's client keeps a model on this machine."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return any(Path(HF_HUB_CACHE, f"models--{model.replace('/', '--')}").glob("snapshots/*/*"))
