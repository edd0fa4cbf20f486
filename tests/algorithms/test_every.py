"""What every algorithm on texts promises to the loop; they are found by their files in `conf/algo`."""

import math
from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from cases import changed, found, gradients, part, rows, total
from sizes import credited, totals

from rftlab.loops.experience import whitened
from rftlab.types import Algorithm

ALGORITHMS = found()
EVERY = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS.keys())


def test_those_of_the_papers_are_among_them():
    assert {"ppo", "apa", "reinforce"} <= ALGORITHMS.keys()


@EVERY
def test_it_is_an_algorithm(algorithm):
    assert isinstance(algorithm, Algorithm)


@EVERY
@pytest.mark.parametrize("size", [1, 2])
def test_microbatches_add_up_to_the_optimiser_step(algorithm, size, case):
    batch, new = case
    whole_step = totals(int(batch.response_mask.sum()))
    whole = algorithm.loss(new, batch, whole_step)
    cuts = [slice(i, i + size) for i in range(0, 4, size)]
    parts = [algorithm.loss(part(new, cut), rows(batch, cut), whole_step) for cut in cuts]
    for accumulated, once in zip(gradients(total(parts), new), gradients(whole.loss, new), strict=True):
        torch.testing.assert_close(accumulated, once)
    for name, value in whole.metrics.items():
        torch.testing.assert_close(torch.stack([part.metrics[name] for part in parts]).sum(), value)
    for name, value in whole.maxima.items():
        torch.testing.assert_close(torch.stack([part.maxima[name] for part in parts]).max(), value)


@EVERY
def test_pads_change_neither_loss_nor_metrics_nor_gradient(algorithm, case):
    batch, new = case
    mask, nan = batch.response_mask, float("nan")
    poisoned = batch.with_(**{name: column.where(mask, nan) for name, column in batch.columns.items()})
    with_nan = changed(new, lambda column: column.where(mask, nan))
    step = totals(int(mask.sum()))
    clean, dirty = algorithm.loss(new, batch, step), algorithm.loss(with_nan, poisoned, step)
    torch.testing.assert_close(dirty.loss, clean.loss, rtol=0, atol=0)
    torch.testing.assert_close(dirty.metrics, clean.metrics, rtol=0, atol=0)
    for a, b in zip(gradients(dirty.loss, new), gradients(clean.loss, new), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
        assert (a[~mask] == 0).all()


@EVERY
def test_a_batch_of_empty_responses_is_harmless(algorithm, case):
    batch, new = case
    out = algorithm.loss(new, replace(batch, response_mask=torch.zeros(4, 6, dtype=torch.bool)), totals(0))
    assert out.loss.item() == 0.0
    assert all(value.item() == 0.0 for value in out.metrics.values())
    assert all((gradient == 0).all() for gradient in gradients(out.loss, new))


@EVERY
def test_metrics_are_detached_scalars(algorithm, case):
    out = algorithm.loss(case[1], case[0], totals(12))
    logged = [*out.metrics.values(), *out.maxima.values()]
    assert logged and all(value.ndim == 0 and not value.requires_grad for value in logged)


@EVERY
def test_how_far_an_update_went_is_k3_on_samples_of_the_policy_before_it(algorithm, case):
    """Every token twice as likely: exp(ln 2) - 1 - ln 2; with the two policies exchanged it would be ln 2 - 1/2."""
    batch, new = case
    moved = replace(new, logprobs=batch["old_logprobs"] + math.log(2.0))
    metrics = algorithm.loss(moved, batch, totals(int(batch.response_mask.sum()))).metrics
    if "policy/approx_kl_old" in metrics:
        assert metrics["policy/approx_kl_old"].item() == pytest.approx(1.0 - math.log(2.0), abs=1e-5)


def test_ppo_apa_and_grpo_say_how_far_an_update_went(case):
    batch, new = case
    said = {
        name for name, each in ALGORITHMS.items() if "policy/approx_kl_old" in each.loss(new, batch, totals(12)).metrics
    }
    assert {"ppo", "apa", "grpo"} <= said


@EVERY
def test_credit_is_in_the_unit_of_the_score(algorithm, randn, mask_of, make_experience):
    """The loop whitens; an algorithm that did so too would lose the unit."""
    mask, raw = mask_of(4, 2, 3, width=4), replace(algorithm, whiten_advantages="none")
    small, large = (
        credited(raw, make_experience(mask=mask, scores=unit * randn(3), values=unit * randn(3, 4, seed=1)))[
            "advantages"
        ]
        for unit in (1.0, 10.0)
    )
    torch.testing.assert_close(10.0 * small, large)
    assert algorithm.unit == "group" or small[mask].std() > 0.1  # here each row is a group of its own


@EVERY
def test_whitening_standardises_all_rows_together_and_leaves_returns(algorithm, randn, mask_of, make_experience):
    mask = mask_of(4, 2, 3, width=4)
    raw = credited(
        replace(algorithm, whiten_advantages="none"),
        make_experience(mask=mask, scores=randn(3), values=randn(3, 4, seed=1)),
    )
    white = whitened(raw)
    assert white["advantages"][mask].mean().item() == pytest.approx(0.0, abs=1e-6)
    if algorithm.unit == "row":  # here each row is a group of its own, which has nothing to whiten
        assert white["advantages"][mask].std(correction=0).item() == pytest.approx(1.0, abs=1e-4)
    others = raw.columns.keys() - {"advantages"}
    assert others and all(torch.equal(white[name], raw[name]) for name in others)


@EVERY
def test_longer_padding_leaves_advantages_as_they_are(algorithm, randn, mask_of, make_experience):
    values = randn(2, 6)
    short, long = (
        credited(algorithm, make_experience(mask=mask_of(3, 2, width=w), scores=[1.0, 2.0], values=values[:, :w]), 0.1)
        for w in (3, 6)
    )
    for name in {"advantages", "returns"} & long.columns.keys():
        torch.testing.assert_close(long[name][:, :3], short[name])
        assert (long[name][:, 3:] == 0).all()


@EVERY
def test_values_live_in_the_config_alone(algorithm):
    with pytest.raises(TypeError, match="missing"):
        type(algorithm)()
    with pytest.raises(FrozenInstanceError):
        algorithm.unit = "row"
