"""F4 with a real time limit of two minutes: SLURM warns, the run goes back, and the second time it is given up.

It takes about five minutes.
"""

import json
import time
from pathlib import Path

import pytest
from cluster import Cluster
from product import Product

LIMIT = {"timeout_min": 2, "signal_delay_s": 30, "max_time_limits": 1}

pytestmark = pytest.mark.faults


def test_a_run_that_needs_longer_than_it_may_goes_back_once_and_is_then_given_up(
    slurm: Cluster, tmp_path: Path
) -> None:
    product = Product(slurm, tmp_path)
    started = time.monotonic()
    process = product.start("seed=0", iterations=100000, **LIMIT)
    text, _ = process.communicate(timeout=600)
    (run,) = product.folders()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    last, first = (
        pick(line["step"] for line in lines if line["attempt"] == attempt and "time/iteration_s" in line["metrics"])
        for attempt, pick in ((1, max), (2, min))
    )
    assert first == last + 1, (run / "log.txt").read_text()[-3000:]  # nothing was computed twice
    assert process.returncode == 1 and "hydra.launcher.timeout_min" in text, text
    assert product.states() == ["failed"]
    print(f"warned after step {last}, went on with step {first}, given up after {time.monotonic() - started:.0f} s")
