"""The theory of vanishing expected gradients on models small enough to compute it exactly (Razin et al. 2024)."""

from rftlab.theory.cases import random_directions, random_policies, scale_to_tv, softmax, total_variation
from rftlab.theory.proximal import expected_gradient, ppo_gradient, ppo_gradient_distance, ppo_gradient_distances
from rftlab.theory.separation import LineFit, descent_times, fit_slope, flow_time, start_logits, time_separation

__all__ = [
    "LineFit", "descent_times", "expected_gradient", "fit_slope", "flow_time", "ppo_gradient", "ppo_gradient_distance",
    "ppo_gradient_distances", "random_directions", "random_policies", "scale_to_tv", "softmax", "start_logits",
    "time_separation", "total_variation",
]  # fmt: skip
