"""Searches over runs that nobody trains: a test decides what each of them says and when it ends."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import optuna
from optuna.distributions import FloatDistribution
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner

from rftlab import runs
from rftlab.sweeps.job import Job
from rftlab.sweeps.plan import Row
from rftlab.sweeps.search.space import Dimension, Space
from rftlab.sweeps.search.study import Rules, Study, seed_of
from rftlab.sweeps.search.trials import Limits, Trials

METRIC, LOOK = "eval/validation/reward", "probe/reward_mean"
STEPS = 9
MOST_LOOKS = 100
INTERVAL = Dimension(key="optimizer.lr", given="interval(0.0,1.0)", distribution=FloatDistribution(0.0, 1.0))
HYPERBAND = HyperbandPruner(min_resource=1, max_resource=STEPS, reduction_factor=3)


def job_of(outputs: Path, overrides: Sequence[str]) -> Job:
    """Make a job of `optimizer.lr=X seed=N`."""
    words = dict(word.split("=") for word in overrides)
    config = {
        "name": "run", "seed": int(words["seed"]), "algo": {"name": "ppo", "loop": {"iterations": STEPS}},
        "optimizer": {"lr": float(words["optimizer.lr"])}, "runtime": {"threads": None, "device": "cpu"},
        "tracking": {"uri": None}, "init_from": None, "overrides": [f"optimizer.lr={words['optimizer.lr']}"],
    }  # fmt: skip
    key = runs.run_key(config)
    return Job(config=config, key=key, folder=outputs / "sweep" / f"run-{key}", parents=())


class Silent:
    """Notes that count."""

    def __init__(self) -> None:
        self.begins = 0

    def begun(self, rows: Sequence[Row], asked: Sequence[Job]) -> None:
        self.begins += 1

    def changed(self) -> None: ...


class Search:
    """A search with one key, as one command sees it."""

    def __init__(
        self, outputs: Path, *, n_trials: int = 6, n_jobs: int = 1, seeds: Sequence[int] = (0,), prunes: bool = False,
        space: Dimension = INTERVAL, pruner: BasePruner | None = None, direction: str = "maximize",
    ) -> None:  # fmt: skip
        self.outputs = outputs
        self.space = Space(dimensions=[space], fixed=(), seeds=tuple(seeds))
        rules = Rules(metric=METRIC, direction=direction, judged_by=LOOK if prunes else None,
                      sampler={}, pruner={}, seed=0)  # fmt: skip
        self.study = Study(
            outputs / "sweep", self.space, rules,
            lambda number: optuna.samplers.TPESampler(seed=seed_of(0, number), n_startup_trials=3),
            pruner or (HYPERBAND if prunes else NopPruner()), writes=True,
        )  # fmt: skip
        self.notes = Silent()
        self.trials = Trials(
            self.study, self.space, lambda words: job_of(outputs, words), METRIC, rules.judged_by,
            Limits(n_trials=n_trials, n_jobs=n_jobs), outputs, {}, False, self.notes,
        )  # fmt: skip
        self.ended: dict[str, str] = {}

    def more(self) -> list[Job]:
        """Let it look, however soon after the last look."""
        self.trials._looked = float("-inf")
        return self.trials.more(self.ended)

    def finish(self, job: Job, value: float | None = None, metric: str = METRIC) -> None:
        """End a run; its value is its learning rate unless another one is given."""
        runs.freeze(job.folder, job.config)
        final = {metric: job.config["optimizer"]["lr"] if value is None else value}
        (job.folder / "DONE").write_text(json.dumps({"final": {k: v if v == v else "NaN" for k, v in final.items()}}))
        self.ended[job.key] = "done"

    def fail(self, job: Job, error: str) -> None:
        """End a run with an error."""
        end(job, "failed", error=error)
        self.ended[job.key] = "failed"

    def run(self, end: Callable[[Job], None] | None = None, most: int = 1000) -> list[Job]:
        """Finish every run as soon as it is asked for, at most so many; returns the runs in order."""
        ran: list[Job] = []
        for _ in range(MOST_LOOKS):
            jobs = self.more()
            if not jobs and not self.trials.open:
                return ran
            for job in jobs:
                (end or self.finish)(job)
                ran.append(job)
                if len(ran) == most:
                    return ran
        raise AssertionError("it waits for something that never comes")

    @property
    def summary(self):
        return self.study.summary(99)


def end(job: Job, state: str, **details: object) -> None:
    """Give a run an attempt that ended without a result."""
    runs.freeze(job.folder, job.config)
    status = {"state": state, "attempt": 1, "step": 1, "host": "elsewhere", "heartbeat": 0, **details}
    (job.folder / "status.json").write_text(json.dumps(status))


def look(job: Job, values: Mapping[int, float]) -> None:
    """Let a run be looked at after some of its steps."""
    runs.freeze(job.folder, job.config)
    lines = [json.dumps({"step": step, "metrics": {LOOK: value}}) + "\n" for step, value in values.items()]
    (job.folder / "metrics.jsonl").write_text("".join(lines))
