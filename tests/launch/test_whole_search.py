"""A search from its plan to its best trial, with a launcher that finishes every run at once."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.pruners import NopPruner
from rich.console import Console
from sweeps.jobs import finish, make_job
from sweeps.searching import HYPERBAND, INTERVAL, LOOK, METRIC, STEPS, job_of

from rftlab import runs
from rftlab.config.search_settings import Asked
from rftlab.errors import UserError
from rftlab.launch.whole_search import run_search
from rftlab.launch.whole_sweep import Sweep
from rftlab.runs.cost import shape
from rftlab.runs.searches import Search, Tried
from rftlab.sweeps.asked import read_asked
from rftlab.sweeps.job import Feed, Job
from rftlab.sweeps.search.space import Space
from rftlab.sweeps.search.study import Rules, seed_of
from rftlab.sweeps.search.words import said_of


class Finishing:
    """A launcher for which every run is done at once, worth its learning rate."""

    follows, gpus, slots = False, 0, 1

    def __init__(self, kind: str = "local") -> None:
        self.ran: list[Job] = []
        self.kind = kind

    def begin(self) -> None: ...

    def settings(self) -> Mapping[str, Any]:
        return {"kind": self.kind}

    def queued(self, outputs: Path) -> Mapping[str, str]:
        return {}

    def run(
        self, jobs: Sequence[Job], queued: Mapping[str, str], console: Console, feed: Feed | None = None
    ) -> Mapping[str, str]:
        states: dict[str, str] = {}
        assert feed is not None
        while jobs or feed.open:
            for job in jobs:
                runs.freeze(job.folder, job.config)
                final = {METRIC: job.config["optimizer"]["lr"] + 0.1 * job.config["seed"]}
                (job.folder / "DONE").write_text(json.dumps({"final": final}))
                states[job.key] = "done"
            self.ran += jobs
            jobs = feed.more(states)
        return states


def asked(outputs: Path, *, n_trials: int = 4, seeds: tuple[int, ...] = (0, 1), prunes: bool = False) -> Asked:
    space = Space(dimensions=[INTERVAL], fixed=(), seeds=seeds)
    rules = Rules(
        metric=METRIC, direction="maximize", judged_by=LOOK if prunes else None, sampler={}, pruner={}, seed=0
    )
    return Asked(
        space=space, rules=rules, sampler=lambda number: optuna.samplers.RandomSampler(seed=seed_of(0, number)),
        pruner=HYPERBAND if prunes else NopPruner(), n_trials=n_trials, n_jobs=None,
        compose=lambda words: job_of(outputs, words),
        corners=[job_of(outputs, [f"optimizer.lr={lr}", "seed=0"]) for lr in (0.0, 1.0)],
        first_look=1 if prunes else None,
    )  # fmt: skip


def launch(outputs: Path, search: Asked, launcher: Finishing, *, dry_run: bool = False) -> tuple[int, str]:
    console = Console(width=300, file=io.StringIO(), record=True)
    sweep = Sweep(name="sweep", outputs=outputs, dry_run=dry_run, page=False, config="seed: 0\n")
    code = run_search(sweep, search, launcher, console)
    return code, console.export_text()


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rftlab.launch.whole_search.require_hub", lambda configs: list(configs))
    monkeypatch.setattr("rftlab.launch.whole_search.check_same", lambda made: list(made))


def test_a_search_ends_with_its_best_trial_and_its_interval_over_seeds(tmp_path: Path) -> None:
    launcher = Finishing()
    code, said = launch(tmp_path, asked(tmp_path), launcher)
    assert code == 0 and len(launcher.ran) == 8
    best = max(job.config["optimizer"]["lr"] for job in launcher.ran)
    assert f"optimizer.lr={best}: {METRIC} {best + 0.05:.3f} [" in said and "2 seeds" in said
    assert "4 trials x 2 seeds = 8 runs: 4 done, 0 to come" in said
    keys = {job.key for job in launcher.ran}
    assert set(read_asked(tmp_path, "sweep")) == keys
    assert set(json.loads((tmp_path / "sweep" / "launch.json").read_text())["jobs"]) == keys


def test_the_same_command_does_nothing_again_and_more_trials_go_on(tmp_path: Path) -> None:
    launch(tmp_path, asked(tmp_path), Finishing())
    again, more = Finishing(), Finishing()
    code, said = launch(tmp_path, asked(tmp_path), again)
    assert (code, again.ran) == (0, []) and "best: trial" in said
    assert launch(tmp_path, asked(tmp_path, n_trials=5), more)[0] == 0 and len(more.ran) == 2


def test_a_dry_run_starts_and_writes_nothing(tmp_path: Path) -> None:
    launcher = Finishing()
    code, said = launch(tmp_path, asked(tmp_path), launcher, dry_run=True)
    assert (code, launcher.ran) == (0, []) and not list(tmp_path.iterdir())
    assert "4 trials x 2 seeds = 8 runs: 4 to come" in said and "cost: unknown" in said


@pytest.mark.parametrize(
    ("prunes", "bounds"), [(False, "at most 4.8 min"), (True, "1.6 min to 4.8 min (all but one trial pruned")]
)
def test_the_cost_has_bounds_from_runs_of_the_shape(tmp_path: Path, prunes: bool, bounds: str) -> None:
    search = asked(tmp_path, prunes=prunes)
    finish(make_job(tmp_path, "measured"), 4.0, shape(search.corners[0].config))  # 8 runs of 9 steps: 288 s
    _, said = launch(tmp_path, search, Finishing(), dry_run=True)
    assert bounds in said
    assert pytest.approx(96) == 2 * 36 * (1 + 3 / STEPS)  # one trial in full, three up to their first look


def test_fewer_runs_at_a_time_than_seeds_are_told_where_trials_are_pruned(tmp_path: Path) -> None:
    _, said = launch(tmp_path, asked(tmp_path, prunes=True), Finishing(), dry_run=True)
    assert "with 1 runs at a time the last of 2 seeds is waited for" in said


def test_a_search_that_does_not_wait_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"hydra\.launcher.wait=false with a search"):
        launch(tmp_path, asked(tmp_path), Finishing("slurm"))


def test_less_is_better_where_it_is_minimised() -> None:
    trials = [
        Tried(number=n, state="done", params={"x": str(n)}, runs={}, value=v, values={"0": v}, looks={})
        for n, v in enumerate((0.5, 0.2, 0.2))
    ]
    found = Search(sweep="s", metric="policy/kl", direction="minimize", judged_by=None, n_trials=3, seeds=[0],
                   space={"x": "interval(0,2)"}, trials=trials)  # fmt: skip
    assert found.best == trials[1]
    assert "the lowest of 3 is flattered" in said_of(found)[-1]
