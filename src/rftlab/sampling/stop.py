"""Responses that end where a text says so: at the first of some stop strings.

The token that completes a stop string is the last one of the response, as EOS is where a policy stops by itself: it is
what ended it, so it is an action. Everything behind it is cut, and is neither scored nor learned. The text that is
scored ends before the stop string, without the white space there.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

import torch

from rftlab.models import Policy
from rftlab.types import Responses


def cut_at(policy: Policy, responses: Responses, stops: Sequence[str]) -> Responses:
    """Cut each response behind the token that completes the first stop string; such a row is not truncated."""
    if not stops or policy.family == "classifier":
        return responses
    mask = responses.response_mask
    lengths = mask.sum(1).tolist()
    ended = []
    for row, text in enumerate(policy.decode(responses.response_ids, mask)):
        if any(stop in text for stop in stops):
            ids = responses.response_ids[row : row + 1, : lengths[row]]
            lengths[row] = _tokens_to_stop(policy, ids, stops)
            ended.append(row)
    if not ended:
        return responses
    width = max(lengths)
    kept = torch.arange(width, device=mask.device) < torch.tensor(lengths, device=mask.device).unsqueeze(1)
    truncated = responses.truncated.clone()
    truncated[ended] = False
    return replace(
        responses,
        response_ids=responses.response_ids[:, :width].masked_fill(~kept, policy.pad_id),
        response_mask=kept,
        logprobs=responses.logprobs[:, :width].masked_fill(~kept, 0.0),
        kept_mass=responses.kept_mass[:, :width].masked_fill(~kept, 1.0),
        truncated=truncated,
    )


def text_before(text: str, stops: Sequence[str]) -> str:
    """Keep what stands before the first stop string, without white space at its end; all where there is none."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)].rstrip() if places else text


def _tokens_to_stop(policy: Policy, ids: torch.Tensor, stops: Sequence[str]) -> int:
    """Count the tokens up to the one that completes a stop string; a longer text contains what a shorter one does."""

    def stopped(n: int) -> bool:
        (text,) = policy.decode(ids[:, :n], torch.ones_like(ids[:, :n], dtype=torch.bool))
        return any(stop in text for stop in stops)

    return bisect_left(range(ids.shape[1]), True, lo=1, key=stopped)
