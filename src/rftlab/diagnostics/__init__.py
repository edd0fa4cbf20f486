"""What decides whether a prompt has an expected gradient: reward statistics, gradient norms and their bounds."""

from rftlab.diagnostics.bounds import GradientBound, gradient_bound, softmax_bound, std_bounds
from rftlab.diagnostics.cost import PassSeconds, time_passes
from rftlab.diagnostics.language import (
    SampledGradientBound,
    logits_jacobian_norm,
    operator_norm,
    sampled_gradient_bound,
)
from rftlab.diagnostics.prompts import PromptStatistics, prompt_statistics

__all__ = [
    "GradientBound", "PassSeconds", "PromptStatistics", "SampledGradientBound", "gradient_bound",
    "logits_jacobian_norm", "operator_norm", "prompt_statistics", "sampled_gradient_bound", "softmax_bound",
    "std_bounds", "time_passes",
]  # fmt: skip
