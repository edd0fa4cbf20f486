"""The live view of a sweep: one table on a terminal; elsewhere a line per event, and one every minute."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rftlab import clock
from rftlab.runs import flatten
from rftlab.runs.cost import total_steps
from rftlab.sweeps.job import Job
from rftlab.sweeps.labels import short_settings
from rftlab.sweeps.pace import Pace
from rftlab.sweeps.progress import read_progress
from rftlab.sweeps.table import painted

ROWS = 16  # running jobs that are shown; the others are counted
BAR, GAP = 12, 2
LEAST = ("bar", "metrics", "elapsed", "rate", "setting")  # what a narrow terminal goes without, the first ones first
LINE_EVERY_S = 60.0  # without a terminal
LOOK_EVERY_S = 5.0  # at all running jobs, for the time left


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
        self._jobs: dict[str, Job] = {}
        self._settings: dict[str, str] = {}
        self._verb = verb
        self._told: dict[str, str] = {}
        self._pace = Pace(())
        self.add(jobs)
        self._begun: dict[str, float] = {}  # running job -> seconds after the start of the sweep
        self._looked, self._line = -LOOK_EVERY_S, 0.0  # likewise, of the last look and the last line
        self._left = ""
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

    def add(self, jobs: Sequence[Job]) -> None:
        """Show more jobs."""
        self._jobs |= {job.key: job for job in jobs}
        names, configs = ({key: getattr(job, what) for key, job in self._jobs.items()} for what in ("name", "config"))
        self._settings = short_settings(names, configs)
        self._pace.add(jobs)

    def update(self, view: View) -> None:
        """Draw the view, or print what is new in it."""
        elapsed = self._pace.elapsed
        for job in view.running:
            self._begun.setdefault(job.key, elapsed)
        if self._live is not None:
            self._look(view, elapsed, LOOK_EVERY_S)
            self._live.update(self._table(view, elapsed), refresh=True)
            return
        now = {job.key: "started" for job in view.running} | dict(view.ended)
        for key, state in now.items():
            if self._told.get(key) != state:
                self._console.print(f"{state:8} {self._named(key)}", soft_wrap=True, highlight=False)
        self._told |= now
        if elapsed - self._line >= LINE_EVERY_S:
            self._line = elapsed
            self._look(view, elapsed, 0.0)
            self._console.print(self._summary(view, elapsed), soft_wrap=True, highlight=False)

    def _named(self, key: str) -> str:
        return f"{self._jobs[key].name}-{key} {self._settings[key]}".rstrip()

    def _look(self, view: View, elapsed: float, every_s: float) -> None:
        """Find out how long all of it still takes, if the last look is not of just now."""
        if elapsed - self._looked >= every_s:
            self._looked = elapsed
            progresses = {job.key: read_progress(job.folder) for job in view.running}
            self._left = self._pace.left(progresses, view.ended).in_words()

    def _summary(self, view: View, elapsed: float) -> Text:
        counts = Counter(view.ended.values())
        parts = [Text(f"{len(self._jobs)} jobs: ")]
        for state, count in [("running", len(view.running)), (self._verb, view.waiting), *sorted(counts.items())]:
            parts += [Text(f"{count} "), painted(state), Text("  ")] if count else []
        return Text.assemble(*parts, f"{clock.duration(elapsed)} elapsed", f"  {self._left}" if self._left else "")

    def _table(self, view: View, elapsed: float) -> Group:
        rows = [self._row(job, elapsed) for job in view.running[:ROWS]]
        shown = _fitting(rows, self._console.width)
        table = Table(box=None, show_header=False, pad_edge=False)
        for _ in shown:
            table.add_column(no_wrap=True)
        for row in rows:
            table.add_row(*(_drawn(row[name]) for name in shown))
        if len(view.running) > ROWS:
            table.add_row(f"and {len(view.running) - ROWS} more")
        return Group(self._summary(view, elapsed), table)

    def _row(self, job: Job, elapsed: float) -> dict[str, str | ProgressBar]:
        total, progress = total_steps(job.config), read_progress(job.folder)
        step, left = progress.step if progress is not None else 0, self._pace.left_s(job, progress)
        return {
            "name": f"{job.name}-{job.key}",
            "setting": self._settings[job.key],
            "bar": ProgressBar(total=total, completed=step, width=BAR),
            "step": f"{step}/{total}",
            "elapsed": clock.duration(elapsed - self._begun[job.key]),
            "rate": clock.rate(self._pace.of(job, progress)),
            "left": "" if left is None else f"{clock.duration(left)} left, ends {clock.end(left)}",
            "metrics": progress.in_words(flatten(job.config)) if progress is not None else "starting",
        }


def _fitting(rows: Sequence[Mapping[str, str | ProgressBar]], width: int) -> list[str]:
    """Name the columns that a terminal has room for: it loses whole ones, those of LEAST first, and cuts none."""
    shown = list(rows[0]) if rows else []
    widths = {
        name: max(BAR if isinstance(row[name], ProgressBar) else len(str(row[name])) for row in rows) for name in shown
    }
    for name in LEAST:
        if sum(widths[each] + GAP for each in shown) - GAP > width:
            shown.remove(name)
    return shown


def _drawn(cell: str | ProgressBar) -> Text | ProgressBar:
    return Text(cell) if isinstance(cell, str) else cell
