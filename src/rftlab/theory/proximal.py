"""How far the gradient of PPO's clipped objective is from that of the expected reward, on a one-token softmax.

V_PPO(theta) = E_{y ~ p_ref}[min(rho A, clip(rho, 1 - delta, 1 + delta) A)] with rho = p_theta / p_ref and the advantage
A = r - V(theta_ref). Its gradient is within (8 / delta) L_out gamma TV(p_theta, p_ref) of that of V (Razin et al. 2024,
proposition 1; a constant of our own, for rewards in [-1, 1]). With the logits as parameters L_out = gamma = 1.
"""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from rftlab.theory.cases import log_softmax, random_directions, random_policies, scale_to_tv, softmax, total_variation


def centre(probs: Float[np.ndarray, "n k"], x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Subtract the mean of each row under the policy, as in the advantage r - V."""
    return x - (probs * x).sum(axis=1, keepdims=True)


def expected_gradient(logits: Float[np.ndarray, "n k"], rewards: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Differentiate the expected reward by the logits: p (r - V)."""
    probs = softmax(logits)
    return probs * centre(probs, rewards)


def clipped_labels(
    log_ratio: Float[np.ndarray, "n k"], advantages: Float[np.ndarray, "n k"], clip_range: float
) -> Bool[np.ndarray, "n k"]:
    """Say where the minimum in V_PPO is the clipped term, which has no gradient."""
    lowest = np.log1p(-clip_range) if clip_range < 1 else -np.inf  # no ratio is below 0
    return np.where(advantages >= 0, log_ratio > np.log1p(clip_range), log_ratio < lowest)


def ppo_gradient(
    logits: Float[np.ndarray, "n k"],
    ref_logits: Float[np.ndarray, "n k"],
    rewards: Float[np.ndarray, "n k"],
    clip_range: float,
) -> Float[np.ndarray, "n k"]:
    """Differentiate V_PPO by the logits, exactly.

    A label that is not clipped contributes p_ref A d rho / dz = p A (e_y - p). Where none is clipped the sum is
    `expected_gradient`: V(theta_ref) is a constant and drops out.
    """
    advantages, clipped = _advantages(logits, ref_logits, rewards, clip_range)
    probs = softmax(logits)
    return probs * centre(probs, np.where(clipped, 0.0, advantages))


def ppo_gradient_distance(
    logits: Float[np.ndarray, "n k"],
    ref_logits: Float[np.ndarray, "n k"],
    rewards: Float[np.ndarray, "n k"],
    clip_range: float,
) -> Float[np.ndarray, " n"]:
    """Measure ||grad V_PPO - grad V|| by what clipping leaves out; 0 without rounding where nothing is clipped."""
    advantages, clipped = _advantages(logits, ref_logits, rewards, clip_range)
    probs = softmax(logits)
    return np.linalg.norm(probs * centre(probs, np.where(clipped, advantages, 0.0)), axis=1)


def _advantages(
    logits: Float[np.ndarray, "n k"],
    ref_logits: Float[np.ndarray, "n k"],
    rewards: Float[np.ndarray, "n k"],
    clip_range: float,
) -> tuple[Float[np.ndarray, "n k"], Bool[np.ndarray, "n k"]]:
    """Give the advantages under the reference, and where they are clipped."""
    advantages = centre(softmax(ref_logits), rewards)
    return advantages, clipped_labels(log_softmax(logits) - log_softmax(ref_logits), advantages, clip_range)


def ppo_gradient_distances(
    n_labels: int, clip_range: float, tvs: Float[np.ndarray, " n"], rng: np.random.Generator
) -> pd.DataFrame:
    """Measure the distance of the two gradients on one random case per total variation asked for.

    Returns:
        Columns tv (as reached: few cases cannot get very far), distance, gradient_norm (of V), bound, clip_range,
        n_labels.
    """
    ref_logits, rewards = random_policies(len(tvs), n_labels, rng)
    logits = scale_to_tv(ref_logits, random_directions(ref_logits, tvs, rng), tvs)
    tv = total_variation(softmax(logits), softmax(ref_logits))
    columns = {
        "tv": tv,
        "distance": ppo_gradient_distance(logits, ref_logits, rewards, clip_range),
        "gradient_norm": np.linalg.norm(expected_gradient(logits, rewards), axis=1),
    }
    return pd.DataFrame(columns | {"bound": 8 / clip_range * tv, "clip_range": clip_range, "n_labels": n_labels})
