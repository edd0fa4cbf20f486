"""The gradient of one minibatch, and the numbers that describe a rollout and its updates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rftlab.diagnostics import prompt_statistics
from rftlab.errors import UserError
from rftlab.models import ActorCritic
from rftlab.ops import explained_variance, kl_k1, kl_k3, masked_mean, masked_var, row_sum
from rftlab.types import Algorithm, Batch, Responses, Rollout

KL_WINDOW = 10  # rollouts
KL_NOISE = 0.1  # nats per response


def batch_of(
    rollout: Rollout, advantages: Float[Tensor, "n t"], returns: Float[Tensor, "n t"], rows: Int[Tensor, " m"]
) -> Batch:
    """Take the given rows of a rollout."""
    return Batch(
        prompt_ids=rollout.prompt_ids[rows],
        prompt_mask=rollout.prompt_mask[rows],
        response_ids=rollout.response_ids[rows],
        response_mask=rollout.response_mask[rows],
        old_logprobs=rollout.old_logprobs[rows],
        ref_logprobs=rollout.ref_logprobs[rows],
        old_values=rollout.values[rows],
        advantages=advantages[rows],
        returns=returns[rows],
    )


def accumulate_gradient(
    algorithm: Algorithm,
    networks: ActorCritic,
    minibatch: Batch,
    prompt_index: Int[Tensor, " n"],
    temperature: float,
    microbatch_size: int,
) -> dict[str, float]:
    """Add up the gradient of one optimiser step over its microbatches, and the metrics with it.

    One denominator, the tokens of the whole minibatch, serves all microbatches: their number changes nothing. Rows
    that share a prompt share its encoding.
    """
    denominator = int(minibatch.response_mask.sum())
    sums: dict[str, float] = {}
    for rows in torch.arange(len(prompt_index), device=prompt_index.device).split(microbatch_size):
        batch = Batch(**{f.name: getattr(minibatch, f.name)[rows] for f in fields(Batch)})
        first, index = first_rows(prompt_index[rows])
        prompts = (batch.prompt_ids[first], batch.prompt_mask[first])
        new = networks(*prompts, batch.response_ids, batch.response_mask, temperature, index)
        output = algorithm.loss(new, batch, denominator)
        output.loss.backward()
        sums = {name: sums.get(name, 0.0) + float(value) for name, value in output.metrics.items()}
    return sums


def trim(ids: Int[Tensor, "n t"], mask: Bool[Tensor, "n t"]) -> tuple[Int[Tensor, "n u"], Bool[Tensor, "n u"]]:
    """Drop the columns that are padding in every row, on whichever side they are."""
    columns = mask.any(dim=0)
    return ids[:, columns], mask[:, columns]


def first_rows(prompt_index: Int[Tensor, " n"]) -> tuple[Int[Tensor, " b"], Int[Tensor, " n"]]:
    """Find one row of each prompt, and for every row the place of its prompt among these."""
    prompts, inverse = prompt_index.unique(return_inverse=True)
    rows = torch.arange(len(prompt_index), device=prompt_index.device)
    first = torch.full_like(prompts, len(prompt_index)).scatter_reduce(0, inverse, rows, reduce="amin")
    return first, inverse


def mean_of(updates: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average the metrics of several optimiser steps."""
    return {name: math.fsum(u[name] for u in updates) / len(updates) for name in updates[0]}


def rollout_metrics(
    rollout: Rollout, returns: Float[Tensor, "n t"], samples_per_prompt: int, std_below: float
) -> dict[str, float]:
    """Describe a rollout: rewards in raw units, KL to the reference per response and per token, fit of the values."""
    mask = rollout.response_mask
    k1 = kl_k1(rollout.old_logprobs, rollout.ref_logprobs)
    metrics = {
        "reward/mean": float(rollout.scores.mean()),
        "policy/kl": float(row_sum(k1, mask).mean()),
        "policy/kl_k3": float(row_sum(kl_k3(rollout.old_logprobs, rollout.ref_logprobs), mask).mean()),
        "policy/kl_token": float(masked_mean(k1, mask)),
        "value/explained_var": float(explained_variance(rollout.values, returns, mask)),
        "advantage/std_raw": float(masked_var(returns - rollout.values, mask).sqrt()),
    }
    if samples_per_prompt > 1:
        statistics = prompt_statistics(rollout.scores.view(-1, samples_per_prompt).double().cpu().numpy())
        metrics["reward/std_within_prompt"] = float(statistics.std.mean())
        metrics["reward/share_vanishing"] = float((statistics.std < std_below).mean())
    return metrics


def sampling_metrics(responses: Responses) -> dict[str, float]:
    """Describe how responses were sampled: the share cut by the length limit, and the probability that could be chosen.

    A kept mass below 1 says by how much the sampling distribution differs from the policy that is updated.
    """
    return {
        "rollout/length": float(responses.response_mask.sum(1).float().mean()),
        "rollout/truncated": float(responses.truncated.float().mean()),
        "rollout/kept_mass": float(masked_mean(responses.kept_mass, responses.response_mask)),
    }


def negative_kl(recent: Sequence[float]) -> str | None:
    """Say so when the mean KL of the last `KL_WINDOW` rollouts is clearly negative.

    One negative estimate is noise; a lasting one means that responses are not sampled from the policy that is scored.
    """
    mean = math.fsum(recent) / len(recent)
    if len(recent) < KL_WINDOW or mean > -KL_NOISE:
        return None
    return f"policy/kl is {mean:.2f} over {KL_WINDOW} rollouts: the sampler differs from the policy that is scored"


def refuse_divergence(metrics: Mapping[str, float]) -> None:
    """Stop a run whose loss, gradient or KL is no longer a number: nothing after it would mean anything.

    Raises:
        UserError: Which metric, and the learning rate as the key to change.
    """
    for name in ("policy/loss", "value/loss", "grad/norm", "policy/kl"):
        if name in metrics and not math.isfinite(metrics[name]):
            raise UserError(f"{name} is {metrics[name]}", "a finite number", "optimizer.lr, or algo.loss")
