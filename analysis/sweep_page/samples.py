"""Responses to the same prompts before and after training, side by side."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rftlab.runs import RunRecord

SPLITS = ("test", "validation", "train")  # the first that a run has logged at two steps is shown
PROMPTS = 3  # of a run
WHEN = ("before", "after")
MOST_SETTINGS = 12
MOST_CHARACTERS = 600  # of a prompt or a response


@dataclass(frozen=True)
class Response:
    """One response with its score."""

    text: str
    score: str


@dataclass(frozen=True)
class Pair:
    """A prompt with a response before and one after training."""

    prompt_id: str
    prompt: str
    before: Response
    after: Response


@dataclass(frozen=True)
class Responses:
    """What a run of a setting answered."""

    setting: str
    key: str
    seed: int
    split: str
    how: str  # they were drawn
    steps: tuple[int, int]
    pairs: list[Pair]


def of_comparison(records: Mapping[str, RunRecord], comparison: Mapping[str, Any]) -> list[Responses]:
    """Return a run of each setting, the best first: the lowest seed that kept responses of before and after."""
    found = []
    for settings, keys in list(zip(comparison["settings"], comparison["keys"], strict=True))[:MOST_SETTINGS]:
        name = " ".join(f"{key}={value}" for key, value in settings.items())
        runs = sorted((records[key] for key in keys if key in records), key=lambda run: run.config["seed"])
        told = (_responses(name, run) for run in runs)
        found.append(next((each for each in told if each is not None), None))
    return [each for each in found if each is not None]


def _responses(setting: str, run: RunRecord) -> Responses | None:
    """Pair the responses of one run; None where it logged none to the same prompt twice."""
    samples = run.samples()
    for split in SPLITS:
        rows = [row for row in samples if row["split"] == split]
        evaluated = [row for row in rows if "phase" not in row]  # else looks of the probe
        rows = evaluated or [row for row in rows if row["phase"] in WHEN]
        steps = sorted({row["step"] for row in rows})
        if len(steps) < 2:
            continue
        first, last = (_by_prompt(rows, step) for step in (steps[0], steps[-1]))
        pairs = [_pair(first[prompt], last[prompt]) for prompt in first if prompt in last]
        if pairs:
            how = "decoded as the data is evaluated" if evaluated else "sampled as by the probe"
            return Responses(setting, run.key, run.config["seed"], split, how, (steps[0], steps[-1]), pairs[:PROMPTS])
    return None


def _by_prompt(rows: Iterable[Mapping[str, Any]], step: int) -> dict[str, Mapping[str, Any]]:
    """Return the last row of each prompt: a step that was done again is logged twice."""
    return {row["prompt_id"]: row for row in rows if row["step"] == step}


def _pair(before: Mapping[str, Any], after: Mapping[str, Any]) -> Pair:
    first, last = (Response(_cut(row["response"]), _scores(row)) for row in (before, after))
    return Pair(str(before["prompt_id"]), _cut(before["prompt"]), first, last)


def _scores(row: Mapping[str, Any]) -> str:
    """Write the score of a response, and its gold score where the run has a second reward."""
    return _score(row["score"]) + (f", gold {_score(row['gold'])}" if "gold" in row else "")


def _score(value: Any) -> str:
    number = math.nan if value is None else float(value)
    return "no score" if math.isnan(number) else f"{number:.3f}"


def _cut(text: str) -> str:
    """Leave out the middle of a long text."""
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half].rstrip()} … {text[-half:].lstrip()}"
