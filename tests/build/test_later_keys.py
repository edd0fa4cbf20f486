"""A loader has got keys since: stored configs without them load what they did, under the key that they had."""

import copy
from pathlib import Path

import pytest
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab import runs
from rftlab.build.labs import _with_later_keys, rows_of
from rftlab.build.rewards import build_reward
from rftlab.config.compose import Composer

CONF = Path(__file__).parents[2] / "conf"


def composed(*overrides: str) -> dict:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return Composer(GlobalHydra.instance().config_loader()).job(list(overrides)).config


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        ("narrativeqa", ["drop", "hub_revision"]),
        ("tldr", ["drop", "hub_revision", "pairs_hub_revision"]),
        *((name, ["hub_revision"]) for name in ("mnist", "cifar10", "stsb")),
    ],
)
def test_a_config_of_before_has_the_key_and_the_rows_of_one_of_today(data: str, keys: list[str]):
    now = composed(f"data={data}", "algo=sft", "data.loader.n_train=20")
    before = copy.deepcopy(now)
    for key in keys:
        del before["data"]["loader"][key]
    assert runs.run_key(before) == runs.run_key(now)
    assert rows_of(before) == rows_of(now)


@pytest.mark.parametrize("override", ["data.loader.drop.empty=true", "data.loader.hub_revision=abc"])
def test_where_they_say_something_new_it_is_another_run(override: str):
    plain, other = (composed("data=narrativeqa", "algo=ppo", *more) for more in ([], [override]))
    assert runs.run_key(plain) != runs.run_key(other)


def test_a_loader_that_does_not_take_them_is_not_given_them():
    node = {"_target_": "rftlab.data.file.load", "path": "rows.csv"}
    assert _with_later_keys(node) == node | {"drop_duplicates": False}, "the one of them that it takes"


PUBLISHED = ("truncation_side", "prompt", "revision")


def test_a_published_reward_of_before_has_its_key_and_reads_what_it_did(monkeypatch: pytest.MonkeyPatch):
    taken: dict = {}
    monkeypatch.setattr("rftlab.rewards.published.load", lambda **keys: taken.update(keys) or (lambda *_: None))
    now = composed("data=hh", "algo=ppo", "reward=published", "reward.source=a/b")
    before = copy.deepcopy(now)
    for key in PUBLISHED:
        del before["reward"][key]
    assert runs.run_key(before) == runs.run_key(now) and not runs.changed_keys(before, now)
    build_reward(before, [], torch.device("cpu"))
    assert (taken["truncation_side"], taken["prompt"].max_tokens, taken["revision"]) == ("left", None, None)


@pytest.mark.parametrize("key", ["truncation_side=right", "prompt.max_tokens=9", "revision=abc"])
def test_where_a_published_reward_reads_otherwise_it_is_another_run(key: str):
    words = ("data=hh", "algo=ppo", "reward=published", "reward.source=a/b")
    assert runs.run_key(composed(*words)) != runs.run_key(composed(*words, f"reward.{key}"))


def test_the_published_rewards_of_apa_read_as_the_released_code_does():
    hh, tldr = (composed("scale=paper", f"data={data}", "algo=apa") for data in ("hh", "tldr"))
    names = ("max_tokens", "truncation_side", "position", "before", "after", "revision")
    assert [hh["reward"][n] for n in names] == [1024, "left", "last", "", "<|endoftext|>", "676bfd4d"]
    read = [550, "right", "before_last", "<|startoftext|>", "<|endoftext|>", None]
    assert [tldr["reward"][n] for n in names] == read
    for config in (hh, tldr):  # scored is what the policy has read
        limits = {**config["data"]["prompt"], "tokenizer": config["reward"]["prompt"]["tokenizer"]}
        same = ("max_tokens", "truncation_side", "ending")
        assert [limits.get(n) for n in same] == [config["reward"]["prompt"][n] for n in same]
    assert hh["reward"]["prompt"]["tokenizer"] == hh["model"]["policy"]["tokenizer"]
