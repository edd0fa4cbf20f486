"""Sampling engine: many samples per prompt from one reading of it, with the log-probability of every choice.

Each prompt is read once (encoder, or prefill of the causal cache), for all its samples.
Rows that have ended leave the batch. Nothing is taken from a checkpoint's generation config.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor, nn

from rftlab.models import Policy
from rftlab.sampling.beam import beam_search
from rftlab.sampling.decoding import StartDecoder, start_decoder
from rftlab.types import BeamSearch, Responses, Sampling

__all__ = ["beam_search", "generate", "sample"]

BLOCK = 2048  # tokens of a vocabulary whose masses are added up before the search
COMPACT_SHARE = 0.125  # rows leave the batch once this share of it has ended: dropping copies the cache


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One sampled token per row, and how likely it was."""

    tokens: Int[Tensor, " n"]
    logprobs: Float[Tensor, " n"]
    kept_mass: Float[Tensor, " n"]


# --- one step -----------------------------------------------------------------------------------------------------


def keep_top_k(logits: Float[Tensor, "n v"], k: int) -> Float[Tensor, "n v"]:
    """Set all but the k largest logits of each row to -inf; equals of the k-th stay too."""
    if k >= logits.shape[-1]:
        return logits
    kth = logits.topk(k).values[:, -1:]
    return logits.masked_fill(logits < kth, -torch.inf)


def keep_top_p(logits: Float[Tensor, "n v"], p: float) -> Float[Tensor, "n v"]:
    """Keep the smallest set of most likely tokens whose probability reaches p, at least one."""
    ordered, order = logits.sort(descending=True)
    probs = ordered.softmax(-1)
    drop = probs.cumsum(-1) - probs >= p
    drop[:, 0] = False
    return logits.masked_fill(torch.zeros_like(drop).scatter(-1, order, drop), -torch.inf)


def restrict(logits: Float[Tensor, "n v"], sampling: Sampling, banned: int | None) -> Float[Tensor, "n v"]:
    """Set the logits of the tokens that cannot be sampled to -inf; `logits` are already divided by the temperature.

    The banned token goes first, so that top-k and top-p always leave something to sample.
    """
    if banned is not None:
        logits = logits.clone()
        logits[:, banned] = -torch.inf
    if sampling.top_k > 0:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p < 1.0:
        logits = keep_top_p(logits, sampling.top_p)
    return logits


def choose(logits: Float[Tensor, "n v"], noise: Float[Tensor, " n"], sampling: Sampling, banned: int | None) -> Choice:
    """Sample a token per row by inverting the cumulative distribution at `noise`, one uniform number per row.

    A row's choice depends on its own logits and number alone, whichever other rows are still there. A large vocabulary
    is searched by blocks: their masses are sums in single precision, all other sums are in double precision.
    """
    full = logits if sampling.temperature == 1.0 else logits / sampling.temperature
    kept = restrict(full, sampling, banned)
    probs = kept.softmax(-1)
    tokens = _invert(probs, noise.unsqueeze(-1))
    logprobs = probs.gather(-1, tokens).log()
    mass = torch.ones_like(logprobs)
    if kept is not full:
        of_kept = kept.gather(-1, tokens) - logprobs  # log of the sum of exp(logits)
        cut = sampling.top_k > 0 or sampling.top_p < 1.0
        mass = (of_kept - full.logsumexp(-1, keepdim=True)).exp() if cut else (of_kept - full[:, [banned]]).sigmoid()
    return Choice(tokens=tokens.squeeze(-1), logprobs=logprobs.squeeze(-1), kept_mass=mass.squeeze(-1))


def _invert(probs: Float[Tensor, "n v"], noise: Float64[Tensor, "n 1"]) -> Int[Tensor, "n 1"]:
    """Find the token whose interval of cumulative probability holds `noise` of the whole."""
    v = probs.shape[1]
    if v <= BLOCK:
        return _hit(probs, noise)[0]
    whole = v // BLOCK * BLOCK
    masses = [probs[:, :whole].unflatten(1, (-1, BLOCK)).sum(-1), probs[:, whole:].sum(-1, keepdim=True)]
    block, rest = _hit(torch.cat(masses, dim=1), noise)
    places = block * BLOCK + torch.arange(BLOCK, device=probs.device)
    inside = probs.gather(-1, places.clamp_max(v - 1)).masked_fill(places >= v, 0.0)
    return block * BLOCK + _hit(inside, rest, of_total=False)[0]


def _hit(
    masses: Float[Tensor, "n m"], noise: Float64[Tensor, "n 1"], of_total: bool = True
) -> tuple[Int[Tensor, "n 1"], Float64[Tensor, "n 1"]]:
    """Find the interval that holds a share of all mass, or so much mass; also return how far into the interval that is.

    What has no mass has no interval and cannot be hit.
    """
    cumulative = masses.cumsum(-1, dtype=torch.float64)
    total = cumulative[:, -1:].contiguous()
    target = noise * total if of_total else noise
    hit = torch.searchsorted(cumulative, target, right=True)
    last_possible = torch.searchsorted(cumulative, total)  # rounding may carry the target up to the total itself
    index = torch.minimum(hit, last_possible)
    return index, (target - (cumulative - masses).gather(-1, index)).clamp_min(0.0)


# --- whole responses ----------------------------------------------------------------------------------------------


def sample(
    policy: Policy,
    prompt_ids: Int[Tensor, "b p"],
    prompt_mask: Bool[Tensor, "b p"],
    sampling: Sampling,
    samples_per_prompt: int,
    noise: Float64[Tensor, "n t"],
    batch_size: int | None = None,
    start: StartDecoder = start_decoder,
) -> Responses:
    """Sample `samples_per_prompt` responses to each prompt; the rows of one prompt are adjacent.

    Log-probabilities are those of the distribution that was sampled from: temperature, then EOS banned before
    `min_new_tokens`, then top-k, then top-p. With neutral settings they equal `Policy.forward` at the same temperature.

    Args:
        noise: A uniform number in [0, 1) for each of `max_new_tokens` tokens of each row; see `streams.row_noise`.
        batch_size: Responses decoded at a time, at least those of one prompt; None = all. It changes rounding alone.
        start: What reads the prompts and gives the logits of each step. Tokens that it makes impossible (-inf) are no
            part of the distribution that temperature, top-k and top-p then cut, nor of the `kept_mass` that they leave.
    """
    assert noise.shape == (len(prompt_ids) * samples_per_prompt, sampling.max_new_tokens)
    noise = noise[:, :1] if policy.family == "classifier" else noise
    prompts = prompts_at_once(batch_size, samples_per_prompt) if batch_size is not None else max(1, len(prompt_ids))
    parts = zip(
        prompt_ids.split(prompts),
        prompt_mask.split(prompts),
        noise.to(policy.device).split(prompts * samples_per_prompt),
        strict=True,
    )
    return joined(
        [_sample(policy, ids, mask, sampling, numbers, start=start) for ids, mask, numbers in parts], policy.pad_id
    )


def prompts_at_once(batch_size: int, samples_per_prompt: int) -> int:
    """Say how many prompts are answered in a batch of so many responses; at least one."""
    return max(1, batch_size // samples_per_prompt)


def joined(parts: Sequence[Responses], pad_id: int) -> Responses:
    """Put the responses to consecutive prompts below each other, padded to the longest."""
    if len(parts) == 1:
        return parts[0]
    width = max(part.response_ids.shape[1] for part in parts)

    def padded(name: str, value: int | float) -> Tensor:
        columns = [getattr(part, name) for part in parts]
        return torch.cat([nn.functional.pad(x, (0, width - x.shape[1]), value=value) for x in columns])

    counts = [int(part.prompt_index[-1]) + 1 for part in parts]
    firsts = accumulate(counts[:-1], initial=0)
    return Responses(
        response_ids=padded("response_ids", pad_id),
        response_mask=padded("response_mask", False),
        logprobs=padded("logprobs", 0.0),
        kept_mass=padded("kept_mass", 1.0),
        truncated=torch.cat([part.truncated for part in parts]),
        prompt_index=torch.cat([part.prompt_index + first for part, first in zip(parts, firsts, strict=True)]),
    )


@torch.no_grad()
def _sample(
    policy: Policy,
    prompt_ids: Int[Tensor, "b p"],
    prompt_mask: Bool[Tensor, "b p"],
    sampling: Sampling,
    noise: Float[Tensor, "n t"],
    compact_share: float = COMPACT_SHARE,
    start: StartDecoder = start_decoder,
) -> Responses:
    n, steps = noise.shape
    index = torch.arange(len(prompt_ids), device=noise.device).repeat_interleave(n // len(prompt_ids))
    ids = torch.full((n, steps), max(policy.eos_id, 0), device=noise.device)
    numbers = torch.zeros((2, n, steps), device=noise.device)  # log-probability and kept mass
    # what is written into the two tensors above stays usable by autograd
    with torch.inference_mode(), policy.computing():
        if policy.family == "classifier":
            logits = policy.classify(prompt_ids, prompt_mask)[1][index]
            _write(ids, numbers, slice(None), 0, choose(logits, noise[:, 0], sampling, None))
        else:
            _decode(policy, prompt_ids, prompt_mask, sampling, noise, index, compact_share, start, ids, numbers)
    ends = ids == policy.eos_id
    mask = (ends.cumsum(-1) - ends.long()) == 0
    length = int(mask.sum(-1).max())
    mask = mask[:, :length]
    return Responses(
        response_ids=ids[:, :length].masked_fill(~mask, policy.pad_id),
        response_mask=mask,
        logprobs=numbers[0, :, :length].masked_fill(~mask, 0.0),
        kept_mass=numbers[1, :, :length].masked_fill(~mask, 1.0),
        truncated=~ends.any(-1) & (policy.family != "classifier"),
        prompt_index=index,
    )


def _decode(
    policy: Policy,
    prompt_ids: Int[Tensor, "b p"],
    prompt_mask: Bool[Tensor, "b p"],
    sampling: Sampling,
    noise: Float[Tensor, "n t"],
    index: Int[Tensor, " n"],
    compact_share: float,
    start: StartDecoder,
    ids: Int[Tensor, "n t"],
    numbers: Float[Tensor, "2 n t"],
) -> None:
    """Fill `ids` and `numbers`; rows that have ended run on, unread, until enough have gathered to be dropped."""
    n, steps = noise.shape
    decoder, logits = start(policy, prompt_ids, prompt_mask, steps)
    decoder.fan_out(index, apart=True)
    logits = logits[index]
    rows = torch.arange(n, device=noise.device)  # the row of the result that each row of the batch fills
    live = torch.ones_like(rows, dtype=torch.bool)
    for t in range(steps):
        banned = policy.eos_id if t < sampling.min_new_tokens else None
        choice = choose(logits, noise[rows, t], sampling, banned)
        _write(ids, numbers, rows, t, choice)
        live &= choice.tokens != policy.eos_id
        n_live = int(live.sum())
        if t + 1 == steps or n_live == 0:
            return
        tokens = choice.tokens
        if len(rows) - n_live > compact_share * len(rows):
            keep = live.nonzero().squeeze(-1)
            decoder.select(keep)
            rows, live, tokens = rows[keep], live[keep], tokens[keep]
        logits = decoder.step(tokens)


def _write(
    ids: Int[Tensor, "n t"], numbers: Float[Tensor, "2 n t"], rows: Int[Tensor, " m"] | slice, t: int, choice: Choice
) -> None:
    ids[rows, t] = choice.tokens
    numbers[0, rows, t] = choice.logprobs
    numbers[1, rows, t] = choice.kept_mass


def generate(
    policy: Policy,
    prompt_ids: Int[Tensor, "b p"],
    prompt_mask: Bool[Tensor, "b p"],
    decoding: Sampling | BeamSearch,
    samples_per_prompt: int,
    noise: Float64[Tensor, "n t"],
) -> Responses:
    """Answer every prompt with the decoding that the record describes; a beam search has one answer and no noise."""
    if isinstance(decoding, BeamSearch):
        return beam_search(policy, prompt_ids, prompt_mask, decoding)
    return sample(policy, prompt_ids, prompt_mask, decoding, samples_per_prompt, noise)
