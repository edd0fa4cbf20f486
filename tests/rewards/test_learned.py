"""A finished reward-model run as a reward, and the runs that are none."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from config.test_config import plan

from rftlab.build import labs
from rftlab.errors import UserError
from rftlab.models import LoRA, adapt, load_policy, save_weights
from rftlab.models.reward_model import Reading, RewardModel, reward_model
from rftlab.rewards.learned import above_chance, finished_reward_model, load
from rftlab.runs import Run
from rftlab.types import Example, Reward, Splits

POLICY = {
    "source": "asset:gpt2_mini", "family": "causal", "tokenizer": "asset:tokenizer",
    "init": "pretrained", "dtype": "float32", "compute_dtype": "float32",
}  # fmt: skip
GOOD = {"": 0.8, "_low": 0.7, "_high": 0.9}
CHANCE = {"": 0.55, "_low": 0.45, "_high": 0.65}
KEY, DATA = "0123456789ab", "reviews"


def config(
    loop: str = "rftlab.loops.reward_model.RewardModelling", most: int | None = 5, rank: int | None = None
) -> dict[str, Any]:
    lora = {"rank": rank, "alpha": 16.0, "targets": None, "dropout": 0.0}
    return {
        "algo": {"name": "some", "loop": {"_target_": loop, "max_response_tokens": most}},
        "model": {"policy": {"_target_": "rftlab.models.load_policy", **POLICY}, "lora": lora},
        "data": {
            "name": DATA,
            "prompt": {"max_tokens": 12, "truncation_side": "left"},
            "rollout": {"max_new_tokens": 7},
        },
    }


def made(outputs: Path, final: Mapping[str, float] | None, **values: Any) -> RewardModel:
    """Leave a run folder as training would; without `final` it is not finished."""
    said = config(**{name: value for name, value in values.items() if name != "longer"})
    run = Run.claim(outputs / "sweep" / f"some-{KEY}", said)
    reading = Reading(max_prompt_tokens=12, truncation_side="left", max_response_tokens=values.get("most", 5) or 7)
    policy = load_policy(**POLICY)
    if (rank := values.get("rank")) is not None:
        adapt(policy, LoRA(rank=rank, alpha=16.0, targets=None), torch.Generator().manual_seed(2))
    model = reward_model(policy, reading, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:  # begins at zero, where an adapter does nothing
                parameter.fill_(0.05)
        model.head.net[0].weight += 0.1
        model.centre.fill_(0.25)
    save_weights(model, run.folder / "final" / "model.safetensors")
    if final is None:
        run.stop()
    else:
        longer = {} if values.get("longer") is None else {"eval/validation/longer_accuracy": values["longer"]}
        run.finish({f"eval/validation/pair_accuracy{end}": value for end, value in final.items()} | longer)
    return model


def loaded(outputs: Path, key: str | None = KEY, **values: Any) -> Reward:
    return load(
        **{"run": key, "batch_size": 2, "at_chance": False, "outputs": outputs, "data": DATA, "hub_mirror": None}
        | values
    )


@pytest.mark.parametrize(("most", "rank"), [(5, None), (None, None), (5, 4)])
def test_a_finished_run_scores_as_its_model_did(tmp_path: Path, most: int | None, rank: int | None) -> None:
    model = made(tmp_path, GOOD, most=most, rank=rank)
    prompts = ["A film about", "The plot is", "x"]
    responses = [" nothing at all, and it takes three hours to say so", " good", ""]
    reward = loaded(tmp_path, parent={"overrides": ["algo=reward_model"]})
    assert isinstance(reward, Reward)
    scores = reward(prompts, responses, [()] * 3)
    np.testing.assert_array_equal(scores, model.score(prompts, responses, 2))
    assert scores.dtype == np.float64 and np.ptp(scores) > 0.01
    again = reward(prompts[::-1], responses[::-1], [()] * 3)
    np.testing.assert_allclose(again[::-1], scores, atol=1e-5)


def test_runs_that_are_no_reward_model_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"reward\.run=null; expected the run key of a finished run"):
        loaded(tmp_path, None)
    with pytest.raises(UserError, match="which is no run in"):
        loaded(tmp_path)
    made(tmp_path, None)
    with pytest.raises(UserError, match="a run that is stopped"):
        loaded(tmp_path)


def test_scores_of_responses_to_another_dataset_are_no_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made(tmp_path, GOOD)
    with caplog.at_level(logging.INFO, "rftlab"):
        loaded(tmp_path)
        assert "no fixed scale" in caplog.text and "was trained on" not in caplog.text
        loaded(tmp_path, data="another")
    assert f"was trained on responses to data={DATA}, and scores those to data=another" in caplog.text


def test_a_model_whose_file_is_gone_is_named_by_its_key(tmp_path: Path) -> None:
    made(tmp_path, GOOD)
    (tmp_path / "sweep" / f"some-{KEY}" / "final" / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"a readable safetensors file; change reward\.run"):
        loaded(tmp_path)


def test_a_run_of_another_kind_is_refused(tmp_path: Path) -> None:
    made(tmp_path, GOOD, loop="rftlab.loops.online.Online")
    with pytest.raises(UserError, match="a run of algo=some, which trains no reward model"):
        loaded(tmp_path)


@pytest.mark.parametrize("final", [CHANCE, {"": float("nan"), "_low": float("nan"), "_high": float("nan")}])
def test_a_model_that_may_be_at_chance_is_refused_unless_that_is_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, final: Mapping[str, float]
) -> None:
    made(tmp_path, final)
    with pytest.raises(UserError, match=r"on held-out pairs; expected an interval above 0\.5"):
        loaded(tmp_path)
    with caplog.at_level(logging.WARNING, "rftlab"):
        assert np.isfinite(loaded(tmp_path, at_chance=True)(["p"], ["r"], [()])).all()
    assert "may be no better than chance" in caplog.text


@pytest.mark.parametrize(("longer", "taken"), [(0.69, True), (0.7, False), (0.72, False), (0.2, True), (None, True)])
def test_a_model_that_is_not_above_the_longer_reply_is_refused_unless_that_is_asked_for(
    tmp_path: Path, longer: float | None, taken: bool
) -> None:
    made(tmp_path, GOOD, longer=longer)
    record = finished_reward_model(KEY, tmp_path, "reward")
    assert above_chance(record) == taken
    if taken:
        loaded(tmp_path)
        return
    said = (
        rf"accuracy 0\.800 \(0\.700 to 0\.900\) on held-out pairs; expected an interval above {longer:.3g} \(preferring"
    )
    with pytest.raises(UserError, match=said):
        loaded(tmp_path)
    loaded(tmp_path, at_chance=True)


def test_a_run_is_built_with_the_reward_model_that_its_config_names(tmp_path: Path) -> None:
    model = made(tmp_path, GOOD)
    said = plan("data=imdb", "algo=ppo", f"paths.outputs={tmp_path}").config
    node = {"_target_": "rftlab.rewards.learned.load", "run": KEY, "parent": None, "batch_size": 2, "at_chance": False}
    few = Splits(train=[Example(id="0", prompt="p", targets=())], validation=[], test=[], source="bundled")
    task = labs._task({**said, "reward": node}, few, torch.device("cpu"), tmp_path)
    assert task.reward is not None
    np.testing.assert_array_equal(task.reward(["p"], ["r"], [()]), model.score(["p"], ["r"], 2))
