"""Sweeps through our own command line on a test cluster, as a user runs them, and what became of them."""

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster import Cluster

ROOT = Path(__file__).parents[2]
TINY = [
    "algo.loop.prompts_per_iteration=8", "algo.loop.samples_per_prompt=2", "algo.loop.minibatch_size=8",
    "algo.loop.microbatch_size=8", "runtime.checkpoint_every=1", "runtime.threads=1", "runtime.device=cpu",
    "eval.n_train=4", "eval.n_validation=4", "eval.n_test=4", "eval.probe_prompts=8", "eval.every=1000",
    "data.loader.n_train=32", "data.loader.n_validation=4", "data.loader.n_test=4", "data=narrativeqa",
]  # fmt: skip
LAUNCHER = {
    "gpus_per_node": 0, "cpus_per_task": 1, "mem_gb": 1, "timeout_min": 20, "poll_s": 0.5,
}  # fmt: skip

HELD = "+hydra.launcher.sbatch.hold=true"  # nothing runs
# a script's `command &` ignores SIGINT, and so does all that it starts: here the tests, and each sweep of theirs
HEARS_INTERRUPTS = ("env", "--default-signal=INT")

_started: list[subprocess.Popen[str]] = []


def wait_for(condition: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """Return the first true value that the condition gives."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return value


class Product:
    """The two commands, `train.py -m` and `sweep.py`, with outputs of their own."""

    def __init__(self, cluster: Cluster, folder: Path, root: Path = ROOT) -> None:
        """Use the code in `root`; everything is written below `folder`."""
        self.cluster, self.root, self.folder = cluster, root, folder
        self.outputs = folder / "outputs"
        self.env = os.environ | cluster.env | {"PYTHONPATH": "src", "OMP_NUM_THREADS": "1"}

    def command(self, *overrides: str, iterations: int = 4, **launcher: object) -> list[str]:
        """Return the command of a sweep; `launcher` are keys of hydra.launcher."""
        settings = [f"hydra.launcher.{key}={value}" for key, value in (LAUNCHER | launcher).items()]
        values = [*TINY, f"algo.loop.iterations={iterations}", "tracking=none", "sweep.page=false"]
        values.append(f"paths.outputs={self.outputs}")
        return [sys.executable, "src/train.py", "-m", "hydra/launcher=slurm", *settings, *values, *overrides]

    def start(self, *overrides: str, iterations: int = 4, **launcher: object) -> subprocess.Popen[str]:
        """Start a sweep as a terminal does; what it prints goes to its `stdout`."""
        command = [*HEARS_INTERRUPTS, *self.command(*overrides, iterations=iterations, **launcher)]
        process = subprocess.Popen(
            command, cwd=self.root, env=self.env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        _started.append(process)
        return process

    def sweep(self, *overrides: str, iterations: int = 4, **launcher: object) -> "Answer":
        """Run a sweep to the end of its command."""
        return finish(self.start(*overrides, iterations=iterations, **launcher))

    def cli(self, *arguments: str) -> "Answer":
        """Run one of `sweep.py`'s commands."""
        command = [sys.executable, "src/sweep.py", *arguments, f"--outputs={self.outputs}"]
        result = subprocess.run(
            command, cwd=self.root, env=self.env, text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=90
        )
        return Answer(result.returncode, result.stdout + result.stderr)

    def status(self) -> list[dict[str, Any]]:
        """Return what `status --json` says."""
        answer = self.cli("status", "--json")
        assert answer.code == 0, answer.text
        return json.loads(answer.text)

    def states(self) -> list[str]:
        """Return the states of all runs, sorted."""
        return sorted(run["state"] for run in self.status())

    def queue(self) -> dict[str, str]:
        """Return task id -> job name of all that the cluster has."""
        lines = self.cluster.call("squeue", "--noheader", "--array", "--format=%i %j").splitlines()
        return dict(line.split() for line in lines)

    def folders(self, name: str = "") -> list[Path]:
        """Return run folders, those whose name holds `name`."""
        return sorted(path.parent for path in self.outputs.glob(f"*/*{name}*/config.yaml"))

    def arrays(self) -> list[dict[str, Any]]:
        """Return the ledger's notes, oldest first."""
        notes = [json.loads(path.read_text()) for path in self.outputs.glob("*/.submissions/*.json")]
        return sorted(notes, key=lambda note: note["time"])


class Answer:
    """How a command ended and what it printed."""

    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.text}"


def finish(process: subprocess.Popen[str], timeout_s: float = 150.0) -> Answer:
    """Wait for a command; one that hangs is an error."""
    text, _ = process.communicate(timeout=timeout_s)
    return Answer(process.returncode, text)


def end_all() -> None:
    """Kill the commands that a test has left."""
    for process in _started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    _started.clear()


atexit.register(end_all)  # a run of tests that fails leaves nothing that follows a cluster for ever


def record(folder: Path, name: str = "status.json") -> dict[str, Any]:
    """Return a JSON file of a run folder, empty while there is none."""
    path = folder / name
    return json.loads(path.read_text()) if path.exists() else {}


def rows(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics."""
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def step(folder: Path) -> int:
    """Return the last step that a run has logged."""
    lines = rows(folder)
    return lines[-1]["step"] if lines else -1


def processes(task: str) -> list[int]:
    """Return the processes of a task's Python, as this host numbers them."""
    array, index = task.split("_")
    wanted = {f"SLURM_ARRAY_JOB_ID={array}".encode(), f"SLURM_ARRAY_TASK_ID={index}".encode()}
    found: list[tuple[int, int]] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"rftlab.launch.slurm_worker" in arguments and b"srun" not in arguments[0] and wanted <= {*environment}:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                found.append((int(entry.name), int(parent)))
    own = {pid for pid, _ in found}
    return [pid for pid, parent in found if parent not in own]  # not what it has forked itself
