"""A search on a real cluster: trials are jobs of arrays, one that falls behind is given up, a killed search goes on."""

import json
import signal
from pathlib import Path

import pytest
from cluster import Cluster
from product import Product, finish, wait_for

pytestmark = pytest.mark.slurm

TRIALS = 8
SEARCH = (
    "hydra/sweeper=optuna", "hydra/sweeper/pruner=hyperband", f"hydra.sweeper.n_trials={TRIALS}",
    "hydra.sweeper.n_jobs=2", "hydra.sweeper.pruner.reduction_factor=2", "optimizer.lr=tag(log,interval(1e-5,1e-2))",
    "eval.probe_every=1", "eval.probe_prompts_during=8", "eval.probe_samples=2", "eval.probe_null=false", "algo=ppo",
)  # fmt: skip


def search_of(product: Product) -> dict:
    path = product.outputs / "default" / "search.json"
    return json.loads(path.read_text()) if path.exists() else {"trials": []}


def test_a_search_that_is_killed_goes_on_with_the_jobs_that_it_left_in_the_queue(
    slurm: Cluster, tmp_path: Path
) -> None:
    product = Product(slurm, tmp_path)
    started = product.start(*SEARCH, iterations=8)
    wait_for(lambda: any(trial["state"] != "open" for trial in search_of(product)["trials"]), timeout_s=600)
    started.send_signal(signal.SIGKILL)
    started.wait()
    before = search_of(product)
    assert product.queue()  # jobs outlive the command
    answer = finish(product.start(*SEARCH, iterations=8), timeout_s=600)
    assert answer.code == 0, answer
    after = search_of(product)
    assert len(after["trials"]) == TRIALS and {trial["state"] for trial in after["trials"]} <= {"done", "pruned"}
    assert [trial["params"] for trial in after["trials"]][: len(before["trials"])] == [
        trial["params"] for trial in before["trials"]
    ]
    keys = [key for array in product.arrays() for key in array["keys"]]
    assert len(keys) == len(set(keys)) == TRIALS  # each run was submitted once
    pruned = [trial for trial in after["trials"] if trial["state"] == "pruned"]
    assert pruned, after
    states = {run["key"]: run["state"] for run in product.status()}
    for trial in pruned:
        assert [states[key] for key in trial["runs"].values()] == ["pruned"]
    assert "best: trial" in answer.text
    again = product.sweep(*SEARCH, iterations=8)
    assert again.code == 0 and "submitted" not in again.text
