"""F4 with a real time limit of two minutes: SLURM warns, the run goes back, and the second time it is given up.

    PYTHONPATH=src:tests/slurm python tests/faults/time_limit.py

It takes about five minutes, needs what the tests with the marker `slurm` need, and prints what it found.
"""

import json
import tempfile
import time
from pathlib import Path

from cluster import Cluster, reason_to_skip
from product import Product

LIMIT = {"timeout_min": 2, "signal_delay_s": 30, "max_time_limits": 1}


def main() -> None:
    """Run one job that needs longer than it may."""
    reason = reason_to_skip()
    if reason is not None:
        raise SystemExit(reason)
    with Cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        product = Product(cluster, Path(folder))
        started = time.monotonic()
        process = product.start("seed=0", iterations=100000, **LIMIT)
        text, _ = process.communicate(timeout=600)
        (run,) = product.folders()
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        last, first = (
            pick(line["step"] for line in lines if line["attempt"] == attempt and "time/iteration_s" in line["metrics"])
            for attempt, pick in ((1, max), (2, min))
        )
        assert first == last + 1, (last, first)  # nothing was computed twice
        assert process.returncode == 1 and "hydra.launcher.timeout_min" in text, text
        assert product.states() == ["failed"]
        print(f"warned after step {last}, went on with step {first}, given up after {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
