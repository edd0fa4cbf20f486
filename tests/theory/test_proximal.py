"""PPO's clipped objective: its gradient against autograd, its distance from the expected gradient against the bound."""

import numpy as np
import pytest
import torch

from rftlab.theory import (
    expected_gradient,
    ppo_gradient,
    ppo_gradient_distance,
    ppo_gradient_distances,
    random_directions,
    random_policies,
    scale_to_tv,
    softmax,
    total_variation,
)


def autograd_ppo(logits: np.ndarray, ref_logits: np.ndarray, rewards: np.ndarray, clip_range: float) -> np.ndarray:
    """Differentiate V_PPO as it is written, with no algebra."""
    z, r = torch.tensor(logits, requires_grad=True), torch.tensor(rewards)
    ref = torch.tensor(ref_logits).softmax(-1)
    advantages = r - (ref * r).sum(-1, keepdim=True)
    ratio = z.softmax(-1) / ref
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    value = (ref * torch.minimum(ratio * advantages, clipped * advantages)).sum()
    return torch.autograd.grad(value, z)[0].numpy()


def cases(n: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(k)
    ref = rng.standard_normal((n, k))
    return ref + rng.standard_normal((n, k)), ref, rng.uniform(-1, 1, (n, k))


@pytest.mark.parametrize("clip_range", [0.05, 0.2, 0.9, 2.0])
def test_the_gradient_is_that_of_autograd(clip_range: float) -> None:
    for k in (2, 5, 30):
        found, expected = ppo_gradient(*cases(300, k), clip_range), autograd_ppo(*cases(300, k), clip_range)
        assert np.allclose(found, expected, atol=1e-14)


def test_where_no_ratio_is_clipped_it_is_the_expected_gradient() -> None:
    logits, ref, rewards = cases(1000, 6)
    expected = expected_gradient(logits, rewards)
    assert np.allclose(ppo_gradient(logits, ref, rewards, 1e6), expected, atol=1e-15)
    clipped = np.linalg.norm(ppo_gradient(logits, ref, rewards, 0.2) - expected, axis=1)
    assert (clipped > 1e-3).mean() > 0.9
    assert np.allclose(clipped, ppo_gradient_distance(logits, ref, rewards, 0.2), atol=1e-15)
    # at the reference itself every ratio is 1: the first step of an iteration is one of plain policy gradient
    assert np.allclose(ppo_gradient(ref, ref, rewards, 0.2), expected_gradient(ref, rewards), atol=1e-15)
    assert (ppo_gradient_distance(ref, ref, rewards, 0.2) == 0).all()


@pytest.mark.parametrize("clip_range", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("k", [2, 3, 10, 100])
def test_the_distance_is_never_above_the_bound(k: int, clip_range: float) -> None:
    tvs = 10.0 ** np.random.default_rng(k).uniform(-6, -0.05, 2000)
    frame = ppo_gradient_distances(k, clip_range, tvs, np.random.default_rng(k + 1))
    assert (frame["distance"] <= frame["bound"]).all()
    assert frame["distance"].max() > 0.05  # there is something to bound
    assert (frame["bound"] == 8 / clip_range * frame["tv"]).all()


def test_a_hard_case_comes_near_the_bound() -> None:
    # label 0 is moved from q to just above (1 + d) q: it alone is clipped, TV = d q, distance = sqrt(2) p A (1 - p)
    q, clip_range = 1e-3, 0.2
    p = q * (1 + clip_range) * (1 + 1e-9)
    logits, ref = np.log([[p, 1 - p]]), np.log([[q, 1 - q]])
    rewards = np.array([[1.0, -1.0]])
    distance = ppo_gradient_distance(logits, ref, rewards, clip_range)[0]
    tv = total_variation(softmax(logits), softmax(ref))[0]
    assert distance / (8 / clip_range * tv) == pytest.approx(np.sqrt(2) * 2 * 1.2 / 8, rel=5e-3)  # 0.42


def test_policies_are_moved_to_the_total_variation_asked_for() -> None:
    rng = np.random.default_rng(0)
    ref, _ = random_policies(500, 8, rng)
    tvs = 10.0 ** rng.uniform(-6, -0.05, 500)
    moved = scale_to_tv(ref, random_directions(ref, tvs, rng), tvs)
    found = total_variation(softmax(moved), softmax(ref))
    reached = np.isclose(found, tvs, rtol=1e-6, atol=1e-12)
    assert reached.mean() > 0.9
    assert (found[~reached] < tvs[~reached]).all()


def test_random_policies_cover_what_they_promise() -> None:
    logits, rewards = random_policies(2000, 5, np.random.default_rng(0))
    probs = softmax(logits)
    std = np.sqrt((probs * (rewards - (probs * rewards).sum(1, keepdims=True)) ** 2).sum(1))
    assert np.abs(rewards).max() <= 1
    assert (std < 1e-4).any() and (std > 0.9).any()
