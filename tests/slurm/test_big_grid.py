"""F12 in full: 2,000 jobs on a cluster with MaxArraySize 1001, without a limit of submitted jobs and with one of 500.

It takes some minutes. Nothing trains: the jobs are held, and marked as done and removed from the queue from outside.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cluster import Cluster
from product import HELD, Product, finish, wait_for

JOBS, LIMIT = 2000, 500
GRID = f"seed=range({JOBS})"

pytestmark = pytest.mark.faults


def test_a_grid_is_cut_at_the_longest_array_that_the_cluster_takes(slurm: Cluster, tmp_path: Path) -> None:
    product = Product(slurm, tmp_path)
    started = time.monotonic()
    answer = product.sweep(GRID, HELD, wait=False)
    assert answer.code == 0, answer
    sizes = [len(array["keys"]) for array in product.arrays()]
    assert sizes == [1001, JOBS - 1001], sizes
    assert len(product.queue()) == JOBS
    print(f"no limit: arrays of {sizes} in {time.monotonic() - started:.0f} s", flush=True)


def test_a_grid_is_submitted_as_room_appears_and_never_above_the_limit(slurm: Cluster, tmp_path: Path) -> None:
    product = Product(slurm, tmp_path)
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
