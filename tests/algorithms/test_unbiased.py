"""Score-function gradients against the exact gradient of the expected reward, on a policy over four answers."""

from dataclasses import replace

import pytest
import torch
from sizes import credited, totals

from rftlab.algorithms.grpo import GRPO
from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.reinforce import TextReinforce
from rftlab.algorithms.rloo import RLOO

REWARDS = torch.tensor([0.0, 1.0, 0.2, 3.0])
N_GROUPS, G = 20_000, 3
NO_KL = AdaptiveKL(initial=0.0, target=None, rate=0.0, unit="response")
PLAIN = {"entropy_coef": 0.0, "whiten_advantages": "none"}


def grpo(scale: str) -> GRPO:
    return GRPO(
        clip_low=0.2, clip_high=0.2, scale=scale, average="row", constant_length=1, ratio="token", kl_coef=0.0, **PLAIN
    )


def gradients(algorithm, make_experience, make_forward) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the exact gradient, minus that of the loss, and the standard error of the latter."""
    logits = torch.tensor([0.5, -0.3, 0.1, -1.0], requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    picked = torch.multinomial(logits.detach().softmax(-1), N_GROUPS * G, replacement=True, generator=generator)
    old = logits.detach().log_softmax(-1)[picked].unsqueeze(1)
    rows = make_experience(mask=torch.ones(len(picked), 1, dtype=torch.bool), scores=REWARDS[picked], old_logprobs=old)
    rows = credited(algorithm, replace(rows, unit=torch.arange(N_GROUPS).repeat_interleave(G)))
    (exact,) = torch.autograd.grad((logits.softmax(-1) * REWARDS).sum(), logits)
    new = make_forward(logits.log_softmax(-1)[picked].unsqueeze(1), values=None)
    loss = algorithm.loss(new, rows, replace(totals(len(picked)), rows=len(picked))).loss
    (found,) = torch.autograd.grad(loss, logits)
    score = torch.nn.functional.one_hot(picked, 4) - logits.detach().softmax(-1)  # gradient of log pi
    each = (rows["advantages"] * score).view(N_GROUPS, G, 4).mean(1)
    return exact, -found, each.std(0) / N_GROUPS**0.5


@pytest.mark.parametrize(
    ("algorithm", "factor"),
    [
        (TextReinforce(gamma=1.0, kl=NO_KL, **PLAIN), 1.0),
        (RLOO(kl=NO_KL, **PLAIN), 1.0),
        (grpo("none"), (G - 1) / G),  # the mean of the group holds the response itself
    ],
    ids=["reinforce", "rloo", "grpo without std"],
)
def test_the_mean_gradient_is_that_of_the_expected_reward(algorithm, factor, make_experience, make_forward) -> None:
    exact, found, error = gradients(algorithm, make_experience, make_forward)
    assert ((found - factor * exact).abs() < 3 * error).all()
    assert ((found - (2 - factor) * 0.9 * exact).abs() > 3 * error).any()  # it would notice a tenth


def test_division_by_the_std_of_the_group_is_another_objective(make_experience, make_forward) -> None:
    exact, found, error = gradients(grpo("std"), make_experience, make_forward)
    along = found @ exact / (exact @ exact)
    assert ((found - along * exact).abs() > 3 * error).any()
