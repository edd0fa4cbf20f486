"""The theory as runs: each leaves a table and one line of numbers, and is a function of its seed."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pandas as pd
import pytest

from rftlab.errors import UserError
from rftlab.loops.session import Session
from rftlab.loops.theory import PPOGradient, SoftmaxBound, TimeSeparation
from rftlab.runs import Run, read_run
from rftlab.stop import StopFlag

SEPARATION = TimeSeparation(
    n_labels=6,
    n_pretraining_labels=3,
    std_low=1e-6,
    std_high=0.4,
    points=8,
    descent_step=0.05,
    descent_budget=1200,
)
BOUND = SoftmaxBound(n_labels=[2, 10], cases=2000)
PPO = PPOGradient(n_labels=[2, 10], clip_range=0.2, cases=1000, tv_low=1e-6, tv_high=0.9)


class Loop(Protocol):
    def run(self, session: Session) -> dict[str, float]: ...


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., tuple[dict[str, float], pd.DataFrame, list[str]]]:
    """Run a loop in a folder of its own: final metrics, table, lines said."""

    def run(loop: Loop, seed: int = 0) -> tuple[dict[str, float], pd.DataFrame, list[str]]:
        folder, said = tmp_path / f"{type(loop).__name__}-{len(list(tmp_path.iterdir()))}", []
        with Run.claim(folder, {"seed": seed}) as claimed:
            session = Session(
                run=claimed, seed=seed, checkpoint_every=1, progress=False, describe=said.append, stop=StopFlag()
            )
            metrics = loop.run(session)
        record = read_run(folder)
        assert {name: value for _, name, value in record.metrics()} == metrics
        return metrics, record.cases(), said

    return run


def test_time_separation_finds_both_laws(start: Callable) -> None:
    metrics, cases, said = start(SEPARATION)
    assert metrics["rft/slope"] == pytest.approx(-2, abs=0.05)
    assert metrics["rft/slope_low"] < metrics["rft/slope"] < metrics["rft/slope_high"]
    assert metrics["sft/slope"] == pytest.approx(1.5, abs=0.05) and metrics["sft/r2"] > 0.999
    assert metrics["rft/descent_error"] < 0.03 and metrics["sft/descent_error"] < 0.03
    assert set(cases.columns) == {"objective", "method", "eps", "std", "time"}
    assert [line[:3] for line in said] == ["RFT", "SFT"]


def test_no_softmax_policy_is_above_the_bounds(start: Callable) -> None:
    metrics, cases, _ = start(BOUND)
    assert metrics["bound/violations"] == metrics["bound_two_thirds/violations"] == 0
    assert metrics["bound/cases"] == len(cases) == 4000
    assert 0.68 < metrics["bound/max_norm_over_std"] <= 0.5**0.5 + 1e-12
    assert set(cases.columns) == {
        "reward_mean", "reward_std", "grad_norm", "jacobian_norm", "bound_std", "bound_two_thirds", "n_labels",
    }  # fmt: skip
    assert cases["reward_std"].min() < 1e-6 and cases["reward_std"].max() > 0.9


def test_no_ppo_gradient_is_above_its_bound(start: Callable) -> None:
    metrics, cases, _ = start(PPO)
    assert metrics["ppo/violations"] == 0 and 0.05 < metrics["ppo/max_ratio"] < 1
    assert 0 < metrics["ppo/share_equal"] < 1
    assert set(cases.columns) == {"tv", "distance", "gradient_norm", "bound", "clip_range", "n_labels"}


@pytest.mark.parametrize("loop", [SEPARATION, BOUND, PPO], ids=lambda loop: type(loop).__name__)
def test_a_run_is_a_function_of_its_seed(start: Callable, loop: Loop) -> None:
    first, again, other = (start(loop, seed)[1] for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    if loop is not SEPARATION:  # whose seed turns the inputs of the linear model, which changes nothing
        assert not first.equals(other)


def test_a_start_that_prefers_the_correct_label_is_a_user_error(start: Callable) -> None:
    with pytest.raises(UserError, match="std_high"):
        start(TimeSeparation(**(vars(SEPARATION) | {"std_high": 0.9})))
