"""What every online algorithm promises to the loop."""

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from rftlab.algorithms.apa import APA
from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.ppo import PPO
from rftlab.types import Batch, Forward, LossOutput

CONF = Path(__file__).parents[2] / "conf" / "algo"
SHARED = {"value_coef": 0.5, "entropy_coef": 0.01, "gamma": 0.9, "gae_lambda": 0.8, "whiten_advantages": "rollout"}
ALGORITHMS = {
    "ppo": PPO(clip_range=0.2, value_clip_range=0.2, kl=AdaptiveKL(initial=0.05, target=6.0, rate=0.1), **SHARED),
    "apa": APA(lam=0.5, **SHARED),
}
EVERY = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS.keys())


@pytest.fixture
def case(randn, mask_of, make_batch, make_forward) -> tuple[Batch, Forward]:
    """A batch of unequal rows and networks that have moved since it was sampled; the forward is made of leaves."""
    mask = mask_of(6, 1, 3, 2, width=6)
    old = randn(4, 6, seed=1)
    batch = make_batch(
        mask=mask,
        advantages=randn(4, 6, seed=2),
        old_logprobs=old,
        ref_logprobs=randn(4, 6, seed=3),
        old_values=randn(4, 6, seed=4),
        returns=randn(4, 6, seed=5),
    )
    new = make_forward(
        (old + 0.3 * randn(4, 6, seed=6)).requires_grad_(),
        values=randn(4, 6, seed=7).requires_grad_(),
        entropy=randn(4, 6, seed=8).abs().requires_grad_(),
    )
    return batch, new


def gradients(loss: Tensor, new: Forward) -> tuple[Tensor, ...]:
    assert new.values is not None
    return torch.autograd.grad(loss, (new.logprobs, new.values, new.entropy))


def rows(record, index: slice):
    return type(record)(**{f.name: getattr(record, f.name)[index] for f in fields(record)})


def total(parts: list[LossOutput]) -> Tensor:
    return torch.stack([part.loss for part in parts]).sum()


@EVERY
@pytest.mark.parametrize("size", [1, 2])
def test_microbatches_add_up_to_the_optimiser_step(algorithm, size, case):
    batch, new = case
    tokens = int(batch.response_mask.sum())
    whole = algorithm.loss(new, batch, tokens)
    cuts = [slice(i, i + size) for i in range(0, 4, size)]
    parts = [algorithm.loss(rows(new, cut), rows(batch, cut), tokens) for cut in cuts]
    for accumulated, once in zip(gradients(total(parts), new), gradients(whole.loss, new), strict=True):
        torch.testing.assert_close(accumulated, once)
    for name, value in whole.metrics.items():
        torch.testing.assert_close(torch.stack([part.metrics[name] for part in parts]).sum(), value)


@EVERY
def test_a_mean_of_row_means_would_differ(algorithm, case):
    batch, new = case
    tokens = batch.response_mask.sum(1).tolist()
    row_means = [algorithm.loss(rows(new, slice(i, i + 1)), rows(batch, slice(i, i + 1)), tokens[i]) for i in range(4)]
    assert not torch.isclose(total(row_means) / 4, algorithm.loss(new, batch, sum(tokens)).loss, rtol=1e-2)


@EVERY
def test_pads_change_neither_loss_nor_metrics_nor_gradient(algorithm, case):
    batch, new = case
    mask = batch.response_mask
    poisoned = {f.name: getattr(batch, f.name) for f in fields(batch)}
    for name, value in poisoned.items():
        if value.is_floating_point():
            poisoned[name] = value.where(mask, float("nan"))
    with_nan = Forward(**{f.name: getattr(new, f.name).where(mask, float("nan")) for f in fields(new)})
    tokens = int(mask.sum())
    clean, dirty = algorithm.loss(new, batch, tokens), algorithm.loss(with_nan, Batch(**poisoned), tokens)
    torch.testing.assert_close(dirty.loss, clean.loss, rtol=0, atol=0)
    torch.testing.assert_close(dirty.metrics, clean.metrics, rtol=0, atol=0)
    for a, b in zip(gradients(dirty.loss, new), gradients(clean.loss, new), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
        assert (a[~mask] == 0).all()


@EVERY
def test_every_sampled_token_is_trained_eos_included_and_nothing_after_it(algorithm, case):
    batch, new = case
    gradient = gradients(algorithm.loss(new, replace(batch, old_logprobs=new.logprobs.detach()), 12).loss, new)[0]
    assert torch.equal(gradient != 0, batch.response_mask)


@EVERY
def test_a_batch_of_empty_responses_is_harmless(algorithm, case):
    batch, new = case
    out = algorithm.loss(new, replace(batch, response_mask=torch.zeros(4, 6, dtype=torch.bool)), 0)
    assert out.loss.item() == 0.0
    assert all(value.item() == 0.0 for value in out.metrics.values())
    assert all((gradient == 0).all() for gradient in gradients(out.loss, new))


@EVERY
def test_an_empty_response_among_others_earns_and_teaches_nothing(algorithm, randn, mask_of, make_rollout):
    values, both = randn(2, 3), make_rollout
    together = both(mask=mask_of(3, 0, width=3), scores=[1.0, 9.0], values=values)
    alone = both(mask=mask_of(3, width=3), scores=[1.0], values=values[:1])
    advantages, returns = algorithm.advantages(algorithm.rewards(together, 0.0), together)
    expected = algorithm.advantages(algorithm.rewards(alone, 0.0), alone)
    torch.testing.assert_close((advantages[:1], returns[:1]), expected)
    assert (advantages[1] == 0).all() and (returns[1] == 0).all()


@EVERY
def test_metrics_are_detached_scalars(algorithm, case):
    metrics = algorithm.loss(case[1], case[0], 12).metrics
    assert all(value.ndim == 0 and not value.requires_grad for value in metrics.values())


@EVERY
def test_entropy_bonus_pushes_the_entropy_of_real_tokens_up(algorithm, case):
    batch, new = case
    gradient = gradients(algorithm.loss(new, batch, 12).loss, new)[2]
    torch.testing.assert_close(gradient, torch.where(batch.response_mask, -0.01 / 12, 0.0))


@EVERY
def test_values_get_no_gradient_from_the_policy_loss(algorithm, case):
    batch, new = case
    gradient = gradients(replace(algorithm, value_coef=0.0).loss(new, batch, 12).loss, new)[1]
    assert (gradient == 0).all()


@EVERY
@pytest.mark.parametrize("whitening", ["rollout", "minibatch", "none"])
def test_returns_do_not_depend_on_whitening(algorithm, whitening, randn, mask_of, make_rollout):
    """With lambda = 1 the return is the discounted reward to go, in the unit of the score."""
    rollout = make_rollout(mask=mask_of(3, 2, width=3), scores=[2.0, 30.0], values=randn(2, 3))
    algorithm = replace(algorithm, whiten_advantages=whitening, gae_lambda=1.0)
    _, returns = algorithm.advantages(algorithm.rewards(rollout, 0.0), rollout)
    torch.testing.assert_close(returns, torch.tensor([[1.62, 1.8, 2.0], [27.0, 30.0, 0.0]]))


@EVERY
@pytest.mark.parametrize(("whitening", "invariant"), [("rollout", True), ("minibatch", True), ("none", False)])
def test_a_score_unit_ten_times_smaller_matters_only_without_whitening(
    algorithm, whitening, invariant, randn, mask_of, make_rollout, make_batch
):
    algorithm, mask = replace(algorithm, whiten_advantages=whitening), mask_of(4, 2, 3, width=4)
    used = []
    for unit in (1.0, 10.0):
        rollout = make_rollout(mask=mask, scores=unit * randn(3), values=unit * randn(3, 4, seed=1))
        advantages, _ = algorithm.advantages(algorithm.rewards(rollout, 0.0), rollout)
        used.append(algorithm.prepare(make_batch(mask=mask, advantages=advantages)).advantages)
    assert torch.allclose(used[0], used[1], atol=1e-5) == invariant
    assert invariant or torch.allclose(10.0 * used[0], used[1], atol=1e-5)


@EVERY
def test_rollout_whitening_standardises_all_rows_together(algorithm, randn, mask_of, make_rollout):
    mask = mask_of(4, 2, 3, width=4)
    rollout = make_rollout(mask=mask, scores=randn(3), values=randn(3, 4, seed=1))
    advantages, _ = algorithm.advantages(algorithm.rewards(rollout, 0.0), rollout)
    assert advantages[mask].mean().item() == pytest.approx(0.0, abs=1e-6)
    assert advantages[mask].std(correction=0).item() == pytest.approx(1.0, abs=1e-4)


@EVERY
def test_minibatch_whitening_waits_for_the_optimiser_step(algorithm, case):
    batch, mask = case[0], case[0].response_mask
    late = replace(algorithm, whiten_advantages="minibatch")
    prepared = late.prepare(batch)
    assert prepared.advantages[mask].mean().item() == pytest.approx(0.0, abs=1e-6)
    assert prepared.advantages[mask].std(correction=0).item() == pytest.approx(1.0, abs=1e-4)
    assert torch.equal(prepared.returns, batch.returns)
    assert algorithm.prepare(batch) is batch


@EVERY
def test_longer_padding_leaves_advantages_as_they_are(algorithm, randn, mask_of, make_rollout):
    values = randn(2, 6)
    short = make_rollout(mask=mask_of(3, 2, width=3), scores=[1.0, 2.0], values=values[:, :3])
    long = make_rollout(mask=mask_of(3, 2, width=6), scores=[1.0, 2.0], values=values)
    for a, b in zip(
        algorithm.advantages(algorithm.rewards(short, 0.1), short),
        algorithm.advantages(algorithm.rewards(long, 0.1), long),
        strict=True,
    ):
        torch.testing.assert_close(b[:, :3], a)
        assert (b[:, 3:] == 0).all()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_config_file_and_algorithm_name_the_same_values(name):
    loss = yaml.safe_load((CONF / f"{name}.yaml").read_text())["loss"]
    assert set(loss) == {f.name for f in fields(ALGORITHMS[name])}


@EVERY
def test_values_live_in_the_config_alone(algorithm):
    with pytest.raises(TypeError, match="missing"):
        type(algorithm)()
    with pytest.raises(FrozenInstanceError):
        algorithm.gamma = 0.5
    assert algorithm.needs_value
