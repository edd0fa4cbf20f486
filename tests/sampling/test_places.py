"""Where rows and tokens stand: groups of a prompt's rows, and blocks of a large vocabulary."""

import torch

from rftlab.sampling import sample as rollout
from rftlab.sampling.places import one_each
from rftlab.sampling.sample import choose
from rftlab.streams import stream
from rftlab.types import Sampling


def test_spreading_and_back_is_the_identity_for_any_rows_left():
    whole, group = one_each(4, torch.device("cpu")).select(torch.arange(4).repeat_interleave(3))
    assert whole.full and group.tolist() == [0, 1, 2, 3]
    for rows in ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [0, 2, 3, 9], [4], [3, 3, 5]):
        places, group = whole.select(torch.tensor(rows))
        assert group.tolist() == sorted({row // 3 for row in rows})
        states = torch.randn(len(rows), 7, generator=stream(0))
        spread = places.spread(states)
        assert len(spread) == len(group) * places.slots and torch.equal(places.gather(spread), states)
        assert spread.abs().sum(1).gt(0).sum() == len(rows), "free slots are 0"


def test_more_rows_than_a_group_holds_go_into_several_of_their_prompt():
    places, group = one_each(3, torch.device("cpu")).select(torch.arange(3).repeat_interleave(5), at_most=2)
    assert group.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] and places.slots == 2
    assert places.place.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16]


def test_a_large_vocabulary_is_searched_to_the_token_that_the_whole_sum_gives():
    """By blocks, the last of them cut short; impossible tokens fill a block and the ends of others."""
    v, n = 2 * rollout.BLOCK + 300, 400
    logits = 4.0 * torch.randn((n, v), generator=stream(0))
    logits[:, rollout.BLOCK - 5 : 2 * rollout.BLOCK + 5] = -torch.inf
    logits[:, -1] = -torch.inf
    noise = torch.rand(n, dtype=torch.float64, generator=stream(1))
    noise[0], noise[1] = 0.0, 1.0 - 2.0**-53
    choice = choose(
        logits, noise, Sampling(temperature=1.0, top_k=0, top_p=1.0, min_new_tokens=0, max_new_tokens=1), None
    )
    cumulative = logits.double().softmax(-1).cumsum(-1)
    low = cumulative.gather(1, (choice.tokens - 1).clamp_min(0)[:, None])[:, 0].masked_fill(choice.tokens == 0, 0.0)
    high = cumulative.gather(1, choice.tokens[:, None])[:, 0]
    assert ((low - 1e-6 <= noise) & (noise <= high + 1e-6)).all()
    assert choice.logprobs.isfinite().all() and (choice.tokens >= 2 * rollout.BLOCK).any()
    assert choice.tokens[:2].tolist() == [0, v - 2]
