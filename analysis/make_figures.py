"""Draw every figure that the run folders allow: `python -m analysis.make_figures [--outputs DIR] [--figures DIR]`.

Exit code 0 when something was drawn, 1 when nothing could be (with --strict: when anything is missing), 2 on bad input.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from analysis import coverage, figures, load, stats
from analysis.save import Drawn, save
from rftlab.errors import UserError


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    about = "Draw learning curves and reward scatters of all finished runs, as PDF, PNG and CSV."
    result = argparse.ArgumentParser(prog="python -m analysis.make_figures", description=about)
    result.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the run folders are (outputs)")
    result.add_argument("--figures", type=Path, default=Path("figures"), help="where the figures go (figures)")
    result.add_argument("--sweep", action="append", help="only this sweep; may be repeated (all)")
    result.add_argument("--strict", action="store_true", help="exit with 1 when any run that a figure wants is missing")
    return result


def draw(outputs: Path, sweeps: Sequence[str] | None, runs: pd.DataFrame) -> Iterator[Drawn]:
    """Yield every figure of the given runs: per scale, source, dataset and model, curves and then the scatter."""
    metrics = stats.of_runs(load.load_metrics(outputs, sweeps), runs)
    prompts = stats.of_runs(load.load_prompts(outputs, sweeps), runs)
    shares = stats.vanishing_share(prompts, np.random.default_rng(0))
    curves = stats.curves(metrics, figures.CURVE_METRICS)
    for panel in runs[stats.PANEL].drop_duplicates().sort_values(stats.PANEL).itertuples(index=False, name=None):
        in_curves, in_prompts = stats.of_panel(curves, panel), stats.of_panel(prompts, panel)
        if (in_curves["n"] > 0).any():
            yield figures.learning_curves(in_curves)
        if not in_prompts.empty:
            yield figures.reward_scatter(in_prompts, stats.of_panel(shares, panel))


def report(missing: pd.DataFrame, repeated: pd.DataFrame, console: Console) -> None:
    """Print what the figures lack and the commands that make it."""
    if not repeated.empty:
        keys = " ".join(sorted(repeated["sweep"] + "/" + repeated["run_key"]))
        console.print(f"left out, the same setting and seed as another run: {keys}", soft_wrap=True)
    if missing.empty:
        return
    table = Table("data", "algo", "heuristic", "seeds", "why", title="missing from the figures", title_justify="left")
    for row in missing.to_dict("records"):
        data = " ".join(filter(None, [row["data"], row["scale"], row["source"]]))
        setting = " ".join([row["heuristic"], *row["variant"].split()])
        table.add_row(data, row["algo"], setting, row["seeds"], row["reason"])
    console.print(table)
    console.print("to make them:")
    for line in missing["command"].drop_duplicates():
        console.print(f"  {line}", soft_wrap=True, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, report and return the exit code."""
    options = parser().parse_args(arguments)
    console = Console()
    try:
        runs = load.load_runs(options.outputs, options.sweep)
        kept, repeated = stats.one_run_per_seed(runs)
        written = [save(drawn, options.figures) for drawn in draw(options.outputs, options.sweep, kept)]
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    for paths in written:
        console.print(*paths, soft_wrap=True, highlight=False)
    wanted = coverage.DATASETS if options.sweep is None else tuple(sorted(set(runs["data"])))
    missing = coverage.missing_runs(runs, wanted)
    report(missing, repeated, console)
    return 1 if not written or (options.strict and not missing.empty) else 0


if __name__ == "__main__":
    sys.exit(main())
