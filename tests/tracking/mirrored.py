"""Runs that are mirrored from processes of their own, and what a store has of them."""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np

from rftlab.files import read_lines
from rftlab.runs import Run, attempt, run_folder, run_key
from rftlab.tracking.mirror import Mirror, prepare
from rftlab.tracking.store import open_store

SWEEP = "sweep"
CLOSE_S = 3.0  # how long the end of a run waits for the rest
NAMES = ("reward/mean", "policy/kl", "loss/policy", "time/step")

Numbers = list[tuple[str, int, int, float]]  # name, time in ms, step, value


def claim(outputs: Path, seed: int = 0) -> Run:
    """Start a run, without the record of the environment, whose calls of git take longer than the run."""
    attempt.environment = lambda: {"git_sha": "0" * 40}
    config = {"name": "a", "seed": seed, "scale": "mini", "data": {"source": "bundled"}, "algo": {"lr": 1e-4}}
    return Run.claim(run_folder(outputs, SWEEP, "a", run_key(config)), config)


def mirror_of(run: Run, uri: str, outputs: Path, every_s: float) -> Mirror:
    """Mirror one run from its own process."""
    mirror = Mirror(every_s)
    mirror.begin(run.folder, partial(prepare, uri, SWEEP, outputs))
    return mirror


def together(start: Barrier, uri: str, outputs: Path, seed: int) -> None:
    """Be one of many runs that start at the same moment; the exit code is 0 if all of it arrived."""
    start.wait()
    with claim(outputs, seed) as run:
        mirror = mirror_of(run, uri, outputs, 0.2)
        for step in range(20):
            run.log(step, dict.fromkeys(NAMES, step + seed / 100))
            time.sleep(0.02)
        run.finish({})
    if not mirror.close(120.0):
        raise SystemExit(1)


@dataclass(kw_only=True)
class Paired:
    """Times of the steps of two equal runs, of which one was mirrored; without the waits for a processor."""

    mirrored: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    close_s: float = 0.0
    complete: bool = False

    @property
    def ratio(self) -> float:
        """By how much a step is longer with the mirror: the median over pairs of neighbours.

        Where half of the steps meet other programs, both medians lie between two kinds of steps, and their ratio says
        little. Neighbours are of one kind.
        """
        return statistics.median(mirrored / alone for mirrored, alone in zip(self.mirrored, self.alone, strict=True))

    @property
    def total_ratio(self) -> float:
        """By how much all steps together are longer; the import of the client is in it."""
        return sum(self.mirrored) / sum(self.alone)


def run_pair(
    outputs: Path, uri: str, steps: int, events: Mapping[int, Callable[[], None]], burden: float = 0.0
) -> Paired:
    """Take turns, step by step, between a mirrored run and the same without; call `events` before their steps.

    The machine is shared, so that times of two separate loops say little. Neighbouring steps meet the same
    neighbours, and two processes share no interpreter: whatever the mirror's thread takes, it takes from its own run.
    `burden` makes each mirrored step longer by this part of it, to see whether that is noticed.
    """
    context = multiprocessing.get_context("spawn")
    ends = []
    for place, store, more in ((outputs, uri, burden), (outputs / "alone", None, 0.0)):
        mine, theirs = context.Pipe()
        process = context.Process(target=_steps, args=(theirs, place, store, more), daemon=True)
        process.start()
        ends.append((process, mine))
    paired = Paired()
    times = (paired.mirrored, paired.alone)
    for _, pipe in ends:
        assert pipe.recv() == "ready"
    for step in range(steps):
        if step in events:
            events[step]()
        for index in (0, 1) if step % 2 else (1, 0):
            ends[index][1].send(step)
            times[index].append(ends[index][1].recv())
    for process, pipe in ends:
        pipe.send(None)
        close_s, complete = pipe.recv()
        if process is ends[0][0]:
            paired.close_s, paired.complete = close_s, complete
        process.join(30)
        assert process.exitcode == 0
    return paired


def _steps(pipe: Connection, outputs: Path, uri: str | None, burden: float) -> None:
    with claim(outputs) as run:
        for _ in range(20):
            _work()
        mirror = mirror_of(run, uri, outputs, 0.5) if uri is not None else None
        pipe.send("ready")
        while (step := pipe.recv()) is not None:
            start = _own_time()
            _work()
            _hold_up(burden * (_own_time() - start))
            run.log(step, {name: step + index / 10 for index, name in enumerate(NAMES)})
            pipe.send(_own_time() - start)
        run.finish({})
    start = time.perf_counter()
    complete = mirror is not None and mirror.close(CLOSE_S)
    pipe.send((time.perf_counter() - start, complete))


def _own_time() -> float:
    """Return the time of this thread without its waits for a processor, which other programs on the machine cause.

    Whatever a mirror can do to its run stays in it: to compute in its step, to block it on a lock, a file or a server,
    or to hold the interpreter. Time of the processor alone would miss all but the first; time of the clock triples
    while others compute, and a run with a second thread waits longer for its turn than one without. On a system that
    does not tell how long a thread has waited this is the clock.
    """
    try:
        waited_ns = int(WAITS.read_text().split()[1])
    except FileNotFoundError:
        waited_ns = 0
    return time.perf_counter() - waited_ns / 1e9


def _hold_up(seconds: float) -> None:
    """Lose time, half of it asleep and half computing."""
    if seconds > 0:
        time.sleep(seconds / 2)
        until = time.thread_time() + seconds / 2
        while time.thread_time() < until:
            pass


WAITS = Path("/proc/thread-self/schedstat")  # of this thread: ns on a processor, ns ready and waiting for one, turns
MATRIX = np.random.default_rng(0).normal(size=(320, 320))
OUT = np.empty_like(MATRIX)  # no allocation in the loop: what it costs depends on what else a process has loaded


def _work() -> None:
    """Compute for about 20 ms: mostly in matrix products, as a training step, and partly in Python."""
    for _ in range(8):
        np.matmul(MATRIX, MATRIX, out=OUT)
        np.tanh(OUT, out=OUT)
        sum(i * i for i in range(8_000))


def logged(folder: Path) -> Numbers:
    """Return every number of the run folder, as a store has to have it."""
    return sorted(
        (name, round(row["time"] * 1000), row["step"], float(value))
        for row in read_lines(folder / "metrics.jsonl")
        for name, value in row["metrics"].items()
    )


def stored(uri: str, run: Any) -> Numbers:
    """Return every number that a store has of a run."""
    client = open_store(uri).client
    return sorted(
        (name, point.timestamp, point.step, point.value)
        for name in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, name)
    )


def runs_of(uri: str, kind: str) -> list[Any]:
    """Return the runs of a kind in all experiments of a store."""
    client = open_store(uri).client
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return client.search_runs(experiments, f"tags.kind = '{kind}'")
