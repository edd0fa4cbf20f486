"""Which paths lie on a file system that other hosts share."""

from pathlib import Path

import pytest

from rftlab import files
from rftlab.files import file_system, shared_file_system

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
