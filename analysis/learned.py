"""Print what was learned from the run folders: `python -m analysis.learned [--outputs DIR] [--sweep NAME]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from analysis import load
from analysis.drawing import layout, style, unlike
from analysis.statistics import stats
from analysis.summary.cells import METRICS, in_words, summary, table
from rftlab.errors import Parser, UserError
from rftlab.place import as_typed

LEGEND = (
    "train reward: of the probe, several samples of each of its train prompts, drawn as data.probe says; test reward: "
    "test prompts, decoded as the dataset is evaluated (greedy, beams or a sample). n: seeds; 1 against 1 is no "
    f"comparison. vanishing: share of prompts with reward std < {stats.STD_BELOW:g}, before→after; "
    "and low: of all prompts, those whose mean reward is also below the data's low_reward. KL: to the run's start, at "
    "the end."
)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    about = "Print rewards, KL and vanishing gradients per cell, and in words what they say."
    result = Parser(prog=as_typed("python -m analysis.learned"), description=about)
    result.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the run folders are (outputs)")
    result.add_argument("--figures", type=Path, default=Path("figures"), help="where the figures are (figures)")
    result.add_argument("--sweep", action="append", help="only this sweep; may be repeated (all)")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Print tables and words and return the exit code: 2 on bad input and without a finished run."""
    options = parser().parse_args(arguments)
    console = Console(highlight=False)
    try:
        runs = load.load_runs(options.outputs, options.sweep)
        runs = stats.of_family(runs, "language")
        kept, _ = stats.one_run_per_seed(runs)
        if kept.empty:
            missing = f"no finished run of a language model in {options.outputs}"
            raise UserError(missing, "one", "nothing; run python src/train.py first")
        metrics = stats.of_runs(load.load_metrics(options.outputs, options.sweep, METRICS), kept)
        prompts = stats.of_runs(load.load_prompts(options.outputs, options.sweep), kept)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    cells = summary(metrics, prompts)
    for _, group in cells.groupby(stats.PANEL):
        shared = layout.shared_words(group["variant"])
        changed = layout.setting_lines(shared).replace("\n", " ")  # a table breaks its title itself
        title = "\n".join(filter(None, [style.panel_title(*group[stats.PANEL].iloc[0]), changed]))
        console.print(table(layout.without(group, shared), title))
        compared = kept[kept["cell"].isin(group["cell"])]
        for sentence in [*unlike.sentences(compared), *in_words(group)]:
            console.print(sentence, soft_wrap=True)
        console.print()
    console.print(LEGEND, soft_wrap=True)
    print_ending(runs, options.figures, console)
    return 0


def print_ending(runs: pd.DataFrame, figures: Path, console: Console) -> None:
    """Say which runs are not in the numbers, and where to look next."""
    for run in runs[runs["state"] != "done"].to_dict("records"):
        line = f"not counted: {run['name']} seed {run['seed']} ({run['run_key']}) is {run['state']}"
        console.print(line, soft_wrap=True)
    drawn = sorted(figures.glob("*.png"))
    console.print(f"figures: {', '.join(map(str, drawn)) if drawn else as_typed('make figures')}", soft_wrap=True)
    console.print("MLflow: make dashboard", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
