"""Random one-token softmax policies, from nearly uniform to nearly deterministic, with rewards in [-1, 1]."""

import numpy as np
from jaxtyping import Float

BISECTIONS = 60  # halve an interval of 37 nats, the logarithm of the scales below, to rounding
SCALES = (1e-12, 1e4)


def softmax(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Turn logits into probabilities, row by row."""
    return np.exp(log_softmax(logits))


def log_softmax(logits: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Turn logits into log-probabilities, row by row."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def total_variation(p: Float[np.ndarray, "n k"], q: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """Measure how far apart two policies are: half the L1 distance, in [0, 1]."""
    return 0.5 * np.abs(p - q).sum(axis=1)


def random_policies(
    cases: int, n_labels: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n k"]]:
    """Draw logits and rewards such that the reward std spreads over many orders of magnitude.

    Logits are normal with a spread between 0.03 and 30. In half of the cases rewards are uniform, in the other half
    they are the ends of an interval; its width is between 2e-6 and 2, mostly wide, its place in [-1, 1] random.
    """
    spread = 10.0 ** rng.uniform(np.log10(0.03), np.log10(30.0), (cases, 1))
    width = 2.0 * 10.0 ** (-6.0 * rng.uniform(size=(cases, 1)) ** 2)
    low = rng.uniform(-1.0, 1.0 - width)
    place = rng.uniform(size=(cases, n_labels))
    place = np.where(rng.random((cases, 1)) < 0.5, place, np.round(place))
    return spread * rng.standard_normal((cases, n_labels)), np.clip(low + width * place, -1.0, 1.0)


def random_directions(
    logits: Float[np.ndarray, "n k"], tv: Float[np.ndarray, " n"], rng: np.random.Generator
) -> Float[np.ndarray, "n k"]:
    """Draw directions in which a policy can move at least as far as `tv`, if it can in the opposite one.

    In half of the cases they move about half of the labels only: where these are unlikely ones, large ratios come at a
    small distance.
    """
    direction = rng.standard_normal(logits.shape)
    still = (rng.random((len(logits), 1)) < 0.5) & (rng.random(logits.shape) < 0.5)
    still[:, 0] = False  # something must move, and labels have no order
    direction = np.where(still, 0.0, direction)
    reach = total_variation(softmax(logits + SCALES[1] * direction), softmax(logits))
    return np.where((reach < tv)[:, None], -direction, direction)


def scale_to_tv(
    logits: Float[np.ndarray, "n k"], direction: Float[np.ndarray, "n k"], tv: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n k"]:
    """Move logits along a direction until the policy is at a given total variation from where it started.

    Total variation grows along the ray, so bisection finds the place. Where the ray never gets that far, the result is
    close to its end.
    """
    start = softmax(logits)
    low, high = np.full_like(tv, np.log(SCALES[0])), np.full_like(tv, np.log(SCALES[1]))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        near = total_variation(softmax(logits + np.exp(middle)[:, None] * direction), start) < tv
        low, high = np.where(near, middle, low), np.where(near, high, middle)
    return logits + np.exp(low)[:, None] * direction
