"""What every algorithm on texts promises to the loop."""

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path

import pytest
import torch
import yaml
from sizes import credited, totals
from torch import Tensor

from rftlab.algorithms.apa import APA
from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.ppo import PPO
from rftlab.algorithms.reinforce import TextReinforce
from rftlab.loops.experience import whitened
from rftlab.types import Algorithm, Experience, Forward, LossOutput

CONF = Path(__file__).parents[2] / "conf" / "algo"
KL = AdaptiveKL(initial=0.05, target=6.0, rate=0.1)
WITH_VALUES = {"value_coef": 0.5, "gamma": 0.9, "gae_lambda": 0.8}
SHARED = {"entropy_coef": 0.01, "whiten_advantages": "rollout"}
ALGORITHMS = {
    "ppo": PPO(clip_range=0.2, value_clip_range=0.2, kl=KL, **WITH_VALUES, **SHARED),
    "apa": APA(lam=0.5, **WITH_VALUES, **SHARED),
    "reinforce": TextReinforce(gamma=0.9, kl=KL, **SHARED),
}
EVERY = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS.keys())
VALUED = pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS.values() if a.needs.value])


@pytest.fixture
def case(randn, mask_of, make_experience, make_forward) -> tuple[Experience, Forward]:
    """A batch of unequal rows and networks that have moved since it was sampled; the forward is made of leaves."""
    mask = mask_of(6, 1, 3, 2, width=6)
    old = randn(4, 6, seed=1)
    batch = make_experience(
        mask=mask,
        advantages=randn(4, 6, seed=2),
        old_logprobs=old,
        ref_logprobs=randn(4, 6, seed=3),
        values=randn(4, 6, seed=4),
        returns=randn(4, 6, seed=5),
    )
    new = make_forward(
        (old + 0.3 * randn(4, 6, seed=6)).requires_grad_(),
        values=randn(4, 6, seed=7).requires_grad_(),
        entropy=randn(4, 6, seed=8).abs().requires_grad_(),
    )
    return batch, new


def gradients(loss: Tensor, new: Forward) -> tuple[Tensor, ...]:
    """Differentiate by log-probabilities, values and entropies; 0 where the loss does not read them."""
    assert new.values is not None and new.entropy is not None
    leaves = (new.logprobs, new.values, new.entropy)
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return tuple(torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves, strict=True))


def part(new: Forward, index: slice) -> Forward:
    return Forward(**{f.name: getattr(new, f.name)[index] for f in fields(new)})


def rows(batch: Experience, index: slice) -> Experience:
    return batch.rows(torch.arange(len(batch.unit))[index])


def total(parts: list[LossOutput]) -> Tensor:
    return torch.stack([part.loss for part in parts]).sum()


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
def test_a_mean_of_row_means_would_differ(algorithm, case):
    batch, new = case
    tokens = batch.response_mask.sum(1).tolist()
    cuts = [slice(i, i + 1) for i in range(4)]
    row_means = [
        algorithm.loss(part(new, cut), rows(batch, cut), totals(t)) for cut, t in zip(cuts, tokens, strict=True)
    ]
    assert not torch.isclose(total(row_means) / 4, algorithm.loss(new, batch, totals(sum(tokens))).loss, rtol=1e-2)


@EVERY
def test_pads_change_neither_loss_nor_metrics_nor_gradient(algorithm, case):
    batch, new = case
    mask, nan = batch.response_mask, float("nan")
    poisoned = batch.with_(**{name: column.where(mask, nan) for name, column in batch.columns.items()})
    with_nan = Forward(**{f.name: getattr(new, f.name).where(mask, nan) for f in fields(new)})
    step = totals(int(mask.sum()))
    clean, dirty = algorithm.loss(new, batch, step), algorithm.loss(with_nan, poisoned, step)
    torch.testing.assert_close(dirty.loss, clean.loss, rtol=0, atol=0)
    torch.testing.assert_close(dirty.metrics, clean.metrics, rtol=0, atol=0)
    for a, b in zip(gradients(dirty.loss, new), gradients(clean.loss, new), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
        assert (a[~mask] == 0).all()


@EVERY
def test_every_sampled_token_is_trained_eos_included_and_nothing_after_it(algorithm, case):
    batch, new = case
    on_policy = batch.with_(old_logprobs=new.logprobs.detach())
    gradient = gradients(algorithm.loss(new, on_policy, totals(12)).loss, new)[0]
    assert torch.equal(gradient != 0, batch.response_mask)


@EVERY
def test_a_batch_of_empty_responses_is_harmless(algorithm, case):
    batch, new = case
    out = algorithm.loss(new, replace(batch, response_mask=torch.zeros(4, 6, dtype=torch.bool)), totals(0))
    assert out.loss.item() == 0.0
    assert all(value.item() == 0.0 for value in out.metrics.values())
    assert all((gradient == 0).all() for gradient in gradients(out.loss, new))


@EVERY
def test_an_empty_response_among_others_earns_and_teaches_nothing(algorithm, randn, mask_of, make_experience):
    values = randn(2, 3)
    together = credited(algorithm, make_experience(mask=mask_of(3, 0, width=3), scores=[1.0, 9.0], values=values))
    alone = credited(algorithm, make_experience(mask=mask_of(3, width=3), scores=[1.0], values=values[:1]))
    for name in {"advantages", "returns"} & alone.columns.keys():
        torch.testing.assert_close(together[name][:1], alone[name])
        assert (together[name][1] == 0).all()


@EVERY
def test_metrics_are_detached_scalars(algorithm, case):
    out = algorithm.loss(case[1], case[0], totals(12))
    logged = [*out.metrics.values(), *out.maxima.values()]
    assert logged and all(value.ndim == 0 and not value.requires_grad for value in logged)


@EVERY
def test_entropy_bonus_pushes_the_entropy_of_real_tokens_up(algorithm, case):
    batch, new = case
    gradient = gradients(algorithm.loss(new, batch, totals(12)).loss, new)[2]
    torch.testing.assert_close(gradient, torch.where(batch.response_mask, -0.01 / 12, 0.0))


@EVERY
def test_the_entropy_has_a_gradient_only_where_the_loss_reads_it(algorithm):
    assert algorithm.needs.entropy == "trained"
    assert replace(algorithm, entropy_coef=0.0).needs.entropy != "trained"


@VALUED
def test_values_get_no_gradient_from_the_policy_loss(algorithm, case):
    batch, new = case
    gradient = gradients(replace(algorithm, value_coef=0.0).loss(new, batch, totals(12)).loss, new)[1]
    assert (gradient == 0).all()


@VALUED
@pytest.mark.parametrize("whitening", ["rollout", "minibatch", "none"])
def test_returns_do_not_depend_on_whitening(algorithm, whitening, randn, mask_of, make_experience):
    """With lambda = 1 the return is the discounted reward to go, in the unit of the score."""
    experience = make_experience(mask=mask_of(3, 2, width=3), scores=[2.0, 30.0], values=randn(2, 3))
    algorithm = replace(algorithm, whiten_advantages=whitening, gae_lambda=1.0)
    returns = credited(algorithm, experience)["returns"]
    torch.testing.assert_close(returns, torch.tensor([[1.62, 1.8, 2.0], [27.0, 30.0, 0.0]]))


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
    assert small[mask].std() > 0.1


@EVERY
def test_whitening_standardises_all_rows_together_and_leaves_returns(algorithm, randn, mask_of, make_experience):
    mask = mask_of(4, 2, 3, width=4)
    raw = credited(
        replace(algorithm, whiten_advantages="none"),
        make_experience(mask=mask, scores=randn(3), values=randn(3, 4, seed=1)),
    )
    white = whitened(raw)
    assert white["advantages"][mask].mean().item() == pytest.approx(0.0, abs=1e-6)
    assert white["advantages"][mask].std(correction=0).item() == pytest.approx(1.0, abs=1e-4)
    assert torch.equal(white["returns"], raw["returns"])


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


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name != "reinforce"])
def test_config_file_and_algorithm_name_the_same_values(name):
    loss = yaml.safe_load((CONF / f"{name}.yaml").read_text())["loss"]
    assert set(loss) - {"_target_"} == {f.name for f in fields(ALGORITHMS[name])}


@EVERY
def test_values_live_in_the_config_alone(algorithm):
    with pytest.raises(TypeError, match="missing"):
        type(algorithm)()
    with pytest.raises(FrozenInstanceError):
        algorithm.entropy_coef = 0.5
