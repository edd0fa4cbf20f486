"""Tables: frame of statistics in, frame of text out, and that as Markdown and LaTeX. Numbers are formatted once."""

import math
import re
from dataclasses import dataclass

import pandas as pd

from analysis import layout, style
from analysis.controlled import FINETUNING, reward_variant

NONE = "-"  # where there is no number
NUMBER = re.compile(r"[-+]?\d[\d.e+-]*( .*)?|-")  # with what may follow it: an interval, n, another number
LATEX = {
    **{character: rf"\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "→": r"$\to$", "±": r"$\pm$", "·": r"$\cdot$"},
}


@dataclass(frozen=True)
class Table:
    """A table as it is read: every cell is text."""

    name: str  # file name without suffix
    caption: str
    cells: pd.DataFrame


def number(value: float, form: str = ".3f") -> str:
    """Format a number; a dash where there is none."""
    return NONE if math.isnan(value) else format(value, form)


def interval(value: float, low: float, high: float, form: str = ".2f") -> str:
    """Format a number with its interval."""
    return f"{number(value, form)} [{number(low, form)}, {number(high, form)}]"


def over_seeds(value: float, low: float, high: float, n: int, form: str = ".3f") -> str:
    """Format a mean over seeds with their minimum and maximum, where there are several."""
    return number(value, form) if n < 2 or math.isnan(value) else f"{interval(value, low, high, form)}"


def correlations(table: pd.DataFrame) -> Table:
    """Lay out Table 1: a row per algorithm, a column per dataset and model; of one scale and source."""
    order = style.algo_order(list(table["algo"]))
    ranked = table.assign(rank=table["algo"].map(order.index)).sort_values(["rank", "variant", "data", "model"])
    cells: dict[str, dict[str, str]] = {}
    for row in ranked.to_dict("records"):
        name = layout.setting_label(row["algo"], row["variant"])
        cells.setdefault(name, {})[layout.model_label(row["data"], row["model"])] = _correlation(row)
    columns = sorted({column for row in cells.values() for column in row})
    rows = [{"algorithm": name} | {column: row.get(column, NONE) for column in columns} for name, row in cells.items()]
    caption = (
        "Pearson correlation, over train prompts, of the reward std before finetuning with how far the mean reward "
        "moved; mean over n runs, with the 95 % bootstrap interval over prompts."
    )
    return Table(_kind_name("table_correlations", table), caption, pd.DataFrame(rows))


def _correlation(row: dict) -> str:
    """Write one correlation, or why there is none."""
    if row["n"] == 0:
        return f"undefined: {row['undefined']}"
    return f"{interval(row['r'], row['low'], row['high'])} (n={row['n']})"


def relative_reward(points: pd.DataFrame) -> Table:
    """Lay out the numbers of Figure 2: a row per dataset, model and RFT setting; of one scale and source."""
    keys = ["data", "model", "algo", "variant", "sft_variant"]
    rows = []
    for _, group in points.sort_values([*keys, "percentile"]).groupby(keys, sort=False):
        row = group.iloc[0]
        algo = layout.setting_label(row["algo"], row["variant"])
        sft = " ".join(map(style.short_override, row["sft_variant"].split()))
        rows.append(
            {
                "data": style.DATASETS.get(row["data"], row["data"]),
                "model": row["model"],
                "RFT": algo,
                "SFT": sft or "full",
            }
            | {f"std, {each['percentile']} %": number(each["std"]) for each in group.to_dict("records")}
            | {"RFT reward": number(row["rft"]), "SFT reward": number(row["sft"]), "ratio": number(row["ratio"])}
            | {"difference": number(row["difference"], "+.3f"), "n RFT": str(row["n_rft"]), "n SFT": str(row["n_sft"])}
        )
    caption = "Percentiles of the pretrain reward std over train prompts, and the final train reward of RFT beside SFT."
    return Table(_kind_name("table_relative_reward", points), caption, pd.DataFrame(rows))


def controlled(ends: pd.DataFrame) -> Table:
    """Lay out where the controlled runs ended: a row per cell; of one scale and source."""
    by = ["data", "model", "optimizer", "wrong_reward", "rank", "variant"]
    ranked = ends.assign(rank=ends["algo"].map(FINETUNING.index)).sort_values(by)
    caption = (
        "Controlled experiments: mean over n seeds, in brackets their minimum and maximum; small and large: the inputs "
        "with a small and with a large reward std before finetuning; std: before the first update and at the end."
    )
    if bad := int(ends["n_nonfinite"].sum()):
        caption += f" {bad} values of seeds are NaN or infinite and enter no mean."
    return Table(
        _kind_name("table_controlled", ends), caption, pd.DataFrame(map(_controlled, ranked.to_dict("records")))
    )


def _controlled(row: dict) -> dict[str, str]:
    """Write one row of the controlled runs."""

    def end(metric: str) -> str:
        return over_seeds(*(row[f"{metric}/{value}"] for value in ("end", "end_min", "end_max")), n=row["n"])

    def change(metric: str) -> str:
        return f"{number(row[f'{metric}/start'], '.3g')} → {number(row[f'{metric}/end'], '.3g')}"

    algo = layout.setting_label(row["algo"], row["variant"])
    return {
        "data": style.DATASETS.get(row["data"], row["data"]),
        "model": row["model"],
        "optimizer": row["optimizer"],
        "rewards": reward_variant(row["wrong_reward"]).replace("_", " "),
        "algorithm": algo,
        "reward, small": end("eval/small_std/reward"),
        "reward, large": end("eval/large_std/reward"),
        "std, small": change("eval/small_std/reward_std"),
        "std, large": change("eval/large_std/reward_std"),
        "train accuracy": end("eval/train/accuracy"),
        "test accuracy": end("eval/test/accuracy"),
        "n": str(row["n"]),
        "runs": row["run_keys"],
    }


def separation(fits: pd.DataFrame) -> Table:
    """Lay out the slopes of the time separation: a row per model, objective and method; of one scale and source."""
    laws = {"rft": "ln(time) on ln(std)", "sft": "time on ln(1/std)"}
    rows = [
        {"data": row["data"], "model": row["model"], "setting": row["variant"] or NONE}
        | {"objective": row["objective"].upper(), "method": row["method"], "fit": laws[row["objective"]]}
        | {"slope": interval(row["slope"], row["slope_low"], row["slope_high"], ".3f")}
        | {"R2": number(row["r2"], ".5f"), "points": str(row["n_points"])}
        | {"std from": number(row["std_low"], ".3g"), "to": number(row["std_high"], ".3g")}
        for row in fits.sort_values(["data", "model", "variant", "objective", "method"]).to_dict("records")
    ]
    caption = (
        "Time until the correct label leads, against the initial reward std: slopes with 95 % intervals of the fit."
    )
    return Table(_kind_name("table_time_separation", fits), caption, pd.DataFrame(rows))


def _kind_name(kind: str, frame: pd.DataFrame) -> str:
    """Name a table after its scale and source."""
    return layout.kind_name(kind, *layout.single_kind(frame))


def markdown(table: Table) -> str:
    """Write a table as Markdown, its caption below."""
    right = _numeric(table.cells)
    rules = ["---:" if column in right else "---" for column in table.cells]
    lines = [list(table.cells.columns), rules, *table.cells.astype(str).to_numpy().tolist()]
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in escaped), "", table.caption, ""])


def latex(table: Table) -> str:
    """Write a table for the LaTeX package booktabs, its caption as a comment."""
    right = _numeric(table.cells)
    columns = "".join("r" if column in right else "l" for column in table.cells)
    head, *body = [
        " & ".join(map(escape, line)) + r" \\"
        for line in [list(table.cells.columns), *table.cells.astype(str).to_numpy().tolist()]
    ]
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join([f"% {table.caption}", *lines, ""])


def escape(text: str) -> str:
    """Escape what LaTeX reads as a command; every other character stays."""
    return "".join(LATEX.get(character, character) for character in text)


def _numeric(cells: pd.DataFrame) -> set[str]:
    """Return the columns that hold numbers, or dashes where there is none."""
    return {
        column
        for column in cells
        if cells[column].map(lambda cell: NUMBER.fullmatch(cell) is not None).all() and (cells[column] != NONE).any()
    }
