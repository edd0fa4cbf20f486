"""Pairs that tell nothing: a reward model learns nothing of replies that are equal, or stand in both orders."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scored import responses_to, scored, with_responses
from test_reward_model_loop import READING, training
from toy import splits

from rftlab.algorithms.reward_model import BradleyTerry
from rftlab.loops.lab import Lab
from rftlab.loops.pairs import Pair
from rftlab.loops.reward_model import accumulate_gradient, warning
from rftlab.models.reward_model import reward_model
from rftlab.types import ScoredResponse


def gradient(lab: Lab, pairs: list[Pair]) -> tuple[torch.Tensor, float]:
    """Give the gradient of the mean loss of some pairs in all parameters, and the loss."""
    network = reward_model(lab.policy, READING, torch.Generator().manual_seed(1))
    metrics = accumulate_gradient(lab, network, BradleyTerry(), pairs, len(pairs))
    found = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    return torch.cat(found), metrics["reward_model/loss"]


def pair(chosen: str, rejected: str) -> Pair:
    example = splits().train[0]
    return Pair(chosen=scored(example, chosen, 1.0), rejected=scored(example, rejected, 0.0))


def test_identical_replies_have_no_gradient_and_the_loss_of_a_guess(quick_lab: Callable[..., Lab]) -> None:
    found, loss = gradient(quick_lab("run"), [pair("ab", "ab"), pair("", "")])
    assert loss == pytest.approx(np.log(2), abs=1e-6) and float(found.abs().max()) < 1e-6
    assert float(gradient(quick_lab("other"), [pair("ab", "")])[0].abs().max()) > 1e-3  # an empty reply is one


def test_two_orders_of_a_pair_pull_towards_equal_scores_alone(quick_lab: Callable[..., Lab]) -> None:
    """The loss of both is least at a margin of 0, where it is that of a guess, and their gradients cancel there."""
    both = torch.tensor([0.7, 0.0, -3.0, 0.0]), torch.tensor([0.0, 0.7, 0.0, -3.0])
    loss = BradleyTerry().pair_loss(*both).view(2, 2).mean(1)
    assert (loss > np.log(2)).all()
    margin = torch.zeros(2, requires_grad=True)
    BradleyTerry().pair_loss(torch.stack([margin[0], margin[1]]), torch.stack([margin[1], margin[0]])).sum().backward()
    assert margin.grad is not None and margin.grad.abs().max() < 1e-7
    one, other = pair("aa", "c"), pair("c", "aa")
    _, mean = gradient(quick_lab("run"), [one, other])
    assert mean > np.log(2) - 1e-6


def test_a_reward_model_of_contradicting_pairs_stays_a_guess_and_says_so(quick_lab: Callable[..., Lab]) -> None:
    lines: list[str] = []
    lab = with_responses(quick_lab("run", lr=5e-3))

    def both_orders(responses: list[ScoredResponse]) -> list[ScoredResponse]:
        """Pair each reply with that of its neighbour, once in either order, as rows of their own."""
        rows = []
        for number, (one, other) in enumerate(zip(responses[::2], responses[1::2], strict=True)):
            for order, (first, second) in enumerate([(one, other), (other, one)]):
                example = replace(one.example, id=f"{number}-{order}")
                rows += [replace(first, example=example, score=1.0), replace(second, example=example, score=0.0)]
        return rows

    data = splits()
    known = {
        "train": both_orders(responses_to(data.train)),
        "validation": both_orders(responses_to(data.validation, first=3)),
    }
    session = replace(lab.session, describe=lines.append)
    lab = replace(lab, task=replace(lab.task, responses=known), session=session)
    final = training(steps=12, batch_size=8, microbatch_size=8).run(lab, BradleyTerry())
    assert final["eval/validation/pair_accuracy"] == 0.5
    assert final["eval/validation/pair_loss"] >= np.log(2) - 1e-6
    assert lines[-1] == warning(final) and "is not above 0.500 (chance): refused as a reward" in lines[-1]


@pytest.mark.parametrize(("low", "longer", "said"), [
    (0.58, 0.55, None), (0.58, 0.6, "0.600 (preferring the longer reply)"), (0.49, 0.3, "0.500 (chance)"),
    (0.58, float("nan"), None), (float("nan"), 0.5, "0.500 (chance)"),
])  # fmt: skip
def test_the_bar_is_chance_or_the_longer_reply_whichever_is_higher(low: float, longer: float, said: str | None) -> None:
    names = ("pair_accuracy", "pair_accuracy_low", "longer_accuracy")
    told = warning({f"eval/validation/{name}": value for name, value in zip(names, (0.62, low, longer), strict=True)})
    assert told is None if said is None else told is not None and said in told
