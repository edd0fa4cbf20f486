"""One row per cell: rewards, KL and vanishing gradients, as a table and in words."""

import math

import pandas as pd
from rich import box
from rich.table import Table

from analysis.drawing import style
from analysis.settings import AFTER_SFT, CHANCE
from analysis.statistics import stats
from analysis.summary import words
from rftlab.runs.naming import NEAR_CHANCE

TRAIN = stats.TRAIN_REWARD
TEST = "eval/test/reward"
KL = "policy/kl"
METRICS = [TRAIN, TEST, KL]


def summary(metrics: pd.DataFrame, prompts: pd.DataFrame) -> pd.DataFrame:
    """Join start and end of the rewards, the last KL and the vanishing share: one row per cell.

    Columns CELL, n, sampled, decoded, {TRAIN,TEST,KL}/{start,end,end_min,end_max}, {before,after}/{share,low,high,
    share_low}; NaN where a cell has no such number. A run whose last value is not finite leaves the average of that
    metric.
    """
    ends = stats.over_seeds(stats.start_and_end(metrics, METRICS))
    shares = stats.vanishing_share(prompts)
    wide = _wide(ends, "metric", METRICS, ["start", "end", "end_min", "end_max"])
    wide = wide.join(_wide(shares, "phase", style.PHASES, ["share", "low", "high", "share_low"]))
    return wide.join(_seeds(metrics)).reset_index()


def table(cells: pd.DataFrame, title: str) -> Table:
    """Lay out the cells of one panel."""
    result = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    sampled, decoded = (f", {_decoding(cells, column)}" for column in ("sampled", "decoded"))
    rewards = (f"train reward{sampled}", f"test reward{decoded}")
    for name in ("algo", "heuristic", "n", *rewards, "KL", "vanishing", "and low"):
        result.add_column(name, justify="left" if name in ("algo", "heuristic") else "right")
    for _, cell in cells.iterrows():
        words = [style.short_override(word).replace("_fraction=", "s=") for word in cell["variant"].split()]
        setting = " ".join([cell["heuristic"], *words])  # 80 columns: step_fraction=0.4 becomes steps=0.4
        rewards = [_arrow(cell, f"{metric}/start", f"{metric}/end", ".3f") for metric in (TRAIN, TEST)]
        shares = [_arrow(cell, f"before/{value}", f"after/{value}", ".0%") for value in ("share", "share_low")]
        result.add_row(cell["algo"], setting, str(cell["n"]), *rewards, _number(cell[f"{KL}/end"], ".2f"), *shares)
    return result


def in_words(cells: pd.DataFrame) -> list[str]:
    """Describe each online algorithm of a panel: alone and after partial SFT, or after a whole SFT."""
    warned = cells["variant"].map(lambda variant: CHANCE in variant.split()).any()
    sentences = [f"These numbers measure noise, {NEAR_CHANCE}."] if warned else []
    for algo in style.algo_order(list(cells["algo"])):
        here = cells[(cells["algo"] == algo) & cells[f"{KL}/end"].notna()]
        alone, sft, whole = (here[here["heuristic"] == name] for name in ("none", "partial_sft", AFTER_SFT))
        if max(map(len, (alone, sft, whole))) > 1:
            sentences.append(f"{style.name(algo)}: several settings; compare them in the table.")
            continue
        if len(alone) == 1:
            after = _cell(sft.iloc[0]) if len(sft) else None
            sentences += words.describe(alone.iloc[0]["data"], algo, _cell(alone.iloc[0]), after)
        if len(whole) == 1:
            began = style.heuristic_label(AFTER_SFT)
            sentences += words.describe(whole.iloc[0]["data"], algo, _cell(whole.iloc[0]), began=began)
    return sentences


def _wide(frame: pd.DataFrame, by: str, names: list[str], values: list[str]) -> pd.DataFrame:
    """Spread the rows of a cell into columns `{name}/{value}`, NaN where it has no such row."""
    wide = frame.pivot(index=stats.CELL, columns=by, values=values)
    wide.columns = [f"{name}/{value}" for value, name in wide.columns]
    return wide.reindex(columns=[f"{name}/{value}" for name in names for value in values]).astype(float)


def _seeds(metrics: pd.DataFrame) -> pd.DataFrame:
    """Count the runs of each cell, with the decodings of their rewards."""
    firsts = {column: (column, "first") for column in ("sampled", "decoded")}
    return metrics.groupby(stats.CELL).agg(n=("run_key", "nunique"), **firsts)


def _decoding(cells: pd.DataFrame, column: str) -> str:
    """Name the decoding of the cells of a table."""
    return " or ".join(dict.fromkeys(word or "decoding unknown" for word in cells[column]))


def _cell(row: pd.Series) -> words.Cell:
    """Pick what the words need."""
    return words.Cell(
        train=words.Reward(row[f"{TRAIN}/start"], row[f"{TRAIN}/end"], row["sampled"] or "decoding unknown"),
        test=words.Reward(row[f"{TEST}/start"], row[f"{TEST}/end"], row["decoded"] or "decoding unknown"),
        worst_end=row[f"{TRAIN}/end_min"],
        best_end=row[f"{TRAIN}/end_max"],
        vanishing=row["before/share"],
        interval=(row["before/low"], row["before/high"]),
        stuck=row["before/share"] if math.isnan(row["before/share_low"]) else row["before/share_low"],
        n=row["n"],
    )


def _number(value: float, form: str) -> str:
    """Format a number; a dash where there is none."""
    return "-" if math.isnan(value) else format(value, form)


def _arrow(row: pd.Series, first: str, last: str, form: str) -> str:
    """Format how a number changed."""
    return f"{_number(row[first], form)}→{_number(row[last], form)}"
