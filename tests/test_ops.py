"""Properties and hand-computed cases of the shared maths."""

import math

import pytest
import torch
from torch import Tensor

from rftlab import ops

NAN = float("nan")


def tokens(*rows: list[float]) -> Tensor:
    return torch.tensor(rows)


def mask_of(*lengths: int, width: int) -> Tensor:
    return torch.arange(width) < torch.tensor(lengths).unsqueeze(1)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def with_pads(x: Tensor, n: int, fill: float) -> Tensor:
    return torch.cat([x, torch.full((x.shape[0], n), fill)], dim=1)


def masked_pads(mask: Tensor, n: int) -> Tensor:
    return torch.cat([mask, torch.zeros(mask.shape[0], n, dtype=torch.bool)], dim=1)


# --- masked statistics --------------------------------------------------------------------------------------------


def test_masked_statistics_see_only_what_counts():
    x, mask = tokens([1.0, 3.0, NAN], [8.0, NAN, NAN]), mask_of(2, 1, width=3)
    assert ops.masked_sum(x, mask).item() == 12.0
    assert ops.masked_mean(x, mask).item() == 4.0
    assert ops.masked_var(x, mask).item() == pytest.approx((9 + 1 + 16) / 3)
    assert ops.row_sum(x, mask).tolist() == [4.0, 8.0]


def test_masked_mean_weighs_tokens_not_rows():
    assert ops.masked_mean(tokens([0.0, 0.0, 0.0], [4.0, NAN, NAN]), mask_of(3, 1, width=3)).item() == 1.0


@pytest.mark.parametrize("statistic", [ops.masked_sum, ops.masked_mean, ops.masked_var])
def test_statistics_of_nothing_are_zero(statistic):
    assert statistic(randn(2, 3), mask_of(0, 0, width=3)).item() == 0.0


def test_pads_with_nan_leave_the_gradient_clean():
    x = tokens([1.0, NAN]).requires_grad_()
    ops.masked_mean(x, mask_of(1, width=2)).backward()
    assert x.grad is not None and x.grad.tolist() == [[1.0, 0.0]]


def test_whitening_gives_mean_zero_and_std_one_over_real_tokens():
    mask = mask_of(5, 2, 7, width=7)
    whitened = ops.whiten(3.0 * randn(3, 7) + 11.0, mask)
    assert whitened[mask].mean().item() == pytest.approx(0.0, abs=1e-6)
    assert whitened[mask].std(correction=0).item() == pytest.approx(1.0, abs=1e-5)
    assert (whitened[~mask] == 0).all()


def test_whitening_ignores_pads():
    x, mask = randn(3, 4), mask_of(4, 1, 2, width=4)
    padded = ops.whiten(with_pads(x, 3, fill=NAN), masked_pads(mask, 3))
    torch.testing.assert_close(padded[:, :4], ops.whiten(x, mask), rtol=0, atol=0)


def test_whitening_does_not_depend_on_the_order_of_rows():
    x, mask, order = randn(4, 5), mask_of(5, 3, 1, 4, width=5), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(ops.whiten(x[order], mask[order]), ops.whiten(x, mask)[order])


def test_whitening_removes_the_scale_and_the_offset():
    x, mask = randn(3, 4), mask_of(4, 1, 2, width=4)
    torch.testing.assert_close(ops.whiten(10.0 * x + 3.0, mask), ops.whiten(x, mask), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.1, -7.3, 1234.567])
def test_whitening_a_constant_gives_zeros(constant):
    assert (ops.whiten(torch.full((6, 9), constant), mask_of(9, 4, 1, 9, 3, 2, width=9)) == 0).all()


def test_whitening_does_not_amplify_rounding_noise():
    noise = 0.3 + 1e-7 * randn(4, 5)
    assert (ops.whiten(noise, mask_of(5, 5, 5, 5, width=5)) == 0).all()


def test_whitening_without_tokens_gives_zeros():
    assert (ops.whiten(randn(2, 3), mask_of(0, 0, width=3)) == 0).all()


def test_explained_variance_is_one_for_perfect_and_zero_for_constant_values():
    returns, mask = randn(3, 4), mask_of(4, 2, 3, width=4)
    assert ops.explained_variance(returns, returns, mask).item() == 1.0
    assert ops.explained_variance(torch.full((3, 4), 5.0), returns, mask).item() == pytest.approx(0.0, abs=1e-5)
    assert ops.explained_variance(-returns, returns, mask).item() == pytest.approx(-3.0, abs=1e-5)


@pytest.mark.parametrize("values", [[1.0, 1.0], [0.5, 2.0]])
def test_explained_variance_of_returns_that_do_not_vary_is_no_number(values):
    assert ops.explained_variance(tokens(values), tokens([3.0, 3.0]), mask_of(2, width=2)).isnan()


def test_explained_variance_ignores_pads():
    returns, values, mask = randn(3, 4), randn(3, 4, seed=1), mask_of(4, 2, 3, width=4)
    padded = ops.explained_variance(with_pads(values, 2, NAN), with_pads(returns, 2, NAN), masked_pads(mask, 2))
    torch.testing.assert_close(padded, ops.explained_variance(values, returns, mask))


# --- next-token distributions -------------------------------------------------------------------------------------


def test_logprobs_match_a_hand_computed_softmax():
    logits = torch.tensor([[[0.0, math.log(3.0)], [0.0, 0.0]]])  # probabilities (1/4, 3/4) and (1/2, 1/2)
    logprobs = ops.gather_logprobs(logits, torch.tensor([[1, 0]]))
    torch.testing.assert_close(logprobs, torch.tensor([[math.log(0.75), math.log(0.5)]]))


def test_probabilities_of_all_tokens_sum_to_one():
    logits = 5.0 * randn(2, 3, 11)
    every = torch.stack([ops.gather_logprobs(logits, torch.full((2, 3), token)) for token in range(11)], dim=-1)
    torch.testing.assert_close(every.exp().sum(-1), torch.ones(2, 3))


def test_logprobs_and_entropy_of_bfloat16_logits_are_float32_quality():
    logits, ids = randn(4, 6, 50).bfloat16(), torch.randint(50, (4, 6), generator=torch.Generator().manual_seed(0))
    exact = logits.double().log_softmax(-1)
    logprobs, entropy = ops.gather_logprobs(logits, ids), ops.entropy(logits)
    assert logprobs.dtype == entropy.dtype == torch.float32
    torch.testing.assert_close(logprobs.double(), exact.gather(-1, ids[..., None])[..., 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(entropy.double(), -(exact.exp() * exact).sum(-1), atol=1e-5, rtol=0)


def test_logprobs_survive_large_logits():
    logits = torch.tensor([[1e4, 0.0, -1e4]])
    assert ops.gather_logprobs(logits, torch.tensor([0])).item() == 0.0
    assert ops.entropy(logits).item() == 0.0


def test_impossible_tokens_add_nothing_to_the_entropy_and_to_its_gradient():
    masked = torch.tensor([[1.0, 2.0, -math.inf], [0.5, -math.inf, -math.inf]], requires_grad=True)
    entropy = ops.entropy(masked)
    assert entropy[1].item() == 0.0
    torch.testing.assert_close(entropy[0], ops.entropy(torch.tensor([1.0, 2.0])))
    entropy.sum().backward()
    left = torch.tensor([1.0, 2.0], requires_grad=True)
    ops.entropy(left).backward()
    torch.testing.assert_close(masked.grad, torch.tensor([[*left.grad.tolist(), 0.0], [0.0, 0.0, 0.0]]))
    assert ops.entropy(torch.tensor([math.nan, 1.0])).isnan(), "what is wrong is not hidden"


@pytest.mark.parametrize("vocabulary", [2, 7, 512])
def test_entropy_of_uniform_logits_is_the_log_of_the_vocabulary(vocabulary):
    entropy = ops.entropy(torch.full((2, 3, vocabulary), 4.2))
    torch.testing.assert_close(entropy, torch.full((2, 3), math.log(vocabulary)))


def test_pads_do_not_change_the_mean_entropy():
    entropy, mask = ops.entropy(randn(2, 3, 8)), mask_of(3, 1, width=3)
    padded = ops.masked_mean(with_pads(entropy, 4, fill=math.log(8)), masked_pads(mask, 4))
    torch.testing.assert_close(padded, ops.masked_mean(entropy, mask))


# --- Kullback-Leibler estimators ----------------------------------------------------------------------------------


def two_policies() -> tuple[Tensor, Tensor]:
    """Log-probabilities of a toy vocabulary under pi and under the reference."""
    return (2.0 * randn(9, seed=1)).log_softmax(0), randn(9, seed=2).log_softmax(0)


@pytest.mark.parametrize("estimator", [ops.kl_k1, ops.kl_k3])
def test_k1_and_k3_are_unbiased_for_the_exact_kl(estimator):
    pi, ref = two_policies()
    exact = torch.nn.functional.kl_div(ref, pi, log_target=True, reduction="sum")  # KL(pi || ref)
    assert exact.item() > 0.1
    torch.testing.assert_close((pi.exp() * estimator(pi, ref)).sum(), exact)


def test_k3_is_never_negative_where_k1_is():
    pi, ref = two_policies()
    assert (ops.kl_k1(pi, ref) < 0).any()
    assert (ops.kl_k3(pi, ref) >= 0).all()


def test_gradient_of_k2_on_samples_is_the_gradient_of_the_exact_kl():
    logits, (_, ref) = randn(9, seed=1).requires_grad_(), two_policies()
    pi = logits.log_softmax(0)
    exact = torch.autograd.grad(torch.nn.functional.kl_div(ref, pi, log_target=True, reduction="sum"), logits)[0]
    pi = logits.log_softmax(0)
    sampled = torch.autograd.grad((pi.detach().exp() * ops.kl_k2(pi, ref)).sum(), logits)[0]
    torch.testing.assert_close(sampled, exact)


@pytest.mark.parametrize("estimator", [ops.kl_k1, ops.kl_k2, ops.kl_k3])
def test_estimators_vanish_between_equal_policies(estimator):
    pi, _ = two_policies()
    assert (estimator(pi, pi) == 0).all()


def test_estimators_agree_to_second_order_near_the_reference():
    _, ref = two_policies()
    pi = (ref + 1e-3 * randn(9, seed=3)).log_softmax(0)
    torch.testing.assert_close(ops.kl_k3(pi, ref), ops.kl_k2(pi, ref), atol=1e-8, rtol=5e-3)


@pytest.mark.parametrize("x", [-5.0, -79.0, -100.0, -1e6])
def test_k3_is_exact_up_to_its_bound_and_finite_beyond(x):
    found = ops.kl_k3(torch.tensor([x]), torch.tensor([0.0]))
    assert found.isfinite().all() and (1e3 * found).isfinite().all()
    if x > -80.0:
        assert found.item() == pytest.approx(math.expm1(-x) + x, rel=1e-5)


# --- rewards and advantages ---------------------------------------------------------------------------------------


def test_score_lands_once_on_the_last_real_token():
    placed = ops.score_at_last_token(torch.tensor([0.5, -2.0, 3.0]), mask_of(2, 4, 1, width=4))
    assert placed.tolist() == [[0, 0.5, 0, 0], [0, 0, 0, -2.0], [3.0, 0, 0, 0]]


def test_score_lands_on_a_sampled_eos_and_on_the_last_token_of_a_cut_row():
    eos, pad = 1, 0
    ids = torch.tensor([[7, 8, eos, pad], [7, 8, 9, 6]])  # ended by EOS; ended by the length limit
    placed = ops.score_at_last_token(torch.tensor([1.0, 1.0]), mask_of(3, 4, width=4))
    assert ids[placed == 1.0].tolist() == [eos, 6]


def test_a_row_without_tokens_earns_nothing():
    assert ops.score_at_last_token(torch.tensor([5.0, 1.0]), mask_of(0, 1, width=2)).tolist() == [[0, 0], [1.0, 0]]


def test_rewards_of_a_row_sum_to_score_minus_beta_times_sequence_kl():
    scores, kl, mask = randn(3), randn(3, 5, seed=1), mask_of(5, 2, 1, width=5)
    rewards = ops.token_rewards(scores, kl, mask, beta=0.3)
    sequence_kl = torch.stack([kl[0, :5].sum(), kl[1, :2].sum(), kl[2, 0]])
    torch.testing.assert_close(rewards.sum(1), scores - 0.3 * sequence_kl)


def test_gae_matches_a_case_done_by_hand():
    # gamma = 1/2, lambda = 1/2, so gamma * lambda = 1/4; rewards 1, 0, 4; values 2, 4, 6; the value after the end is 0.
    # delta_3 = 4 + 0.5 * 0 - 6 = -2      A_3 = -2
    # delta_2 = 0 + 0.5 * 6 - 4 = -1      A_2 = -1 + (-2) / 4 = -1.5
    # delta_1 = 1 + 0.5 * 4 - 2 = 1       A_1 = 1 + (-1.5) / 4 = 0.625
    advantages = ops.gae(tokens([1.0, 0.0, 4.0]), tokens([2.0, 4.0, 6.0]), mask_of(3, width=3), gamma=0.5, lam=0.5)
    assert advantages.tolist() == [[0.625, -1.5, -2.0]]


def test_gae_ignores_pads():
    rewards, values, mask = randn(3, 4), randn(3, 4, seed=1), mask_of(4, 2, 1, width=4)
    padded = ops.gae(with_pads(rewards, 3, NAN), with_pads(values, 3, NAN), masked_pads(mask, 3), 0.9, 0.8)
    torch.testing.assert_close(padded[:, :4], ops.gae(rewards, values, mask, 0.9, 0.8), rtol=0, atol=0)
    assert (padded[:, 4:] == 0).all()


def test_gae_of_a_short_row_is_that_of_the_row_alone():
    rewards, values = randn(2, 5), randn(2, 5, seed=1)
    together = ops.gae(rewards, values, mask_of(5, 2, width=5), 0.9, 0.8)
    alone = ops.gae(rewards[1:, :2], values[1:, :2], mask_of(2, width=2), 0.9, 0.8)
    torch.testing.assert_close(together[1:, :2], alone)


def test_gae_with_lambda_one_is_discounted_return_minus_value():
    rewards, values, gamma = randn(2, 4), randn(2, 4, seed=1), 0.9
    advantages = ops.gae(rewards, values, mask_of(4, 4, width=4), gamma, lam=1.0)
    for t in range(4):
        discounts = gamma ** torch.arange(4 - t)
        torch.testing.assert_close(advantages[:, t], (rewards[:, t:] * discounts).sum(1) - values[:, t])


def test_gae_with_lambda_zero_is_the_temporal_difference():
    rewards, values = tokens([0.0, 1.0]), tokens([3.0, 5.0])
    assert ops.gae(rewards, values, mask_of(2, width=2), gamma=1.0, lam=0.0).tolist() == [[2.0, -4.0]]


def test_gae_with_gamma_zero_is_reward_minus_value():
    rewards, values = randn(2, 4), randn(2, 4, seed=1)
    torch.testing.assert_close(ops.gae(rewards, values, mask_of(4, 4, width=4), 0.0, 0.95), rewards - values)


def test_gae_of_a_row_without_tokens_is_zero():
    assert (ops.gae(tokens([NAN, NAN]), tokens([NAN, NAN]), mask_of(0, width=2), 1.0, 0.95) == 0).all()


# --- losses per token ---------------------------------------------------------------------------------------------


def surrogate_gradient(ratio: float, advantage: float, clip_range: float = 0.2) -> tuple[float, bool]:
    logprobs = torch.tensor([[math.log(ratio) - 3.0]], requires_grad=True)
    loss, clipped = ops.clipped_surrogate(
        logprobs, torch.tensor([[-3.0]]), torch.tensor([[advantage]]), mask_of(1, width=1), clip_range
    )
    return torch.autograd.grad(loss.sum(), logprobs)[0].item(), bool(clipped.item())


@pytest.mark.parametrize(("ratio", "advantage"), [(1.3, 2.0), (0.7, -2.0)])
def test_a_ratio_that_has_gone_far_enough_gets_no_gradient(ratio, advantage):
    assert surrogate_gradient(ratio, advantage) == (0.0, True)


@pytest.mark.parametrize(("ratio", "advantage"), [(1.3, -2.0), (0.7, 2.0), (1.1, 2.0), (0.9, -2.0)])
def test_a_ratio_inside_the_range_or_on_the_wrong_side_keeps_its_gradient(ratio, advantage):
    gradient, clipped = surrogate_gradient(ratio, advantage)
    assert gradient == pytest.approx(-advantage * ratio, rel=1e-5)
    assert not clipped


def test_surrogate_matches_a_case_done_by_hand():
    # A = 2: rho 1.5 counts as 1.2 -> -2.4, rho 0.5 stays -> -1
    # A = -2: rho 1.5 stays -> 3, rho 0.5 counts as 0.8 -> 1.6
    logprobs = torch.log(tokens([1.5, 0.5, 1.5, 0.5]))
    loss, clipped = ops.clipped_surrogate(
        logprobs, torch.zeros(1, 4), tokens([2.0, 2.0, -2.0, -2.0]), mask_of(4, width=4), 0.2
    )
    torch.testing.assert_close(loss, tokens([-2.4, -1.0, 3.0, 1.6]))
    assert clipped.tolist() == [[True, False, False, True]]


def test_an_infinite_clip_range_leaves_the_importance_weighted_objective():
    new, old, advantages = randn(3, 4), randn(3, 4, seed=1), randn(3, 4, seed=2)
    loss, clipped = ops.clipped_surrogate(new, old, advantages, mask_of(4, 4, 4, width=4), math.inf)
    torch.testing.assert_close(loss, -advantages * (new - old).exp())
    assert not clipped.any()


@pytest.mark.parametrize("advantage", [-1.0, 1.0])
def test_an_enormous_ratio_overflows_neither_loss_nor_gradient(advantage):
    logprobs = torch.tensor([[-1.0]], requires_grad=True)
    loss, _ = ops.clipped_surrogate(
        logprobs, torch.tensor([[-500.0]]), torch.tensor([[advantage]]), mask_of(1, width=1), 0.2
    )
    (gradient,) = torch.autograd.grad(loss.sum(), logprobs)
    assert loss.isfinite().all() and gradient.isfinite().all()


def test_surrogate_of_pads_is_zero_whatever_they_hold():
    logprobs = tokens([-1.0, 300.0, NAN]).requires_grad_()
    loss, clipped = ops.clipped_surrogate(
        logprobs, tokens([-1.0, -300.0, NAN]), tokens([1.0, -1.0, NAN]), mask_of(1, width=3), 0.2
    )
    (gradient,) = torch.autograd.grad(loss.sum(), logprobs)
    assert loss.tolist() == [[-1.0, 0.0, 0.0]] and gradient.tolist() == [[-1.0, 0.0, 0.0]]
    assert not clipped.any()


@pytest.mark.parametrize(
    ("value", "target", "gradient", "clipped"),
    [
        (1.1, 2.0, -0.9, False),  # within the range: V - R
        (1.5, 2.0, 0.0, True),  # moved 0.5 towards R, more than the range: waits for the next rollout
        (0.5, 2.0, -1.5, False),  # moved away from R: is pulled back at full strength
        (1.5, 0.0, 1.5, False),
        (0.5, 0.0, 0.0, True),
    ],
)
def test_value_clipping_stops_only_moves_towards_the_return(value, target, gradient, clipped):
    values = torch.tensor([[value]], requires_grad=True)
    loss, clips = ops.clipped_value_loss(
        values, torch.tensor([[1.0]]), torch.tensor([[target]]), mask_of(1, width=1), 0.2
    )
    assert torch.autograd.grad(loss.sum(), values)[0].item() == pytest.approx(gradient, abs=1e-6)
    assert bool(clips.item()) == clipped


def test_value_losses_agree_for_an_infinite_range_and_on_pads():
    values, old, returns, mask = randn(2, 3), randn(2, 3, seed=1), randn(2, 3, seed=2), mask_of(3, 1, width=3)
    loss, clipped = ops.clipped_value_loss(values, old, returns, mask, math.inf)
    torch.testing.assert_close(loss, ops.squared_value_loss(values, returns, mask))
    assert (loss[~mask] == 0).all() and not clipped.any()
    assert ops.squared_value_loss(tokens([3.0]), tokens([1.0]), mask_of(1, width=1)).item() == 2.0
