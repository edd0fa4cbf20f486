"""Texts that lose tokens at the limits of their task: a run says how many, as what is cut is never learned.

They are cut, and left out only where the config says so.
"""

import logging
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from rftlab.errors import UserError
from rftlab.loops.lab import Task
from rftlab.models import Policy
from rftlab.types import Example, Splits

SPLITS = ("train", "validation", "test")
CHUNK = 200  # texts that are tokenised together
CHARACTERS = 300_000  # of a split, that are looked at where nothing is left out, so that a start costs about a second
KEYS = {"prompts": "prompt", "targets": "target"}  # of the data, whose `drop_long` leaves rows out
Encode = Callable[[Sequence[str]], Sequence[bool]]  # texts -> whether each is longer than its limit

log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class Look:
    """Which texts of a split are longer than their limit, of the first ones where not all were looked at."""

    what: str  # prompts | targets
    split: str
    long: Sequence[bool]
    of: int  # texts of the split

    def of_rows(self, split: str, dropped: Collection[str]) -> bool:
        """Say whether rows of a split are left out by it."""
        return self.split == split and self.what in dropped

    def told(self) -> str:
        """Say how many there are."""
        first = "the first " if len(self.long) < self.of else ""
        return f"{self.what} of {self.split} {sum(self.long):,} of {first}{len(self.long):,}"


def within_limits(task: Task, policy: Policy, dropped: Collection[str]) -> Task:
    """Say how many texts lose tokens; rows whose `prompts` or `targets` are too long are left out where asked for.

    With `prompts` the scored responses and pairs about such prompts are left out too.

    Raises:
        UserError: Nothing is left of a split.
    """
    looks = [found for split in SPLITS for found in _looks(task, policy, split, dropped)]
    if said := ", ".join(found.told() for found in looks if any(found.long)):
        log.info("longer than the limit of data.prompt or data.target: %s", said)
    if not dropped:
        return task
    longer = _longer_prompts(task, policy) if "prompts" in dropped else lambda texts: [False] * len(texts)
    left = {
        split: _left(task, split, [look.long for look in looks if look.of_rows(split, dropped)]) for split in SPLITS
    }
    if empty := next((split for split in SPLITS if getattr(task.splits, split) and not left[split]), None):
        keys = [f"data.{KEYS[what]}" for what in dropped]
        found = f"{' and '.join(f'{key}.drop_long=true' for key in keys)}: no row of split '{empty}' is left"
        raise UserError(found, "at least one", " or ".join(f"{key}.max_tokens" for key in keys))
    responses = {
        split: [row for row, long in zip(rows, longer([row.example.prompt for row in rows]), strict=True) if not long]
        for split, rows in task.splits.responses.items()
    }
    splits = replace(task.splits, **left, responses=responses)
    log.info("left out by drop_long: %s", _difference(task.splits, splits))
    return replace(task, splits=splits)


def _left(task: Task, split: str, long: Sequence[Sequence[bool]]) -> list[Example]:
    """Leave out the rows of a split of which one text is too long."""
    return [example for example, *of_row in zip(getattr(task.splits, split), *long, strict=True) if not any(of_row)]


def _difference(before: Splits, after: Splits) -> str:
    rows = [f"{split} {len(getattr(before, split)) - len(getattr(after, split)):,}" for split in SPLITS]
    gone = [f"{split} {len(before.responses[split]) - len(rows):,}" for split, rows in after.responses.items()]
    return f"rows of {', '.join(rows)}" + (f"; responses of {', '.join(gone)}" if gone else "")


def _looks(task: Task, policy: Policy, split: str, whole: Collection[str]) -> Sequence[Look]:
    """Look at the texts of a split: all of those that are named in `whole`, and of others the first ones."""
    examples = getattr(task.splits, split)
    texts = {"prompts": [e.prompt for e in examples]}
    longer = {"prompts": _longer_prompts(task, policy)}
    if policy.family != "classifier":  # whose target is a label, and one token
        texts["targets"] = [next(iter(e.targets), "") for e in examples]  # the one that is learned
        longer["targets"] = _longer_targets(task, policy)
    return [
        Look(what=what, split=split, long=longer[what](some if what in whole else _first(some)), of=len(some))
        for what, some in texts.items()
    ]


def _first(texts: Sequence[str]) -> Sequence[str]:
    """Take texts from the front up to a number of characters."""
    seen = 0
    for number, text in enumerate(texts):
        seen += len(text)
        if seen > CHARACTERS:
            return texts[:number]
    return texts


def _longer_prompts(task: Task, policy: Policy) -> Encode:
    return _in_chunks(
        lambda texts: policy.encode_prompts(texts, sys.maxsize, task.truncation_side)[1].sum(1).tolist(),
        task.max_prompt_tokens,
    )


def _longer_targets(task: Task, policy: Policy) -> Encode:
    return _in_chunks(
        lambda texts: policy.encode_targets(texts, sys.maxsize, task.append_eos)[1].sum(1).tolist(),
        task.max_target_tokens,
    )


def _in_chunks(lengths: Callable[[Sequence[str]], list[int]], limit: int) -> Encode:
    """Compare lengths in tokens with a limit, a few texts at a time: a batch is as wide as its longest."""

    def longer(texts: Sequence[str]) -> list[bool]:
        chunks = (texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK))
        return [length > limit for chunk in chunks for length in lengths(chunk)]

    return longer
