"""The process that jobs fork from: where its socket lies, who may reach it, and whose code it imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import multiprocessing, os, sys
from pathlib import Path
from harmless import report
from rftlab.errors import UserError
from rftlab.sweeps import fork_server

open("times-run", "a").write("once")

if __name__ == "__main__":
    handles = []
    context = multiprocessing.get_context("forkserver")
    answer = context.SimpleQueue()
    for source in sys.argv[1:]:
        try:
            fork_server.start_server("harmless", Path(source))
        except UserError as error:
            sys.exit(f"error: {error}")
        for _ in range(2):
            process = context.Process(target=report, args=(answer,))
            fork_server.start_process(process)
            folder, path = answer.get()
            process.join()
            process.close()
            handles.append(len(os.listdir("/proc/self/fd")))
        (socket,) = Path(folder).glob("listener-*")
        print(folder, oct(os.stat(folder).st_mode & 0o777), oct(os.stat(socket).st_mode & 0o777), path, sys.path[0])
    sys.exit(handles[0] != handles[1])
"""

HARMLESS = """
import multiprocessing, sys


def report(answer):
    answer.put((multiprocessing.util.get_temp_dir(), sys.path[0]))
"""


def run(folder: Path, temporary: Path, *sources: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """Start a server from each source in turn, and two processes from each server."""
    (folder / "harmless.py").write_text(HARMLESS)
    (folder / "script.py").write_text(SCRIPT.replace("handles = []", f"handles = []\n    {before}"))
    path = os.pathsep.join([str(folder), str(ROOT / "src")])
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": path}
    command = [sys.executable, "script.py", *map(str, sources)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("length", [20, 200])
def test_the_socket_lies_in_a_private_folder_of_tmpdir_however_long_its_path(tmp_path: Path, length: int) -> None:
    temporary = tmp_path / ("t" * length)
    temporary.mkdir()
    done = run(tmp_path, temporary, tmp_path / "code")
    assert done.returncode == 0, done.stderr
    folder, of_folder, of_socket, *_ = done.stdout.split()
    assert Path(folder).parent == temporary  # as a job sees it, too
    assert (of_folder, of_socket) == ("0o700", "0o600")
    assert not list(temporary.iterdir())


def test_jobs_look_for_modules_in_the_code_of_their_server_and_the_launcher_goes_on_with_its_own(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, tmp_path, tmp_path / "one", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    (*_, first, own), (*_, second, still_own) = map(str.split, done.stdout.splitlines())
    assert (first, second) == (str(tmp_path / "one"), str(tmp_path / "two"))
    assert own == still_own == str(tmp_path)
    assert (tmp_path / "times-run").read_text() == "once"  # no job runs the file that was started


def test_a_machine_without_room_for_temporary_files_is_told_in_one_line(tmp_path: Path) -> None:
    full = 'os.open = lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))'
    done = run(tmp_path, tmp_path, tmp_path / "code", before=full)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "TMPDIR" in done.stderr and done.stderr.count("\n") == 1, done.stderr
