"""One cluster of each kind in every pytest process that needs it: its tests share it, one after another."""

from collections.abc import Iterator

import pytest
from cluster import Cluster, reason_to_skip
from product import end_all


def _run(accounting: bool) -> Iterator[Cluster]:
    reason = reason_to_skip(accounting)
    if reason is not None:
        pytest.skip(reason)
    with Cluster(nodes=4, cpus=2, gpus=1, accounting=accounting) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """Run a cluster without a database, where sacct fails."""
    yield from _run(accounting=False)


@pytest.fixture(scope="session")
def slurm_accounting() -> Iterator[Cluster]:
    """Run a cluster whose database keeps how jobs ended."""
    yield from _run(accounting=True)


@pytest.fixture(autouse=True)
def on_the_cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the test's own SLURM commands reach its cluster; afterwards end its jobs and mend what it broke."""
    clusters = [request.getfixturevalue(name) for name in ("slurm", "slurm_accounting") if name in request.fixturenames]
    for cluster in clusters:
        for name in ("SLURM_CONF", "PATH"):
            monkeypatch.setenv(name, cluster.env[name])
    yield
    end_all()
    for cluster in clusters:
        cluster.reset()
