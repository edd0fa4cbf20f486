"""Run folders, and what a tracking store has of them."""

from pathlib import Path
from typing import Any

from rftlab.runs import Run, run_folder, run_key
from rftlab.tracking.store import open_store

CONFIG = {
    "name": "a",
    "seed": 0,
    "scale": "mini",
    "data": {"source": "bundled"},
    "algo": {"lr": 1e-4, "betas": [0.9, 1]},
}
NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port: the connection is refused at once


def make_run(outputs: Path, steps: int = 3, config: dict = CONFIG, finish: bool = True) -> Path:
    """Write the folder of a run with one metric line per step."""
    folder = run_folder(outputs, "sweep", "a", run_key(config))
    with Run.claim(folder, config) as run:
        for step in range(steps):
            run.log(step, {"reward/mean": step / 10, "policy/kl": 1.0})
        if finish:
            run.log_samples([{"step": 0, "response": "text"}])
            run.finish({"reward/mean": 0.5})
    return folder


def children(uri: str) -> list[Any]:
    client = open_store(uri).client
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return client.search_runs(experiments, "tags.kind = 'run'")


def history(uri: str, run_id: str, name: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in open_store(uri).client.get_metric_history(run_id, name))
