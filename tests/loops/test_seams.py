"""Where the loop meets an algorithm: what it makes for it, tells it and hands to its loss, noted by a stand-in."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from losses import online
from toy import MAX_NEW, TEMPERATURE, ids_of, plain_logits

from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.algorithms.reinforce import TextReinforce
from rftlab.loops.experience import Schedule, start
from rftlab.loops.lab import Lab
from rftlab.loops.networks import Numerics
from rftlab.loops.update import minibatches_of
from rftlab.models import Policy
from rftlab.ops import masked_sum, row_sum
from rftlab.runs import read_run
from rftlab.types import Algorithm, Experience, Forward, LossOutput, Needs, Totals

NO_PENALTY = AdaptiveKL(initial=0.0, target=None, rate=0.0, unit="response")


@dataclass
class Noting:
    """Weigh log-probabilities with token rewards, and keep what the loop hands over; rows are numbered in a column."""

    needs: Needs = field(default_factory=Needs)
    unit: str = "row"
    kl: AdaptiveKL | None = None
    whiten_advantages: str = "none"
    rollouts: list[Experience] = field(default_factory=list)
    microbatches: list[tuple[Experience, Totals]] = field(default_factory=list)

    def credit(self, experience: Experience) -> Experience:
        self.rollouts.append(experience)
        return experience.with_(advantages=experience["rewards"], number=torch.arange(len(experience.unit)))

    def loss(self, new: Forward, batch: Experience, totals: Totals) -> LossOutput:
        self.microbatches.append((batch, totals))
        loss = -masked_sum(batch["advantages"] * new.logprobs, batch.response_mask) / totals.tokens
        return LossOutput(loss=loss, metrics={"policy/loss": loss.detach()})


def reinforce(entropy_coef: float, kl: AdaptiveKL = NO_PENALTY) -> TextReinforce:
    return TextReinforce(gamma=1.0, entropy_coef=entropy_coef, whiten_advantages="none", kl=kl)


def made(lab: Lab, algorithm: Algorithm) -> set[str]:
    """Name the networks beside the policy that the loop makes for an algorithm."""
    schedule = Schedule(
        word="iteration",
        iterations=1,
        samples_per_prompt=1,
        update_epochs=1,
        cut=minibatches_of(1),
        numerics=Numerics(microbatch_size=1),
        steps=1,
        trimmed=False,
    )
    networks = start(lab, algorithm, schedule).networks
    return {name for name in ("value", "reference", "lagged") if getattr(networks, name) is not None}


# --- networks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (Needs(), set()),
        (Needs(value=True), {"value"}),
        (Needs(reference=True), {"reference"}),
        (Needs(lagged_every=1), {"lagged"}),
    ],
)
def test_the_networks_that_are_asked_for_are_made_and_no_others(
    quick_lab: Callable[..., Lab], needs: Needs, expected: set[str]
) -> None:
    assert made(quick_lab("made"), Noting(needs=needs)) == expected


def test_reinforce_asks_for_a_reference_only_where_there_is_a_penalty(quick_lab: Callable[..., Lab]) -> None:
    assert made(quick_lab("without"), reinforce(0.0)) == set()
    penalty = AdaptiveKL(initial=0.1, target=None, rate=0.0, unit="response")
    assert made(quick_lab("with"), reinforce(0.0, penalty)) == {"reference"}


def test_the_lagged_copy_is_renewed_by_iterations_not_by_optimiser_steps(quick_lab: Callable[..., Lab]) -> None:
    """Two steps per iteration, a copy after the second iteration and the fourth."""
    noting = Noting(needs=Needs(reference=True, old_logprobs=True, lagged_every=2))
    online(iterations=4, update_epochs=1).run(quick_lab("lagged"), noting)
    is_now = (True, False, True, False, True)
    for rollout, at_start, now in zip(noting.rollouts, (True, True, False, False, False), is_now, strict=True):
        mask = rollout.response_mask
        lagged, ref, old = (rollout[f"{name}_logprobs"][mask] for name in ("lagged", "ref", "old"))
        assert torch.allclose(lagged, ref, atol=1e-5) == at_start
        assert torch.allclose(lagged, old, atol=1e-5) == now


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_an_entropy_bonus_alone_follows_the_gradient_of_the_entropy(
    quick_lab: Callable[..., Lab], make_policy: Callable[[str], Policy], family: str
) -> None:
    lab = quick_lab("entropy", family=family, max_grad_norm=None, reward={"change": np.zeros_like})
    online(iterations=1, update_epochs=1, minibatch_size=8, microbatch_size=3).run(lab, reinforce(0.5))
    policy, call = make_policy(family), lab.task.reward.rollouts[0]
    rows = [(prompt, ids_of(text, MAX_NEW)) for prompt, text in zip(call.prompts, call.responses, strict=True)]
    probs = torch.cat([plain_logits(policy, *row) / TEMPERATURE for row in rows]).softmax(-1)
    names, parameters = zip(*policy.named_parameters(), strict=True)
    bonus = torch.special.entr(probs).sum(-1).mean()
    expected = dict(zip(names, torch.autograd.grad(bonus, parameters), strict=True))
    (step,) = lab.optimizer.build.steps
    for name, gradient in expected.items():
        torch.testing.assert_close(step.policy[name], -0.5 * gradient, rtol=1e-3, atol=1e-5)


# --- credit -------------------------------------------------------------------------------------------------------


def test_token_rewards_are_scores_less_the_penalty_at_the_beta_of_the_rollout(quick_lab: Callable[..., Lab]) -> None:
    kl = AdaptiveKL(initial=0.5, target=1e-3, rate=1.0, unit="response")
    noting = Noting(needs=Needs(reference=True, old_logprobs=True), kl=kl)
    lab = quick_lab("penalty")
    online(score_scaling="none", score_clip=None).run(lab, noting)
    logged = [value for _, key, value in read_run(lab.session.run.folder).metrics() if key == "kl_control/beta"]
    assert logged[0] == 0.5 and len(set(logged)) == 3
    for rollout, beta in zip(noting.rollouts[:3], logged, strict=True):  # the fourth trains nothing
        mask = rollout.response_mask
        penalty = beta * row_sum(rollout["old_logprobs"] - rollout["ref_logprobs"], mask)
        torch.testing.assert_close(row_sum(rollout["rewards"], mask), rollout.scores - penalty, rtol=1e-4, atol=1e-6)
    assert penalty.abs().max() > 0.01


@pytest.mark.parametrize("over", ["none", "rollout", "minibatch"])
def test_advantages_are_whitened_over_what_the_algorithm_names(quick_lab: Callable[..., Lab], over: str) -> None:
    noting = Noting(whiten_advantages=over)
    online(iterations=1, update_epochs=1, microbatch_size=4).run(quick_lab(over), noting)
    parts = [batch["advantages"][batch.response_mask] for batch, _ in noting.microbatches]  # one for each minibatch

    def white(x: torch.Tensor) -> bool:
        return abs(float(x.mean())) < 1e-5 and abs(float(x.std(correction=0)) - 1.0) < 1e-3

    assert all(white(part) for part in parts) == (over == "minibatch")
    assert over == "minibatch" or white(torch.cat(parts)) == (over == "rollout")


# --- units and order ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "sizes", "units"), [("row", [3, 1], 4), ("group", [2, 2], 2)])
def test_responses_to_a_prompt_reach_the_loss_together_where_they_are_a_unit(
    quick_lab: Callable[..., Lab], unit: str, sizes: list[int], units: int
) -> None:
    noting = Noting(unit=unit)
    online(iterations=1, update_epochs=2, microbatch_size=3).run(quick_lab(unit), noting)
    assert [len(batch.unit) for batch, _ in noting.microbatches] == sizes * 4
    assert all((totals.rows, totals.units) == (4, units) for _, totals in noting.microbatches)
    if unit == "group":
        for batch, _ in noting.microbatches:
            first, second = batch["number"].tolist()
            assert second == first + 1 and first % 2 == 0


def test_every_epoch_of_every_iteration_has_an_order_of_its_own(quick_lab: Callable[..., Lab]) -> None:
    noting = Noting()
    online(iterations=2, update_epochs=2, microbatch_size=4).run(quick_lab("orders"), noting)
    numbers = [batch["number"] for batch, _ in noting.microbatches]
    orders = [tuple(torch.cat(numbers[i : i + 2]).tolist()) for i in range(0, len(numbers), 2)]
    assert len(set(orders)) == len(orders) == 4
    assert all(sorted(order) == list(range(8)) for order in orders)
