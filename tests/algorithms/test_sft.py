"""Maximum likelihood of gold texts."""

import pytest
import torch
from sizes import totals

from rftlab.algorithms.sft import SFT


def test_loss_is_the_cross_entropy_of_torch(randn, mask_of, make_experience, make_forward):
    logits, ids, mask = (
        randn(3, 4, 7),
        torch.tensor([[0, 1, 2, 3], [4, 5, 6, 0], [1, 2, 3, 4]]),
        mask_of(4, 2, 1, width=4),
    )
    logprobs = logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]
    labels = ids.masked_fill(~mask, -100)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(
        SFT().loss(make_forward(logprobs), make_experience(mask=mask), totals(int(mask.sum()))).loss, expected
    )


def test_microbatches_add_up_to_the_optimiser_step(randn, mask_of, make_experience, make_forward):
    logprobs, mask = randn(4, 5).requires_grad_(), mask_of(5, 1, 2, 4, width=5)
    tokens = int(mask.sum())
    whole = SFT().loss(make_forward(logprobs, entropy=1.0), make_experience(mask=mask), totals(tokens))
    parts = [
        SFT().loss(
            make_forward(logprobs[i : i + 1], entropy=1.0), make_experience(mask=mask[i : i + 1]), totals(tokens)
        )
        for i in range(4)
    ]
    (once,) = torch.autograd.grad(whole.loss, logprobs)
    (accumulated,) = torch.autograd.grad(torch.stack([part.loss for part in parts]).sum(), logprobs)
    torch.testing.assert_close(accumulated, once)
    for name, value in whole.metrics.items():
        torch.testing.assert_close(torch.stack([part.metrics[name] for part in parts]).sum(), value)


def test_targets_alone_are_learned_and_each_token_alike(randn, mask_of, make_experience, make_forward):
    logprobs, mask = randn(2, 3).requires_grad_(), mask_of(3, 1, width=3)
    (gradient,) = torch.autograd.grad(
        SFT().loss(make_forward(logprobs), make_experience(mask=mask), totals(4)).loss, logprobs
    )
    torch.testing.assert_close(gradient, torch.where(mask, -0.25, 0.0))


def test_a_step_without_targets_costs_nothing(randn, mask_of, make_experience, make_forward):
    out = SFT().loss(
        make_forward(randn(2, 3).requires_grad_()), make_experience(mask=mask_of(0, 0, width=3)), totals(0)
    )
    out.loss.backward()
    assert out.loss.item() == 0.0


def test_logged_loss_is_in_nats_per_token_and_carries_no_graph(mask_of, make_experience, make_forward):
    logprobs = torch.log(torch.tensor([[0.5, 0.25]])).requires_grad_()
    metrics = (
        SFT().loss(make_forward(logprobs, entropy=0.7), make_experience(mask=mask_of(2, width=2)), totals(2)).metrics
    )
    assert metrics["sft/loss"].item() == pytest.approx(1.5 * 0.6931472)
    assert metrics["policy/entropy"].item() == pytest.approx(0.7)
    assert not any(value.requires_grad for value in metrics.values())
