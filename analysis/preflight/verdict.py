"""The verdict of a diagnosis, by fixed rules on its numbers. `docs/preflight.md` lists the rules.

The deciding share is that of the prompts that are held: no gradient, yet something to gain.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from math import nan

from analysis.preflight.statistics import Summary
from analysis.summary.words import MANY
from rftlab.intervals import NORMAL_95, Estimate

FEW = 0.1  # below this share of held prompts, RFT alone is worth its run; from MANY of those not solved on, it is not
WIDE = 0.2  # an interval wider than this does not decide when its ends disagree
HALF_WIDTH = 0.05  # that "sample more" aims at
DROP = 0.05  # from half of the samples to all: a share that falls by this much may fall further
NEARLY_ALL = 0.95
VARIED = 0.5  # distinct responses / samples, from which the reward and not the policy is what does not vary
GAP = 0.2  # of the range of scores seen: below the best by more than this, a prompt is not solved
SFT_PROMPTS = 100  # the fewest that a test of SFT should have
SFT_MOST = 0.4  # of the train prompts: the share whose effect was measured here
SFT_SHARES = (0.01, 0.05, 0.1, 0.2, 0.4, 1.0)  # those of `+sweep=partial_sft`
BASIS = (
    f"The limits of {FEW:.0%} and {MANY:.0%} are rules of thumb, not calibrated. They stand on three cases of this "
    "project's tiny models, one seed each, 10 samples per prompt (docs/log.md of the repository): with 65 % of the "
    "prompts stuck (bundled NarrativeQA) and with 82 % (its real rows) the sampled train reward of RFT alone stayed "
    "flat; with 36 % (real IMDB rows, whose reward was near chance) it rose from 0.439 to 0.573. Nothing was "
    "measured in between, and none of it with another reward or a larger model."
)


class Kind(StrEnum):
    """What to do."""

    RFT_ALONE = "RFT alone"
    RFT_ON_THE_REST = "RFT learns from the rest; compare with SFT first"
    SFT_FIRST = "SFT first"
    DENSER_REWARD = "a denser reward"
    LITTLE_TO_GAIN = "little to gain"
    UNDECIDED = "not decided: sample more"


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """All that the rules look at."""

    n_prompts: int
    n_samples: int
    n_train: int
    all_sampled: bool = False  # intervals then hold the noise of the samples alone
    vanishing: Estimate
    stuck: Estimate | None  # None where the data names no low reward
    solved: Estimate | None
    solved_gap: float = (
        nan  # (best score seen - mean reward of the solved) / (best - worst); NaN: none solved, no range
    )
    mean_is_low: bool = True  # the mean reward over all prompts; true where no reward counts as low
    one_score: float = 0.0
    distinct: float = nan
    drop: float = nan  # of the vanishing share, from half of the samples to all
    has_targets: bool = True


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to do, why, and with which numbers."""

    kind: Kind
    sentences: list[str]
    sft_share: float | None = None  # of the train prompts, to test SFT with
    n_prompts: int | None = None  # to sample instead
    n_samples: int | None = None


def numbers_of(summary: Summary, *, n_samples: int, n_train: int, low_reward: float, has_targets: bool) -> Numbers:
    """Pick what the rules look at."""
    span, error = summary.best - summary.worst, summary.error
    return Numbers(
        n_prompts=summary.n_prompts,
        n_samples=n_samples,
        n_train=n_train,
        all_sampled=summary.all_sampled,
        vanishing=summary.vanishing,
        stuck=summary.stuck,
        solved=summary.solved,
        solved_gap=(summary.best - summary.solved_mean) / span if span > 0 else nan,
        mean_is_low=math.isnan(low_reward) or summary.reward_mean.value < low_reward,
        one_score=error.one_score if error else 0.0,
        distinct=error.distinct if error else nan,
        drop=error.vanishing_half - error.vanishing if error else nan,
        has_targets=has_targets,
    )


def judge(numbers: Numbers) -> Verdict:
    """Apply the rules, first the one that says that the numbers do not decide."""
    held = held_share(numbers)
    if (doubt := _doubt(numbers, held)) is not None:
        return doubt
    kind = _choose(numbers, held.value, _value(numbers.solved))
    sentences = [_facts(numbers, held), *_reasons(kind, numbers, held)]
    offers_sft = kind in (Kind.SFT_FIRST, Kind.DENSER_REWARD) or (kind is Kind.RFT_ON_THE_REST and numbers.has_targets)
    share = sft_share(held.value, numbers.n_train) if offers_sft else None
    return Verdict(kind=kind, sentences=sentences, sft_share=share)


def held_share(numbers: Numbers) -> Estimate:
    """Return the deciding share: the stuck prompts, or all vanishing ones where the others are not solved either."""
    if numbers.stuck is None or _middling(numbers):
        return numbers.vanishing
    return numbers.stuck


def sft_share(held: float, n_train: int) -> float:
    """Return a share of the train prompts to test SFT with: about the held ones, rounded up to one of SFT_SHARES."""
    wanted = max(min(held, SFT_MOST), SFT_PROMPTS / max(n_train, 1))
    return next((share for share in SFT_SHARES if share >= wanted - 1e-9), 1.0)


def prompts_needed(share: float, n_prompts: int, n_train: int) -> int:
    """Return how many prompts give the share a half-width of HALF_WIDTH: at least twice as many, at most all."""
    spread = max(share * (1 - share), 0.09)  # a share of 0 or 1 may be 0.1 or 0.9
    wanted = max(spread * (NORMAL_95 / HALF_WIDTH) ** 2, 2 * n_prompts)
    return min(math.ceil(wanted / 100 - 1e-9) * 100, n_train)


def _value(share: Estimate | None) -> float:
    return 0.0 if share is None else share.value


def _middling(numbers: Numbers) -> bool:
    """Say whether the prompts with one reward, not a low one, stay well below the best score seen."""
    return _value(numbers.solved) >= FEW and numbers.solved_gap > GAP


def _many(numbers: Numbers, solved: float) -> float:
    """Return the held share from which on most of the prompts that are not solved are held."""
    return MANY if numbers.stuck is None or _middling(numbers) else MANY * (1 - solved)


def _choose(numbers: Numbers, held: float, solved: float) -> Kind:
    """Choose by the shares."""
    if numbers.one_score >= NEARLY_ALL and numbers.distinct >= VARIED:
        return Kind.DENSER_REWARD if numbers.mean_is_low else Kind.LITTLE_TO_GAIN
    if held >= FEW:
        if held < _many(numbers, solved):
            return Kind.RFT_ON_THE_REST
        return Kind.SFT_FIRST if numbers.has_targets else Kind.DENSER_REWARD
    return Kind.LITTLE_TO_GAIN if solved >= MANY and not _middling(numbers) else Kind.RFT_ALONE


def _doubt(numbers: Numbers, held: Estimate) -> Verdict | None:
    """Return a verdict that asks for more samples where the numbers allow two verdicts, else None."""
    solved = numbers.solved or Estimate(0.0, 0.0, 0.0)
    corners = {_choose(numbers, a, b) for a in (held.low, held.high) for b in (solved.low, solved.high)}
    width = max(held.high - held.low, solved.high - solved.low)
    if len(corners) > 1 and width > WIDE:
        return _narrower(numbers, held, corners)
    fewer = max(0.0, held.value - numbers.drop) if numbers.drop >= DROP else held.value
    kinds = {_choose(numbers, held.value, solved.value), _choose(numbers, fewer, solved.value)}
    return _more_samples(numbers, held, kinds) if len(kinds) > 1 else None


def _narrower(numbers: Numbers, held: Estimate, kinds: set[Kind]) -> Verdict:
    """Ask for what narrows the interval: more prompts, or more samples where every prompt was sampled."""
    allows = f"The interval allows {_either(kinds)}"
    if numbers.n_prompts < numbers.n_train and not numbers.all_sampled:
        n = prompts_needed(held.value, numbers.n_prompts, numbers.n_train)
        said = f"{allows}: {numbers.n_prompts} prompts are too few to tell. Sample more: n_prompts={n}."
        return Verdict(kind=Kind.UNDECIDED, sentences=[_facts(numbers, held), said], n_prompts=n)
    n = 2 * numbers.n_samples
    why = (
        f"every train prompt was sampled, and {numbers.n_samples} samples do not tell on which side of the limit the "
        "std of many of them is"
        if numbers.all_sampled
        else "every train prompt was sampled, but not all samples are in the run folder, so that their noise is unknown"
    )
    said = f"{allows}: {why}. Sample each prompt more often: samples={n}."
    return Verdict(kind=Kind.UNDECIDED, sentences=[_facts(numbers, held), said], n_samples=n)


def _more_samples(numbers: Numbers, held: Estimate, kinds: set[Kind]) -> Verdict:
    """Ask for more samples per prompt."""
    said = (
        f"From half of the samples to all {numbers.n_samples} of a prompt the vanishing share fell by "
        f"{numbers.drop:.0%}. Were it to fall as much again, the verdict would change (it would be one of: "
        f"{_either(kinds)}). Sample each prompt more often: samples={2 * numbers.n_samples}."
    )
    sentences = [_facts(numbers, held), said]
    return Verdict(kind=Kind.UNDECIDED, sentences=sentences, n_samples=2 * numbers.n_samples)


def _either(kinds: set[Kind]) -> str:
    return " or ".join(f"“{kind}”" for kind in sorted(kinds))


# --- words --------------------------------------------------------------------------------------------------------


def _facts(numbers: Numbers, held: Estimate) -> str:
    """State the deciding share."""
    share = f"{held.value:.0%} of the prompts (95 % interval {held.low:.0%} to {held.high:.0%})"
    if numbers.stuck is None:
        return f"{share} have a vanishing expected gradient; the data names no low reward, so all of them count."
    if _middling(numbers):
        return (
            f"{share} have a vanishing expected gradient. Those of them whose mean reward is not low stay well below "
            f"the best score seen, so all of them count."
        )
    return f"{share} are stuck: a vanishing expected gradient and a low mean reward."


def _reasons(kind: Kind, numbers: Numbers, held: Estimate) -> list[str]:
    """Say why, and what to know about the advice."""
    if kind is Kind.SFT_FIRST:
        return [_held_reason(held), _sft_reason(held, numbers.n_train), *_near_limit(numbers, held)]
    if kind is Kind.RFT_ON_THE_REST:
        return [*_rest_reasons(numbers, held), *_near_limit(numbers, held)]
    if kind is Kind.DENSER_REWARD:
        return [*_denser_reasons(numbers, held), *_near_limit(numbers, held)]
    if kind is Kind.LITTLE_TO_GAIN:
        return [_little_reason(numbers)]
    few = "That is too few to stand in the way: RFT alone can learn from the other prompts."
    return [few, *_near_limit(numbers, held)]


def _held_reason(held: Estimate) -> str:
    if held.value >= MANY:
        return "RFT alone would learn from the minority of the prompts and leave most as they are."
    return "RFT alone would learn from few of the prompts that are not solved and leave most of those as they are."


def _rest_reasons(numbers: Numbers, held: Estimate) -> list[str]:
    """Say what RFT can and cannot do here."""
    first = "RFT has a gradient on the other prompts; these may stay as they are."
    if not numbers.has_targets:
        return [
            first,
            "The train prompts have no gold texts for SFT; a reward that gives partial credit may free them.",
        ]
    return [first, f"Whether SFT first gains more is open: compare. {_sft_reason(held, numbers.n_train)}"]


def _sft_reason(held: Estimate, n_train: int) -> str:
    share = sft_share(held.value, n_train)
    count = max(1, int(share * n_train))
    if min(held.value, SFT_MOST) * n_train < SFT_PROMPTS:  # few rows: their number decides, and not the share
        which = (
            f"all {n_train} train prompts" if count == n_train else f"about {share:.0%} of the train prompts ({count})"
        )
        return (
            f"Test SFT on {which} before RFT: with {n_train} rows, a share as small as is usual would leave fewer than "
            f"{SFT_PROMPTS} prompts."
        )
    return (
        f"Test SFT on about {share:.0%} of the train prompts ({count}) before RFT. A rule of "
        f"thumb: about the share of such prompts, at most {SFT_MOST:.0%} (tried on bundled NarrativeQA, one seed). "
        "Razin et al. 2024 report that 1 % can suffice; the grid tells."
    )


def _denser_reasons(numbers: Numbers, held: Estimate) -> list[str]:
    """Say why the reward is to blame, or why SFT is not offered first."""
    if numbers.one_score >= NEARLY_ALL and numbers.distinct >= VARIED:
        first = (
            f"{numbers.one_score:.0%} of the prompts get one and the same score for every sample, though the responses "
            "differ: the reward does not tell them apart. A reward that gives partial credit would."
        )
        where = (
            "SFT first is the other way"
            if numbers.has_targets
            else "With gold texts from elsewhere, SFT first is the other way"
        )
        return [first, f"{where}: {_lower_first(_sft_reason(held, numbers.n_train))}"]
    return [
        _held_reason(held),
        "The train prompts have no gold texts that SFT could imitate: a reward that gives partial credit is the way "
        "that remains.",
        f"With gold texts from elsewhere: {_lower_first(_sft_reason(held, numbers.n_train))}",
    ]


def _little_reason(numbers: Numbers) -> str:
    if numbers.one_score >= NEARLY_ALL:
        return (
            "Nearly every sample gets one and the same score, and not a low one: the prompts are solved, or the reward "
            "does not tell answers apart. Either way RFT has nothing to raise."
        )
    return (
        f"{_value(numbers.solved):.0%} of the prompts have one reward for every answer already, near the best score "
        "seen: solved, unless the reward goes much higher than any sample did. RFT can only move the rest."
    )


def _near_limit(numbers: Numbers, held: Estimate) -> list[str]:
    """Warn when the interval of the deciding share holds a limit."""
    known = (FEW, _many(numbers, _value(numbers.solved)))
    limits = [f"{limit:.0%}" for limit in known if held.low < limit <= held.high]
    return [f"The interval holds the limit of {' and '.join(limits)}, so this is a close call."] if limits else []


def _lower_first(text: str) -> str:
    return text[0].lower() + text[1:]
