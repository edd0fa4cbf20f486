"""A function of the user's own as the reward: how it is named, what it does to the key of a run, and its mistakes."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from config.test_own_files import own
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab.commands.arguments import as_hydra_wants
from rftlab.config.compose import Composer
from rftlab.config.messages import explain
from rftlab.config.options import CONF
from rftlab.config.own_function import with_own_function
from rftlab.config.signatures import _file
from rftlab.errors import UserError
from rftlab.sweeps.job import Job

FILES = {
    "my_reward.py": "import my_help\n\ndef fn(prompts, responses, targets, weight=1.0):\n    return [1.0]\n",
    "my_help.py": "import my_numbers\n",
    "my_numbers.py": "X = 1\n",
    "table.csv": "1",
}


@pytest.fixture(scope="module")
def composer() -> Iterator[Composer]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield Composer(GlobalHydra.instance().config_loader())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def job(composer: Composer, *words: str) -> Job:
    return composer.job(as_hydra_wants(words))


def test_a_target_of_ones_own_takes_the_place_of_the_default_reward() -> None:
    words = ["data=imdb", "reward._target_=mine.fn"]
    assert with_own_function(words) == ["data=imdb", "reward=function", "reward.function=mine.fn"]
    assert with_own_function(with_own_function(words)) == with_own_function(words)
    for kept in (["reward=rouge", "reward._target_=mine.fn"], ["reward._target_=rftlab.rewards.bleu.Bleu"]):
        assert with_own_function(kept) == kept
    assert with_own_function(["reward._target_=a.py:f,b.py:g"])[1:] == ["reward.function=a.py:f,b.py:g"]


def test_the_file_and_what_it_imports_are_part_of_the_run(composer: Composer, folder: Path) -> None:
    word = "reward._target_=my_reward.py:fn"
    before = job(composer, word)
    assert set(own(before.config)) == {"my_reward.py", "my_help.py", "my_numbers.py"}
    assert job(composer, word).key == before.key
    keys = {before.key}
    for name in own(before.config):
        (folder / name).write_text(FILES[name] + "Y = 2\n")
        keys.add(job(composer, word).key)
    assert len(keys) == 4


def test_arguments_and_the_files_that_they_name_are_part_of_the_run(composer: Composer, folder: Path) -> None:
    words = ["reward._target_=my_reward.py:fn", "reward.arguments={weight:2.0,table:table.csv}"]
    first = job(composer, *words)
    assert first.config["reward"]["arguments"] == {"weight": 2.0, "table": "table.csv"}
    assert "table.csv" in first.config["files"]
    assert job(composer, *words, "reward.arguments.weight=3.0").key != first.key
    (parent,) = job(composer, *words, "heuristic=partial_sft").parents
    assert parent.config["reward"] == first.config["reward"] and parent.config["files"] == first.config["files"]
    assert composer.job(as_hydra_wants(first.config["overrides"])).key == first.key


def test_a_module_of_ones_own_counts_too(composer: Composer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    _file.cache_clear()
    assert set(own(job(composer, "reward._target_=my_reward.fn").config)) == {"my_help", "my_numbers", "my_reward"}
    sys.modules.pop("my_reward", None)


MISTAKES = {
    "no such file": ("reward._target_=none.py:fn", "no file none.py"),
    "no such function": ("reward._target_=my_reward.py:fun", "has no fun; expected fn"),
    "no Python": ("reward._target_=table.txt.py:fn", "table.txt.py, line 1"),
    "no such module": ("reward._target_=nowhere.fn", "no module nowhere is found"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_before_the_start(composer: Composer, folder: Path, case: str) -> None:
    (folder / "table.txt.py").write_text("def (\n")
    word, named = MISTAKES[case]
    with pytest.raises(UserError) as error:
        job(composer, word)
    line = explain(error.value)
    assert named in line and "\n" not in line and "reward.function or reward._target_" in line.partition("; change ")[2]
