"""Greedy decoding and beam search for evaluation.

The search keeps the `num_beams` best unfinished rows of each prompt and the `num_beams` best finished ones, the latter
ranked by log-probability / length ** length_penalty with EOS counted in the length. A row that reaches `max_new_tokens`
counts as finished. A prompt is done when it has `num_beams` finished rows and its best unfinished one, scored at the
current length, is not better than the worst of them. This is the rule of transformers with `early_stopping=False`, its
default.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rftlab.models import Policy
from rftlab.sampling.decoding import start_decoder
from rftlab.types import BeamSearch, Responses

IMPOSSIBLE = -1.0e9  # finite, so that sums and quotients of it keep their order


@dataclass
class Beams:
    """The K best rows of each prompt, best first."""

    ids: Int[Tensor, "b k t"]
    logprobs: Float[Tensor, "b k t"]
    scores: Float[Tensor, "b k"]

    @classmethod
    def empty(cls, prompts: int, k: int, steps: int, pad_id: int, device: torch.device) -> "Beams":
        return cls(
            ids=torch.full((prompts, k, steps), pad_id, device=device),
            logprobs=torch.zeros((prompts, k, steps), device=device),
            scores=torch.full((prompts, k), IMPOSSIBLE, device=device),
        )

    def take(self, index: Int[Tensor, "b m"], scores: Float[Tensor, "b m"]) -> "Beams":
        """Select rows within each prompt, with new scores."""
        wide = index.unsqueeze(-1).expand(-1, -1, self.ids.shape[-1])
        return Beams(ids=self.ids.gather(1, wide), logprobs=self.logprobs.gather(1, wide), scores=scores)

    def best(self, other: "Beams", k: int) -> "Beams":
        """Merge two sets of rows and keep the k best."""
        merged = Beams(
            ids=torch.cat([self.ids, other.ids], dim=1),
            logprobs=torch.cat([self.logprobs, other.logprobs], dim=1),
            scores=torch.cat([self.scores, other.scores], dim=1),
        )
        scores, index = merged.scores.topk(k)
        return merged.take(index, scores)


@torch.no_grad()
def beam_search(
    policy: Policy, prompt_ids: Int[Tensor, "b p"], prompt_mask: Bool[Tensor, "b p"], beam: BeamSearch
) -> Responses:
    """Find one response per prompt; log-probabilities are the model's own at temperature 1, whatever was banned."""
    if policy.family == "classifier":
        return _best_label(policy, prompt_ids, prompt_mask)
    search = _greedy if beam.num_beams == 1 else _search
    with policy.computing():
        ids, logprobs = search(policy, prompt_ids, prompt_mask, beam)
    ends = ids == policy.eos_id
    mask = (ends.cumsum(-1) - ends.long()) == 0
    length = int(mask.sum(-1).max())
    return _responses(ids[:, :length], mask[:, :length], logprobs[:, :length], ~ends.any(-1))


def _best_label(policy: Policy, prompt_ids: Int[Tensor, "b p"], prompt_mask: Bool[Tensor, "b p"]) -> Responses:
    logprobs, ids = policy.classify(prompt_ids, prompt_mask)[1].log_softmax(-1).max(-1, keepdim=True)
    mask = torch.ones_like(ids, dtype=torch.bool)
    return _responses(ids, mask, logprobs, torch.zeros(len(ids), dtype=torch.bool, device=ids.device))


def _responses(
    ids: Int[Tensor, "n t"], mask: Bool[Tensor, "n t"], logprobs: Float[Tensor, "n t"], truncated: Bool[Tensor, " n"]
) -> Responses:
    return Responses(
        response_ids=ids,
        response_mask=mask,
        logprobs=logprobs.masked_fill(~mask, 0.0),
        kept_mass=torch.ones_like(logprobs),
        truncated=truncated,
        prompt_index=torch.arange(len(ids), device=ids.device),
    )


def _greedy(
    policy: Policy, prompt_ids: Int[Tensor, "b p"], prompt_mask: Bool[Tensor, "b p"], beam: BeamSearch
) -> tuple[Int[Tensor, "b t"], Float[Tensor, "b t"]]:
    """Take the most likely token at each step; rows that have ended leave the batch."""
    n, steps = len(prompt_ids), beam.max_new_tokens
    ids = torch.full((n, steps), policy.pad_id, device=prompt_ids.device)
    logprobs = torch.zeros((n, steps), device=prompt_ids.device)
    decoder, logits = start_decoder(policy, prompt_ids, prompt_mask, steps)
    rows = torch.arange(n, device=prompt_ids.device)
    for t in range(steps):
        scores = _without_eos(logits.log_softmax(-1), policy.eos_id, t < beam.min_new_tokens)
        logprobs[rows, t], tokens = scores.max(-1)
        ids[rows, t] = tokens
        live = (tokens != policy.eos_id).nonzero().squeeze(-1)
        if t + 1 == steps or len(live) == 0:
            break
        if len(live) < len(rows):
            decoder.select(live)
            rows, tokens = rows[live], tokens[live]
        logits = decoder.step(tokens)
    return ids, logprobs


def _search(
    policy: Policy, prompt_ids: Int[Tensor, "b p"], prompt_mask: Bool[Tensor, "b p"], beam: BeamSearch
) -> tuple[Int[Tensor, "b t"], Float[Tensor, "b t"]]:
    b, k, steps, device = len(prompt_ids), beam.num_beams, beam.max_new_tokens, prompt_ids.device
    decoder, logits = start_decoder(policy, prompt_ids, prompt_mask, steps)
    first = torch.arange(b, device=device).repeat_interleave(k)
    decoder.fan_out(first)
    logits = logits[first]
    running = Beams.empty(b, k, steps, policy.pad_id, device)
    running.scores[:, 0] = 0.0  # at the first step all rows of a prompt are equal: let only one of them grow
    finished = Beams.empty(b, k, steps, policy.pad_id, device)
    done = torch.zeros(b, dtype=torch.bool, device=device)
    for t in range(steps):
        step_scores = _without_eos(logits.log_softmax(-1), policy.eos_id, t < beam.min_new_tokens)
        candidates, parents = _extend(running, step_scores.view(b, k, -1), t)
        ends = (candidates.ids[:, :, t] == policy.eos_id) | (t + 1 == steps)
        allowed = ends & ~done.unsqueeze(1)
        allowed[:, k:] = False  # a row that ends must be among the k best to be kept
        ranked = (candidates.scores / (t + 1) ** beam.length_penalty).masked_fill(~allowed, IMPOSSIBLE)
        finished = finished.best(Beams(candidates.ids, candidates.logprobs, ranked), k)
        scores, index = candidates.scores.masked_fill(ends, IMPOSSIBLE).topk(k)
        running = candidates.take(index, scores)
        bound = running.scores[:, 0] / (t + 1) ** beam.length_penalty
        done |= (finished.scores > IMPOSSIBLE / 2).all(-1) & (bound <= finished.scores[:, -1])
        if t + 1 == steps or bool(done.all()):
            break
        parent_rows = parents.gather(1, index) + k * torch.arange(b, device=device).unsqueeze(1)
        decoder.select(parent_rows.flatten())
        logits = decoder.step(running.ids[:, :, t].flatten())
    return finished.ids[:, 0], finished.logprobs[:, 0]


def _extend(running: Beams, step_scores: Float[Tensor, "b k v"], t: int) -> tuple[Beams, Int[Tensor, "b m"]]:
    """Grow every row by every token; return the 2k best results and the row that each grew from.

    At most k of 2k candidates can be EOS, so k unfinished ones are always left.
    """
    b, k, v = step_scores.shape
    total = running.scores.unsqueeze(-1) + step_scores
    scores, flat = total.view(b, k * v).topk(2 * k)
    parents, tokens = flat // v, flat % v
    grown = running.take(parents, scores)
    grown.ids[:, :, t] = tokens
    grown.logprobs[:, :, t] = step_scores.view(b, k * v).gather(1, flat)
    return grown, parents


def _without_eos(logprobs: Float[Tensor, "n v"], eos_id: int, banned: bool) -> Float[Tensor, "n v"]:
    if banned:
        logprobs[:, eos_id] = -torch.inf
    return logprobs
