"""Draw a metric against settings of one's choice: `python -m analysis.draw --x optimizer.lr --hue algo`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from analysis import load
from analysis.drawing.axes import picture
from analysis.drawing.save import Drawn, save
from analysis.drawing.titles import titled
from analysis.everything import noted
from analysis.statistics import axes, stats
from rftlab.errors import Parser, UserError, unwritable
from rftlab.place import as_typed


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    about = "Draw a final metric of finished runs against a setting; a figure for each sweep and dataset."
    result = Parser(prog=as_typed("python -m analysis.draw"), description=about)
    result.add_argument("--x", required=True, help="setting of the axis, such as optimizer.lr")
    result.add_argument("--hue", help="setting of the colours, such as algo.loss.entropy_coef")
    result.add_argument("--y", default=axes.Y, help=f"final metric ({axes.Y})")
    result.add_argument("--outputs", type=Path, default=Path("outputs"), help="where the run folders are (outputs)")
    result.add_argument("--figures", type=Path, default=Path("figures"), help="where the figures go (figures)")
    result.add_argument("--sweep", action="append", help="only this sweep; may be repeated (all)")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw and return the exit code: 2 on bad input and where there is nothing to draw."""
    options = parser().parse_args(arguments)
    console = Console()
    try:
        runs = stats.under_every_sweep(stats.finished(load.load_runs(options.outputs, options.sweep)))
        if options.y not in runs or runs[options.y].isna().all():
            raise UserError(f"no final metric {options.y}", "one that a finished run has", "--y")
        keys = [key for key in (options.x, options.hue) if key is not None]
        found = axes.grids(runs, options.y, keys)
        if not found:
            raise UserError(f"one value of {' and '.join(keys)}", "two or more in a sweep", "--x")
        for grid in found:
            drawn = titled(lambda runs, grid=grid: picture(replace(grid, runs=runs), options.x, options.hue), grid.runs)
            whole = noted(drawn, runs)
            assert isinstance(whole, Drawn)
            name = f"draw-{options.y.replace('/', '_')}-{whole.name.partition('-')[2]}"
            paths = save(replace(whole, name=name), options.figures)
            console.print(*paths, soft_wrap=True, highlight=False)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {unwritable(error.filename or options.figures, error, '--figures')}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
