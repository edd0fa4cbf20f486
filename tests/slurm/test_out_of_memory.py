"""F3 with a job that SLURM kills for its memory: the others finish, the report says what to change.

SLURM watches the memory of its tasks itself here, as this needs no cgroups. It takes about two minutes.
"""

from pathlib import Path

import pytest
from cluster import Cluster, reason_to_skip
from product import Product

WATCHED = {
    "JobAcctGatherType": "jobacct_gather/linux",
    "JobAcctGatherFrequency": "task=1",  # seconds between two looks
    "JobAcctGatherParams": "OverMemoryKill",
    "SelectTypeParameters": "CR_Core_Memory",
}
pytestmark = pytest.mark.faults

GRIDS = "hydra.sweeper.grids=[{seed: 1}, {seed: 2, resources.mem_gb: %s}]"


def test_a_job_without_enough_memory_is_told_from_the_others_and_ends_with_more(tmp_path: Path) -> None:
    reason = reason_to_skip(accounting=True)
    if reason is not None:
        pytest.skip(reason)
    with Cluster(accounting=True, settings=WATCHED) as cluster:
        product = Product(cluster, tmp_path)
        first = product.sweep(GRIDS % 0.25, iterations=10, mem_gb=1.5)
        print(first.text, product.cli("status").text, sep="\n")
        assert first.code == 1 and "memory" in first.text and "resources.mem_gb" in first.text
        assert product.states() == ["done", "lost"]
        again = product.cli("retry")  # with the same memory it ends in the same way
        assert again.code == 1 and product.states() == ["done", "lost"], again
        mended = product.sweep(GRIDS % 1.5, iterations=10, mem_gb=1.5)
        assert mended.code == 0 and product.states() == ["done", "done"], mended
        print(mended.text)
