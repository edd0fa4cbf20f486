"""A reward that answers wrongly is one line, wherever it is called."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from rftlab.build.rewards import CheckedReward
from rftlab.errors import UserError

WRONG = {
    "a list": ([0.5, 0.5], "mine.R returned a list; expected a NumPy array of 2 floats, one per response"),
    "texts": (["a", 0.5], "mine.R returned a list with 'a', a str; expected a NumPy array of 2 floats"),
    "nothing": (None, "mine.R returned a NoneType; expected a NumPy array of 2 floats"),
    "too few": (np.array([0.5]), r"shape \(1,\) and type float64; expected a NumPy array of 2 floats"),
    "a column": (np.array([[0.5], [0.5]]), r"shape \(2, 1\)"),
    "whole numbers": (np.array([0, 1]), "type int64"),
    "NaN": (np.array([0.5, np.nan]), "mine.R gave nan to the response 'no'; expected a number from 0 to 1"),
    "infinity": (np.array([np.inf, 0.5]), "gave inf to the response 'yes'"),
    "above": (np.array([0.5, 1.01]), "gave 1.01 to the response 'no'; expected a number from 0 to 1"),
    "below": (np.array([-0.5, 0.5]), "gave -0.5 to the response 'yes'"),
}


class Fixed:
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __init__(self, scores: Any) -> None:
        self.scores = scores

    def __call__(self, prompts: Any, responses: Any, targets: Any) -> Any:
        return self.scores


class Unbounded(Fixed):
    score_range = (-np.inf, np.inf)


def ask(scores: Any, kind: Callable = Fixed) -> Any:
    return CheckedReward(reward=kind(scores), name="mine.R")(["", ""], ["yes", "no"], [(), ()])


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_answer_of_a_reward_is_named(case: str) -> None:
    scores, said = WRONG[case]
    with pytest.raises(UserError, match=said + ".*change mine.R, or reward to another reward"):
        ask(scores)


def test_right_answers_pass_unchanged() -> None:
    for scores in (np.array([0.0, 1.0]), np.array([0.25, 1.0 + 1e-9], dtype=np.float32)):
        assert ask(scores) is scores


def test_a_reward_without_a_range_may_give_any_finite_number() -> None:
    assert ask(np.array([-5.0, 1e6]), Unbounded).tolist() == [-5.0, 1e6]
    with pytest.raises(UserError, match="a finite number"):
        ask(np.array([0.0, np.nan]), Unbounded)
