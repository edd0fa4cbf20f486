"""What the report says, as plain text and rows. Terminal, page and tables lay out this same content."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.drawing import style
from analysis.preflight.gradients import NEGLIGIBLE, Gradient
from analysis.preflight.reading import Measured, Sampled, Setting
from analysis.preflight.statistics import SamplingError, Summary, other_score_limit
from analysis.preflight.verdict import BASIS, Verdict
from rftlab.intervals import Estimate
from rftlab.runs.naming import NEAR_CHANCE, source_in_words

NOISY = 0.5  # error / norm of a gradient, above which the page says so
EXAMPLES = 4  # prompts at either end
SHOWN = 4  # responses of a prompt
PROMPT_LENGTH, RESPONSE_LENGTH = 240, 160  # characters
UNRECORDED = (
    "This run kept no record of its overrides. The commands name the values that it sampled and judged with; keys "
    "beyond those (reward, prompt, weights) are the defaults and may not be what was diagnosed."
)
BOUNDS = {"bound_std": "sqrt(2) L gamma STD", "bound_two_thirds": "6 L gamma STD^(2/3)"}
BARS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True)
class Row:
    """A number of the tables; `form` formats it."""

    name: str
    label: str
    estimate: Estimate
    form: str = ".0%"

    @property
    def value(self) -> str:
        return number(self.estimate.value, self.form)

    @property
    def interval(self) -> str:
        if math.isnan(self.estimate.low):
            return ""
        return f"{number(self.estimate.low, self.form)} to {number(self.estimate.high, self.form)}"


@dataclass(frozen=True)
class Example:
    """A prompt with a few of its responses, from the lowest score to the highest."""

    prompt_id: str
    prompt: str
    mean: float
    std: float
    responses: list[tuple[str, float, int]]  # text, score, how many samples were just this


@dataclass(frozen=True)
class Contents:
    """Everything that is shown."""

    measured: Measured
    summary: Summary
    verdict: Verdict
    commands: list[tuple[str, str]]

    @property
    def setting(self) -> Setting:
        return self.measured.setting


def title(setting: Setting) -> str:
    """Ask the question that the report answers."""
    warning = f" ({NEAR_CHANCE})" if setting.near_chance else ""
    return f"Will RFT work here? {style.name(setting.data)}, {setting.model}{warning}"


def _speed(rate: float) -> str:
    """Write a rate with three digits, large ones as whole numbers."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def header(contents: Contents) -> list[tuple[str, str]]:
    """Return what was diagnosed, as pairs of a word and its value."""
    setting, measured = contents.setting, contents.measured
    policy = setting.start + ("" if setting.heuristic == "none" else f", heuristic {setting.heuristic}")
    n = len(measured.prompts)
    speed = "" if math.isnan(setting.samples_per_s) else f" ({_speed(setting.samples_per_s)} per second)"
    rows = [
        ("model", setting.model),
        ("policy", policy),
        ("data", f"{setting.data}, {source_in_words(setting.source)}, {setting.n_train} train prompts"),
        ("scale", setting.scale),
        ("samples", f"{n} prompts x {setting.n_samples}{speed}"),
        ("decoding", setting.decoding),
        ("run", setting.run_key),
    ]
    left_out = f"{measured.n_nonfinite} prompts with a NaN or infinite score; they count nowhere below"
    return [*rows, ("left out", left_out)] if measured.n_nonfinite else rows


def disclaimer(setting: Setting) -> str:
    """Say what these numbers are not."""
    if setting.near_chance:
        return f"Do not believe these numbers: {NEAR_CHANCE}."
    if setting.scale == "mini" or setting.source == "bundled":
        return (
            f"Scale {setting.scale}, {source_in_words(setting.source)}: this says how this model behaves on this data. "
            "It is not a paper's number and stands for none."
        )
    return "These are the numbers of this run, with its prompts, samples and decoding; not a paper's."


def basis(contents: Contents) -> list[str]:
    """Say what the verdict stands on: its limits, and the interval of the reward that its threshold assumes."""
    setting, summary = contents.setting, contents.summary
    said = [f"This verdict stands on noise, {NEAR_CHANCE}."] if setting.near_chance else []
    said += [UNRECORDED] if contents.commands and not setting.recorded else []
    said += [BASIS]
    if setting.reward_range is None:
        return [
            *said,
            f"A std below {setting.std_below:g} counts as vanishing: eval.std_below, in units of a reward that has no "
            "interval. What is little there only you know.",
        ]
    low, high = setting.reward_range
    said.append(
        f"A std below {setting.std_below:g} counts as vanishing: eval.std_below times the width of the interval "
        f"[{low:g}, {high:g}] in which the reward lies (algo.loop.reward_low, reward_high).",
    )
    if summary.worst < low or summary.best > high:
        said.append(
            f"Scores from {summary.worst:.3g} to {summary.best:.3g} leave that interval, so the threshold and the "
            "verdict do not fit this reward: diagnose again with the right algo.loop.reward_low and reward_high."
        )
    return said


def shares(contents: Contents) -> list[Row]:
    """Return the shares of prompts."""
    summary, setting = contents.summary, contents.setting
    rows = [Row("share_vanishing", f"vanishing: reward std < {setting.std_below:g}", summary.vanishing)]
    if summary.stuck is not None and summary.solved is not None:
        mean = "" if math.isnan(summary.solved_mean) else f"; {summary.solved_mean:.3g} on average"
        rows += [
            Row("share_stuck", f"- stuck: and mean < {setting.low_reward:g}", summary.stuck),
            Row("share_solved", f"- solved: and mean ≥ {setting.low_reward:g}{mean}", summary.solved),
        ]
    if (gradient := summary.gradient) is not None and gradient.share is not None:
        label = f"by bound: std < {gradient.std_limit:.2g}, gradient < {NEGLIGIBLE:.0%} of the usual"
        rows.append(Row("share_by_bound", label, gradient.share))
    return rows


def moments(summary: Summary) -> list[Row]:
    """Return the average reward and std, and the percentiles of the std."""
    rows = [
        Row("reward_mean", "mean reward", summary.reward_mean, ".3g"),
        Row("reward_std", "mean reward std", summary.reward_std, ".3g"),
    ]
    return rows + [
        Row(f"std_percentile_{percent}", f"percentile {percent} of the reward std", each, ".3g")
        for percent, each in summary.percentiles.items()
    ]


def errors(error: SamplingError | None) -> list[Row]:
    """Return what the samples of a prompt leave open."""
    if error is None:
        return []
    return [
        Row("std_relative_error", "relative error of one prompt's std (median)", Estimate(error.relative_error)),
        Row("share_alike", "prompts whose samples all score the same", Estimate(error.alike)),
        Row("other_score_limit", "- another score may have a probability up to", Estimate(error.other_score_limit)),
        Row("share_vanishing_half", "vanishing, from half of the samples", Estimate(error.vanishing_half)),
        Row("share_one_score", "prompts that only ever have the commonest score", Estimate(error.one_score)),
    ]


def error_notes(contents: Contents) -> list[str]:
    """Explain the sampling errors in words."""
    n_samples, error = contents.setting.n_samples, contents.summary.error
    if error is None:
        return ["No prompt has all its samples in the run folder: how noisy a std is, is not known."]
    what = (
        "every train prompt was sampled, so they hold the noise of the samples alone (1.96 standard errors over "
        "resamples of each prompt's scores)"
        if contents.summary.all_sampled
        else "a bootstrap over prompts; at a share of 0 or 1, the exact binomial interval. They hold what prompts and "
        "samples happened to be drawn"
    )
    notes = [f"Intervals are 95 %: {what}, not that a std from {n_samples} samples is low on average."]
    if error.alike > 0:
        notes.append(
            f"{n_samples} samples that all score the same leave up to {error.other_score_limit:.0%} (95 % limit) for "
            "the probability of any other score: such a prompt seems to vanish, and may not."
        )
    if not math.isnan(error.vanishing_half):
        fell = error.vanishing_half - error.vanishing
        moved = f"falls from {error.vanishing_half:.0%} to {error.vanishing:.0%}" if fell >= 0.005 else "does not fall"
        notes.append(f"From {n_samples // 2} samples to all {n_samples} the vanishing share {moved}.")
    return notes


def gradient_notes(contents: Contents) -> list[str]:
    """Explain what the measured gradients and their bounds say."""
    gradient, n_samples = contents.summary.gradient, contents.setting.bound_samples
    if gradient is None:
        return []
    notes = [_scale_note(gradient)]
    if gradient.n_alike:
        limit = other_score_limit(n_samples)
        notes.append(
            f"All {n_samples} responses to {gradient.n_alike} of these prompts scored the same: their gradient is zero "
            f"by the sample, not measured as zero. Any other score may have a probability up to {limit:.0%} (95 %)."
        )
    if not math.isnan(gradient.std_limit):
        notes.append(
            f"Common gamma = {gradient.jacobian_norm:.3g}, the largest of these prompts: a lower estimate, since "
            f"prompts and prefixes are a sample. A prompt with std < {gradient.std_limit:.2g} contributes less than "
            f"{NEGLIGIBLE:.0%} of that norm by the bound {BOUNDS['bound_std']}, as far as its std is known; an "
            "estimate too, whose interval does not hold the errors of norm and gamma. Prompts above may contribute "
            "little as well: the bound is loose."
        )
    if gradient.noise > NOISY:
        notes.append(
            f"The error of a measurement is {gradient.noise:.0%} of its norm (median): more responses per measured "
            "prompt (algo.loop.bound_samples) would make it sharper."
        )
    if gradient.n_over:
        notes.append(
            f"{gradient.n_over} measured norms lie above the bound by more than two errors: gamma is too low there."
        )
    return notes


def _scale_note(gradient: Gradient) -> str:
    """Say how large the gradients are, or that the measurements do not tell."""
    if not math.isnan(gradient.grad_norm):
        return f"Root mean square of the norms {gradient.grad_norm:.3g} over {gradient.n_cases} prompts, noise removed."
    found = f"{number(gradient.square, '.3g')} ± {number(gradient.square_error, '.2g')}"
    return (
        f"Mean squared norm {found} over {gradient.n_cases} prompts, noise removed: not above its own error, so these "
        "measurements do not say how large a usual gradient is, and no prompt is called negligible for its bound."
    )


def cases(measured: Measured) -> pd.DataFrame:
    """Return the measured gradients as text, smallest std first."""
    if measured.cases is None:
        return pd.DataFrame()
    rows = measured.cases.sort_values("reward_std", kind="stable")
    alike = rows["reward_std"] == 0  # then norm, error and bounds are 0 by the sample, whatever they are
    norms = [
        "0 by the sample" if is_alike else f"{number(norm, '.3g')} ± {number(error, '.2g')}"
        for norm, error, is_alike in zip(rows["grad_norm"], rows["grad_error"], alike, strict=True)
    ]
    bounds = {words: [number(x, ".3g") for x in rows[name].mask(alike)] for name, words in BOUNDS.items()}
    columns = {
        "prompt": [shorten(str(name), 24) for name in rows["input_id"]],
        "mean": [number(x, ".3f") for x in rows["reward_mean"]],
        "std": [number(x, ".3f") for x in rows["reward_std"]],
    }
    return pd.DataFrame(columns | {"gradient norm": norms} | bounds)


def examples(measured: Measured, n: int = EXAMPLES) -> tuple[list[Example], list[Example]]:
    """Return the prompts with the smallest and with the largest std, no prompt twice."""
    known = measured.prompts[measured.prompts["prompt_id"].isin(list(measured.sampled))]
    ordered = known.sort_values("reward_std", kind="stable")
    rows = [_example(row, measured.sampled[row["prompt_id"]]) for row in ordered.to_dict("records")]
    count = min(n, len(rows) // 2) if len(rows) > 1 else len(rows)
    return rows[:count], rows[::-1][: min(count, len(rows) - count)]


def _example(row: dict, sampled: Sampled) -> Example:
    """Choose responses of a prompt at even ranks of their score."""
    counts: dict[tuple[float, str], int] = {}
    for score, response in zip(sampled.scores.tolist(), sampled.responses, strict=True):
        counts[score, response] = counts.get((score, response), 0) + 1
    distinct = sorted(counts)
    picks = np.unique(np.linspace(0, len(distinct) - 1, SHOWN).round().astype(int))
    chosen = [distinct[i] for i in picks]
    responses = [(shorten(text, RESPONSE_LENGTH) or "(empty)", score, counts[score, text]) for score, text in chosen]
    prompt = shorten(sampled.prompt, PROMPT_LENGTH)
    return Example(row["prompt_id"], prompt, row["reward_mean"], row["reward_std"], responses)


def table(contents: Contents) -> pd.DataFrame:
    """Return every number with its interval, unformatted, one row each."""
    rows = [*shares(contents), *moments(contents.summary), *errors(contents.summary.error)]
    setting = contents.setting
    common = {"run_key": setting.run_key, "data": setting.data, "model": setting.model, "scale": setting.scale}
    return pd.DataFrame(
        [
            common
            | {"source": setting.source, "name": row.name, "label": row.label.removeprefix("- ")}
            | {"value": row.estimate.value, "low": row.estimate.low, "high": row.estimate.high}
            | {"n_prompts": len(contents.measured.prompts), "n_samples": setting.n_samples}
            for row in rows
        ]
    )


# --- text and bins ------------------------------------------------------------------------------------------------


def number(value: float, form: str) -> str:
    """Format a number; a dash where there is none."""
    return "-" if math.isnan(value) else format(value, form)


def shorten(text: str, length: int) -> str:
    """Put a text on one line without control characters, and leave out its middle where it is too long."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if len(line) <= length:
        return line
    head = length * 2 // 3
    return f"{line[:head].rstrip()} … {line[head + 3 - length :].lstrip()}"


def std_edges(largest: float, std_below: float, bins: int) -> Float[np.ndarray, " b"]:
    """Return about `bins` bins from 0 to the largest std, one edge of them the threshold; equal where that allows."""
    width = max(largest, 2 * std_below, 1e-9) / bins
    if 0 < width < std_below:
        width = std_below / math.floor(std_below / width + 1e-9)
    edges = width * np.arange(int(max(largest, std_below) / width + 1e-9) + 2)
    return edges if width <= std_below else np.union1d(edges, [std_below])


def mean_edges(means: Float[np.ndarray, " n"], bins: int) -> Float[np.ndarray, " b"]:
    """Return about `bins` bins over the means, of a width of 1, 2 or 5 times a power of ten."""
    low, high = float(means.min()), float(means.max())
    wanted = max(high - low, 1e-3 * max(abs(high), 1e-9)) / bins
    power = 10.0 ** math.floor(math.log10(wanted))
    width = next(step * power for step in (1, 2, 5, 10) if step * power >= wanted * (1 - 1e-9))
    first = math.floor(low / width + 1e-9)
    return width * np.arange(first, math.floor(high / width + 1e-9) + 2)


def bar(share: float, width: int) -> str:
    """Draw a share as a bar of at most `width` characters, to an eighth of one; a share above 0 is seen."""
    eighths = max(round(share * width * 8), 1 if share > 0 else 0)
    return "█" * (eighths // 8) + (BARS[eighths % 8] if eighths % 8 else "")
