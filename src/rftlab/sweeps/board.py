"""The live view of a sweep: one table on a terminal, one line per event elsewhere."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rftlab.runs import flatten
from rftlab.runs.cost import total_steps
from rftlab.sweeps.job import Job
from rftlab.sweeps.progress import read_progress
from rftlab.sweeps.table import painted

ROWS = 16  # running jobs that are shown; the others are counted


@dataclass(frozen=True, kw_only=True)
class View:
    """What there is to see: jobs that run now, and how the others ended."""

    running: Sequence[Job]
    waiting: int
    ended: Mapping[str, str]  # key -> state


class Board:
    """Show a sweep while it runs; as a context manager it cleans up the terminal."""

    def __init__(self, console: Console, jobs: Sequence[Job], verb: str) -> None:
        """Show `jobs`; `verb` says what they do while they wait, e.g. `waiting` or `queued`."""
        self._console = console
        self._names = {job.key: f"{job.name}-{job.key}" for job in jobs}
        self._total = len(jobs)
        self._verb = verb
        self._told: dict[str, str] = {}
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> "Board":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, view: View) -> None:
        """Draw the view, or print what is new in it."""
        if self._live is not None:
            self._live.update(self._table(view), refresh=True)
            return
        now = {job.key: "started" for job in view.running} | dict(view.ended)
        for key, state in now.items():
            if self._told.get(key) != state:
                self._console.print(f"{state:8} {self._names[key]}", soft_wrap=True, highlight=False)
        self._told |= now

    def _table(self, view: View) -> Group:
        table = Table(box=None, show_header=False, pad_edge=False)
        for job in view.running[:ROWS]:
            total, progress = total_steps(job.config), read_progress(job.folder)
            step = progress.step if progress is not None else 0
            metrics = progress.in_words(flatten(job.config)) if progress is not None else "starting"
            bar = ProgressBar(total=total, completed=step, width=20)
            table.add_row(self._names[job.key], bar, f"{step}/{total}", metrics)
        if len(view.running) > ROWS:
            table.add_row(f"and {len(view.running) - ROWS} more")
        counts = Counter(view.ended.values())
        parts = [Text(f"{self._total} jobs: ")]
        for state, count in [("running", len(view.running)), (self._verb, view.waiting), *sorted(counts.items())]:
            parts += [Text(f"{count} "), painted(state), Text("  ")] if count else []
        return Group(Text.assemble(*parts), table)
