"""What decides whether a prompt has an expected gradient: reward statistics, gradient norms and their bounds."""

from rftlab.diagnostics.prompts import PromptStatistics, prompt_statistics

__all__ = ["PromptStatistics", "prompt_statistics"]
