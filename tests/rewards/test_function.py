"""A reward that is a Python function of the user's own: from a module or a file, with arguments, and its mistakes."""

from pathlib import Path

import numpy as np
import pytest

from rftlab.errors import UserError
from rftlab.rewards.function import load

TEXT = """
from beside_it import size

class Longest:
    score_range = (0.0, 5.0)
    def __init__(self, most): self.most = most
    def __call__(self, prompts, responses, targets): return [min(size(r), self.most) for r in responses]

def scaled(prompts, responses, targets, weight=1.0):
    return [weight * size(response) for response in responses]

def wrong(prompts, responses, targets):
    return "no numbers"

NUMBER = 3
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine_alone.py").write_text(TEXT)
    (tmp_path / "beside_it.py").write_text("def size(text): return len(text)\n")
    monkeypatch.syspath_prepend(tmp_path)  # undone at the end, with what the import adds
    return tmp_path / "mine_alone.py"


def test_a_function_of_a_file_or_a_module_scores_every_response(file: Path):
    for name in (f"{file}:scaled", "mine_alone.scaled"):
        scores = load(function=name, arguments={"weight": 2.0})(["", ""], ["abc", ""], [(), ()])
        assert isinstance(scores, np.ndarray) and scores.tolist() == [6.0, 0.0]


def test_a_class_is_made_with_its_arguments_and_keeps_its_range(file: Path):
    reward = load(function=f"{file}:Longest", arguments={"most": 2})
    assert reward([""], ["abc"], [()]).tolist() == [2.0] and reward.score_range == (0.0, 5.0)
    with pytest.raises(UserError, match=r"unexpected keyword.*change reward\.arguments"):
        load(function=f"{file}:Longest", arguments={"least": 2})


def test_what_is_no_list_of_numbers_is_left_to_the_check_of_every_reward(file: Path):
    assert load(function=f"{file}:wrong", arguments={})([""], ["abc"], [()]) == "no numbers"


@pytest.mark.parametrize("name", ["mine_alone.nothing", "no_module_of_mine.fn", "os.path.nothing", "mine_alone.NUMBER"])
def test_what_is_not_there_is_one_line(file: Path, name: str):
    with pytest.raises(UserError, match=r"reward\.function"):
        load(function=name, arguments={})


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot be imported"):
        load(function=f"{tmp_path}/none.py:fn", arguments={})
