"""Reading run folders: every file of a run as data, and what state the run is in."""

import json
import os
import re
import socket
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import yaml

from rftlab.errors import UserError
from rftlab.files import decode_floats, disk_errors, is_locked, read_json, read_lines, write_atomic
from rftlab.runs.catalogue import Catalogue
from rftlab.runs.cost import total_steps
from rftlab.runs.identity import KEY_LENGTH, changed_keys, flat_config, with_own_reward, without_later
from rftlab.runs.rows import read_rows
from rftlab.runs.synonyms import asks_for_synonyms, read_synonyms

FOUND = "reward.synonyms_found"  # no key of the config: what a run had beside it
LEASE_S = 180.0  # a run on another host counts as live until its last sign of life is this old
LOCK = ".lock"
PRUNED = "pruned.json"  # of a run: a search has given it up; the file says at which step and why
ELSEWHERE = "elsewhere.json"  # of a sweep: its runs that lie in other sweeps
RUN_FOLDER = re.compile(rf".+-[0-9a-f]{{{KEY_LENGTH}}}")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run folder as it is on the disk."""

    folder: Path
    config: dict[str, Any]
    status: dict[str, Any]
    state: str  # done | running | failed | stopped | pruned (given up by a search) | new (never tried)
    # | lost (its process vanished without a word)
    final: dict[str, float] | None  # None until the run is done
    measured: Mapping[str, Any] = field(default_factory=dict)  # what DONE says of its cost

    @property
    def key(self) -> str:
        return self.folder.name[-KEY_LENGTH:]

    @property
    def name(self) -> str:
        return self.folder.name[: -KEY_LENGTH - 1]

    @property
    def sweep(self) -> str:
        return self.folder.parent.name

    @property
    def done(self) -> bool:
        return self.final is not None

    @property
    def overrides(self) -> list[str] | None:
        """The words that give this config, without seed, names and places; None where an older run kept none."""
        return self.config.get("overrides")

    @cached_property
    def flat(self) -> dict[str, Any]:
        """The flat config, with `loaded.architecture` where an attempt has loaded a model: what names are read from.

        Of a run whose reward asks WordNet for synonyms `reward.synonyms_found` says which it had.
        """
        architecture = self.status.get("architecture")
        loaded = {"loaded.architecture": architecture} if architecture else {}
        return flat_config(self.config, without_later) | loaded | self._synonyms_found

    @property
    def _synonyms_found(self) -> dict[str, str]:
        reward = self.config.get("reward")
        found = read_synonyms(self.folder) if asks_for_synonyms(reward) else None
        return {} if found is None else {FOUND: found}

    @property
    def cost(self) -> dict[str, float]:
        """Seconds of all steps of a finished run at the pace of its last attempt, and the MiB it held at most.

        Empty before the run is done; a value is absent where none was noted.
        """
        cost = self.measured
        seconds = {"seconds": cost["seconds_per_step"] * total_steps(self.config)} if cost else {}
        return seconds | {name: cost[name] for name in ("peak_mib",) if name in cost}

    @property
    def env(self) -> dict[str, Any]:
        """The environment of the last attempt."""
        attempts = (read_json(self.folder / "env.json") or {}).get("attempts")
        return attempts[-1] if isinstance(attempts, list) and attempts else {}

    @property
    def rows(self) -> dict[str, str] | None:
        """The fingerprint of each split that was read; None where none was yet, or where an older run kept none."""
        found = read_rows(self.folder)
        return None if found is None else found["rows"]

    def metrics(self, names: Collection[str] | None = None) -> list[tuple[int, str, float]]:
        """Return (step, name, value), sorted; of a step that was logged again after a resume the last value counts.

        `names` limits this to some metrics.
        """
        latest: dict[tuple[int, str], float] = {}
        for line in read_lines(self.folder / "metrics.jsonl"):
            values = line["metrics"]
            for name in values if names is None else values.keys() & names:
                latest[line["step"], name] = float(values[name])
        return sorted((step, name, value) for (step, name), value in latest.items())

    def samples(self) -> list[dict[str, Any]]:
        """Return the logged responses in the order of writing; after a resume a step may appear twice."""
        return list(read_lines(self.folder / "samples.jsonl"))

    def prompts(self) -> Any:
        """Return the per-prompt statistics as a pandas frame, or None where the run has none yet."""
        import pandas as pd

        path = self.folder / "prompts.parquet"
        return pd.read_parquet(path) if path.exists() else None

    def cases(self) -> Any:
        """Return the table of measured cases as a pandas frame, or None where the run makes none."""
        import pandas as pd

        path = self.folder / "cases.parquet"
        return pd.read_parquet(path) if path.exists() else None


def find_runs(outputs: Path, sweep: str | None = None) -> list[RunRecord]:
    """Return every run under `outputs`, or of one sweep, sorted by folder."""
    found: dict[Path, list[Path]] = {}
    for path in sorted(outputs.glob(f"{sweep or '*'}/*/config.yaml")):
        found.setdefault(path.parent.parent, []).append(path.parent)
    records = []
    for place, folders in found.items():
        catalogue = Catalogue.of(place, _read_config)
        records += [_record(folder, *catalogue.read(folder)) for folder in folders]
        catalogue.keep()
    return records


def sweep_runs(outputs: Path, sweep: str) -> list[RunRecord]:
    """Return the runs of a sweep: its own, and those of other sweeps that it found there and did not run again."""
    linked = (read_json(outputs / sweep / ELSEWHERE) or {}).values()
    folders = [outputs / place for place in sorted(linked)]
    own = find_runs(outputs, sweep)
    return own + [read_run(folder) for folder in folders if (folder / "config.yaml").exists()]


def held_elsewhere(outputs: Path) -> dict[Path, list[str]]:
    """Map folders of runs to the other sweeps that found them there and did not run them again."""
    found: dict[Path, list[str]] = {}
    for path in sorted(outputs.glob(f"*/{ELSEWHERE}")):
        for place in (read_json(path) or {}).values():
            found.setdefault(outputs / place, []).append(path.parent.name)
    return found


def note_elsewhere(outputs: Path, sweep: str, folders: Mapping[str, Path]) -> None:
    """Keep which runs of a sweep lie in other sweeps (run key -> folder), beside what was known before."""
    path = outputs / sweep / ELSEWHERE
    before = read_json(path) or {}
    places = before | {key: str(folder.relative_to(outputs)) for key, folder in folders.items()}
    if places != before:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(places, indent=1) + "\n")


def find_key(outputs: Path, key: str) -> list[RunRecord]:
    """Return the runs with this key in any sweep, finished ones first."""
    records = [read_run(path.parent) for path in sorted(outputs.glob(f"*/*-{key}/config.yaml"))]
    return sorted(records, key=lambda record: not record.done)


def log_path(folder: Path) -> Path:
    """Return the file that receives everything the job of a run prints, all attempts one after the other."""
    return folder / "log.txt"


def folders_by_key(outputs: Path) -> dict[str, list[Path]]:
    """Return the run folders under `outputs` by key, in one pass over the names, for callers that look up many."""
    found: dict[str, list[Path]] = {}
    for sweep in sorted(path for path in outputs.glob("*") if path.is_dir()):
        for name in sorted(os.listdir(sweep)):
            if RUN_FOLDER.fullmatch(name):
                found.setdefault(name[-KEY_LENGTH:], []).append(sweep / name)
    return found


def read_run(folder: Path) -> RunRecord:
    """Read one run folder; its `config.yaml` must exist."""
    return _record(folder, _read_config(folder / "config.yaml"), read_json(folder / "DONE"))


def _record(folder: Path, config: dict[str, Any], done: Mapping[str, Any] | None) -> RunRecord:
    status = read_json(folder / "status.json")
    return RunRecord(
        folder=folder,
        config=with_own_reward(config),
        status=status or {},
        state="done" if done is not None else _unfinished(folder, status),
        final=_final(done),
        measured=(done or {}).get("cost") or {},
    )


def finished(folder: Path) -> dict[str, float] | None:
    """Return the final metrics of a finished run, else None."""
    return _final(read_json(folder / "DONE"))


def _final(done: Mapping[str, Any] | None) -> dict[str, float] | None:
    return None if done is None else decode_floats(done["final"])


def state_of(folder: Path) -> str:
    """Return done, running, failed, stopped, pruned, lost, or new where no attempt was made.

    Only `DONE` makes a run done. A run that a search has given up is running until it has stopped, and pruned from then
    on, also where it failed or vanished meanwhile.
    """
    if finished(folder) is not None:
        return "done"
    return _unfinished(folder, read_json(folder / "status.json"))


def _unfinished(folder: Path, status: Mapping[str, Any] | None) -> str:
    if is_locked(folder / LOCK):
        return "running"
    state = None if status is None else status.get("state")
    if status is not None and state == "running" and lease_holds(status):
        return "running"
    if (folder / PRUNED).exists():
        return "pruned"
    if status is None:
        return "new"
    return state if state in ("failed", "stopped") else "lost"


def prune(folder: Path, why: Mapping[str, Any]) -> None:
    """Give a run up: its job, if it has one, saves and stops; `why` is kept beside it, with `step` and `reason`."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / PRUNED, json.dumps(dict(why), indent=1) + "\n")


def pruned(folder: Path) -> dict[str, Any] | None:
    """Return why a run was given up, None where it was not."""
    return read_json(folder / PRUNED)


def take_up(folder: Path) -> None:
    """Take a run up again that a search has given up: whoever asks for it next resumes it."""
    (folder / PRUNED).unlink(missing_ok=True)


def nearest_run(config: Mapping, records: Iterable[RunRecord]) -> tuple[RunRecord, list[str]] | None:
    """Return the run whose config differs in the fewest keys, with those keys."""
    candidates = [(record, changed_keys(record.config, config)) for record in records]
    return min(candidates, key=lambda candidate: len(candidate[1]), default=None)


_yaml_load = partial(yaml.load, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def load_config(path: Path) -> dict[str, Any]:
    """Return the config in a file, an older one as it would be written today.

    Raises:
        UserError: the file holds something else.
    """
    return with_own_reward(_read_config(path))


def _read_config(path: Path) -> dict[str, Any]:
    """Return the config in a file as it was written."""
    content = _yaml_load(path.read_text())
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no config", "the config of a run", "that folder: remove it, or restore the file")
    return content


def lease_holds(status: Mapping[str, Any]) -> bool:
    """Say whether a run of another host must be believed alive: some file systems lock within one host only."""
    if status.get("host") == socket.gethostname():
        return False
    return time.time() - float(status.get("heartbeat", 0)) < LEASE_S
