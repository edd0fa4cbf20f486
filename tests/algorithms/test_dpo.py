"""DPO, its conservative form and IPO: cases done by hand, and the reward that the optimum has."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rftlab.algorithms.dpo import DPO
from rftlab.types import Experience, Forward, Totals


def dpo(**values: object) -> DPO:
    return DPO(**{"beta": 0.1, "objective": "sigmoid", "label_smoothing": 0.0} | values)


def step(pairs: int) -> Totals:
    return Totals(tokens=0, rows=2 * pairs, units=pairs)


@pytest.fixture
def pair(mask_of, make_experience, make_forward) -> tuple[Experience, Forward]:
    """One pair: log-ratios 0.5 + 0.25 of the chosen response, -0.5 of the rejected one; pads hold NaN."""
    nan = float("nan")
    mask = mask_of(2, 1, width=2)
    ref = torch.tensor([[-1.0, -2.0], [-3.0, nan]])
    now = (ref + torch.tensor([[0.5, 0.25], [-0.5, nan]])).requires_grad_()
    batch = replace(make_experience(mask=mask, ref_logprobs=ref), unit=torch.tensor([4, 4]))
    return batch, make_forward(now)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, -math.log(sigmoid(0.1 * 1.25))),
        ({"beta": 2.0}, -math.log(sigmoid(2.5))),
        ({"beta": 2.0, "label_smoothing": 0.1}, -0.9 * math.log(sigmoid(2.5)) - 0.1 * math.log(sigmoid(-2.5))),
        ({"objective": "ipo"}, (1.25 - 5.0) ** 2),
        ({"objective": "ipo", "beta": 0.5}, 0.25**2),
    ],
)
def test_the_loss_of_a_pair_is_that_done_by_hand(pair, values, expected):
    batch, new = pair
    out = dpo(**values).loss(new, batch, step(1))
    assert out.loss.item() == pytest.approx(expected, rel=1e-6)
    assert out.metrics["dpo/loss"].item() == pytest.approx(expected, rel=1e-6)
    assert dpo(**values).loss(new, batch, step(4)).loss.item() == pytest.approx(expected / 4, rel=1e-6)


def test_the_gradient_pulls_every_token_of_both_responses_alike(pair):
    batch, new = pair
    (gradient,) = torch.autograd.grad(dpo(beta=2.0).loss(new, batch, step(1)).loss, new.logprobs)
    pull = 2.0 * sigmoid(-2.5)  # beta sigma(-margin), Rafailov et al. 2023, eq. 7 differentiated
    torch.testing.assert_close(gradient, torch.tensor([[-pull, -pull], [pull, 0.0]]))


def test_metrics_describe_the_pairs(pair):
    batch, new = pair
    told = {name: value.item() for name, value in dpo(beta=2.0).loss(new, batch, step(1)).metrics.items()}
    assert told == pytest.approx(
        {
            "dpo/loss": -math.log(sigmoid(2.5)),
            "dpo/accuracy": 1.0,
            "dpo/margin": 2.5,
            "dpo/chosen_reward": 1.5,
            "dpo/rejected_reward": -1.0,
            "dpo/chosen_logprob": -2.25,
            "dpo/rejected_logprob": -3.5,
        }
    )


def test_a_policy_that_is_the_reference_has_loss_log_2_and_tells_nothing_apart(case):
    batch, new = case
    same = replace(new, logprobs=batch["ref_logprobs"])
    out = dpo(label_smoothing=0.2).loss(same, batch, step(2))
    assert out.loss.item() == pytest.approx(math.log(2), rel=1e-6)
    assert out.metrics["dpo/accuracy"].item() == 0.5


def test_parts_of_whole_pairs_add_up_to_the_step(case):
    batch, new = case
    whole = dpo().loss(new, batch, step(2))
    parts = []
    for rows in (slice(0, 2), slice(2, 4)):
        part = replace(new, logprobs=new.logprobs[rows], values=None, entropy=None)
        parts.append(dpo().loss(part, batch.rows(torch.arange(4)[rows]), step(2)))
    torch.testing.assert_close(sum(part.loss for part in parts), whole.loss)
    for name, value in whole.metrics.items():
        torch.testing.assert_close(sum(part.metrics[name] for part in parts), value)


@pytest.mark.parametrize("objective", ["sigmoid", "ipo"])
def test_the_implicit_reward_is_the_planted_one_up_to_a_constant(objective, make_experience, make_forward):
    """Tabular: four responses of one token, all pairs with the frequencies of a planted reward, solved exactly."""
    reward, beta = torch.tensor([0.0, 0.3, -0.6, 1.1]), 0.7
    ref = torch.tensor([-1.0, -2.0, 0.5, 0.1]).log_softmax(0)
    if objective == "ipo":  # its optimum has h = 1 / (2 beta) for every pair that is always won: one pair alone
        pairs, weights, reward = [(3, 0)], torch.tensor([1.0]), torch.tensor([0.0, 0.0, 0.0, 0.5])
    else:
        pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
        weights = torch.stack([torch.sigmoid(reward[i] - reward[j]) for i, j in pairs])
    logits = ref.clone().requires_grad_()
    rows = torch.tensor(pairs).flatten()
    batch = make_experience(mask=torch.ones(len(rows), 1, dtype=torch.bool), ref_logprobs=ref[rows].unsqueeze(1))
    algorithm = dpo(beta=beta, objective=objective)

    def loss() -> Tensor:
        optimizer.zero_grad()
        new = make_forward(logits.log_softmax(0)[rows].unsqueeze(1))
        each = [
            algorithm.loss(
                replace(new, logprobs=new.logprobs[2 * k : 2 * k + 2], values=None, entropy=None),
                batch.rows(torch.tensor([2 * k, 2 * k + 1])),
                step(1),
            ).loss
            for k in range(len(pairs))
        ]
        whole = (weights * torch.stack(each)).sum()
        whole.backward()
        return whole

    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")
    optimizer.step(loss)
    implicit = beta * (logits.detach().log_softmax(0) - ref)
    for winner, loser in pairs:
        expected = float(reward[winner] - reward[loser])
        assert float(implicit[winner] - implicit[loser]) == pytest.approx(expected, abs=1e-3)
