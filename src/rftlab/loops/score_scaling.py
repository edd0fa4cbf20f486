"""Scaling of scores by their running standard deviation, as in the APA and trlX releases.

The deviation is that of a sample: the squares are divided by n - 1 (trlX 03bb2d5, `RunningMoments.update`).
"""

import math
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from rftlab.ops import MIN_STD, Total, alone


@dataclass(frozen=True, kw_only=True)
class RunningScores:
    """Moments of all raw scores so far; a run that resumes needs them back."""

    count: float
    mean: float
    m2: float  # sum of squared deviations from the mean

    @classmethod
    def empty(cls) -> "RunningScores":
        """State before the first rollout."""
        return cls(count=0.0, mean=0.0, m2=0.0)

    @classmethod
    def from_dict(cls, state: dict[str, float]) -> "RunningScores":
        """State from a checkpoint."""
        return cls(**state)

    def to_dict(self) -> dict[str, float]:
        """State for a checkpoint."""
        return asdict(self)

    def update(self, scores: Float[Tensor, " n"], total: Total = alone) -> "RunningScores":
        """Merge the raw scores of one rollout (Chan et al. 1979); call it before they are scaled.

        `total` adds up partial sums over the processes that share the rollout.
        """
        new = scores.double()
        n = total(torch.tensor(float(len(scores)), dtype=torch.float64, device=scores.device)).item()
        if not n:
            return self
        mean = total(new.sum()) / n
        shift, count = mean.item() - self.mean, self.count + n
        m2 = total((new - mean).square().sum()).item()
        return RunningScores(
            count=count,
            mean=self.mean + shift * n / count,
            m2=self.m2 + m2 + shift * shift * self.count * n / count,
        )

    @property
    def std(self) -> float:
        """Standard deviation with n - 1, of all scores so far; 0 before there are two."""
        return math.sqrt(self.m2 / (self.count - 1)) if self.count > 1 else 0.0


def scale_scores(
    scores: Float[Tensor, " n"],
    running: RunningScores,
    *,
    scaling: Literal["none", "running"],
    clip: float | None,
) -> Float[Tensor, " n"]:
    """Divide scores by the running std without centring them, then clip them to [-clip, clip].

    Scores that have never varied (std below `ops.MIN_STD`) keep their size.
    """
    if scaling == "running" and running.std > MIN_STD:
        scores = scores / running.std
    return scores if clip is None else scores.clamp(-clip, clip)
