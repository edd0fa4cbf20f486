"""Implicit language Q-learning."""

import math
from dataclasses import replace

import pytest
import torch
from sizes import totals

from rftlab.algorithms.ilql import ILQL
from rftlab.models.action_values import ActionHeads
from rftlab.types import ActionValues, Forward


@pytest.fixture
def ilql() -> ILQL:
    return ILQL(
        gamma=0.5,
        tau=0.75,
        cql_coef=0.1,
        awac_coef=1.0,
        beta=0.0,
        polyak=0.1,
        decode_b=[1.0],
        decode_top_k=20,
    )


def forward(logprobs, **said):
    return Forward(logprobs=logprobs, entropy=None, values=None, action_values=ActionValues(**said))


@pytest.fixture
def by_hand(mask_of, make_experience):
    """Two tokens, the second the last: rewards 0 and 2, V = 1 and 4, so goals are 0 + 4 / 2 = 2 and 2."""
    nan = math.nan
    batch = make_experience(mask=mask_of(2, width=3), rewards=torch.tensor([[0.0, 2.0, nan]]))
    new = forward(
        torch.tensor([[-1.0, -3.0, nan]]),
        q=torch.tensor([[[1.0, 2.0, nan]], [[2.0, 5.0, nan]]]),  # errors -1, 0 and 0, 3
        q_logsumexp=torch.tensor([[[1.5, 3.0, nan]], [[2.0, 6.0, nan]]]),  # less Q: 0.5, 1 and 0, 1
        target_q=torch.tensor([[3.0, 2.0, nan]]),  # gaps 2 and -2
        v=torch.tensor([[1.0, 4.0, nan]]),
    )
    return batch, new


def test_losses_match_a_case_done_by_hand(ilql, by_hand):
    out = ilql.loss(by_hand[1], by_hand[0], totals(2))
    expected = {
        "ilql/q_loss": (1 + 0 + 0 + 9) / 2,
        "ilql/v_loss": (0.75 * 4 + 0.25 * 4) / 2,
        "ilql/cql_loss": (0.5 + 1.0 + 0.0 + 1.0) / 2,
        "ilql/awac_loss": 2.0,
        "policy/loss": 2.0,
        "ilql/q": (1.0 + 2.0) / 2,
        "ilql/v": 2.5,
        "ilql/advantage": 0.0,
    }
    assert {name: value.item() for name, value in out.metrics.items()} == pytest.approx(expected)
    assert out.loss.item() == pytest.approx(5.0 + 2.0 + 0.125 + 2.0)


def test_cloned_tokens_are_weighted_with_their_advantages(ilql, by_hand):
    out = replace(ilql, beta=0.5).loss(by_hand[1], by_hand[0], totals(2))
    assert out.metrics["ilql/awac_loss"].item() == pytest.approx((math.exp(1) * 1 + math.exp(-1) * 3) / 2)
    huge = replace(ilql, beta=1e6).loss(by_hand[1], by_hand[0], totals(2))
    assert huge.loss.isfinite()


def test_values_are_goals_of_q_and_copies_are_goals_of_v_without_a_gradient(ilql, by_hand):
    batch, new = by_hand
    said = {name: getattr(new.action_values, name).nan_to_num().requires_grad_() for name in ("q", "target_q", "v")}
    said["q_logsumexp"] = new.action_values.q_logsumexp.nan_to_num()
    gradients = {}
    for part in ("q", "v"):
        one = replace(ilql, cql_coef=0.0, awac_coef=0.0)
        out = one.loss(forward(new.logprobs, **said), batch, totals(2))
        gradients[part] = torch.autograd.grad(out.loss, said[part], retain_graph=True)[0]
    torch.testing.assert_close(gradients["q"], torch.tensor([[[-1.0, 0.0, 0.0]], [[0.0, 3.0, 0.0]]]))
    torch.testing.assert_close(gradients["v"], torch.tensor([[-0.75 * 2, 0.25 * 2, 0.0]]))


def test_microbatches_add_up_and_empty_rows_are_harmless(ilql, randn, mask_of, make_experience):
    mask = mask_of(4, 0, 2, width=4)
    batch = make_experience(mask=mask, rewards=randn(3, 4))
    said = {"q": randn(2, 3, 4, seed=1), "q_logsumexp": randn(2, 3, 4, seed=2), "target_q": randn(3, 4, seed=3)}
    said["v"] = randn(3, 4, seed=4)

    def loss(rows):
        parts = {name: x[:, rows] if x.ndim == 3 else x[rows] for name, x in said.items()}
        index = torch.arange(3)[rows]
        return ilql.loss(forward(randn(3, 4, seed=5)[rows], **parts), batch.rows(index), totals(6)).loss

    torch.testing.assert_close(sum(loss(slice(i, i + 1)) for i in range(3)), loss(slice(0, 3)))
    assert loss(slice(1, 2)) == 0.0


def test_a_small_tabular_problem_is_solved(ilql, make_experience, mask_of):
    """Two tokens of two actions, four responses, seen equally often; with tau near 1 V is the best of its actions.

    The first token alone says nothing of the reward: Q of the first state has to come through V of the second.
    """
    rewards = {(0, 0): 0.0, (0, 1): 1.0, (1, 0): 0.6, (1, 1): 0.5}  # on average 1 is better, at best 0 is
    algorithm = replace(ilql, gamma=0.9, tau=0.99, cql_coef=0.0, awac_coef=0.0)
    ids, mask = torch.tensor(list(rewards)), mask_of(2, 2, 2, 2, width=2)
    states = torch.eye(3)[torch.stack([torch.zeros(4, dtype=torch.long), 1 + ids[:, 0]], dim=1)]
    batch = make_experience(mask=mask, rewards=torch.tensor([[0.0, r] for r in rewards.values()]))
    heads = ActionHeads(3, 2, torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam([p for p in heads.parameters() if p.requires_grad], lr=0.01)
    for _ in range(1500):
        new = Forward(logprobs=torch.zeros(4, 2), entropy=None, values=None, action_values=heads(states, ids, mask))
        optimiser.zero_grad()
        algorithm.loss(new, batch, totals(8)).loss.backward()
        optimiser.step()
        heads.move_copies(algorithm.polyak)
    best = torch.tensor([[0.9 * 1.0, 0.9 * 0.6], [0.0, 1.0], [0.6, 0.5]])
    for q in (heads.q_1, heads.q_2, heads.copy_1, heads.copy_2):
        torch.testing.assert_close(q(torch.eye(3)).detach(), best, atol=0.03, rtol=0)
    torch.testing.assert_close(heads.v(torch.eye(3)).detach()[:, 0], best.amax(1), atol=0.03, rtol=0)
    greedy = heads.shift(torch.eye(3), torch.zeros(3, 2), b=50.0, top_k=2).argmax(-1)
    assert greedy.tolist() == [0, 1, 0]


def test_no_network_beside_the_heads_is_asked_for(ilql):
    assert ilql.kl is None and ilql.needs.action_values is not None
    assert not (ilql.needs.reference or ilql.needs.value or ilql.needs.old_logprobs)
