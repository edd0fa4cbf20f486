"""Dynamic sampling: prompts are drawn until enough of them have responses of unequal score (Yu et al. 2025, DAPO)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float

from rftlab.diagnostics import prompt_statistics
from rftlab.loops.collect import Collected, Place, Sampled
from rftlab.loops.evaluation import encode, score
from rftlab.loops.lab import Lab
from rftlab.loops.metrics import sampling_metrics
from rftlab.ops import MIN_STD
from rftlab.ranges import Positive
from rftlab.sampling.sample import joined
from rftlab.types import Example, Responses


@dataclass(frozen=True, kw_only=True)
class DynamicSampling:
    """Learn from prompts with spread alone: those whose responses all score alike are replaced by the next ones."""

    max_rounds: Positive[int]  # draws of an iteration at most; each asks for as many prompts as are still missing

    def collector(self, lab: Lab, sampled: Sampled) -> "WithSpread":
        """Draw as `sampled` does, in rounds."""
        return WithSpread(sampled=sampled, max_rounds=self.max_rounds)


@dataclass(frozen=True, kw_only=True)
class WithSpread:
    """The first prompts with spread, in the order of the run, and those that were drawn in vain.

    After the last round there may be fewer than asked for, or none. What was drawn in vain is taken for good: the next
    iteration goes on behind it. All of it describes the policy, the prompts with spread alone are learned.
    """

    sampled: Sampled
    max_rounds: int

    samples: ClassVar[bool] = True

    def collect(self, lab: Lab, place: Place) -> Collected:
        """Draw rounds of prompts until none is missing."""
        sampled = self.sampled
        examples: list[Example] = []
        rounds: list[Responses] = []
        scores: list[Float[np.ndarray, " m"]] = []
        spread: list[Bool[np.ndarray, " k"]] = []
        missing = sampled.prompts
        while missing and len(rounds) < self.max_rounds:
            asked, encoded, responses = sampled.round(lab, place.position + len(examples), missing)
            examples += asked
            rounds.append(responses)
            scores.append(score(lab, asked, responses)[1])
            spread.append(has_spread(scores[-1], sampled.samples_per_prompt))
            missing -= int(spread[-1].sum())
        if len(rounds) > 1:
            encoded = encode(lab, examples)
        responses = joined(rounds, lab.policy.pad_id)
        experience = sampled.experience(lab, encoded, responses, np.concatenate(scores))
        learned = np.concatenate(spread)
        rows = torch.from_numpy(np.flatnonzero(learned.repeat(sampled.samples_per_prompt)))
        discarded = len(examples) - int(learned.sum())
        metrics = {
            "sampling/rounds": float(len(rounds)),
            "sampling/kept": float(learned.sum()),
            "sampling/discarded": float(discarded),
            "sampling/discarded_share": discarded / len(examples),
        }
        return Collected(
            experience=experience,
            metrics=sampling_metrics(responses) | metrics,
            prompts=len(examples),
            kept=rows.to(experience.unit.device),
        )


def has_spread(scores: Float[np.ndarray, " n"], samples_per_prompt: int) -> Bool[np.ndarray, " b"]:
    """Say of each prompt whether its responses differ in score by more than rounding (`MIN_STD`)."""
    return prompt_statistics(scores.reshape(-1, samples_per_prompt)).std > MIN_STD
