"""Preference pairs: made from scored responses, and collected in an order of their own."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rftlab.diagnostics.pairs import pair_accuracy
from rftlab.errors import UserError
from rftlab.loops.collect import Collected, Place
from rftlab.loops.draw import draw
from rftlab.loops.evaluation import encode
from rftlab.loops.lab import Lab
from rftlab.models.text import pad
from rftlab.ops import MIN_STD
from rftlab.types import Example, Experience, ScoredResponse

Rule = Literal["best_worst", "all"]
RUN = "algo.responses.run"  # the key that names where responses come from


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two responses to one prompt, of which the chosen one has the higher score."""

    chosen: ScoredResponse
    rejected: ScoredResponse

    @property
    def example(self) -> Example:
        """The prompt."""
        return self.chosen.example

    @property
    def prompt(self) -> tuple[str, str]:
        """What tells the prompt apart from others."""
        return self.example.id, self.example.prompt

    @property
    def longest(self) -> int:
        """Tokens of the longer response, EOS included."""
        return max(len(self.chosen.response_ids), len(self.rejected.response_ids))


@dataclass(frozen=True, kw_only=True)
class Found:
    """The pairs among some responses, and how many candidates were left out for each reason."""

    pairs: list[Pair]
    left_out: Mapping[str, int]

    def told(self, split: str) -> str:
        """Say in one line what there is, and what was left out."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items() if count)
        return f"{split}: {len(self.pairs)} preference pairs; left out: {reasons or 'none'}"


def pairs_of(responses: Sequence[ScoredResponse], rule: Rule, max_tokens: int | None = None) -> Found:
    """Pair the responses to each prompt, in their order: the best with the worst, or every two.

    No pair are responses of equal scores or of identical texts, and two of which one has more than `max_tokens`.
    """
    groups: dict[tuple[str, str], list[ScoredResponse]] = {}
    for response in responses:
        groups.setdefault((response.example.id, response.example.prompt), []).append(response)
    pairs: list[Pair] = []
    left_out = Counter[str]()
    for group in groups.values():
        if len(group) == 1:
            left_out["prompts with one response"] += 1
        for pair in _candidates(group, rule):
            if (reason := _no_pair(pair, max_tokens)) is None:
                pairs.append(pair)
            else:
                left_out[reason] += 1
    return Found(pairs=pairs, left_out=left_out)


def _candidates(group: Sequence[ScoredResponse], rule: Rule) -> Iterator[Pair]:
    if len(group) > 1 and rule == "best_worst":
        best, worst = (pick(group, key=lambda response: response.score) for pick in (max, min))
        yield Pair(chosen=best, rejected=worst if worst is not best else group[1])
    elif rule == "all":
        for one, other in combinations(group, 2):
            yield Pair(chosen=one, rejected=other) if one.score >= other.score else Pair(chosen=other, rejected=one)


def _no_pair(pair: Pair, max_tokens: int | None) -> str | None:
    """Say why two responses are no pair; None if they are one."""
    if pair.chosen.response == pair.rejected.response:
        return "of identical texts"
    if pair.chosen.score - pair.rejected.score <= MIN_STD:  # rounding is no preference
        return "of equal scores"
    if max_tokens is not None and pair.longest > max_tokens:
        return f"longer than {max_tokens} tokens"
    return None


def pairs_of_task(lab: Lab, split: str, rule: Rule, max_tokens: int | None = None) -> list[Pair]:
    """Make the pairs of a split of the task, and tell how many there are.

    Raises:
        UserError: The task has no scored responses, or there is no pair to train on.
    """
    if lab.task.responses is None:
        raise UserError("no scored responses", "the run key of a finished run of algo=responses", RUN)
    responses = lab.task.responses.get(split, ())
    found = pairs_of(responses, rule, max_tokens)
    lab.session.describe(found.told(split))
    if split == "train" and not found.pairs:
        raise UserError(
            f"no preference pair among {len(responses)} responses of the split {split} ({found.told(split)})",
            "two responses to one prompt with different scores",
            f"{RUN}, algo.loop.pairs or algo.loop.max_response_tokens",
        )
    return found.pairs


def pair_metrics(pairs: Sequence[Pair], margins: Float[np.ndarray, " n"], loss: float) -> dict[str, float]:
    """Name loss and accuracy of margins, with its interval, and the accuracy of preferring the reply with more tokens.

    A margin is the score of the chosen response minus that of the rejected one.
    """
    prompts = [pair.prompt for pair in pairs]
    longer = [len(pair.chosen.response_ids) - len(pair.rejected.response_ids) for pair in pairs]
    accuracy = pair_accuracy(margins, prompts)
    return {
        "pairs": float(len(pairs)),
        "pair_loss": loss,
        "pair_accuracy": accuracy.value,
        "pair_accuracy_low": accuracy.low,
        "pair_accuracy_high": accuracy.high,
        "longer_accuracy": pair_accuracy(np.array(longer, dtype=float), prompts).value,
    }


def longest_response(lab: Lab, max_response_tokens: int | None) -> int:
    """Give the most tokens of a response: the number given, or else that of the rollouts of the data."""
    if max_response_tokens is not None:
        return max_response_tokens
    assert lab.task.rollout is not None  # see config.checks
    return lab.task.rollout.max_new_tokens


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pairs in passes, each in a fresh order; the ids are those that were sampled.

    Log-probabilities are at the temperature of the rollouts, as in every other algorithm.
    """

    pairs: Sequence[Pair]
    count: int  # of an iteration

    samples: ClassVar[bool] = False

    def collect(self, lab: Lab, place: Place) -> Collected:
        """Draw pairs, from the shortest to the longest."""
        drawn = [pair for pair, _ in draw(self.pairs, self.count, lab.session.seed, place.position)]
        drawn.sort(key=lambda pair: pair.longest)
        return Collected(experience=as_sampled(lab, drawn), metrics={}, prompts=len(drawn))


def as_sampled(lab: Lab, pairs: Sequence[Pair]) -> Experience:
    """Put pairs into rows, with the ids that were sampled."""
    ids = [response.response_ids for pair in pairs for response in (pair.chosen, pair.rejected)]
    temperature = 1.0 if lab.task.rollout is None else lab.task.rollout.temperature
    return experience_of(
        encode(lab, [pair.example for pair in pairs]), pad(ids, lab.policy.pad_id, "right"), temperature
    )


def experience_of(
    prompts: tuple[Int[Tensor, "m p"], Bool[Tensor, "m p"]],
    responses: tuple[Int[Tensor, "n t"], Bool[Tensor, "n t"]],
    temperature: float,
) -> Experience:
    """Put m prompts and the two responses to each, the chosen one first, into rows; every pair is a unit."""
    (prompt_ids, prompt_mask), (ids, mask) = prompts, responses
    unit = torch.arange(len(prompt_ids), device=prompt_ids.device).repeat_interleave(2)
    return Experience(
        prompt_ids=prompt_ids,
        prompt_mask=prompt_mask,
        response_ids=ids.to(prompt_ids.device),
        response_mask=mask.to(prompt_ids.device),
        prompt_index=unit,
        unit=unit,
        scores=None,
        temperature=temperature,
    )
