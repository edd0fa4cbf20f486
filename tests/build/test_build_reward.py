"""Rewards are built with what they need beside their keys, also those in a sum of rewards."""

from pathlib import Path

import pytest
import torch

from rftlab.build.rewards import build_reward
from rftlab.config.sources import own_files
from rftlab.errors import UserError
from rftlab.rewards.classifier import Classifier

CPU = torch.device("cpu")
SENTIMENT = {
    "_target_": "rftlab.rewards.sentiment.load",
    "source": "asset:sentiment",
    "tokenizer": "asset:tokenizer",
    "max_tokens": 32,
    "batch_size": 8,
    "at_chance": False,
}
CIDER = {"_target_": "rftlab.rewards.cider_d.load", "corpus": "train", "sigma": 6.0, "stem": False}
MATCH = {"_target_": "rftlab.rewards.squad.ExactMatch", "normalise": True}


def config(reward: dict | None) -> dict:
    return {
        "reward": reward,
        "data": {"name": "mine", "source": "bundled"},
        "paths": {"hub_mirror": None, "outputs": "outputs"},
    }


def sum_of(**terms: dict) -> dict:
    target = "rftlab.rewards.weighted_sum.WeightedSum"
    return {"_target_": target, "weights": dict.fromkeys(terms, 1.0), "terms": terms}


def test_every_term_of_a_sum_gets_what_it_would_get_alone() -> None:
    reward = build_reward(config(sum_of(mood=SENTIMENT, match=MATCH, cider=CIDER)), [("a cat",), ("a dog",)], CPU)
    assert reward is not None
    terms = reward.reward.terms
    assert isinstance(terms["mood"], Classifier) and terms["cider"].documents == 2
    alone = [build_reward(config(node), [("a cat",), ("a dog",)], CPU) for node in (SENTIMENT, MATCH, CIDER)]
    rows = ["", ""], ["a cat", "a dog ran"], [("a cat",), ("a dog",)]
    assert reward(*rows) == pytest.approx(sum(each(*rows) for each in alone if each is not None))


def test_a_sum_may_hold_a_sum() -> None:
    reward = build_reward(config(sum_of(outer=sum_of(inner=MATCH), other=MATCH)), [], CPU)
    assert reward is not None and reward([""], ["key"], [("key",)]).tolist() == [2.0]


def test_no_reward_is_none() -> None:
    assert build_reward(config(None), [], CPU) is None


def test_a_mistake_within_a_sum_is_said_as_it_is() -> None:
    with pytest.raises(UserError, match="0 documents"):
        build_reward(config(sum_of(cider=CIDER)), [], CPU)


def test_files_and_folders_that_a_term_names_are_part_of_the_run(tmp_path: Path) -> None:
    corpus, folder = tmp_path / "corpus.txt", tmp_path / "model"
    corpus.write_text("a\nb\n")
    folder.mkdir()
    terms = sum_of(cider=CIDER | {"corpus": str(corpus)}, mood=SENTIMENT | {"source": str(folder)})
    named = {name for name in own_files({"reward": terms}) if not name.startswith("asset:")}  # which count as well
    assert named == {str(corpus), str(folder)}
    assert own_files({"reward": CIDER}) == {}
