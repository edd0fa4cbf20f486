"""What the bounds of a language model will cost, from a few passes of it."""

import time
from dataclasses import dataclass
from math import inf

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from rftlab.diagnostics.language import log_gradients, logits_jacobian_norm, rows_at_once, trained
from rftlab.models import Policy

FEW = 8  # responses that are differentiated at a time to learn what one costs; more would save little each


@dataclass(frozen=True, kw_only=True)
class PassSeconds:
    """Seconds of the passes that `sampled_gradient_bound` is made of."""

    gradient: float  # of the log-probability of one response, beside as many others as are differentiated at a time
    graph: float  # of the logits after one prefix, to be differentiated twice
    iteration: float  # of the power iteration on it

    def of_prompt(self, responses: int, prefixes: int, power_iterations: int) -> float:
        """Add up the passes of one prompt, if all its responses are different."""
        return responses * self.gradient + prefixes * (self.graph + power_iterations * self.iteration)


def time_passes(
    policy: Policy,
    prompt_ids: Int[Tensor, "1 p"],
    prompt_mask: Bool[Tensor, "1 p"],
    tokens: int,
    temperature: float,
    responses: int,
) -> PassSeconds:
    """Time each kind of pass on responses of some tokens: twice the gradients of a few, and about two passes more."""
    row, parameters = (policy.pad_id,) * tokens, trained(policy)
    rows = [row] * min(responses, rows_at_once(policy, parameters), FEW)
    moments: list[float] = []

    def tick() -> None:
        moments.append(time.perf_counter())

    least = inf
    for _ in range(2):  # the first one also warms up
        tick()
        log_gradients(policy, prompt_ids, prompt_mask, rows, temperature, parameters)
        least = min(least, (time.perf_counter() - moments[-1]) / len(rows))
    started = time.perf_counter()
    norm = (policy, prompt_ids, prompt_mask, row[:-1], temperature, 2, torch.Generator(device=policy.device))
    logits_jacobian_norm(*norm, tick)
    first, second = moments[-2:]
    return PassSeconds(gradient=least, graph=first - started, iteration=second - first)
