"""What an iteration learns from: whose responses are scored against what, and under which policies.

Every number is computed a second time, from the texts that the reward was asked about and the weights at that moment.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from losses import online, ppo
from toy import MAX_EVALUATED, MAX_NEW, TEMPERATURE, Call, ids_of, plain_greedy, plain_logprobs, shared_letters

from rftlab.algorithms.kl_control import AdaptiveKL
from rftlab.loops.lab import Lab
from rftlab.models import Policy
from rftlab.runs import read_run
from rftlab.types import Example

LOSS, LOOP = ppo(kl=AdaptiveKL(initial=0.05, target=1.1, rate=0.5, unit="response")), online()
PER_ITERATION = LOOP.update_epochs * 2  # optimiser steps
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Trained:
    """A finished run, and a policy of its family to load weights into."""

    lab: Lab
    metrics: dict[str, dict[int, float]]
    spare: Policy

    @property
    def rollouts(self) -> list[Call]:
        return self.lab.task.reward.rollouts


@pytest.fixture(scope="module", params=["causal", "seq2seq"])
def trained(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    lab_in: Callable[..., Lab],
    make_policy: Callable[[str], Policy],
) -> Trained:
    """Train for three iterations: temperature 0.7, scores scaled, advantages whitened over the minibatch."""
    lab = lab_in(tmp_path_factory.mktemp(request.param) / "run", family=request.param)
    LOOP.run(lab, LOSS)
    metrics: dict[str, dict[int, float]] = {}
    for step, name, value in read_run(lab.session.run.folder).metrics():
        metrics.setdefault(name, {})[step] = value
    return Trained(lab, metrics, make_policy(request.param))


def by_prompt(examples: list[Example]) -> dict[str, Example]:
    return {example.prompt: example for example in examples}


@torch.no_grad()
def log_ratios(trained: Trained, call: Call) -> list[torch.Tensor]:
    """Return log pi - log pi_start of every token of a rollout, a tensor per response."""
    rows = [(prompt, ids_of(text, MAX_NEW)) for prompt, text in zip(call.prompts, call.responses, strict=True)]

    def logprobs(weights: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        trained.spare.load_state_dict(weights)
        return [plain_logprobs(trained.spare, prompt, ids, TEMPERATURE).double() for prompt, ids in rows]

    now, start = logprobs(call.weights), logprobs(trained.rollouts[0].weights)
    return [a - b for a, b in zip(now, start, strict=True)]


def test_every_response_is_scored_against_its_own_prompt(trained: Trained) -> None:
    known = by_prompt(trained.lab.task.splits.train)
    assert len(trained.rollouts) == LOOP.iterations + 1  # the last describes the final policy alone
    for call in trained.rollouts:
        assert call.prompts[::2] == call.prompts[1::2]  # the two samples of a prompt stand side by side
        assert len(set(call.prompts)) == 4
        assert call.targets == [known[prompt].targets for prompt in call.prompts]
    assert {prompt for call in trained.rollouts for prompt in call.prompts} == known.keys()  # a pass sees all of them


def test_rewards_are_logged_as_the_task_gives_them(trained: Trained) -> None:
    for step, call in enumerate(trained.rollouts):
        pairs = call.scores.reshape(4, 2)
        assert trained.metrics["reward/mean"][step] == pytest.approx(call.scores.mean(), abs=1e-6)
        assert trained.metrics["reward/std_within_prompt"][step] == pytest.approx(pairs.std(1).mean(), abs=1e-6)
        assert trained.metrics["reward/share_vanishing"][step] == (pairs.std(1) < 0.05).mean()


def test_lengths_are_those_of_the_responses(trained: Trained) -> None:
    for step, call in enumerate(trained.rollouts):
        rows = [ids_of(text, MAX_NEW) for text in call.responses]
        assert trained.metrics["rollout/length"][step] == np.mean([len(row) for row in rows])
        assert trained.metrics["rollout/truncated"][step] == np.mean([len(text) == MAX_NEW for text in call.responses])


def test_the_kl_is_to_the_start_and_of_the_policy_that_sampled_at_its_temperature(trained: Trained) -> None:
    for step, call in enumerate(trained.rollouts):
        ratios = log_ratios(trained, call)
        tokens = torch.cat(ratios)
        k3 = torch.stack([((-x).exp() - 1 + x).sum() for x in ratios])
        expected = {
            "policy/kl": float(torch.stack([x.sum() for x in ratios]).mean()),
            "policy/kl_token": float(tokens.mean()),
            "policy/kl_k3": float(k3.mean()),
        }
        for name, value in expected.items():
            assert trained.metrics[name][step] == pytest.approx(value, rel=1e-3, abs=1e-5), (name, step)
    assert trained.metrics["policy/kl"][3] > 0.01  # there was something to measure


def test_beta_answers_once_per_rollout_to_the_kl_per_response(trained: Trained) -> None:
    beta, kl = LOSS.kl.initial, trained.metrics["policy/kl"]
    errors, of_tokens = (  # by the iteration that trains on the rollout
        {step + 1: min(max(found[step] / LOSS.kl.target - 1, -0.2), 0.2) for step in kl}
        for found in (kl, trained.metrics["policy/kl_token"])
    )
    assert abs(errors[2] - of_tokens[2]) > 0.02  # the two would differ
    for iteration in (1, 2, 3):
        assert trained.metrics["kl_control/beta"][iteration] == pytest.approx(beta, rel=1e-9)
        beta *= 1 + LOSS.kl.rate * errors[iteration]


def test_the_learning_rate_is_scheduled_over_the_optimiser_steps_of_the_whole_run(trained: Trained) -> None:
    total, spec = LOOP.iterations * PER_ITERATION, trained.lab.optimizer
    steps = np.arange(1, total + 1)
    expected = spec.lr * np.minimum(steps / 3, (1 + np.cos(np.pi * (steps - 3).clip(0) / (total - 3))) / 2)
    assert [step.lr for step in spec.build.steps] == pytest.approx(expected)
    logged = trained.metrics["optimizer/lr"]
    assert [logged[i] for i in (1, 2, 3)] == pytest.approx(expected[PER_ITERATION - 1 :: PER_ITERATION])


@torch.no_grad()
@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_responses_are_those_of_the_policy_as_it_is_now(
    quick_lab: Callable[..., Lab], make_policy: Callable[[str], Policy], family: str
) -> None:
    lab, spare = quick_lab("greedy", family=family, rollout={"top_k": 1}), make_policy(family)
    with torch.enable_grad():
        online(iterations=2).run(lab, ppo(whiten_advantages="none"))
    first, second, _ = lab.task.reward.rollouts

    def answers(weights: dict[str, torch.Tensor]) -> list[str]:
        spare.load_state_dict(weights)
        return [plain_greedy(spare, prompt, MAX_NEW) for prompt in second.prompts]

    assert second.responses == answers(second.weights) != answers(first.weights)


@torch.no_grad()
def test_every_split_is_answered_and_rewarded_on_its_own_prompts(trained: Trained) -> None:
    policy, sizes = trained.lab.policy, trained.lab.evaluation.sizes
    assert set(trained.metrics["eval/validation/reward"]) == {0, 2, 3}  # before, every second, after
    rows = [row for row in read_run(trained.lab.session.run.folder).samples() if row.get("phase") is None]
    for split, first in zip(SPLITS, "abc", strict=True):
        known = by_prompt(getattr(trained.lab.task.splits, split))
        asked = [call for call in trained.lab.task.reward.calls if call.prompts[0][0] == first]
        last = [call for call in asked if len(call.prompts) == len(set(call.prompts)) == sizes[split]][-1]
        assert set(last.prompts) <= known.keys()
        answers = [plain_greedy(policy, prompt, MAX_EVALUATED) for prompt in last.prompts]
        assert last.responses == answers
        expected = shared_letters(last.prompts, answers, [known[prompt].targets for prompt in last.prompts])
        assert trained.metrics[f"eval/{split}/reward"][3] == pytest.approx(expected.mean())
        lengths = [len(ids_of(answer, MAX_EVALUATED)) for answer in answers]
        assert trained.metrics[f"eval/{split}/length"][3] == pytest.approx(np.mean(lengths))
        shown = [row for row in rows if row["split"] == split][-1]
        assert (shown["prompt"], shown["response"], shown["step"]) == (last.prompts[0], answers[0], 3)
        assert shown["score"] == pytest.approx(expected[0])


def test_reward_statistics_are_those_of_the_sampled_responses(trained: Trained) -> None:
    frame = read_run(trained.lab.session.run.folder).prompts()
    known, samples = by_prompt(trained.lab.task.splits.train), trained.lab.evaluation.probe_samples
    probed = []
    for call in trained.lab.task.reward.calls:
        if len(call.prompts) == samples * len(set(call.prompts)):
            asked = [known[prompt].id for prompt in call.prompts[::samples]]
            scores = call.scores.reshape(-1, samples)
            probed += zip(asked, scores.mean(1), scores.std(1), strict=True)
    assert len(frame) == len(probed) == 6 + 4 + 6  # before, during, after
    for (prompt_id, mean, std), row in zip(probed, frame.itertuples(), strict=True):
        assert row.prompt_id == prompt_id
        assert (row.reward_mean, row.reward_std) == pytest.approx((mean, std), abs=1e-9)
