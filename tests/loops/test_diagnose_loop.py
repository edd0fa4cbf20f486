"""The sampling of a diagnosis: what it makes of the interval of the reward."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from toy import shared_letters

from rftlab.errors import UserError
from rftlab.loops.diagnose import Diagnose

LOOP = Diagnose(
    n_prompts=12, samples_per_prompt=4, bound_prompts=0, bound_seconds=None, bound_samples=4,
    bound_prefixes=1, power_iterations=2, reward_low=0.0, reward_high=1.0,
)  # fmt: skip


@dataclass
class Stretched:
    """The shares of letters on another interval."""

    low: float
    high: float

    def __call__(self, *asked) -> np.ndarray:
        return self.low + (self.high - self.low) * shared_letters(*asked)


def run(make_lab: Callable, name: str, loop: Diagnose, reward: Callable, std_below: float = 0.15) -> dict[str, float]:
    lab = make_lab(name)
    evaluation = replace(lab.evaluation, std_below=std_below)
    return loop.run(replace(lab, task=replace(lab.task, reward=reward), evaluation=evaluation))


def test_the_vanishing_share_is_the_same_on_every_interval_of_the_reward(make_lab: Callable) -> None:
    unit = run(make_lab, "unit", LOOP, shared_letters)["probe/share_vanishing"]
    wide = replace(LOOP, reward_low=-5.0, reward_high=45.0)
    assert 0 < unit < 1
    assert run(make_lab, "wide", wide, Stretched(-5.0, 45.0))["probe/share_vanishing"] == unit


@pytest.mark.parametrize("reward", [Stretched(2.0, 3.0), Stretched(-3.0, -2.0)])
def test_scores_outside_the_interval_are_refused_while_sampling(make_lab: Callable, reward: Callable) -> None:
    with pytest.raises(UserError, match=r"all within 0 and 1; change algo\.loop\.reward_low"):
        run(make_lab, "outside", LOOP, reward)


def test_without_an_interval_no_score_is_refused_and_the_threshold_is_in_units_of_the_reward(
    make_lab: Callable,
) -> None:
    free = replace(LOOP, reward_low=None, reward_high=None)
    unit = run(make_lab, "unit", LOOP, shared_letters)["probe/share_vanishing"]
    assert run(make_lab, "free", free, Stretched(-3.0, 47.0), std_below=50 * 0.15)["probe/share_vanishing"] == unit


def test_scores_that_are_no_numbers_are_left_to_the_report(make_lab: Callable) -> None:
    def no_number(prompts: list, *asked) -> np.ndarray:
        return np.full(len(prompts), np.nan)

    assert np.isnan(run(make_lab, "nan", LOOP, no_number)["probe/reward_mean"])
