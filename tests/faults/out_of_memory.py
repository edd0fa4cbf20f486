"""F3 with a job that SLURM kills for its memory: the others finish, the report says what to change.

    PYTHONPATH=src:tests/slurm python tests/faults/out_of_memory.py

SLURM watches the memory of its tasks itself here, as this needs no cgroups. It takes about two minutes, needs what the
tests with the marker `slurm` need, and prints what it found.
"""

import tempfile
from pathlib import Path

from cluster import Cluster, reason_to_skip
from product import Product

WATCHED = {
    "JobAcctGatherType": "jobacct_gather/linux",
    "JobAcctGatherFrequency": "task=1",  # seconds between two looks
    "JobAcctGatherParams": "OverMemoryKill",
    "SelectTypeParameters": "CR_Core_Memory",
}
GRIDS = "hydra.sweeper.grids=[{seed: 1}, {seed: 2, resources.mem_gb: %s}]"


def main() -> None:
    """Run two jobs, one of which may use less memory than it needs, and then give it enough."""
    reason = reason_to_skip(accounting=True)
    if reason is not None:
        raise SystemExit(reason)
    with Cluster(accounting=True, settings=WATCHED) as cluster, tempfile.TemporaryDirectory() as folder:
        product = Product(cluster, Path(folder))
        first = product.sweep(GRIDS % 0.25, iterations=10, mem_gb=1.5)
        print(first.text, product.cli("status").text, sep="\n")
        assert first.code == 1 and "memory" in first.text and "resources.mem_gb" in first.text
        assert product.states() == ["done", "lost"]
        again = product.cli("retry")  # with the same memory it ends in the same way
        assert again.code == 1 and product.states() == ["done", "lost"], again
        mended = product.sweep(GRIDS % 1.5, iterations=10, mem_gb=1.5)
        assert mended.code == 0 and product.states() == ["done", "done"], mended
        print(mended.text)


if __name__ == "__main__":
    main()
