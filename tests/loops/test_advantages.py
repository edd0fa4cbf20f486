"""What the loop says of advantages before and after whitening, and of their weights; what AWR does not pay for."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from losses import apa, awr, grpo, online
from toy import logged

from rftlab.loops.lab import Lab
from rftlab.models import Policy


@pytest.mark.parametrize("whiten", ["rollout", "minibatch", "none"])
def test_the_std_of_advantages_is_logged_raw_and_as_the_loss_reads_them(
    quick_lab: Callable[..., Lab], whiten: str
) -> None:
    lab = quick_lab("run")
    online(iterations=2).run(lab, awr(whiten_advantages=whiten))
    raw, read = logged(lab, "advantage/std_raw")[:2], logged(lab, "advantage/std")
    assert read == (pytest.approx(raw) if whiten == "none" else pytest.approx([1.0, 1.0], abs=1e-3))
    assert all(abs(value - 1.0) > 0.01 for value in raw)


def test_the_std_of_whitened_minibatches_is_their_mean(quick_lab: Callable[..., Lab]) -> None:
    """A minibatch is one prompt: its advantages have std 1 where its two responses differ in score, and 0 elsewhere."""
    lab = quick_lab("run", rollout={"min_new_tokens": 6}, evaluation={"std_below": 1e-9})
    lab = replace(lab, task=replace(lab.task, reward=first_letters))
    online(minibatch_size=2, score_scaling="none").run(lab, grpo(whiten_advantages="minibatch"))
    spread = [1.0 - share for share in logged(lab, "reward/share_vanishing")[:3]]
    assert logged(lab, "advantage/std") == pytest.approx(spread, abs=1e-3)
    assert any(0.0 < share < 1.0 for share in spread)


def first_letters(prompts: Sequence[str], texts: Sequence[str], targets: object) -> np.ndarray:
    """Score the first letter alone, so that some responses to a prompt score alike."""
    return np.array([float("abcdefgh".find(text[:1]) % 3) for text in texts])


@pytest.mark.parametrize("algorithm", [apa(), awr()], ids=["apa", "awr"])
def test_the_largest_advantage_of_an_iteration_is_logged_in_units_of_lambda(
    quick_lab: Callable[..., Lab], algorithm: object
) -> None:
    lab = quick_lab("run")
    online(iterations=1).run(lab, algorithm)
    (largest,) = logged(lab, "policy/advantage_over_lambda_max")
    assert 1.0 / algorithm.lam < largest < 10.0 / algorithm.lam  # of whitened ones: above their std


@pytest.mark.parametrize("value", ["separate", "head"])
def test_awr_pays_for_no_log_probabilities_before_its_updates(
    quick_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """Of its three passes, values come from a trunk or from hidden states: the head over the vocabulary never runs."""
    scored: list[bool] = []
    score = Policy.score

    def noted(self: Policy, hidden: object, *rest: object) -> object:
        scored.append(hidden.requires_grad)
        return score(self, hidden, *rest)

    monkeypatch.setattr(Policy, "score", noted)
    lab = quick_lab("run", value=value)
    online(iterations=1, update_epochs=1).run(lab, awr())
    assert scored.count(True) == 4  # microbatches of the updates
    assert scored.count(False) == 1  # the look for NaN behind them
