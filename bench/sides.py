"""Time the same work on several sides in turns: this tree, the tree of a commit, or another library.

A script of this folder names a function that prepares the work and returns one repetition of it, without arguments:

    def step(rows: int) -> Callable[[], dict[str, float] | None]: ...

    with tree_of("b02ee5f") as old:
        sides = [Side(name="now", tree=ROOT), Side(name="b02ee5f", tree=old)]
        row = compare("online step", Bar("times", 2.0), sides, __file__, "step", settings={"rows": 128})
    report("online", [row])

Each side is a process of its own, of one thread, with the packages of its tree and the measuring code of this one. The
sides take turns, repetition by repetition, so that other work on the machine meets all alike. The clock is CPU seconds
of the process and of those that it waited for. What a repetition returns is kept beside its time.
"""

import importlib.util
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
BASE = "b02ee5f"  # the build that the bars of the release are measured against
Figures = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison.

    Args:
        tree: the checkout whose `src` it imports.
        function: the function of the measuring script that prepares this side, where it is another than the row's.
        settings: arguments of this side alone.
        paths: further folders to import from, as those of a peer.
    """

    name: str
    tree: Path = ROOT
    function: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Bar:
    """What the first side has to reach against the second.

    `times`: the first is at least so many times as fast. `share`: it takes at most this share of the second's figure.
    `most`: its own figure is at most this, whatever the second's.
    """

    kind: Literal["times", "share", "most"]
    value: float
    figure: str = "cpu_s"

    def measured(self, figures: Sequence[Figures]) -> float:
        """Return the figure to hold against the bar."""
        first = figures[0][self.figure]
        if self.kind == "most":
            return first
        return figures[1][self.figure] / first if self.kind == "times" else first / figures[1][self.figure]

    def met(self, measured: float) -> bool:
        """Tell whether the bar is reached."""
        return measured >= self.value if self.kind == "times" else measured <= self.value

    def __str__(self) -> str:
        """Name the bar."""
        return {"times": ">= {} times", "share": "<= {} of", "most": "<= {}"}[self.kind].format(self.value)


@contextmanager
def tree_of(commit: str) -> Generator[Path]:
    """Give the files of a commit in a temporary folder."""
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory(prefix="rftlab-bench-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def compare(
    work: str,
    bar: Bar | None,
    sides: Sequence[Side],
    script: str,
    function: str,
    *,
    settings: Mapping[str, Any] | None = None,
    rounds: int = 5,
) -> dict[str, Any]:
    """Measure one row of the table: every side `rounds` times, in turns, after one repetition that does not count.

    Returns the row: medians of every side (`cpu_s`, `wall_s`, `peak_mib`, `added_mib` and what the work returns), and
    what the bar compares: the median over rounds, so that both sides of a ratio met the same machine.
    """
    with ExitStack() as stack:
        children = [stack.enter_context(_child(side, script, function, settings or {})) for side in sides]
        for child in children:
            _turn(child)
        turns = [[_turn(child) for child in children] for _ in range(rounds)]
    medians = [{name: median(turn[i][name] for turn in turns) for name in turns[0][i]} for i in range(len(sides))]
    row: dict[str, Any] = {"work": work, "sides": {s.name: m for s, m in zip(sides, medians, strict=True)}}
    if bar:
        measured = median(bar.measured(turn) for turn in turns)
        row |= {"bar": asdict(bar), "says": str(bar), "measured": measured, "met": bar.met(measured)}
    return row


def report(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the rows and write them to `outputs/bench/NAME.json`."""
    file = ROOT / "outputs" / "bench" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(list(rows), indent=1) + "\n")
    print(table(rows))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Lay rows out for the screen: work, bar, measured, met or missed, time and peak memory of every side."""
    lines = [("work", "bar", "measured", "", "CPU s", "peak MiB")]
    for row in rows:
        sides = row["sides"].items()
        lines.append((
            row["work"],
            row.get("says", ""),
            f"{row['measured']:.2f}" if "measured" in row else "",
            {True: "met", False: "missed"}[row["met"]] if "met" in row else "",
            ", ".join(f"{name} {side['cpu_s']:.3f}" for name, side in sides),
            ", ".join(f"{name} {side['peak_mib']:.0f}" for name, side in sides if "peak_mib" in side),
        ))  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)) for line in lines)


@contextmanager
def _child(
    side: Side, script: str, function: str, settings: Mapping[str, Any]
) -> Generator[tuple["subprocess.Popen[str]", str]]:
    words = [str(Path(script).resolve()), side.function or function, json.dumps({**settings, **side.settings})]
    paths = [side.tree / "src", side.tree, *side.paths]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, __file__, *words], cwd=side.tree, env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process, side.name
    finally:
        with suppress(BrokenPipeError):
            process.communicate()  # the end of its input ends it


def _turn(child: tuple["subprocess.Popen[str]", str]) -> Figures:
    process, name = child
    assert process.stdin and process.stdout
    with suppress(BrokenPipeError):
        process.stdin.write("go\n")
        process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        sys.exit(f"the side {name} ended with {process.wait()}; its message stands above")
    return json.loads(line)


def _serve(script: str, function: str, settings: Mapping[str, Any]) -> None:
    """Do one repetition per line of the input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the work prints is no answer
    work = _prepared(script, function, settings)
    for _ in sys.stdin:
        print(json.dumps(_measured(work)), file=answers, flush=True)


def _prepared(script: str, function: str, settings: Mapping[str, Any]) -> Callable[[], Figures | None]:
    sys.path.remove(str(Path(__file__).parent))  # the tree's own modules come first
    sys.path.append(str(Path(__file__).parent))
    spec = importlib.util.spec_from_file_location("measured", script)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["measured"] = module
    spec.loader.exec_module(module)
    work = getattr(module, function)(**settings)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    return work


def _measured(work: Callable[[], Figures | None]) -> Figures:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, wall, cpu = _resident("VmRSS"), time.perf_counter(), _cpu()
    more = work()
    figures = {"cpu_s": _cpu() - cpu, "wall_s": time.perf_counter() - wall}
    peak = _resident("VmHWM")
    return figures | {"peak_mib": peak, "added_mib": peak - before} | (more or {})


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _resident(name: str) -> float:
    """Memory of this process in MiB: what it holds (`VmRSS`), or the most since the peak began anew (`VmHWM`)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # not Linux: the most of the whole life
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) / 1024


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
