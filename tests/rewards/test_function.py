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

def inner(text):
    return size(None)

def raising(prompts, responses, targets):
    return [inner(response) for response in responses]

def leaving(prompts, responses, targets):
    raise SystemExit(3)

class Picky:
    def __init__(self, most): self.most = {}[most]

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


def test_what_it_raises_is_one_line_with_the_users_file_and_line(file: Path):
    reward = load(function=f"{file}:raising", arguments={})
    with pytest.raises(UserError, match=r"raised TypeError: .*; expected a number per response; change") as said:
        reward([""], ["a"], [()])
    assert f"{file}:raising raised" in str(said.value) and "beside_it.py, line 1;" in str(said.value)
    assert isinstance(said.value.__cause__, TypeError)
    with pytest.raises(UserError, match=r"raised KeyError: 3 at .*, line \d+; .*change reward\.arguments"):
        load(function=f"{file}:Picky", arguments={"most": 3})


def test_a_function_that_would_end_the_process_is_refused_like_one_that_raises(file: Path):
    """Else the run would count as stopped on purpose, without a word."""
    with pytest.raises(
        UserError, match=r"leaving raised SystemExit: 3 at .*, line \d+; expected a number per response"
    ):
        load(function=f"{file}:leaving", arguments={})([""], ["a"], [()])


def test_an_error_within_a_library_is_named_by_the_users_line(tmp_path: Path):
    file = tmp_path / "with_json.py"
    file.write_text(
        "import json\n\ndef fn(prompts, responses, targets):\n    return list(map(json.loads, responses))\n"
    )
    with pytest.raises(UserError, match=r"raised JSONDecodeError: .* at .*with_json\.py, line 4;"):
        load(function=f"{file}:fn", arguments={})([""], ["{"], [()])


@pytest.mark.parametrize(("text", "line"), [("x = 1\ny = x / 0\n", 2), ("x = 1\n\ndef fn(:\n", 3)])
def test_a_file_that_cannot_be_run_is_one_line(tmp_path: Path, text: str, line: int):
    (tmp_path / "broken_one.py").write_text(text)
    with pytest.raises(UserError, match=rf"raised \w+Error: .* at .*broken_one\.py, line {line};"):
        load(function=f"{tmp_path}/broken_one.py:fn", arguments={})
