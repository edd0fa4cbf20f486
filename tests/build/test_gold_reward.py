"""Which reward model may be gold: not the reward itself; what both have learned is said; and how it is built."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from config.test_config import plan
from judges.finished import GOOD, SMALL, finish, reward_of_runs, reward_run

from rftlab.build import labs
from rftlab.build.held_out import tell_gold
from rftlab.build.rewards import build_gold, build_reward
from rftlab.errors import UserError
from rftlab.types import Example, Splits

CPU = torch.device("cpu")
CHANCE = {"eval/validation/pair_accuracy": 0.55, "eval/validation/pair_accuracy_low": 0.45}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the reward and the gold reward of the runs of `config`."""
    folder = tmp_path_factory.mktemp("outputs")
    reward_of_runs(folder)
    *_, gold = plan(*SMALL, "algo=ppo", "gold=reward_model", f"paths.outputs={folder}").parents
    finish(gold, GOOD)
    return folder


def config(outputs: Path, *words: str) -> dict:
    return plan(*SMALL, "algo=ppo", "gold=reward_model", f"paths.outputs={outputs}", *words).config


def test_other_pairs_are_told_and_shared_ones_warned_of(outputs: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "rftlab"):
        tell_gold(config(outputs))
        record = caplog.records[-1]
        assert record.levelname == "INFO" and "a share of 0.000 of the texts it learned" in record.message
        caplog.clear()
        same_pairs = reward_run(outputs, "seed=7")
        said = config(outputs, f"gold.run={same_pairs}")
        tell_gold(said)
        record = caplog.records[-1]
    assert record.levelname == "WARNING"
    assert f"a share of 1.000 of the texts it learned also trained the reward {said['reward']['run']}" in record.message


def test_the_reward_itself_is_no_gold_reward(outputs: Path) -> None:
    reward = config(outputs)["reward"]["run"]
    with pytest.raises(UserError, match=f"gold.run={reward}, which is the reward as well; expected a reward model tr"):
        tell_gold(config(outputs, f"gold.run={reward}"))


def test_nothing_is_told_without_gold_or_beside_a_reward_that_learned_no_pairs(
    outputs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "rftlab"):
        tell_gold(config(outputs) | {"gold": None})
        tell_gold({key: value for key, value in config(outputs).items() if key != "gold"})  # stored before it was one
        tell_gold(plan("data=imdb", "gold=reward_model", "gold.run=0123456789ab").config)
    assert caplog.records == []


def test_gold_is_built_beside_the_reward_and_scores_otherwise(outputs: Path) -> None:
    said = config(outputs)
    few = Splits(train=[Example(id="0", prompt="Human: hi Assistant:", targets=())], validation=[], test=[], source="b")
    task = labs._task(said, few, CPU, outputs)
    assert task.reward is not None and task.gold is not None
    asked = (["Human: hi Assistant:"], [" yes"], [()])
    direct = build_gold(said, CPU)
    assert direct is not None
    np.testing.assert_array_equal(task.gold(*asked), direct(*asked))
    other = build_reward(said | {"reward": said["gold"]}, [], CPU)
    assert other is not None
    np.testing.assert_array_equal(task.gold(*asked), other(*asked))  # as it would score as a reward
    assert labs._task(said | {"gold": None}, few, CPU, outputs).gold is None
    assert build_gold({key: value for key, value in said.items() if key != "gold"}, CPU) is None


def test_a_gold_reward_at_chance_is_refused_by_its_own_key(outputs: Path, caplog: pytest.LogCaptureFixture) -> None:
    chance = reward_run(outputs, "data.loader.seed=5", final=CHANCE)
    with pytest.raises(UserError, match=rf"gold\.run={chance}.*change gold\.run.*gold\.at_chance"):
        build_gold(config(outputs, f"gold.run={chance}"), CPU)
    with caplog.at_level(logging.WARNING, "rftlab"):
        assert build_gold(config(outputs, f"gold.run={chance}", "gold.at_chance=true"), CPU) is not None
    assert "may be no better than chance" in caplog.text
    with pytest.raises(UserError, match=r"gold\.run=ffffffffffff, which is no run in"):
        build_gold(config(outputs, "gold.run=ffffffffffff"), CPU)


def test_a_wrong_answer_of_gold_names_its_key(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gold = build_gold(config(outputs), CPU)
    assert gold is not None
    monkeypatch.setattr(type(gold.reward), "__call__", lambda *_: np.array([np.nan]))
    with pytest.raises(UserError, match=r"gave nan to the response ' yes'.*, or gold to another reward$"):
        gold(["p"], [" yes"], [()])
