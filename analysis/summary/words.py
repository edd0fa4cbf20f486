"""Fixed rules that turn the numbers of RFT alone and of RFT after SFT into sentences."""

from dataclasses import dataclass

from analysis.drawing import style
from analysis.statistics.stats import STD_BELOW

MANY = 0.5  # from this share of stuck prompts on (low std and low mean), they are most prompts
FELL = 0.1  # the share of stuck prompts fell when it lost at least this much
MOVED = 0.05  # a reward in [0, 1] moved when it changed by at least this much; below, it is flat


@dataclass(frozen=True)
class Cell:
    """What the words need of one cell: averages over its n seeds.

    The train reward is that of the samples of the probe prompts.
    """

    start: float
    end: float
    worst_end: float  # of all seeds
    best_end: float
    vanishing: float  # share of prompts with reward std < STD_BELOW before this run's RFT
    interval: tuple[float, float]  # 95 %, of that share
    stuck: float  # share of prompts that also have a low mean reward: no gradient, yet much to gain
    n: int

    @property
    def gain(self) -> float:
        """Return how much the reward rose."""
        return self.end - self.start


def describe(data: str, algo: str, alone: Cell, with_sft: Cell | None) -> list[str]:
    """Return one or more sentences: what happened alone, why, and what a little SFT first changed."""
    name = f"{style.name(algo)} on {style.name(data)}"
    moved = {0: "it stays flat", 1: "it rises", -1: "it falls"}[_direction(alone.gain)]
    first = f"{name}, alone: train reward {alone.start:.3f} to {alone.end:.3f}, {_seeds(alone.n)}; {moved}."
    return [first, f"{_share(alone)} {_cause(alone)}", *(_effect(alone, with_sft) if with_sft else [])]


def _direction(gain: float) -> int:
    """Return 1 when a reward rose, -1 when it fell, 0 when it is flat."""
    return 0 if abs(gain) < MOVED else (1 if gain > 0 else -1)


def _share(cell: Cell) -> str:
    """State the share of vanishing prompts before the run, with its interval."""
    low, high = cell.interval
    return (
        f"Before it, {cell.vanishing:.0%} of the prompts (95 % interval {low:.0%} to {high:.0%}) have a reward std "
        f"below {STD_BELOW:g} over their samples, {cell.stuck:.0%} with a low mean reward too."
    )


def _cause(alone: Cell) -> str:
    """Say whether vanishing gradients explain what RFT alone did."""
    many, direction = alone.stuck >= MANY, _direction(alone.gain)
    if direction < 0:
        return "Vanishing gradients would explain a flat reward, not a falling one."
    if direction == 0 and many:
        return (
            "Where all samples of a prompt score alike its expected gradient is near zero, so most prompts teach "
            "the policy next to nothing: this fits a reward that stays flat."
        )
    if direction == 0:
        return "Most prompts do give a gradient, so vanishing gradients do not explain the flat reward."
    if many:
        return "Most prompts have an expected gradient near zero, and yet the reward rises: the others were enough."
    return "Most prompts give a gradient, and RFT alone works."


def _effect(alone: Cell, sft: Cell) -> list[str]:
    """Say what SFT before RFT changed, and how much of it is RFT's own."""
    facts = (
        f"After a little SFT these are {sft.vanishing:.0%} and {sft.stuck:.0%}, and RFT takes the train reward from "
        f"{sft.start:.3f} to {sft.end:.3f}, {_seeds(sft.n)} (alone it ends at {alone.end:.3f})."
    )
    return [facts, _verdict(alone, sft)]


def _verdict(alone: Cell, sft: Cell) -> str:
    """Judge RFT after SFT: SFT mends RFT if all its seeds lead, fewer prompts are stuck, and RFT itself gains."""
    if sft.end - alone.end < MOVED or sft.worst_end <= alone.best_end:
        return "SFT first does not clearly end higher than RFT alone."
    if sft.gain < MOVED:
        return f"It ends higher by the SFT alone: RFT changes the reward by {sft.gain:+.3f} after it."
    if alone.stuck - sft.stuck < FELL:
        return "It ends higher, but the SFT hardly lowers the share of such prompts: it helps in another way."
    if _direction(alone.gain) == 0 and alone.stuck >= MANY:
        return "A little SFT mends it: fewer prompts have a vanishing gradient, and RFT then raises the reward."
    return "SFT first ends higher, with fewer such prompts; but RFT alone was not held flat by them."


def _seeds(n: int) -> str:
    """Write a number of seeds."""
    return "1 seed" if n == 1 else f"mean of {n} seeds"
