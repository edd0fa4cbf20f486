"""How a sweep ends for people: the first lines of its comparison and its page. Neither may cost the sweep its end."""

import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from rftlab.place import program
from rftlab.sweeps.fork_server import own_path

REPORT = ("-m", "rftlab", "sweep", "report")
MOST_COMPARED = 500  # runs that are read at the end of a sweep
PARTS_SHOWN, ROWS_SHOWN = 3, 6  # of the comparison at the end of a sweep
PAGE_S = 900.0  # after so long the page is left out


def show_end(outputs: Path, sweep: str, console: Console, *, page: bool) -> None:
    """Print the comparison of a sweep and write its page; what goes wrong with either is one line."""
    try:
        small = len(list((outputs / sweep).glob("*/DONE"))) <= MOST_COMPARED  # reading more takes a while
        if small:
            _show_comparison(outputs, sweep, console)
        else:
            _say(console, f"compare them: {_command('compare', outputs, sweep)}")
            _say(console, f"a page of them: {_command('report', outputs, sweep)}")
    except (Exception, KeyboardInterrupt) as error:  # whatever it is, the sweep has ended and says how
        again = _command("compare", outputs, sweep)
        _say(console, f"not compared: {_in_words(error)}; `{again}` tries again", style="yellow")
        small = True
    if small and page:
        _write_page(outputs, sweep, console)


def _show_comparison(outputs: Path, sweep: str, console: Console) -> None:
    """Print the first lines of `sweep.py compare`, where the sweep has settings to compare."""
    from rftlab.errors import UserError
    from rftlab.sweeps.comparison import compare
    from rftlab.sweeps.comparison_table import show

    try:
        found = [each for each in compare(outputs, sweep) if len(each.with_number) > 1]
    except UserError:  # nothing finished, or nothing that ends with a reward
        return
    for each in found[:PARTS_SHOWN]:
        console.print()
        show(console, each, ROWS_SHOWN)
    if found:
        _say(console, f"all of it: {_command('compare', outputs, sweep)}")


def _write_page(outputs: Path, sweep: str, console: Console) -> None:
    """Run `sweep.py report` in a process of its own: it loads what draws, and a fault there stays there."""
    again = _command("report", outputs, sweep)
    try:
        with console.status("writing the page of the sweep (Ctrl-C leaves it out)"):
            done = subprocess.run(
                [sys.executable, *REPORT, "--sweep", sweep, "--outputs", str(outputs)],
                capture_output=True, text=True, errors="replace", timeout=PAGE_S, stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": own_path()},
            )  # fmt: skip
    except (Exception, KeyboardInterrupt) as error:  # no process, no time, no patience
        _say(console, f"no page: {_in_words(error)}; `{again}` writes it", style="yellow")
        return
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    if done.returncode == 0:
        _say(console, said[-1] if said else f"page: {outputs / sweep / 'index.html'}")
    else:
        why = said[-1].removeprefix("error: ") if said else f"exit code {done.returncode}"
        _say(console, f"no page: {why}; `{again}` tries again", style="yellow")


def _say(console: Console, words: str, style: str | None = None) -> None:
    console.print(words, highlight=False, soft_wrap=True, markup=False, style=style)


def _in_words(error: BaseException) -> str:
    said = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _command(name: str, outputs: Path, sweep: str) -> str:
    place = "" if str(outputs) == "outputs" else f" --outputs {outputs}"
    return f"{program('sweep')} {name} --sweep {sweep}{place}"
