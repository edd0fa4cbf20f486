"""A run beside a tracking server that is away, dies, is slow or answers nonsense: as fast as without, nothing lost."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from mirrored import CLOSE_S, SWEEP, Paired, logged, run_pair, runs_of, stored
from servers import Proxy, Server, running_proxy

from rftlab.tracking.mirror import prepare, sync

STEPS = 800  # so many that importing the client, which takes a second or two of its thread, is not the median
FEW_STEPS = 200
MAX_RATIO = 1.05


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    server = Server(folder)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    server.start()
    server.wait()
    yield from running_proxy(server.uri)


def check(paired: Paired, uri: str, outputs: Path) -> None:
    """Hold the run against the promises: its end, after `sync` all of it once, and the speed of a run that is long."""
    print(
        f"step {paired.ratio:.3f} x, sum {paired.total_ratio:.3f} x, "
        f"close {paired.close_s:.2f} s, {'complete' if paired.complete else 'incomplete'}"
    )
    assert paired.close_s < CLOSE_S + 1.0
    (folder,) = (path.parent for path in outputs.glob(f"{SWEEP}/*/config.yaml"))
    target = partial(prepare, uri, outputs=outputs)
    first = sync([folder], target)
    assert (first.failed, first.busy) == ({}, [])
    (run,) = runs_of(uri, "run")
    (parent,) = runs_of(uri, "sweep")
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert run.info.status == "FINISHED"
    numbers = logged(folder)
    assert len(numbers) == 4 * len(paired.mirrored)
    assert stored(uri, run) == numbers
    second = sync([folder], target)
    assert (second.created, second.metrics, second.files, second.failed) == (0, 0, 0, {})
    assert len(runs_of(uri, "run")) == 1
    assert len(paired.mirrored) < STEPS or paired.ratio < MAX_RATIO


@pytest.mark.slow
def test_a_step_that_is_a_tenth_longer_is_noticed(server, tmp_path):
    paired = run_pair(tmp_path, server.uri, FEW_STEPS, {}, burden=0.1)
    print(f"step {paired.ratio:.3f} x")
    assert paired.ratio > MAX_RATIO


@pytest.mark.slow
def test_server_away_for_the_whole_run(server, tmp_path):
    paired = run_pair(tmp_path, server.uri, STEPS, {})
    assert not paired.complete
    server.start()
    server.wait()
    check(paired, server.uri, tmp_path)


@pytest.mark.slow
def test_server_killed_in_the_middle_and_back_later(server, tmp_path):
    server.start()
    server.wait()
    paired = run_pair(tmp_path, server.uri, STEPS, {STEPS // 3: server.kill, STEPS // 2: server.start})
    server.wait()
    check(paired, server.uri, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["slow", "error"])
def test_server_that_answers_late_or_with_errors(proxy, tmp_path, mode):
    proxy.mode = mode
    paired = run_pair(tmp_path, proxy.uri, STEPS, {})
    assert proxy.requests
    assert not paired.complete
    proxy.mode = "pass"
    check(paired, proxy.uri, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("bad", ["slow", "error", "lose"])
def test_server_that_recovers(proxy, tmp_path, bad):
    def turn(mode: str) -> Callable[[], None]:
        return lambda: setattr(proxy, "mode", mode)

    prepare(proxy.uri, SWEEP, tmp_path)  # as the submitting side does; the first write is then the run itself
    proxy.delay_s = 1.0
    events = {0: turn(bad), FEW_STEPS // 3: turn("pass"), FEW_STEPS * 2 // 3: turn(bad)}
    paired = run_pair(tmp_path, proxy.uri, FEW_STEPS, events)
    proxy.mode = "pass"
    check(paired, proxy.uri, tmp_path)
