"""Learning from the best responses to a prompt alone: rejection sampling (ReST, RAFT)."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rftlab.loops.collect import Collected, Collector, Place
from rftlab.loops.lab import Lab
from rftlab.ranges import BelowOne, Positive


@dataclass(frozen=True, kw_only=True)
class BestOf:
    """Which responses to a prompt are learned.

    At most `keep` of each prompt, of those none whose score is below `min_score`, or below the quantile `min_quantile`
    of all scores of the iteration.
    """

    keep: Positive[int]
    min_score: float | None  # raw units; None = no such limit
    min_quantile: BelowOne[float]  # 0 = no such limit

    def mask(self, scores: Float[Tensor, " n"], prompt_index: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Say which responses are kept; of equal ones to a prompt the one that was sampled first."""
        by_score = scores.argsort(descending=True, stable=True)
        order = by_score[prompt_index[by_score].argsort(stable=True)]  # prompt by prompt, the best first
        sizes = prompt_index[order].unique_consecutive(return_counts=True)[1]
        firsts = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device) - firsts)
        kept = rank < self.keep
        if self.min_score is not None:
            kept &= scores >= self.min_score
        return kept & (scores >= scores.double().quantile(self.min_quantile)) if self.min_quantile else kept


@dataclass(frozen=True, kw_only=True)
class Best:
    """What another collector gives, of which the best responses are learned."""

    inner: Collector
    choice: BestOf

    samples: ClassVar[bool] = True

    def collect(self, lab: Lab, place: Place) -> Collected:
        """Keep the best of what the other collector keeps."""
        collected = self.inner.collect(lab, place)
        experience = collected.experience
        assert experience.scores is not None
        mask = self.choice.mask(experience.scores, experience.prompt_index)
        rows = torch.arange(len(mask), device=mask.device) if collected.kept is None else collected.kept
        kept = rows[mask[rows]]
        metrics = {"sampling/kept_responses": float(len(kept))}
        if len(kept):
            metrics["sampling/kept_reward"] = float(experience.scores[kept].mean())
        return replace(collected, metrics=collected.metrics | metrics, kept=kept)
