"""The modes of what runs write, and which paths lie on a file system that other hosts share."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from rftlab import files
from rftlab.files import AppendFile, FileLock, file_system, shared_file_system, usual_mode, write_atomic
from rftlab.launch.worker import redirect_output
from rftlab.models import save_pretrained_folder, save_weights

MOUNTS = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
22 27 0:21 / /proc rw,relatime - proc proc rw
40 27 0:40 / /home rw shared:1 - nfs4 server:/export/home rw,vers=4.2
41 40 0:41 / /home/ann/local rw - xfs /dev/sdb1 rw
42 27 0:42 / /scratch rw,flock - lustre 10.0.0.1@o2ib:/scratch rw
43 27 0:43 / /mnt/with\040space rw - fuse.sshfs ann@host:/ rw
44 27 0:44 / /data rw - autofs systemd-1 rw
45 44 0:45 / /data rw - BeeGFS beegfs_nodev rw
46 27 0:46 / /images rw - fuse.squashfuse image rw
a line of another form
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/tmp/run", "ext4"),
        ("/home", "nfs4"),
        ("/home/ann/outputs/mlflow.db", "nfs4"),
        ("/home/ann/local/outputs", "xfs"),
        ("/homework", "ext4"),
        ("/scratch/ann", "lustre"),
        ("/mnt/with space/outputs", "fuse.sshfs"),
        ("/data/outputs", "BeeGFS"),
    ],
)
def test_the_deepest_and_latest_mount_decides(path, kind):
    assert file_system(MOUNTS, Path(path)) == kind


def test_no_mounts_no_type():
    assert file_system("", Path("/tmp")) is None


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/scratch/a", "lustre"),
        ("/data/a", "BeeGFS"),
        ("/mnt/with space", "fuse.sshfs"),
        ("/images", None),
        ("/", None),
    ],
)
def test_only_network_types_are_shared(monkeypatch, tmp_path, path, kind):
    monkeypatch.setattr(files, "file_system", lambda mounts, _: file_system(MOUNTS, Path(path)))
    assert shared_file_system(tmp_path) == kind


def test_a_local_path_is_not_shared_also_before_it_exists(tmp_path):
    assert shared_file_system(tmp_path / "outputs" / "mlflow.db") is None


@pytest.fixture(params=[0o002, 0o027, 0o022])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes_below(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def test_what_runs_write_has_the_mode_that_the_umask_gives(umask: int, tmp_path: Path, tiny_t5) -> None:
    """A group that shares a folder under umask 002 resumes each other's runs; 027 keeps others out."""
    assert usual_mode(tmp_path) == 0o666 & ~umask
    write_atomic(tmp_path / "status.json", "{}")
    AppendFile(tmp_path / "metrics.jsonl").close()
    lock = FileLock(tmp_path / ".lock")
    assert lock.take(0.0)
    lock.release()
    save_weights(tiny_t5().lm, tmp_path / "final" / "model.safetensors")
    save_pretrained_folder(tiny_t5(), tmp_path / "hub", tokenizer=False)
    found = modes_below(tmp_path)
    folders = {name for name in found if (tmp_path / name).is_dir()}
    assert {found.pop(name) for name in folders} == {0o777 & ~umask}
    assert set(found.values()) == {0o666 & ~umask}, found


def test_the_log_of_a_job_has_the_mode_that_the_umask_gives(umask: int, tmp_path: Path) -> None:
    if (child := os.fork()) == 0:
        redirect_output(tmp_path)
        os._exit(0)
    os.waitpid(child, 0)
    assert set(modes_below(tmp_path).values()) == {0o666 & ~umask}
