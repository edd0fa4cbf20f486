"""The sampled estimates for language models against exact enumeration, and the operator norm against the SVD."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from rftlab.diagnostics import language, logits_jacobian_norm, operator_norm, sampled_gradient_bound
from rftlab.diagnostics.language import leave_one_out, squared_norms
from rftlab.errors import UserError
from rftlab.models import Policy
from rftlab.sampling.sample import sample
from rftlab.streams import row_noise, stream
from rftlab.types import Responses, Sampling

SAMPLING = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_new_tokens=0, max_new_tokens=1)
PROMPT = (torch.tensor([[7, 12, 9, 30]]), torch.ones((1, 4), dtype=torch.bool))
SMALL = {"vocab_size": 40}  # so that all answers can be listed
SETTINGS = {"max_new_tokens": 1, "reward_range": (0.0, 1.0), "prefixes": 2, "power_iterations": 5}


def draw(policy: Policy, count: int, sampling: Sampling = SAMPLING) -> Responses:
    noise = row_noise(0, "sample", places=[0], samples=count, steps=sampling.max_new_tokens)
    return sample(policy, *PROMPT, sampling, count, noise)


def reward_of_tokens(ids: torch.Tensor) -> np.ndarray:
    """Score a response by its first token, with no pattern in the ids."""
    return (ids.numpy() * 37 % 101) / 101


def exact_gradient(policy: Policy, temperature: float) -> tuple[float, float, float]:
    """Enumerate all answers of one token: reward mean, std, and the norm of the gradient of the mean."""
    ids = torch.zeros((1, 1), dtype=torch.long)
    hidden = policy.hidden(*PROMPT, ids, torch.ones_like(ids, dtype=torch.bool))
    probs = (policy.logits(hidden[0, 0]) / temperature).softmax(-1)
    rewards = torch.tensor(reward_of_tokens(torch.arange(len(probs))), dtype=probs.dtype)
    value = (probs * rewards).sum()
    gradients = torch.autograd.grad(value, list(policy.parameters()), allow_unused=True, materialize_grads=True)
    std = (probs * (rewards - value).square()).sum().sqrt()
    return value.item(), std.item(), torch.cat([g.flatten() for g in gradients]).norm().item()


# --- the estimator ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 4])
def test_every_possible_sample_averages_to_the_exact_gradient_and_its_square(n: int) -> None:
    rng = np.random.default_rng(0)
    p, r = np.array([0.1, 0.2, 0.3, 0.4]), rng.random(4)
    s = rng.standard_normal((4, 5))
    s -= p @ s  # a score function has mean 0
    exact = (p * r) @ s
    mean, biased, square = np.zeros(5), 0.0, 0.0
    for outcome in product(range(4), repeat=n):
        chosen = list(outcome)
        terms = leave_one_out(r[chosen])[:, None] * s[chosen]
        total = terms.sum(axis=0)
        found = squared_norms(float(total @ total), float((terms**2).sum()), n)
        assert found[0] - found[1] >= -1e-15  # the estimated error of the gradient
        weight = p[chosen].prod()
        mean, biased, square = mean + weight * total / n, biased + weight * found[0], square + weight * found[1]
    assert mean == pytest.approx(exact)
    assert square == pytest.approx(exact @ exact)
    assert biased > square


@pytest.mark.parametrize(("family", "temperature"), [("causal", 1.0), ("seq2seq", 1.0), ("causal", 0.7)])
def test_many_samples_agree_with_enumeration_within_the_error(
    tiny_gpt2: Callable, tiny_t5: Callable, family: str, temperature: float
) -> None:
    policy = tiny_gpt2(**SMALL) if family == "causal" else tiny_t5(**SMALL)
    mean, std, norm = exact_gradient(policy, temperature)
    responses = draw(policy, 4000, replace(SAMPLING, temperature=temperature))
    scores = reward_of_tokens(responses.response_ids[:, 0])
    found = sampled_gradient_bound(
        policy, *PROMPT, responses, scores, temperature=temperature, generator=stream(0, "power"), **SETTINGS
    )
    assert found.reward_mean == pytest.approx(mean, abs=4 * std / 4000**0.5)
    assert found.reward_std == pytest.approx(std, rel=0.05)
    assert found.grad_error < 0.5 * norm  # enough samples to say something
    assert abs(found.grad_norm - norm) < 2 * found.grad_error
    assert abs(found.grad_norm_squared - norm**2) < 3 * found.grad_error * norm
    assert found.prefixes == 1  # all answers start from the same one
    assert norm < found.bound_std < found.bound_two_thirds


def test_estimates_from_few_samples_are_unbiased_on_average(tiny_gpt2: Callable) -> None:
    policy = tiny_gpt2(**SMALL)
    _, _, norm = exact_gradient(policy, 1.0)
    settings = SETTINGS | {"prefixes": 0}
    found, four = [], draw(policy, 4)
    for group in draw(policy, 400).response_ids.split(4):
        responses = replace(four, response_ids=group)
        scores = reward_of_tokens(group[:, 0])
        found.append(
            sampled_gradient_bound(policy, *PROMPT, responses, scores, temperature=1.0, generator=stream(0), **settings)
        )
    squares = np.array([f.grad_norm_squared for f in found])
    assert abs(squares.mean() - norm**2) < 3 * squares.std() / len(squares) ** 0.5
    assert (squares < 0).any()  # reported as it is: cutting at 0 would bias the mean
    biased = np.mean([f.grad_norm**2 for f in found])
    assert biased > 2 * norm**2
    assert biased - np.mean([f.grad_error**2 for f in found]) == pytest.approx(squares.mean())


@pytest.mark.parametrize(("score", "count"), [(0.25, 5), (0.041, 10), (0.973, 10)])  # the latter have a rounded mean
def test_equal_scores_give_no_gradient_and_no_error(tiny_gpt2: Callable, score: float, count: int) -> None:
    policy = tiny_gpt2(**SMALL)
    scores = np.full(count, score)
    assert (leave_one_out(scores) == 0).all()
    found = sampled_gradient_bound(
        policy, *PROMPT, draw(policy, count), scores, temperature=1.0, generator=stream(0), **SETTINGS
    )
    assert (found.grad_norm, found.grad_error, found.grad_norm_squared, found.bound_std) == (0, 0, 0, 0)
    assert (found.reward_mean, found.reward_std, found.bound_two_thirds) == (score, 0, 0)
    assert found.jacobian_norm > 0


@pytest.mark.parametrize("at_once", [1, 3, 100])
@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_streamed_sums_are_the_covariance_of_scores_and_gradients(
    tiny_gpt2: Callable, tiny_t5: Callable, family: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language, "rows_at_once", lambda *_: at_once)
    policy = tiny_gpt2(**SMALL) if family == "causal" else tiny_t5(**SMALL)
    drawn = draw(policy, 10, replace(SAMPLING, max_new_tokens=5))
    twice = torch.arange(10).repeat(2)  # equal responses are differentiated once
    responses = Responses(**{name: value[twice] for name, value in vars(drawn).items()})
    scores = np.linspace(0.0, 1.0, 20) ** 2
    before = [p.clone() for p in policy.parameters()]
    settings = SETTINGS | {"max_new_tokens": 5}
    found = sampled_gradient_bound(policy, *PROMPT, responses, scores, temperature=1.0, generator=stream(0), **settings)
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, policy.parameters(), strict=True))
    logprobs = policy(
        *PROMPT, responses.response_ids, responses.response_mask, prompt_index=responses.prompt_index
    ).logprobs.sum(-1)
    parameters = list(policy.parameters())
    rows = [torch.autograd.grad(x, parameters, retain_graph=True, materialize_grads=True) for x in logprobs]
    gradients = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]).numpy()
    terms = leave_one_out(scores)[:, None] * gradients
    assert found.grad_norm == pytest.approx(np.linalg.norm(terms.mean(axis=0)), rel=1e-4)
    naive = terms.var(axis=0, ddof=1).sum() / 20  # differs from the estimate in the order of 1 / G^2
    assert found.grad_error == pytest.approx(naive**0.5, rel=0.02)
    assert found.prefixes == 2
    assert found.grad_norm + found.grad_error < found.bound_std


def test_a_classifier_is_a_policy_of_one_token(tiny_bert: Callable) -> None:
    policy = tiny_bert(**SMALL)
    responses = draw(policy, 50)
    scores = reward_of_tokens(responses.response_ids[:, 0])
    found = sampled_gradient_bound(policy, *PROMPT, responses, scores, temperature=1.0, generator=stream(0), **SETTINGS)
    assert 0 < found.grad_norm < found.bound_std


def test_samples_of_a_part_of_the_vocabulary_are_refused(tiny_gpt2: Callable) -> None:
    policy = tiny_gpt2(**SMALL)
    settings = SETTINGS | {"temperature": 1.0, "generator": stream(0)}
    with pytest.raises(UserError, match="top_k 0"):
        sampled_gradient_bound(policy, *PROMPT, draw(policy, 4, replace(SAMPLING, top_k=3)), np.zeros(4), **settings)
    with pytest.raises(ValueError, match="within"):
        sampled_gradient_bound(policy, *PROMPT, draw(policy, 4), np.full(4, 1.5), **settings)
    with pytest.raises(ValueError, match="needs two"):
        sampled_gradient_bound(policy, *PROMPT, draw(policy, 1), np.zeros(1), **settings)


# --- the Jacobian -------------------------------------------------------------------------------------------------


def test_power_iteration_finds_the_largest_singular_value_from_below() -> None:
    matrix = torch.randn((6, 11), generator=stream(0), dtype=torch.float64)
    parameters = [nn.Parameter(torch.zeros(4, dtype=torch.float64)), nn.Parameter(torch.zeros(7, dtype=torch.float64))]
    unused = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    outputs = matrix @ torch.cat(parameters)
    exact = float(torch.linalg.svdvals(matrix)[0])
    found = [operator_norm(outputs, [*parameters, unused], steps, stream(1)) for steps in (1, 2, 5, 200)]
    assert found == sorted(found)
    assert all(value <= exact * (1 + 1e-12) for value in found)
    assert found[-1] == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("family", ["causal", "seq2seq", "classifier"])
def test_the_jacobian_norm_of_a_model_is_that_of_its_svd(
    tiny_gpt2: Callable, tiny_t5: Callable, tiny_bert: Callable, family: str
) -> None:
    policy = {"causal": tiny_gpt2, "seq2seq": tiny_t5, "classifier": tiny_bert}[family](**SMALL)
    draw(policy, 2)  # sampling may install attention functions of its own
    prefix = () if family == "classifier" else (5, 9)
    ids = torch.tensor([[*prefix, 0]])
    if family == "classifier":
        logits = policy.classify(*PROMPT)[1][0]
    else:
        logits = policy.logits(policy.hidden(*PROMPT, ids, torch.ones_like(ids, dtype=torch.bool))[0, -1])
    parameters = list(policy.parameters())
    rows = [torch.autograd.grad(z, parameters, retain_graph=True, materialize_grads=True) for z in logits]
    exact = float(torch.linalg.svdvals(torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]))[0])
    found = logits_jacobian_norm(policy, *PROMPT, prefix, 1.0, 30, stream(0))
    assert exact * 0.999 < found < exact * 1.0001
    assert logits_jacobian_norm(policy, *PROMPT, prefix, 2.0, 30, stream(0)) == pytest.approx(found / 2)
