"""How a run is looked at is no setting of it: a sweep that changes it has no axis for that."""

from rftlab.runs import LOOKS, Words, asked_axes, is_look


def test_a_gold_reward_is_a_look_and_no_axis() -> None:
    plain = Words({"gold": None, "lam": 1.0}, ["gold=none", "lam=1"], "a")
    gold = Words(
        {"gold.run": "x", "gold.at_chance": True, "lam": 2.0}, ["gold=reward_model", "gold.at_chance=true"], "b"
    )
    assert asked_axes([plain, gold]) == ["lam"]


def test_looks_are_named_whole() -> None:
    assert all(map(is_look, [*LOOKS, "gold", "gold.run", "gold.parent.overrides"]))
    assert not any(map(is_look, ["golden", "data.gold", "eval.n_test", "reward.run"]))
