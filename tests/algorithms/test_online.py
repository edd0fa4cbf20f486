"""What algorithms on texts with the same values in their configs have in common; they are found by their files."""

from dataclasses import replace

import pytest
import torch
from cases import found, gradients, has, part, rows, total
from sizes import credited, totals

ALGORITHMS = found(entropy_coef=0.01, whiten_advantages="rollout", value_coef=0.5, gamma=0.9, gae_lambda=0.8)


def having(*names: str) -> pytest.MarkDecorator:
    """Take every algorithm that has values of these names; with none, every algorithm."""
    chosen = {key: one for key, one in ALGORITHMS.items() if all(has(one, name) for name in names)}
    return pytest.mark.parametrize("algorithm", chosen.values(), ids=chosen.keys())


EVERY, ENTROPIC, VALUED = having(), having("entropy_coef"), having("value_coef")


@pytest.mark.parametrize("name", ["ppo", "apa", "reinforce"])  # others may divide by rows
def test_a_mean_of_row_means_would_differ(name, case):
    algorithm, (batch, new) = ALGORITHMS[name], case
    tokens = batch.response_mask.sum(1).tolist()
    cuts = [slice(i, i + 1) for i in range(4)]
    row_means = [
        algorithm.loss(part(new, cut), rows(batch, cut), totals(t)) for cut, t in zip(cuts, tokens, strict=True)
    ]
    assert not torch.isclose(total(row_means) / 4, algorithm.loss(new, batch, totals(sum(tokens))).loss, rtol=1e-2)


@EVERY
def test_every_sampled_token_is_trained_eos_included_and_nothing_after_it(algorithm, case):
    batch, new = case
    on_policy = batch.with_(old_logprobs=new.logprobs.detach())
    gradient = gradients(algorithm.loss(new, on_policy, totals(12)).loss, new)[0]
    assert torch.equal(gradient != 0, batch.response_mask)


@EVERY
def test_an_empty_response_among_others_earns_and_teaches_nothing(algorithm, randn, mask_of, make_experience):
    values = randn(2, 3)
    together = credited(algorithm, make_experience(mask=mask_of(3, 0, width=3), scores=[1.0, 9.0], values=values))
    alone = credited(algorithm, make_experience(mask=mask_of(3, width=3), scores=[1.0], values=values[:1]))
    for name in {"advantages", "returns"} & alone.columns.keys():
        torch.testing.assert_close(together[name][:1], alone[name])
        assert (together[name][1] == 0).all()


@ENTROPIC
def test_entropy_bonus_pushes_the_entropy_of_real_tokens_up(algorithm, case):
    batch, new = case
    gradient = gradients(algorithm.loss(new, batch, totals(12)).loss, new)[2]
    torch.testing.assert_close(gradient, torch.where(batch.response_mask, -0.01 / 12, 0.0))


@ENTROPIC
def test_the_entropy_has_a_gradient_only_where_the_loss_reads_it(algorithm):
    assert algorithm.needs.entropy == "trained"
    assert replace(algorithm, entropy_coef=0.0).needs.entropy != "trained"


@VALUED
def test_values_get_no_gradient_from_the_policy_loss(algorithm, case):
    batch, new = case
    gradient = gradients(replace(algorithm, value_coef=0.0).loss(new, batch, totals(12)).loss, new)[1]
    assert (gradient == 0).all()


@having("gae_lambda")
@pytest.mark.parametrize("whitening", ["rollout", "minibatch", "none"])
def test_returns_do_not_depend_on_whitening(algorithm, whitening, randn, mask_of, make_experience):
    """With lambda = 1 the return is the discounted reward to go, in the unit of the score."""
    experience = make_experience(mask=mask_of(3, 2, width=3), scores=[2.0, 30.0], values=randn(2, 3))
    algorithm = replace(algorithm, whiten_advantages=whitening, gae_lambda=1.0)
    returns = credited(algorithm, experience)["returns"]
    torch.testing.assert_close(returns, torch.tensor([[1.62, 1.8, 2.0], [27.0, 30.0, 0.0]]))
