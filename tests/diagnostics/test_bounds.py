"""The exact gradient of a classifier against autograd, and both bounds on it over thousands of cases."""

import numpy as np
import pytest
import torch
from torch import nn

from rftlab.diagnostics import gradient_bound, softmax_bound, std_bounds
from rftlab.streams import stream
from rftlab.theory import random_policies


class Residual(nn.Module):
    """A block of a residual network, small enough to differentiate in no time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.norm(self.conv(x)))


def networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {
            "linear": (nn.Linear(7, 4), (7,)),
            "mlp": (nn.Sequential(nn.Linear(7, 9), nn.ReLU(), nn.Linear(9, 4)), (7,)),
            "residual": (
                nn.Sequential(
                    nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(inplace=True), Residual(),
                    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4),
                ),
                (3, 9, 9),
            ),
        }  # fmt: skip


def setting(name: str, n: int = 6) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    network, shape = networks()[name]
    generator = stream(0, name)
    rewards = torch.rand((n, 4), generator=generator) * 2 - 1
    return network.eval(), torch.randn((n, *shape), generator=generator), rewards


def autograd_norm(network: nn.Module, x: torch.Tensor, rewards: torch.Tensor) -> float:
    value = (network(x[None]).softmax(-1)[0] * rewards).sum()
    gradients = torch.autograd.grad(value, list(network.parameters()))
    return float(torch.cat([g.flatten() for g in gradients]).norm())


def exact_jacobian_norm(network: nn.Module, x: torch.Tensor) -> float:
    logits = network(x[None])[0]
    rows = [torch.autograd.grad(z, list(network.parameters()), retain_graph=True) for z in logits]
    jacobian = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
    return float(torch.linalg.svdvals(jacobian)[0])


@pytest.mark.parametrize("name", networks())
def test_gradient_and_jacobian_are_those_of_autograd(name: str) -> None:
    network, inputs, rewards = setting(name)
    found = gradient_bound(network, inputs, rewards, (-1.0, 1.0))
    assert found.grad_norm == pytest.approx(
        [autograd_norm(network, x, r) for x, r in zip(inputs, rewards, strict=True)], rel=1e-4
    )
    assert found.jacobian_norm == pytest.approx([exact_jacobian_norm(network, x) for x in inputs], rel=1e-4)
    probs = network(inputs).detach().double().softmax(-1)
    mean = (probs * rewards).sum(-1)
    assert found.reward_mean == pytest.approx(mean.numpy(), abs=1e-6)
    assert found.reward_std == pytest.approx(
        (probs * (rewards - mean[:, None]).square()).sum(-1).sqrt().numpy(), rel=1e-6
    )
    assert (found.grad_norm <= found.bound_std).all() and (found.grad_norm <= found.bound_two_thirds).all()


def test_a_linear_classifier_has_the_jacobian_norm_of_its_input() -> None:
    network, inputs, rewards = setting("linear")
    found = gradient_bound(network, inputs, rewards, (-1.0, 1.0))  # J = [x^T, 1] for each label
    assert found.jacobian_norm == pytest.approx((inputs.square().sum(-1) + 1).sqrt().numpy(), rel=1e-5)


def test_frozen_parameters_do_not_count_and_unused_ones_do_no_harm() -> None:
    network, inputs, rewards = setting("mlp")
    network.register_parameter("unused", nn.Parameter(torch.ones(3)))
    whole = gradient_bound(network, inputs, rewards, (-1.0, 1.0))
    network[0].requires_grad_(False)
    head = gradient_bound(network, inputs, rewards, (-1.0, 1.0))
    assert (head.grad_norm < whole.grad_norm).all() and (head.jacobian_norm < whole.jacobian_norm).all()


def test_rewards_enter_by_their_differences_and_in_proportion() -> None:
    network, inputs, rewards = setting("mlp")
    here = gradient_bound(network, inputs, rewards, (-1.0, 1.0))
    there = gradient_bound(network, inputs, 10 * rewards.double() + 50, (40.0, 60.0))
    assert there.reward_mean == pytest.approx(10 * here.reward_mean + 50)
    for name in ("reward_std", "grad_norm", "bound_std", "bound_two_thirds"):
        assert getattr(there, name) == pytest.approx(10 * getattr(here, name), rel=1e-5)
    assert there.jacobian_norm == pytest.approx(here.jacobian_norm)


@pytest.mark.parametrize("k", [2, 3, 10, 300])
@pytest.mark.parametrize("reward_range", [(-1.0, 1.0), (0.0, 1.0), (-3.0, 100.0)])
def test_no_policy_is_above_either_bound(k: int, reward_range: tuple[float, float]) -> None:
    logits, rewards = random_policies(3000, k, np.random.default_rng(k))
    low, high = reward_range
    rewards = np.clip(low + (rewards + 1) / 2 * (high - low), low, high)
    found = softmax_bound(torch.tensor(logits), torch.tensor(rewards), reward_range)
    # the first bound with its constant sharpened from sqrt(2) to 1 / sqrt(2), which one token allows
    assert (found.grad_norm <= found.bound_std / 2 * (1 + 1e-12)).all()
    assert (found.grad_norm <= found.bound_two_thirds).all()


@pytest.mark.parametrize("k", [2, 5])
def test_a_fair_coin_between_two_rewards_reaches_the_sharp_constant(k: int) -> None:
    # u = p (r - V) sums to 0, so ||u||_2 <= ||u||_1 / sqrt(2); by Cauchy-Schwarz ||u||_1 <= STD. Equality in the first:
    # two labels carry u. In the second: |r - V| is the same on both, so p = 1/2 each.
    logits = torch.full((1, k), -torch.inf)
    logits[:, :2] = 0.0
    rewards = torch.tensor([[1.0, -1.0, *[0.3] * (k - 2)]])
    found = softmax_bound(logits, rewards, (-1.0, 1.0))
    assert found.reward_std[0] == 1
    assert found.grad_norm[0] / found.reward_std[0] == pytest.approx(np.sqrt(0.5), rel=1e-15)
    assert found.grad_norm[0] / found.bound_two_thirds[0] == pytest.approx(np.sqrt(0.5) / 6, rel=1e-15)  # 0.118


def test_a_network_can_use_the_first_bound_up_to_a_factor_of_two() -> None:
    # J J^T = |x|^2 I: with one weight per label and input 1, gamma is 1 and the gradient that of the logits
    network = nn.Linear(1, 2, bias=False).eval()
    nn.init.zeros_(network.weight)
    found = gradient_bound(network, torch.ones(1, 1), torch.tensor([[1.0, -1.0]]), (-1.0, 1.0))
    assert found.grad_norm[0] / found.bound_std[0] == pytest.approx(0.5, rel=1e-6)


def test_an_almost_deterministic_policy_keeps_its_precision() -> None:
    gap = 30.0
    found = softmax_bound(torch.tensor([[0.0, gap]]), torch.tensor([[1.0, -1.0]]), (-1.0, 1.0))
    p = 1 / (1 + np.exp(gap))
    assert found.reward_std[0] == pytest.approx(2 * np.sqrt(p * (1 - p)), rel=1e-12)
    assert found.grad_norm[0] == pytest.approx(2 * np.sqrt(2) * p * (1 - p), rel=1e-12)


def test_equal_rewards_leave_no_gradient_and_no_bound() -> None:
    network, inputs, rewards = setting("mlp")
    found = gradient_bound(network, inputs, torch.full_like(rewards, 0.3), (-1.0, 1.0))
    for name in ("reward_std", "grad_norm", "bound_std", "bound_two_thirds"):
        assert (getattr(found, name) == 0).all()


def test_bounds_by_hand() -> None:
    std, gamma = np.array([0.125]), np.array([2.0])
    by_std, by_two_thirds = std_bounds(std, gamma, (-1.0, 1.0), 3)
    assert by_std[0] == pytest.approx(np.sqrt(2) * 3 * 2 * 0.125)
    assert by_two_thirds[0] == pytest.approx(6 * 3 * 2 * 0.25)
    assert std_bounds(std, gamma, (0.0, 16.0), 3)[1][0] == pytest.approx(2 * by_two_thirds[0])  # s^(1/3) with s = 8


def test_what_cannot_be_measured_is_refused() -> None:
    network, inputs, rewards = setting("residual")
    with pytest.raises(ValueError, match="within"):
        gradient_bound(network, inputs, rewards, (0.0, 1.0))
    with pytest.raises(ValueError, match="training mode"):
        gradient_bound(network.train(), inputs, rewards, (-1.0, 1.0))
