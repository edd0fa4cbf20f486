"""F4 with time limits of 5, 10 and 60 minutes: two preemptions in a row count as none of the time limits.

Not one time limit is allowed (`max_time_limits=0`). It takes about two minutes.
"""

import time
from pathlib import Path

import pytest
from cluster import Cluster
from product import Product, finish, record, rows, step, wait_for

from rftlab.tracking.store import open_store

LIMITS = (5, 10, 60)  # minutes
PREEMPTIONS = 2

pytestmark = pytest.mark.faults


def test_preemptions_under_any_limit_are_no_ends_of_time(slurm: Cluster, tmp_path: Path) -> None:
    """One job per limit, side by side."""
    started = time.monotonic()
    products = {limit: Product(slurm, tmp_path / str(limit)) for limit in LIMITS}
    commands = {
        limit: product.start("tracking=mlflow", iterations=16, timeout_min=limit, max_time_limits=0)
        for limit, product in products.items()
    }
    for number in range(1, PREEMPTIONS + 1):
        for limit, product in products.items():
            preempt(slurm, product, attempt=number)
            print(f"limit {limit} min: preemption {number} after {time.monotonic() - started:.0f} s", flush=True)
    for limit, product in products.items():
        answer = finish(commands[limit])
        assert answer.code == 0, answer
        (run,) = product.folders("ppo-none")
        assert "requeued" in (run / "log.txt").read_text()
        assert record(run)["attempt"] == PREEMPTIONS + 1
        steps = [row["step"] for row in rows(run) if "time/iteration_s" in row["metrics"]]
        assert sorted(set(steps)) == list(range(1, 17)), steps
        (mirrored,) = children(product.outputs)
        assert mirrored.info.status == "FINISHED" and mirrored.data.tags["attempt"] == str(PREEMPTIONS + 1)
        print(f"limit {limit} min: done in {PREEMPTIONS + 1} attempts, steps written twice: {len(steps) - 16}")


def preempt(cluster: Cluster, product: Product, attempt: int) -> None:
    """Send the signal of a preemption to the one job, in the middle of an attempt."""
    (run,) = wait_for(lambda: product.folders("ppo-none"))
    before = max((row["step"] for row in rows(run) if row["attempt"] < attempt), default=0)
    wait_for(lambda: record(run).get("attempt") == attempt and step(run) > before + 1, timeout_s=120)
    (array,) = product.arrays()  # submitted once
    cluster.call("scancel", "--signal=USR2", f"{array['job_id']}")


def children(outputs: Path) -> list:
    """Return the runs of the tracking store."""
    client = open_store(f"sqlite:///{outputs}/mlflow.db").client
    return client.search_runs([client.get_experiment_by_name("default").experiment_id], "tags.kind = 'run'")
