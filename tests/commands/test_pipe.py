"""`COMMAND | head -1`: what works goes on without its reader and says so, what only prints ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands.test_kill import ROOT, TINY

from rftlab.commands.pipe import LEFT

SCRIPT = """
import logging, sys
from rich.console import Console
from rftlab.commands.pipe import outlive_reader, reader_may_leave
from rftlab.sweeps.table import make_console

way, printing, done = sys.argv[1:]
with outlive_reader() if way == "works" else reader_may_leave():
    logging.basicConfig(stream=sys.stdout, level=logging.INFO)
    console = make_console()
    say = {"print": print, "rich": console.print, "logging": logging.info}[printing]
    print("first", flush=True)
    sys.stdin.readline()  # until the reader has left
    for number in range(20000):
        say(f"line {number}")
    open(done, "w").close()
    print("last words", file=sys.stderr)
    sys.exit(3)
"""


@pytest.mark.parametrize("printing", ["print", "rich", "logging"])
@pytest.mark.parametrize("way", ["works", "prints"])
@pytest.mark.parametrize("errors", ["apart", "together"])
def test_work_goes_on_without_its_reader_and_printing_ends(
    tmp_path: Path, way: str, printing: str, errors: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, way, printing, str(tmp_path / "done")], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE if errors == "apart" else subprocess.STDOUT, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == "first\n"
    process.stdout.close()
    process.stdin.write("\n")
    process.stdin.close()
    said = process.stderr.read() if process.stderr is not None else ""
    assert process.wait(60) == (3 if way == "works" else 0)
    if process.stderr is not None:
        process.stderr.close()
        assert said == (f"{LEFT}\nlast words\n" if way == "works" else "")
    assert (tmp_path / "done").exists() == (way == "works")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(("way", "code"), [("works", 1), ("prints", 2)])
def test_a_full_disk_is_one_line_and_ends_only_what_prints(
    tmp_path: Path, way: str, code: int, unbuffered: str
) -> None:
    script = SCRIPT.replace('    print("last words", file=sys.stderr)\n    sys.exit(3)\n', "")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", script, way, "logging", str(tmp_path / "done")], stdin=subprocess.DEVNULL,
            stdout=full, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: cannot write the output: ") and "; expected room" in line and "; change " in line
    assert done.returncode == code
    assert (tmp_path / "done").exists() == (way == "works")


@pytest.mark.slow
def test_a_run_is_done_though_its_log_met_a_full_disk(tmp_path: Path) -> None:
    command = [sys.executable, "src/train.py", *TINY, "algo.loop.iterations=1", f"paths.outputs={tmp_path}"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": "src"}, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert len(list(tmp_path.glob("*/*/DONE"))) == 1


@pytest.mark.slow
def test_a_sweep_ends_with_all_its_jobs_though_its_reader_left_after_a_line(tmp_path: Path) -> None:
    command = ["-m", *TINY, "seed=0,1", "algo.loop.iterations=2", "hydra.launcher.slots=1", f"paths.outputs={tmp_path}"]
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" | head -1', "bash", sys.executable, "src/train.py", *command],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": "src"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert len(list(tmp_path.glob("*/*/DONE"))) == 2
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, f"{LEFT}\n")
