"""The default reward in a dataset of a folder of the user's own, which Hydra reads as a value of the data."""

import pytest
from omegaconf import OmegaConf

from rftlab.config.files import place_reward
from rftlab.errors import UserError

OPTIONS = {"reward/known": OmegaConf.create({"_target_": "a.b", "n": 1})}


def placed(said: object, **choices: str) -> dict:
    cfg = OmegaConf.create({"data": {"name": "mine", "reward": said}, "reward": None})
    OmegaConf.set_struct(cfg, True)
    place_reward(cfg, {"data": "mine", "reward": "default/mine", **choices}, OPTIONS.get)
    assert "reward" not in cfg.data
    return OmegaConf.to_container(cfg.reward) if cfg.reward is not None else None


def test_it_becomes_the_reward_of_the_run() -> None:
    assert placed("known") == {"_target_": "a.b", "n": 1}
    assert placed({"name": "known", "n": 2}) == {"_target_": "a.b", "n": 2}
    assert placed({"_target_": "mine.fn"}) == {"_target_": "mine.fn"}
    assert placed(None) is None


def test_a_reward_that_was_chosen_goes_above_it() -> None:
    assert placed("known", reward="other") is None


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match=r"reward: unknown in data=mine; expected a file of conf/reward; change reward"):
        placed("unknown")
