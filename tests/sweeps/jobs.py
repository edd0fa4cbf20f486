"""Jobs of sweeps without training behind them."""

import json
import time
from pathlib import Path

from rftlab import runs
from rftlab.sweeps.job import Job


def make_job(outputs: Path, name: str = "run", *parents: Job, iterations: int = 4, **extra: object) -> Job:
    """Make a job whose config holds what planning and launching read; it starts from its first parent."""
    config = {
        "name": name,
        "seed": 0,
        "algo": {"name": "ppo", "loop": {"iterations": iterations, "prompts_per_iteration": 8}},
        "runtime": {"threads": None, "device": "cpu"},
        "tracking": {"uri": None},
        "init_from": parents[0].key if parents else None,
        "named": {parent.key: {"run": parent.key, "parent": {"overrides": []}} for parent in parents[1:]},
        **extra,
    }
    key = runs.run_key({**config, "unique": name})
    return Job(config=config, key=key, folder=outputs / "sweep" / f"{name}-{key}", parents=parents)


def finish(job: Job, seconds_per_step: float | None = None, shape: str = "", device: str = "a CPU") -> None:
    """Give a job a run that is done."""
    runs.freeze(job.folder, job.config)
    cost = seconds_per_step and {"shape": shape, "seconds_per_step": seconds_per_step, "device": device}
    done = {"final": {"policy/kl": 1.0}, "attempt": 1, "time": time.time(), "cost": cost}
    (job.folder / "DONE").write_text(json.dumps(done))


def end(job: Job, state: str, step: int = 0, **details: object) -> None:
    """Give a job an attempt that ended without finishing."""
    runs.freeze(job.folder, job.config)
    status = {"state": state, "attempt": 1, "step": step, "host": "elsewhere", "heartbeat": 0, **details}
    (job.folder / "status.json").write_text(json.dumps(status))
