"""What a config becomes: the phases of a controlled experiment, built from the config alone, fit each other."""

from pathlib import Path

import torch
from test_config import plan

from rftlab.build.labs import build
from rftlab.loops.label_lab import LabelTask
from rftlab.loops.session import Session
from rftlab.runs import Run
from rftlab.stop import StopFlag


def task_of(folder: Path, *overrides: str) -> LabelTask:
    config = plan("data.loader.n_train=60", "data.loader.n_test=20", *overrides).config
    session = Session(
        run=Run.claim(folder, config), seed=0, checkpoint_every=1, progress=False, describe=print, stop=StopFlag()
    )
    return build(config, session, torch.device("cpu"), None).task


def test_inputs_whose_label_was_not_pretrained_are_the_group_of_small_std(tmp_path: Path) -> None:
    before, after = (task_of(tmp_path / algo, "data=mnist", f"algo={algo}") for algo in ("pretrain", "sft"))
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
