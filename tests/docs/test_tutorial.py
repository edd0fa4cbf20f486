"""Every command of `docs/tutorial.md`, typed in an empty folder in its order, with smaller budgets."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rftlab.runs import RunRecord, find_runs

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", PAGE, flags=re.DOTALL))
SHELL = [line for block in re.findall(r"```bash\n(.*?)```\n", PAGE, flags=re.DOTALL) for line in block.splitlines()]
INSTALLS = ("uv tool install", "mkdir ")  # tests/package installs a wheel; the folder is made here
COMMANDS = [line for line in SHELL if line and not line.startswith(INSTALLS)]
LOOKS = {"eval.n_train": 4, "eval.n_validation": 4, "eval.n_test": 4, "eval.probe_prompts": 4, "eval.probe_samples": 2}
LOOKS |= {"runtime.threads": 1}
TRAIN = LOOKS | {"algo.loop.iterations": 2, "algo.loop.prompts_per_iteration": 4, "algo.loop.minibatch_size": 8}
TRAIN |= {"algo.loop.samples_per_prompt": 2, "algo.loop.microbatch_size": 8, "runtime.checkpoint_every": 1}
SMALL = {"rftlab train": TRAIN, "rftlab diagnose": {"n_prompts": 6, "samples": 2, "runtime.threads": 1}}
STOPPED = "# Ctrl-C"  # ends a line whose run is interrupted; the line after it goes on with that run
LONG = "sweep.name=long"  # keeps its iterations, so that there is time to stop it


def smaller(line: str) -> str:
    """Put small budgets in the place of those of the line, and take them out of an assignment."""
    line = line.split("  #")[0].rstrip()
    assignment = re.match(r"[A-Z]+=", line)
    budgets = TRAIN if assignment else next((small for start, small in SMALL.items() if line.startswith(start)), {})
    for key, value in budgets.items():
        if key == "algo.loop.iterations" and LONG in line:
            continue
        line = re.sub(rf"\s{re.escape(key)}=[^\s\"]+", "", line) + ("" if assignment else f" {key}={value}")
    return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an empty folder with the files of the page, and a program `rftlab` beside it."""
    folder = tmp_path_factory.mktemp("tutorial") / "lab"
    folder.mkdir()
    program = folder.parent / "rftlab"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m rftlab "$@"\n')
    program.chmod(0o755)
    for name, content in FILES.items():
        (folder / name).write_text(content)
    return folder


def start(folder: Path, script: str) -> subprocess.Popen[str]:
    """Start a script of bash in a group of its own, as a terminal does."""
    path = f"{folder.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    environment |= {"COLUMNS": "120", "MPLBACKEND": "Agg", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        ["bash", "-c", script], cwd=folder, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def interrupt(folder: Path, script: str) -> None:
    """Start the run, press Ctrl-C when it has taken a step, and see that it has stopped."""
    process = start(folder, script)
    ends = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < ends and not any(folder.glob("outputs/long/*/checkpoints/*")):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 130, said
    assert [run.state for run in long_runs(folder)] == ["stopped"], said


def long_runs(folder: Path) -> list[RunRecord]:
    return [run for run in find_runs(folder / "outputs") if run.sweep == "long"]


def test_budgets_are_made_smaller_and_nothing_else() -> None:
    line = smaller("rftlab train -m algo=ppo seed=0,1 algo.loop.iterations=20 sweep.name=lr    # 4 min")
    assert line.startswith("rftlab train -m algo=ppo seed=0,1 sweep.name=lr ") and "4 min" not in line
    assert "algo.loop.iterations=2" in line.split()
    assert smaller('PPO="algo=ppo algo.loop.iterations=8"') == 'PPO="algo=ppo"'
    assert smaller("rftlab sweep status") == "rftlab sweep status"


@pytest.mark.slow
def test_every_command_works_and_makes_what_the_page_names(folder: Path) -> None:
    assigned: list[str] = []  # assignments of the page hold for the lines behind them
    for line in COMMANDS:
        script = "\n".join([*assigned, smaller(line)])
        if re.match(r"[A-Z]+=", line):
            assigned.append(script.splitlines()[-1])
        elif STOPPED in line:
            interrupt(folder, script)
        else:
            process = start(folder, script)
            said = process.communicate(timeout=600)[0]
            assert process.returncode == 0, f"{line}\n{said}"
    assert [(run.state, run.status["attempt"]) for run in long_runs(folder)] == [("done", 2)]
    for pattern in re.findall(r"`((?:outputs|figures)/[\w./*-]+)`", PAGE):
        assert list(folder.glob(pattern)), pattern
