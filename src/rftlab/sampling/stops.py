"""Stop strings: a response ends with the token that completes the first of them, and its text before it.

What is behind that token is no part of the response: it is neither scored nor learned. Tokens stay as they were
sampled, so that the stop string itself is an action, as EOS is.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from rftlab.models import Policy
from rftlab.types import Responses


def cut_text(text: str, stops: Sequence[str]) -> str:
    """Cut a text where the first stop string begins, and strip the space before it; without one it stays as it is."""
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(found)].rstrip() if found else text


def end_at_stops(policy: Policy, responses: Responses, stops: Sequence[str]) -> Responses:
    """End each response with the token that completes its first stop string; such a response is not truncated."""
    if not stops:
        return responses
    mask, truncated = responses.response_mask.clone(), responses.truncated.clone()
    texts = policy.decode(responses.response_ids, responses.response_mask)
    for row, text in enumerate(texts):
        if any(stop in text for stop in stops):
            ids = responses.response_ids[row : row + 1, : int(mask[row].sum())]

            def stopped(count: int, ids=ids) -> bool:
                part = ids[:, :count]
                return any(stop in policy.decode(part, part == part)[0] for stop in stops)

            mask[row, bisect_left(range(ids.shape[1]), True, key=stopped) :] = False
            truncated[row] = False
    ids = responses.response_ids.masked_fill(~mask, policy.pad_id)
    return replace(
        responses,
        response_ids=ids,
        response_mask=mask,
        truncated=truncated,
        logprobs=responses.logprobs.masked_fill(~mask, 0.0),
        kept_mass=responses.kept_mass.masked_fill(~mask, 1.0),
    )
