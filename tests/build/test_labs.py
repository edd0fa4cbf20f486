"""What a config becomes: the phases of a controlled experiment, built from the config alone, fit each other."""

from pathlib import Path
from typing import Any

import pytest
import torch
from config.test_config import plan

from rftlab.build.labs import build
from rftlab.errors import UserError
from rftlab.loops.session import Session
from rftlab.models import save_weights
from rftlab.runs import Run
from rftlab.stop import StopFlag


def made(folder: Path, *overrides: str, start: Path | None = None) -> Any:
    config = plan("data.loader.n_train=60", "data.loader.n_test=20", *overrides).config
    session = Session(
        run=Run.claim(folder, config), seed=0, checkpoint_every=1, progress=False, describe=print, stop=StopFlag()
    )
    return build(config, session, torch.device("cpu"), start)


def test_inputs_whose_label_was_not_pretrained_are_the_group_of_small_std(tmp_path: Path) -> None:
    before, after = (made(tmp_path / algo, "data=mnist", f"algo={algo}").task for algo in ("pretrain", "sft"))
    assert torch.equal(before.inputs, after.inputs)
    unseen = (before.targets != after.targets).all(1)
    assert 0 < unseen.sum() < 0.5 * len(unseen)
    assert not before.groups
    assert after.groups.keys() == {"small_std", "large_std"}
    assert torch.equal(after.groups["small_std"], unseen)
    assert torch.equal(after.groups["large_std"], ~unseen)
    assert torch.equal(after.targets[~unseen, 0], before.targets[~unseen, 0])  # the true label
    for rewards, targets in ((after.rewards, after.targets), (after.test_rewards, after.test_targets)):
        best = rewards.gather(1, targets)
        assert ((rewards == best).sum(1) == 1).all() and (rewards <= best).all()


def test_a_run_starts_from_the_weights_of_its_parent_and_trains_what_the_config_names(tmp_path: Path) -> None:
    child = ("data=narrativeqa", "algo=ppo", "heuristic=learning_rate", "optimizer.lr=1e-4", "model.unfrozen_blocks=1")
    parent = made(tmp_path / "parent", "data=narrativeqa", "algo=sft", "optimizer.lr=1e-4")
    with torch.no_grad():
        for parameter in parent.policy.parameters():
            parameter.add_(1.0)
    save_weights(parent.policy, tmp_path / "weights.safetensors")
    lab = made(tmp_path / "child", *child, start=tmp_path / "weights.safetensors")
    for stored, own in zip(parent.policy.parameters(), lab.policy.parameters(), strict=True):
        assert torch.equal(stored, own)
    assert all(parameter.requires_grad for parameter in parent.policy.parameters())
    assert (
        0
        < sum(parameter.requires_grad for parameter in lab.policy.parameters())
        < len(list(lab.policy.parameters())) / 2
    )
    assert (parent.optimizer.lr, lab.optimizer.lr) == pytest.approx((1e-4, 1e-3))  # the heuristic multiplies with 10
    assert len(lab.task.splits.train) == 60


def test_a_model_whose_config_is_known_only_when_loaded_is_refused_before_anything_is_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of the hub; here the look ahead is closed."""
    monkeypatch.setattr("rftlab.config.policy_checks.known_config", lambda *_: {})
    for changed in ("data.prompt.max_tokens=500", "reward.max_tokens=600"):
        with pytest.raises(UserError, match="a model of 512 positions"):
            made(tmp_path / changed, "data=imdb", "algo=ppo", changed)
