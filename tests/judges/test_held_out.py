"""Which reward models may judge: not the reward itself, and none that learned its pairs."""

from dataclasses import replace
from pathlib import Path

import pytest
from judges.finished import policy_run, reward_of_runs, reward_run

from rftlab.build import held_out
from rftlab.build.held_out import learned_texts, reward_runs, with_held_out
from rftlab.errors import UserError
from rftlab.runs import find_key

NODE = {"run": None, "shared": 0.0, "at_chance": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Make a run and the reward model that it was rewarded with."""
    outputs = tmp_path_factory.mktemp("outputs")
    run = policy_run(outputs)
    (reward,) = reward_runs(find_key(outputs, run)[0])
    assert reward_of_runs(outputs) == reward
    return outputs, run


def test_the_reward_itself_and_models_of_its_pairs_are_refused(made: tuple[Path, str]) -> None:
    outputs, run = made
    judged = find_key(outputs, run)
    (reward,) = reward_runs(judged[0])
    with pytest.raises(UserError, match="the reward of a judged run"):
        with_held_out(NODE | {"run": reward}, judged, outputs)
    with pytest.raises(UserError, match=r"no held-out reward model .*data\.loader\.seed=1"):
        with_held_out(NODE, judged, outputs)
    same_pairs = reward_run(outputs, "seed=7")
    with pytest.raises(UserError, match=r"a share of 1\.000 also trained the reward"):
        with_held_out(NODE | {"run": same_pairs}, judged, outputs)
    with_held_out(NODE | {"run": same_pairs, "shared": 1.0}, judged, outputs)
    with pytest.raises(
        UserError, match=f"{reward} is the reward.* {same_pairs} shares 1|{same_pairs} shares 1.* is the r"
    ):
        with_held_out(NODE, judged, outputs)
    others = reward_run(outputs, "data.loader.seed=1")
    assert with_held_out(NODE, judged, outputs)["run"] == others
    again = reward_run(outputs, "data.loader.seed=1", "seed=3")
    with pytest.raises(UserError, match="2 reward models that fit") as several:
        with_held_out(NODE, judged, outputs)
    assert others in str(several.value) and again in str(several.value)
    (sft, of_gold) = (replace(judged[0], config={**judged[0].config, "gold": gold}) for gold in (None, {"run": again}))
    assert with_held_out(NODE, [sft, of_gold], outputs)["run"] == again
    both = [of_gold, replace(of_gold, config={**of_gold.config, "gold": {"run": others}})]
    with pytest.raises(UserError, match="2 reward models that fit"):
        with_held_out(NODE, both, outputs)


def test_where_the_only_other_one_may_be_at_chance_the_key_that_takes_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = find_key(tmp_path, policy_run(tmp_path))
    with pytest.raises(UserError) as none:
        with_held_out(NODE, judged, tmp_path)
    assert none.value.change == "judge.run"
    other = reward_run(tmp_path, "data.loader.seed=1")
    monkeypatch.setattr(held_out, "above_chance", lambda record: record.key != other)
    with pytest.raises(UserError, match=f"{other} may be at chance") as near:
        with_held_out(NODE, judged, tmp_path)
    assert near.value.change == "judge.run, or judge.at_chance=true"
    assert with_held_out(NODE | {"at_chance": True}, judged, tmp_path)["run"] == other


def test_the_texts_of_a_reward_model_are_both_replies_of_its_train_pairs(made: tuple[Path, str]) -> None:
    outputs, run = made
    (reward,) = reward_runs(find_key(outputs, run)[0])
    texts = learned_texts(find_key(outputs, reward)[0], outputs)
    assert len(texts) == 80 and all(prompt.endswith("Assistant:") for prompt, _ in texts)
