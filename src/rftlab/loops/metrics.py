"""The numbers that describe a rollout and its updates, and what they warn of."""

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from rftlab.diagnostics import prompt_statistics
from rftlab.ops import Total, explained_variance, kl_k1, kl_k3, masked_mean, masked_var, row_sum
from rftlab.ranks import Ranks
from rftlab.types import Experience, Responses

KL_PER = {"response": "policy/kl", "token": "policy/kl_token"}
KL_WINDOW = 10  # rollouts
KL_NOISE = 0.1  # nats per response


def rollout_metrics(
    experience: Experience, samples_per_prompt: int, std_below: float, ranks: Ranks, *, sampled: bool
) -> dict[str, float]:
    """Describe the responses of an iteration by whatever columns they have.

    Rewards are in raw units, the KL to the reference is per response and per token, advantages are not yet whitened.
    Of responses that the policy did not sample neither is told: they would not be its own.
    """
    mask, columns, total = experience.response_mask, experience.columns, ranks.sum
    metrics: dict[str, Tensor] = {}
    if sampled and {"old_logprobs", "ref_logprobs"} <= columns.keys():
        old, ref = of_whole_policy(columns), columns["ref_logprobs"]
        metrics["policy/kl"] = _mean(row_sum(kl_k1(old, ref), mask), total)
        metrics["policy/kl_k3"] = _mean(row_sum(kl_k3(old, ref), mask), total)
        metrics["policy/kl_token"] = masked_mean(kl_k1(old, ref), mask, total)
    if {"unmasked_logprobs", "mask_size"} <= columns.keys():
        kept = (
            columns["unmasked_logprobs"] - columns["old_logprobs"]
        ).exp()  # p of the token = p under the mask x this
        metrics["mask/kept_mass"] = masked_mean(kept, mask, total)
        metrics["mask/size"] = masked_mean(columns["mask_size"], mask, total)
    if {"values", "returns"} <= columns.keys():
        metrics["value/explained_var"] = explained_variance(columns["values"], columns["returns"], mask, total)
    if "advantages" in columns:
        metrics["advantage/std_raw"] = advantage_std(experience, total)
    if sampled and experience.scores is not None:
        metrics["reward/mean"] = _mean(experience.scores, total)
        if samples_per_prompt > 1:
            groups = experience.scores.view(-1, samples_per_prompt).double().cpu().numpy()
            stds = prompt_statistics(groups).std
            prompts = total(torch.tensor(len(stds), dtype=torch.float64))
            metrics["reward/std_within_prompt"] = total(torch.tensor(stds.sum())) / prompts
            metrics["reward/share_vanishing"] = total(torch.tensor(float((stds < std_below).sum()))) / prompts
    return {name: float(value) for name, value in metrics.items()}


def of_whole_policy(columns: Mapping[str, Tensor]) -> Float[Tensor, "n t"]:
    """Give the log-probabilities of the policy that sampled over the whole vocabulary, also where it was masked."""
    return columns["unmasked_logprobs"] if "unmasked_logprobs" in columns else columns["old_logprobs"]


def _mean(x: Float[Tensor, " n"], total: Total) -> Float[Tensor, ""]:
    return masked_mean(x, torch.ones_like(x, dtype=torch.bool), total)


def sampling_metrics(responses: Responses) -> dict[str, float]:
    """Describe how responses were sampled: the share cut by the length limit, and the probability that could be chosen.

    A kept mass below 1 says by how much the sampling distribution differs from the policy that is updated.
    """
    return {
        "rollout/responses": float(len(responses.response_mask)),
        "rollout/length": float(responses.response_mask.sum(1).float().mean()),
        "rollout/truncated": float(responses.truncated.float().mean()),
        "rollout/kept_mass": float(masked_mean(responses.kept_mass, responses.response_mask)),
    }


def mean_of(updates: Sequence[Mapping[str, float]], maxima: Collection[str] = ()) -> dict[str, float]:
    """Average the metrics of several optimiser steps; of `maxima` the largest counts."""
    columns = {name: [u[name] for u in updates] for name in updates[0]}
    return {n: max(c) if n in maxima else math.fsum(c) / len(c) for n, c in columns.items()}


def advantage_std(experience: Experience, total: Total) -> Float[Tensor, ""]:
    """Population std of the advantages as they stand, over all response tokens."""
    return masked_var(experience["advantages"], experience.response_mask, total).sqrt()


def negative_kl(recent: Sequence[float]) -> str | None:
    """Say so when the mean KL of the last `KL_WINDOW` rollouts is clearly negative.

    One negative estimate is noise; a lasting one means that responses are not sampled from the policy that is scored.
    """
    mean = math.fsum(recent) / len(recent)
    if len(recent) < KL_WINDOW or mean > -KL_NOISE:
        return None
    return f"policy/kl is {mean:.2f} over {KL_WINDOW} rollouts: the sampler differs from the policy that is scored"
