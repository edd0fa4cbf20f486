"""Fixed rules that turn the numbers of RFT alone and of RFT after SFT into sentences.

A sentence names the decoding of every reward and the number of seeds. What ends higher is said of seeds that can tell:
as many that chance alone would put all of one setting above all of the other in at most 1 of RARE cases.
"""

import math
from dataclasses import dataclass

from analysis.drawing import style
from analysis.statistics.stats import STD_BELOW

MANY = 0.5  # from this share of stuck prompts on (low std and low mean), they are most prompts
FELL = 0.1  # the share of stuck prompts fell when it lost at least this much
MOVED = 0.05  # a reward in [0, 1] moved when it changed by at least this much; below, it is flat
RARE = 20  # 3 seeds against 3


@dataclass(frozen=True)
class Reward:
    """A reward at the start and at the end: averages over seeds, NaN where it was not logged."""

    start: float
    end: float
    decoding: str  # in words

    @property
    def gain(self) -> float:
        """Return how much the reward rose."""
        return self.end - self.start

    def of(self, split: str) -> str:
        """Write where it began and ended."""
        if math.isnan(self.gain):
            return f"{split} reward ({self.decoding}) not logged"
        return f"{split} reward ({self.decoding}) {self.start:.3f} to {self.end:.3f}"


@dataclass(frozen=True)
class Cell:
    """What the words need of one cell: averages over its n seeds."""

    train: Reward  # of the samples of the probe prompts
    worst_end: float  # of all seeds
    best_end: float
    test: Reward  # decoded as the dataset is evaluated
    vanishing: float  # share of prompts with reward std < STD_BELOW before this run's RFT
    interval: tuple[float, float]  # 95 %, of that share; NaN where every train prompt was sampled
    stuck: float  # share of prompts that also have a low mean reward: no gradient, yet much to gain
    n: int


def describe(data: str, algo: str, alone: Cell, with_sft: Cell | None = None, began: str = "alone") -> list[str]:
    """Return one or more sentences: what happened alone, why, and what a little SFT first changed.

    `began` says in words how the runs began, if not from the pretrained model.
    """
    name = f"{style.name(algo)} on {style.name(data)}"
    moved = {0: "stays flat", 1: "rises", -1: "falls"}[_direction(alone.train.gain)]
    first = f"{name}, {began} ({seeds(alone.n)}): {_both(alone)}. The {alone.train.decoding} train reward {moved}."
    return [first, f"{_share(alone)} {_cause(alone)}", *(_effect(alone, with_sft) if with_sft else [])]


def seeds(n: int) -> str:
    """Write a number of seeds."""
    return "1 seed" if n == 1 else f"mean of {n} seeds"


def _both(cell: Cell) -> str:
    """State both rewards of a cell."""
    return f"{cell.train.of('train')}, {cell.test.of('test')}"


def _direction(gain: float) -> int:
    """Return 1 when a reward rose, -1 when it fell, 0 when it is flat."""
    return 0 if abs(gain) < MOVED else (1 if gain > 0 else -1)


def _share(cell: Cell) -> str:
    """State the share of vanishing prompts before the run, with its interval."""
    low, high = cell.interval
    known = "all train prompts" if math.isnan(low) else f"95 % interval over prompts {low:.0%} to {high:.0%}"
    return (
        f"Before it, {cell.vanishing:.0%} of the prompts ({known}) have a reward std "
        f"below {STD_BELOW:g} over their samples, {cell.stuck:.0%} with a low mean reward too."
    )


def _cause(alone: Cell) -> str:
    """Say whether vanishing gradients explain what RFT alone did."""
    vanishing, stuck, direction = alone.vanishing >= MANY, alone.stuck >= MANY, _direction(alone.train.gain)
    once = " This is one run; another seed may do otherwise." if alone.n == 1 else ""
    if direction < 0:
        return f"Vanishing gradients would explain a flat reward, not a falling one.{once}"
    if direction == 0 and stuck:
        return (
            "Where all samples of a prompt score alike its expected gradient is near zero, so most prompts teach "
            f"the policy next to nothing: this fits a reward that stays flat.{once}"
        )
    if direction == 0 and vanishing:
        return (
            "Most prompts have an expected gradient near zero, but fewer than half of all have much to gain, so "
            f"vanishing gradients alone do not explain the flat reward.{once}"
        )
    if direction == 0:
        return f"Most prompts do give a gradient, so vanishing gradients do not explain the flat reward.{once}"
    if vanishing:
        return f"Most prompts have an expected gradient near zero, and yet the reward rises.{once}"
    return f"Most prompts give a gradient, and the reward rises.{once}"


def _effect(alone: Cell, sft: Cell) -> list[str]:
    """Say what SFT before RFT changed, and how much of it is RFT's own."""
    facts = (
        f"After a little SFT these are {sft.vanishing:.0%} and {sft.stuck:.0%}. RFT from there ({seeds(sft.n)}): "
        f"{_both(sft)}. Alone it ends at {alone.train.end:.3f} and {_number(alone.test.end)}."
    )
    return [facts, _verdict(alone, sft)]


def _verdict(alone: Cell, sft: Cell) -> str:
    """Judge RFT after SFT.

    SFT mends RFT if the seeds can tell and all of them lead, fewer prompts are stuck, and RFT itself gains under both
    decodings.
    """
    cases = math.comb(alone.n + sft.n, sft.n)
    if cases < RARE:
        return (
            f"{sft.n} seed{'s' if sft.n > 1 else ''} against {alone.n} is no comparison, so nothing is concluded: "
            f"chance alone puts all of one above all of the other in 1 of {cases} cases. Run both with seed=0,1,2."
        )
    if sft.train.end - alone.train.end < MOVED or sft.worst_end <= alone.best_end:
        return f"SFT first does not clearly end higher than RFT alone ({sft.train.decoding} train reward)."
    leads = (
        f"All {sft.n} seeds with SFT first end above all {alone.n} of RFT alone in {sft.train.decoding} train reward "
        f"(by chance alone: 1 of {cases} cases)"
    )
    if sft.train.gain < MOVED:
        return f"{leads}, by the SFT alone: RFT changes that reward by {sft.train.gain:+.3f} after it."
    if alone.stuck - sft.stuck < FELL:
        return f"{leads}, but the SFT hardly lowers the share of such prompts: it helps in another way."
    if not sft.test.gain >= MOVED:
        return f"{leads}. RFT after it raises that reward, but not the test reward: {_change(sft.test)}."
    if _direction(alone.train.gain) == 0 and alone.stuck >= MANY:
        return (
            f"{leads}. A little SFT mends it: fewer prompts have a vanishing gradient, and RFT then raises that reward "
            f"and the test reward ({_change(sft.test)})."
        )
    return f"{leads}, with fewer such prompts; but RFT alone was not held flat by them."


def _change(reward: Reward) -> str:
    """Write how far a reward moved."""
    return f"{_number(reward.gain, '+.3f')} under {reward.decoding}"


def _number(value: float, form: str = ".3f") -> str:
    return "unknown" if math.isnan(value) else format(value, form)
