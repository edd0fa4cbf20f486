"""What two finished runs are compared on: the same held-out prompts, answered in the same way."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rftlab.build.labs import splits_of, task_of
from rftlab.build.policies import refuse_without_policy
from rftlab.errors import UserError
from rftlab.loops.evaluation import subset
from rftlab.loops.lab import Task
from rftlab.runs import RunRecord
from rftlab.runs.comparisons import content_key, responses_file
from rftlab.types import BeamSearch, Example, Sampling

log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is compared, before anything is sampled."""

    config: Mapping[str, Any]
    judge: dict[str, Any]  # its node, complete
    records: tuple[RunRecord, RunRecord]  # in the order of their keys
    task: Task
    decoding: Sampling | BeamSearch
    examples: list[Example]  # whose prompts are answered

    @property
    def outputs(self) -> Path:
        """The folder of all runs."""
        return Path(self.config["paths"]["outputs"])

    def file(self, record: RunRecord) -> Path:
        """Say where the responses of a run lie: those of every comparison with this seed and split."""
        said = {
            "run": record.key,
            "split": self.config["split"],
            "seed": self.config["seed"],
            "decoding": {"kind": type(self.decoding).__name__, **asdict(self.decoding)},
            "stop": list(self.task.stop),
        }
        return responses_file(self.outputs, said)


class Rows:
    """The rows of the runs that a command compares; what several runs share is read once."""

    def __init__(self, hub_mirror: str | None, split: str) -> None:
        self._mirror, self._split = hub_mirror, split
        self._known: dict[str, Any] = {}
        self._said: set[str] = set()

    def say(self, level: int, text: str) -> None:
        """Log what is true of the rows, once."""
        if text not in self._said:
            log.log(level, text)
        self._said.add(text)

    def task(self, config: Mapping[str, Any]) -> Task:
        """Read the rows of a run, from the mirror that the command names where it names one.

        The run had so many held-out rows as its evaluations needed; here every row of the split may be chosen.

        Raises:
            UserError: They cannot be had.
        """
        loader, size = config["data"]["loader"], f"n_{self._split}"
        whole = {size: None} if self._split != "train" and size in loader else {}
        here = {
            **config,
            "data": {**config["data"], "loader": {**loader, **whole}},
            "paths": {**config["paths"], **({"hub_mirror": self._mirror} if self._mirror else {})},
        }
        key = content_key({"loader": here["data"]["loader"], "source": here["data"]["source"],
                           "mirror": here["paths"]["hub_mirror"]})  # fmt: skip
        if key not in self._known:
            self._known[key] = splits_of(here)
        return task_of(here, self._known[key], None)


def refuse_pair(given: Sequence[RunRecord]) -> None:
    """Refuse runs that do not end with policies on texts.

    Raises:
        UserError: One does not.
    """
    for record in given:
        if "loader" not in record.config["data"]:
            raise UserError(f"{record.key}, a run on {record.config['data']['name']}", "a run on texts", "the command")
        refuse_without_policy(record)


def plan_of(config: Mapping[str, Any], given: Sequence[RunRecord], judge: dict[str, Any], rows: Rows) -> Plan:
    """See that two runs can be compared, and choose the prompts; `judge` is the node of one that is held out.

    Raises:
        UserError: They cannot.
    """
    first, second = sorted(given, key=lambda record: record.key)
    tasks = [rows.task(record.config) for record in (first, second)]
    decoding = _refuse_unlike(tasks, (first, second), config["split"])
    examples = _prompts(config, tasks, rows)
    if (judge.get("reference") is not None) and any(not example.targets for example in examples):
        raise UserError(
            f"judge.reference with data={tasks[0].name}, whose rows have no gold text", "null", "judge.reference"
        )
    return Plan(
        config=config, judge=judge, records=(first, second), task=tasks[0], decoding=decoding, examples=examples
    )


def _refuse_unlike(tasks: Sequence[Task], records: Sequence[RunRecord], split: str) -> Sampling | BeamSearch:
    """Refuse two runs that would not answer the same prompts in the same way; give the decoding that they share.

    Raises:
        UserError: What differs.
    """
    keys = " and ".join(record.key for record in records)
    prompts = [[(example.id, example.prompt) for example in getattr(task.splits, split)] for task in tasks]
    if prompts[0] != prompts[1]:
        found = f"{keys}, whose prompts of the split {split} differ (data={tasks[0].name}, data={tasks[1].name})"
        raise UserError(found, "runs on the same rows", "the command, split or paths.hub_mirror")
    if (tasks[0].evaluation, tasks[0].stop) != (tasks[1].evaluation, tasks[1].stop):
        raise UserError(
            f"{keys}, which are evaluated differently", "equal data.evaluation and data.stop", "the command"
        )
    if (decoding := tasks[0].evaluation) is None:
        raise UserError(f"data={tasks[0].name}, which is not answered with texts", "data that is", "the command")
    return decoding


def _prompts(config: Mapping[str, Any], tasks: Sequence[Task], rows: Rows) -> list[Example]:
    """Choose prompts that no run was trained on, each text once; say how many were left out, and if there are few.

    Raises:
        UserError: None is left.
    """
    split, asked = config["split"], config["prompts"]
    there = getattr(tasks[0].splits, split)
    distinct = list({example.prompt: example for example in reversed(there)}.values())[::-1]
    seen = set() if split == "train" else {example.prompt for task in tasks for example in task.splits.train}
    held_out = [example for example in distinct if example.prompt not in seen]
    if len(held_out) < len(there):
        repeated, trained = len(there) - len(distinct), len(distinct) - len(held_out)
        rows.say(
            logging.INFO,
            f"left out of the split {split}: {repeated} repeated prompts, {trained} that are trained on",
        )
    if split == "train":
        rows.say(logging.WARNING, "split=train: the runs were trained on these prompts")
    if not held_out:
        raise UserError(f"no held-out prompt in the split {split} of data={tasks[0].name}", "some", "split")
    if len(held_out) < asked:
        few = f"{len(held_out)} held-out prompts in the split {split}, fewer than prompts={asked}: all are taken"
        rows.say(logging.WARNING, few)
    return subset(held_out, asked, "judge", split, config["seed"])
