"""The head start of local sweeps: when it is taken, and that nothing of it is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from rftlab.launch.early import OUTPUTS, likely_outputs
from rftlab.stop import exit_on_interrupt, interrupted

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "outputs"),
    [
        ("-m algo=ppo,apa", "outputs"),
        ("--multirun +sweep=seeds seed=0,1 paths.outputs=/data/rft", "/data/rft"),
        ("-m data=mnist hydra.launcher.slots=1 paths.outputs=a ++paths.outputs=b", "b"),
        ("algo=ppo", None),
        ("-m algo=ppo hydra/launcher=slurm", None),
        ("-m algo=ppo sweep.dry_run=true", None),
        ("-m algo=ppo sweep.snapshot=false", None),
        ("-m algo=ppo paths=lab", None),
        ("-m algo=ppo paths.outputs='a b'", None),
        ("-m algo=ppo paths.outputs=${oc.env:HOME}", None),
        ("-m --cfg job", None),
        ("-m --help", None),
        ("-sc install=bash", None),
    ],
)
def test_a_head_start_is_for_sweeps_of_this_machine_that_say_plainly_where_they_write(
    arguments: str, outputs: str | None
) -> None:
    assert likely_outputs(arguments.split()) == (None if outputs is None else Path(outputs))


def test_the_head_start_writes_where_the_default_outputs_lie() -> None:
    assert yaml.safe_load((ROOT / "conf" / "paths" / "default.yaml").read_text())["outputs"] == OUTPUTS


def test_a_ctrl_c_is_found_behind_the_error_that_a_library_makes_of_it() -> None:
    def library(cause: type[BaseException]) -> None:
        try:
            try:
                raise cause
            except BaseException:
                None.flags  # noqa: B018  # ty: ignore[unresolved-attribute]
        except AttributeError as error:
            raise ValueError from error

    for cause, found in ((KeyboardInterrupt, True), (OSError, False)):
        with pytest.raises(ValueError) as caught:
            library(cause)
        assert interrupted(caught.value) is found
    assert interrupted(KeyboardInterrupt()) and not interrupted(None)


SWALLOWS = """
import os, signal, sys, time
from rftlab.stop import StopFlag, StopOnSignals, exit_on_interrupt

with exit_on_interrupt():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        pass  # as a library may
    flag = StopFlag()
    if sys.argv[1] == "taken over":
        with StopOnSignals(flag, [signal.SIGINT]):
            while not flag.requested:
                time.sleep(0.01)
        print(flag.reason)
    else:
        time.sleep(60)
"""


@pytest.mark.parametrize(("then", "code", "said"), [("ours", 130, ""), ("taken over", 0, "SIGINT\n")])
def test_a_ctrl_c_that_a_library_swallows_comes_again(then: str, code: int, said: str) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", SWALLOWS, then],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (code, said, "") and time.monotonic() - began < 20


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with exit_on_interrupt():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def members(group: int) -> list[int]:
    """Return the living processes of a process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(path.parent.name))
    return found


def run(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "src/train.py", "-m", *arguments, "sweep.page=false"], cwd=ROOT,
        env=os.environ | {"PYTHONPATH": "src"}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


def gone(command: subprocess.Popen[str]) -> bool:
    """Say whether all processes of a command end with it: the imports alone would go on for seconds."""
    until = time.monotonic() + 1.0
    while members(command.pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not members(command.pid)


@pytest.mark.parametrize("arguments", [["algo=nonsense"], ["seed=x"], ["hydra.launcher.slots=1000"]])
def test_a_refused_sweep_leaves_no_process_that_goes_on_importing(tmp_path: Path, arguments: list[str]) -> None:
    refused = run(*arguments, f"paths.outputs={tmp_path}")
    assert refused.wait(timeout=60) == 2
    assert gone(refused)
    _, errors = refused.communicate()
    assert errors.startswith("error: ") and errors.count("\n") == 1


def test_a_killed_sweep_takes_the_importing_process_with_it(tmp_path: Path) -> None:
    sweep = run("algo=ppo", f"paths.outputs={tmp_path}")
    until = time.monotonic() + 60
    while len(members(sweep.pid)) < 3 and time.monotonic() < until:  # itself, the fork server, the resource tracker
        time.sleep(0.02)
    time.sleep(1.0)  # it has asked for the signal by then
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    assert gone(sweep)
    sweep.communicate()


FORK = """
import multiprocessing, sys
from pathlib import Path
from rftlab.launch.launchers import start_workers


def where(answer):
    import rftlab
    answer.put(rftlab.__file__)


if __name__ == "__main__":
    answer = multiprocessing.get_context("forkserver").SimpleQueue()
    found = []
    for snapshot in (False, True):
        start_workers(Path(sys.argv[1]), snapshot)
        process = multiprocessing.get_context("forkserver").Process(target=where, args=(answer,))
        process.start()
        found.append(answer.get())
        process.join()
    print(*found)
"""


@pytest.mark.slow
def test_jobs_of_a_snapshot_fork_from_the_snapshot_though_another_server_ran(tmp_path: Path) -> None:
    script = tmp_path / "fork.py"
    script.write_text(FORK)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        cwd=ROOT / "src",
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    first, second = done.stdout.split()
    assert Path(first).is_relative_to(ROOT / "src"), done.stderr
    assert Path(second).is_relative_to(tmp_path / ".snapshots"), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("wait_s", [0.0, 0.1, 0.3, 0.7, 1.5, 2.5])
def test_a_ctrl_c_before_the_first_job_ends_the_sweep_at_once_and_without_a_traceback(
    tmp_path: Path, wait_s: float
) -> None:
    """A terminal sends it to all processes of the command."""
    sweep = run("seed=0,1", f"paths.outputs={tmp_path}")
    while not (tmp_path / ".snapshots").exists():  # before it, Python is still starting
        assert sweep.poll() is None
        time.sleep(0.001)
    time.sleep(wait_s)
    os.killpg(sweep.pid, signal.SIGINT)
    began = time.monotonic()
    _, errors = sweep.communicate(timeout=60)
    assert (sweep.returncode, errors) == (130, "")
    assert time.monotonic() - began < 1.5
    assert not list(tmp_path.glob("*/*/status.json"))


@pytest.mark.slow
def test_a_job_that_is_asked_to_stop_in_its_first_moments_stops_and_does_not_fail(tmp_path: Path) -> None:
    sweep = run("seed=0,1", f"paths.outputs={tmp_path}", "tracking=none", "hydra.launcher.slots=2")
    while not list(tmp_path.glob("*/*/config.yaml")):  # right before the process is forked
        assert sweep.poll() is None
        time.sleep(0.001)
    os.killpg(sweep.pid, signal.SIGINT)
    out, errors = sweep.communicate(timeout=60)
    assert (sweep.returncode, errors) == (130, "")
    assert "failed" not in out and "stopped" in out
