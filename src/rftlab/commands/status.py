"""`python src/sweep.py status`: every run with its state; those that are asked for, in the order that is asked for."""

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from rftlab.errors import UserError
from rftlab.files import encode_floats
from rftlab.runs.axes import matches, value_of
from rftlab.runs.records import RunRecord
from rftlab.sweeps.slurm.ledger import PREFIX
from rftlab.sweeps.status import Queue, RunStatus, read_queue, statuses
from rftlab.sweeps.table import show_statuses

FAILED = ("failed", "lost", "stopped")  # states of --failed: a run that ended without its result
UNDER_WAY = ("queued", "starting", "running", "ending")
OF_A_RUN = ("name", "key", "state", "step", "seconds", "sweep", "host", "attempt")  # what a run has beside settings
WATCH_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "--where", action="append", default=[], metavar="KEY=VALUE",
        help="only runs with this setting (optimizer.lr=1e-4, algo=ppo,apa, state=done); may be repeated",
    )  # fmt: skip
    parser.add_argument("--failed", action="store_true", help="only runs that failed, were lost or were stopped")
    parser.add_argument("--sort", metavar="KEY", help="a column, setting or metric, such as eval/test/reward")
    parser.add_argument("--reverse", action="store_true", help="with --sort, the largest first")
    parser.add_argument(
        "--watch", nargs="?", type=float, const=WATCH_S, metavar="SECONDS",
        help=f"look again every {WATCH_S:g} seconds until nothing is under way",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON list, for scripts: also settings and numbers")


def show_status(arguments: argparse.Namespace, console: Console) -> int:
    """Print the table, or JSON, once or until nothing is under way."""
    if arguments.watch is not None and (arguments.json or arguments.watch <= 0):
        found = "--watch with --json" if arguments.json else f"--watch {arguments.watch:g}"
        raise UserError(found, "a table, and a number of seconds above 0", "--watch")
    while True:
        queue = read_queue(arguments.outputs, PREFIX)
        found = found_runs(arguments, queue, linked=True)
        chosen = _sorted(_chosen(found, arguments.where, failed=arguments.failed), arguments.sort, arguments.reverse)
        if arguments.json:
            print(json.dumps([{**run.to_dict(), **_details(run)} for run in chosen], indent=1, allow_nan=False))
            return 0
        if arguments.watch is not None:
            console.clear()
        show_statuses(console, chosen)
        if len(chosen) < len(found):
            console.print(f"{len(found) - len(chosen)} others are not shown")
        if not queue.known:
            console.print("SLURM does not answer: queued jobs may be shown as new, stopped or lost", style="yellow")
        if arguments.watch is None or not any(run.state in UNDER_WAY for run in found):
            return 0
        console.print(f"{time.strftime('%T')}, again every {arguments.watch:g} s (Ctrl-C ends this)", style="dim")
        time.sleep(arguments.watch)


def found_runs(arguments: argparse.Namespace, queue: Queue, *, linked: bool = False) -> list[RunStatus]:
    """Return the runs that a command is about.

    Raises:
        UserError: There is no such folder.
    """
    outputs, sweep = arguments.outputs, arguments.sweep
    if not (outputs / (sweep or "")).is_dir():
        found = f"no folder {outputs / (sweep or '')}"
        raise UserError(found, "the outputs of a sweep", "--sweep" if outputs.is_dir() else "--outputs")
    return statuses(outputs, sweep, queue, linked=linked)


# --- filters and order ----------------------------------------------------------------------------------------------


def _chosen(found: Sequence[RunStatus], where: Sequence[str], *, failed: bool) -> list[RunStatus]:
    kept = [run for run in found if not failed or run.state in FAILED]
    for condition in where:
        key, equals, words = condition.partition("=")
        if not equals:
            raise UserError(f"--where {condition}", "KEY=VALUE, such as optimizer.lr=1e-4", "--where")
        values = {run.folder: _value(run, key) for run in found}
        if found and all(value is None for value in values.values()):
            raise UserError(f"{key}, which no run has", f"a setting, or one of {', '.join(OF_A_RUN)}", "--where")
        kept = [run for run in kept if any(matches(values[run.folder], word) for word in words.split(","))]
    return kept


def _sorted(found: Sequence[RunStatus], name: str | None, reverse: bool) -> list[RunStatus]:
    """Sort by a column, a setting or a metric; runs without it come last."""
    if name is None:
        return list(found)
    values = {run.folder: _value(run, name, numbers=True) for run in found}
    if found and all(value is None for value in values.values()):
        raise UserError(f"{name}, which no run has", f"a setting, a metric, or one of {', '.join(OF_A_RUN)}", "--sort")
    there = [run for run in found if _sortable(values[run.folder])]
    numeric = all(isinstance(values[run.folder], (int, float)) for run in there)

    def order(run: RunStatus) -> Any:
        return values[run.folder] if numeric else str(values[run.folder])

    without = [run for run in found if not _sortable(values[run.folder])]
    return sorted(there, key=order, reverse=reverse) + without


def _sortable(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _value(run: RunStatus, key: str, *, numbers: bool = False) -> Any:
    """Return what a run has under a name: a column of the table, a setting, or a metric if `numbers` asks for these."""
    if key in OF_A_RUN:
        return getattr(run, key)
    if run.record is None:
        return None
    value = value_of(run.record.flat, run.record.overrides, key)
    return _numbers(run.record).get(key) if value is None and numbers else value


# --- for scripts ----------------------------------------------------------------------------------------------------


def _details(run: RunStatus) -> dict[str, Any]:
    """Return settings, overrides and numbers of a run; empty before it has a folder."""
    record = run.record
    if record is None:
        return {"seed": None, "overrides": None, "settings": {}, "metrics": {}, "cost": {}}
    return {
        "seed": record.config.get("seed"),
        "overrides": record.overrides,
        "settings": {key: value for key, value in record.flat.items() if key != "overrides"},
        "metrics": encode_floats(_numbers(record)),
        "cost": record.cost,
    }


def _numbers(record: RunRecord) -> Mapping[str, float]:
    """Return the final metrics of a run, or the last that it has logged so far."""
    if record.final is not None:
        return record.final
    return {name: value for _, name, value in record.metrics()}
