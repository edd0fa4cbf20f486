"""Sweeps of small run folders with numbers in them."""

import json
from collections.abc import Mapping
from pathlib import Path

from rftlab import runs
from rftlab.config.sources import own_files
from rftlab.sweeps.job import Job

Y = "eval/test/reward"


def job_of(outputs: Path, seed: int, lr: float = 1e-4, beta: float = 0.0, **changes: object) -> Job:
    """Make a job of a grid of learning rates and betas; `changes` are parts of the config."""
    config = {
        "name": "run",
        "seed": seed,
        "scale": "mini",
        "init_from": None,
        "parent": None,
        "model": {"name": "gpt2_mini", "policy": {"source": "asset:gpt2_mini"}},
        "data": {"name": "imdb", "source": "bundled"},
        "reward": {"source": "asset:sentiment"},
        "algo": {"name": "ppo", "loss": {"beta": beta}, "loop": {"iterations": 4}},
        "optimizer": {"name": "adamw", "lr": lr},
        "heuristic": {"name": "none"},
        "paths": {"outputs": "outputs"},
        "runtime": {"threads": None},
        "tracking": {"uri": None},
        "overrides": ["algo=ppo", f"optimizer.lr={lr}", f"algo.loss.beta={beta}"],
        **changes,
    }
    config["files"] = own_files(config)  # of the embedded models
    key = runs.run_key(config)
    return Job(config=config, key=key, folder=outputs / "sweep" / f"run-{key}", parents=())


def done(job: Job, y: float, **more: float) -> Job:
    """Finish a run."""
    runs.freeze(job.folder, job.config)
    text = json.dumps({"final": {Y: y if y == y else "NaN", "policy/kl": 2.0, **more}, "cost": COST})
    (job.folder / "DONE").write_text(text)
    return job


COST: Mapping[str, object] = {"seconds_per_step": 10.0, "peak_mib": 900.0, "shape": "", "device": "a CPU"}


def failed(job: Job, error: str, state: str = "failed") -> Job:
    """End a run without a result."""
    runs.freeze(job.folder, job.config)
    status = {"state": state, "attempt": 1, "step": 2, "host": "elsewhere", "heartbeat": 0, "error": error}
    (job.folder / "status.json").write_text(json.dumps(status))
    return job


def grid(outputs: Path, means: Mapping[float, float], seeds: int = 3, spread: float = 0.01) -> None:
    """Finish a run per learning rate and seed, each seed off its mean by the same amount in all of them."""
    for lr, mean in means.items():
        for seed in range(seeds):
            done(job_of(outputs, seed, lr), mean + spread * (seed - (seeds - 1) / 2))
