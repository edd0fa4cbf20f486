"""F12 in full: 2,000 jobs on a cluster with MaxArraySize 1001, without a limit of submitted jobs and with one of 500.

    PYTHONPATH=src:tests/slurm python tests/faults/big_grid.py

It takes some minutes, needs what the tests with the marker `slurm` need, and prints what it found. Nothing trains: the
jobs are held, and marked as done and removed from the queue from outside. A wrong count ends it with an error.
"""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster import Cluster, reason_to_skip
from product import HELD, Product, finish, wait_for

JOBS, LIMIT = 2000, 500
GRID = f"seed=range({JOBS})"


def main() -> None:
    """Run both cases."""
    reason = reason_to_skip()
    if reason is not None:
        raise SystemExit(reason)
    with Cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        unlimited(Product(cluster, Path(folder, "unlimited")))
        cluster.reset()
        limited(Product(cluster, Path(folder, "limited")))


def unlimited(product: Product) -> None:
    """Cut a grid at the longest array that the cluster takes."""
    started = time.monotonic()
    answer = product.sweep(GRID, HELD, wait=False)
    assert answer.code == 0, answer
    sizes = [len(array["keys"]) for array in product.arrays()]
    assert sizes == [1001, JOBS - 1001], sizes
    assert len(product.queue()) == JOBS
    print(f"no limit: arrays of {sizes} in {time.monotonic() - started:.0f} s", flush=True)


def limited(product: Product) -> None:
    """Submit a grid in chunks as room appears, never more than the limit."""
    started = time.monotonic()
    planned = product.sweep(GRID, "sweep.dry_run=true")
    assert f"{JOBS} jobs: {JOBS} new" in planned.text, planned
    print(f"dry run: {JOBS} jobs in {time.monotonic() - started:.0f} s", flush=True)
    started = time.monotonic()
    pool = ThreadPoolExecutor()
    answered = pool.submit(finish, product.start(GRID, HELD, submit_limit=LIMIT), 600)  # a full pipe would stop it
    ended: set[str] = set()
    while len(ended) < JOBS:
        queue = wait_for(lambda ended=ended: new if len(new := set(product.queue()) - ended) >= LIMIT else None, 180)
        assert len(queue) == LIMIT, len(queue)
        print(f"{len(ended) + len(queue)} submitted after {time.monotonic() - started:.0f} s", flush=True)
        for array in product.arrays():
            for index, folder in enumerate(array["folders"]):
                if f"{array['job_id']}_{index}" in queue:
                    Path(folder, "DONE").write_text('{"final": {}}')
        ended |= queue
        product.cluster.call("scancel", *{task.split("_")[0] for task in queue})
    answer = answered.result()
    assert answer.code == 0 and f"{JOBS} done" in answer.text, answer
    keys = [key for array in product.arrays() for key in array["keys"]]
    assert len(keys) == len(set(keys)) == JOBS
    print(f"limit {LIMIT}: {len(keys)} jobs submitted once each, in {len(product.arrays())} arrays", flush=True)


if __name__ == "__main__":
    main()
