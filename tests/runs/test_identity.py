"""Who a run is: the same computation has the same key, every other one another."""

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rftlab import runs
from rftlab.errors import UserError
from rftlab.runs import changed_keys, freeze, key_today, run_folder, run_key
from rftlab.runs.cost import shape
from rftlab.runs.parents import needed_runs
from rftlab.runs.records import load_config

CONFIG = {
    "name": "a", "sweep": {"name": "s"}, "seed": 0, "algo": {"name": "ppo", "lr": 1e-4, "kl": {"target": None}},
    "runtime": {"device": "cpu"}, "tracking": {"uri": None}, "paths": {"outputs": "outputs"},
}  # fmt: skip


def test_the_key_of_a_config_never_changes_by_accident():
    # Every stored result hangs on this text; it may change only together with SCHEMA_VERSION.
    text = '{"config":{"algo":{"lr":0.0001,"names":["a","b"],"on":true,"x":null},"seed":0},"schema_version":3}'
    config = {"seed": 0, "algo": {"x": None, "on": True, "names": ["a", "b"], "lr": 1e-4}}
    assert run_key(config) == hashlib.sha256(text.encode()).hexdigest()[:12]


def with_target(target: str) -> dict:
    return {**CONFIG, "algo": {"loss": {"_target_": target}, "parts": [{"_target_": target}]}}


def test_moving_a_file_of_ours_changes_no_key_but_another_class_does():
    key = run_key(with_target("rftlab.loops.online.Online"))
    assert run_key(with_target("rftlab.elsewhere.deep.down.Online")) == key
    assert run_key(with_target("rftlab.Online")) == key
    assert run_key(with_target("rftlab.loops.online.Offline")) != key


def test_a_target_of_the_user_counts_with_its_path():
    one, other = (run_key(with_target(f"{module}.Online")) for module in ("mine", "yours"))
    assert (
        len({one, other, run_key(with_target("rftlab.loops.Online")), run_key(with_target("rftlab_mine.Online"))}) == 4
    )


def test_a_config_stored_under_the_first_schema_version_keeps_its_key():
    first = {**with_target("rftlab.loops.online.Online"), "schema_version": 1}
    assert run_key(first) != run_key(with_target("rftlab.loops.online.Online"))
    assert run_key(first) != run_key({**with_target("rftlab.elsewhere.Online"), "schema_version": 1})
    text = '{"config":{"loss":{"_target_":"rftlab.loops.online.Online"}},"schema_version":1}'
    stored = {"loss": {"_target_": "rftlab.loops.online.Online"}, "schema_version": 1}
    assert run_key(stored) == hashlib.sha256(text.encode()).hexdigest()[:12]


@pytest.mark.parametrize("key", ["name", "sweep", "paths", "tracking", "runtime", "hydra"])
def test_the_key_ignores_where_and_under_which_name_a_run_executes(key):
    assert run_key({**CONFIG, key: {"other": 1}}) == run_key(CONFIG)


def cut(microbatch: int, decoding: int, every: int = 10) -> dict:
    loop = {"minibatch_size": 8, "microbatch_size": microbatch}
    return {**CONFIG, "algo": {"loop": loop}, "eval": {"batch_size": decoding, "every": every}}


def test_how_a_run_is_cut_to_fit_into_memory_is_no_part_of_its_key():
    assert run_key(cut(8, 256)) == run_key(cut(2, 16)) != run_key(cut(8, 256, every=5))
    assert run_key({**CONFIG, "eval": {"batch_size": 3}}) != run_key({**CONFIG, "data": {"batch_size": 3}})
    assert changed_keys(cut(8, 256), cut(2, 16)) == []
    assert [runs.of_identity(key) for key in ("eval.batch_size", "paths.outputs", "eval.every", "eval")] == [
        False, False, True, True,
    ]  # fmt: skip


def test_a_config_stored_when_these_counted_keeps_its_key():
    text = '{"config":{"eval":{"batch_size":4}},"schema_version":2}'
    stored = {"eval": {"batch_size": 4}, "schema_version": 2}
    assert run_key(stored) == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_the_folder_shows_how_the_newest_attempt_cuts(tmp_path):
    for config in (cut(8, 256), cut(2, 16)):
        freeze(tmp_path, config)
    stored = load_config(tmp_path / "config.yaml")
    assert (stored["algo"]["loop"]["microbatch_size"], stored["eval"]["batch_size"]) == (2, 16)
    with pytest.raises(UserError, match=r"different: eval\.every\)"):
        freeze(tmp_path, cut(2, 16, every=5))


@pytest.mark.parametrize("change", [{"seed": 1}, {"seed": 0.0}, {"seed": False}, {"seed": "0"}, {"new": None}])
def test_the_key_depends_on_every_other_value_its_type_and_its_presence(change):
    assert run_key({**CONFIG, **change}) != run_key(CONFIG)


def test_the_key_ignores_order_and_notation():
    one = {"a": 0.0001, "b": [1, 2], "c": 0.0}
    other = {"c": -0.0, "b": (1, 2), "a": 1e-4}
    assert run_key(one) == run_key(other)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex("[a-z]{1,4}", fullmatch=True), inner),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(plain)
@example("\x85")
def test_a_config_read_back_from_yaml_has_the_key_it_was_written_under(value):
    config = {"value": value}
    with tempfile.TemporaryDirectory() as folder:
        freeze(Path(folder), config)
        assert run_key(load_config(Path(folder) / "config.yaml")) == run_key(config)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), Path("x"), {1: "a"}])
def test_a_value_that_has_no_one_notation_is_refused_by_name(bad):
    with pytest.raises(UserError, match=r"algo\.deep"):
        run_key({"algo": {"deep": bad}})


def test_a_new_schema_version_gives_new_keys_but_stored_configs_keep_theirs(monkeypatch):
    stored = {**CONFIG, "schema_version": runs.SCHEMA_VERSION}
    key = run_key(CONFIG)
    monkeypatch.setattr("rftlab.runs.identity.SCHEMA_VERSION", runs.SCHEMA_VERSION + 1)
    assert run_key(CONFIG) != key
    assert run_key(stored) == key


def test_a_renamed_run_finds_the_folder_of_its_key(tmp_path):
    folder = run_folder(tmp_path, "s", "a", run_key(CONFIG))
    folder.mkdir(parents=True)
    assert run_folder(tmp_path, "s", "renamed", run_key(CONFIG)) == folder


@pytest.mark.parametrize(("sweep", "name"), [("..", "a"), ("s/t", "a"), ("s", ""), ("s", "a b"), ("s", "a" * 300)])
def test_a_name_that_is_no_file_name_is_refused(tmp_path, sweep, name):
    with pytest.raises(UserError):
        run_folder(tmp_path, sweep, name, "0" * 12)


def test_changed_keys_names_what_differs_and_nothing_that_is_no_identity():
    other = {**CONFIG, "name": "b", "runtime": {}, "algo": {"name": "ppo", "lr": 1e-3, "kl": {"target": 6.0}}, "x": [1]}
    assert changed_keys(CONFIG, other) == ["algo.kl.target", "algo.lr", "x"]
    assert changed_keys(CONFIG, CONFIG) == []


def test_values_of_another_type_are_a_change_and_another_notation_is_none():
    one = {"a": 1, "b": True, "c": [1, 2], "d": 1e-4}
    assert changed_keys(one, {"a": 1.0, "b": 1, "c": (1, 2), "d": 0.0001}) == ["a", "b"]


# --- keys that came later -----------------------------------------------------------------------------------------

PPO = {"_target_": "rftlab.algorithms.ppo.PPO", "clip_range": 0.2}
LATER = {**PPO, "entropy": "exact", "kl_coef": 0.0}


def test_a_key_that_came_later_is_no_part_of_a_run_that_computes_what_it_did_before():
    before, now = ({"algo": {"loss": loss}} for loss in (PPO, LATER))
    assert run_key(now) == run_key(before) and not changed_keys(before, now)
    assert runs.without_later(now) == before and runs.completed(PPO) == LATER


@pytest.mark.parametrize(
    "loss", [{**LATER, "kl_coef": 0.1}, {**LATER, "entropy": "sampled"}, {**LATER, "_target_": "mine.PPO"}]
)
def test_it_counts_where_it_says_something_else_and_beside_the_targets_of_others(loss):
    old = {"algo": {"loss": {key: loss[key] for key in PPO}}}
    assert run_key({"algo": {"loss": loss}}) != run_key(old)
    assert changed_keys(old, {"algo": {"loss": loss}}) and runs.completed(loss) == loss


def test_a_run_of_before_goes_on_under_a_config_of_now(tmp_path):
    freeze(tmp_path, {"algo": {"loss": PPO}})
    freeze(tmp_path, {"algo": {"loss": LATER}})
    assert load_config(tmp_path / "config.yaml")["algo"]["loss"] == LATER


# --- the place of the reward --------------------------------------------------------------------------------------

NOW = {
    **CONFIG,
    "data": {"name": "imdb", "prompt": {}},
    "reward": {"_target_": "rftlab.rewards.sentiment.load", "n": 1},
}
BEFORE = {**CONFIG, "data": {"name": "imdb", "prompt": {}, "reward": NOW["reward"]}, "overrides": ["data.reward.n=1"]}


def test_a_reward_beside_the_data_has_the_key_that_it_had_in_the_data(tmp_path):
    assert run_key(NOW) == run_key(BEFORE)
    assert run_key({**NOW, "reward": None}) == run_key({**BEFORE, "data": {**BEFORE["data"], "reward": None}})
    labels = {**CONFIG, "data": {"name": "mnist", "rewards": {"wrong": -1}}}
    assert run_key({**labels, "reward": None}) == run_key(labels)
    assert shape({**NOW, "algo": {"loop": {}}}) == shape({**BEFORE, "algo": {"loop": {}}})
    assert changed_keys({**NOW, "reward": None}, NOW) == ["reward._target_", "reward.n"]


def test_a_config_of_before_the_group_of_rewards_is_read_as_one_of_today(tmp_path):
    freeze(tmp_path / "a", BEFORE)
    stored = load_config(tmp_path / "a" / "config.yaml")
    assert stored["reward"] == NOW["reward"] and "reward" not in stored["data"]
    assert stored["overrides"] == ["reward.n=1"]
    assert run_key(stored) == run_key(BEFORE) and not changed_keys(stored, NOW)
    freeze(tmp_path / "a", {**NOW, "runtime": {"device": "cuda"}})  # a later attempt
    with pytest.raises(UserError, match=r"reward\.n"):
        freeze(tmp_path / "a", {**NOW, "reward": {**NOW["reward"], "n": 2}})


def test_the_place_of_a_reward_in_words_of_before():
    words = {"data.reward.n=1": "reward.n=1", "++data.reward.x=2": "++reward.x=2", "data.reward": "reward"}
    assert [key_today(word) for word in words] == list(words.values())
    assert key_today("data.rewards.wrong=0") == "data.rewards.wrong=0"


def test_the_run_and_the_parent_of_a_reward_are_part_of_the_key():
    reward = {"_target_": "rftlab.rewards.learned.load", "run": "0" * 12, "parent": None}
    changes = [{}, {"run": "1" * 12}, {"parent": {"overrides": ["algo=reward_model"]}}]
    assert len({run_key({**NOW, "reward": {**reward, **change}}) for change in changes}) == 3
    named = {"algo": {"responses": reward | {"run": "2" * 12}}, "reward": reward, "init_from": "3" * 12}
    assert needed_runs(named) == {"init_from": "3" * 12, "algo.responses.run": "2" * 12, "reward.run": "0" * 12}
    assert needed_runs({"init_from": None, "reward": {**reward, "run": None}}) == {}
