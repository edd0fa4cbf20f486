"""What the loop says of advantages before and after whitening, and of their weights; what AWR does not pay for."""

from collections.abc import Callable

import pytest
from losses import apa, awr, online
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
