"""Q and V heads on hidden states: what they say of tokens, how the copies follow, how they shift decoding."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rftlab.models import Policy
from rftlab.models.action_values import ActionHeads, ShiftedPolicy, shifted_policies
from rftlab.sampling.sample import generate
from rftlab.types import BeamSearch, Sampling

D, V = 5, 7


def made() -> ActionHeads:
    return ActionHeads(D, V, torch.Generator().manual_seed(0))


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_tokens_are_valued_by_the_tables_of_their_states_and_pads_are_zero() -> None:
    heads, hidden = made(), randn(2, 3, D)
    heads.q_1.requires_grad_(False)
    ids, mask = torch.tensor([[1, 6, 0], [3, 0, 0]]), torch.tensor([[True, True, True], [True, False, False]])
    heads.move_copies(0.0)
    with torch.no_grad():
        heads.copy_1.last.bias.add_(1.0)
        said = heads(hidden, ids, mask)
        tables = [head(hidden.reshape(-1, D)).view(2, 3, V) for head in (heads.q_1, heads.q_2)]
        copies = [head(hidden.reshape(-1, D)).view(2, 3, V) for head in (heads.copy_1, heads.copy_2)]
    for number, table in enumerate(tables):
        chosen = table.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(said.q[number], chosen.where(mask, 0.0))
        torch.testing.assert_close(said.q_logsumexp[number], table.logsumexp(-1).where(mask, 0.0))
    smaller = torch.minimum(*copies).gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(said.target_q, smaller.where(mask, 0.0))
    assert (said.v[~mask] == 0).all() and (said.v[mask] != 0).all()


def test_copies_start_as_the_heads_follow_slowly_and_never_train() -> None:
    heads = made()
    assert torch.equal(heads.copy_1.last.weight, heads.q_1.last.weight)
    assert not torch.equal(heads.q_1.last.weight, heads.q_2.last.weight)
    assert not any(p.requires_grad for copied in (heads.copy_1, heads.copy_2) for p in copied.parameters())
    before = heads.copy_2.last.weight.clone()
    with torch.no_grad():
        heads.q_2.last.weight.add_(1.0)
    heads.move_copies(0.25)
    torch.testing.assert_close(heads.copy_2.last.weight, before + 0.25)
    heads.move_copies(1.0)
    torch.testing.assert_close(heads.copy_2.last.weight, heads.q_2.last.weight)


def test_decoding_is_shifted_by_advantages_and_cut_to_the_best() -> None:
    heads, hidden, logits = made(), randn(4, D), randn(4, V, seed=1)
    with torch.no_grad():
        shifted = heads.shift(hidden, logits, b=2.0, top_k=3)
        advantages = torch.minimum(heads.copy_1(hidden), heads.copy_2(hidden)) - heads.v(hidden)
    whole = logits.log_softmax(-1) + 2.0 * advantages
    kept = shifted.isfinite()
    assert (kept.sum(-1) == 3).all()
    torch.testing.assert_close(shifted[kept], whole[kept])
    assert (whole.masked_fill(kept, -torch.inf).amax(-1) < whole.masked_fill(~kept, torch.inf).amin(-1)).all()


@pytest.mark.parametrize("family", ["tiny_gpt2", "tiny_t5"])
def test_a_shift_of_nothing_decodes_as_the_policy_and_a_large_one_takes_the_token_of_the_largest_q(
    family: str, request: pytest.FixtureRequest
) -> None:
    make: Callable[..., Policy] = request.getfixturevalue(family)
    policy = make(seed=1)
    ids, mask = policy.encode_prompts(["one two", "three"], 8, "left")
    vocabulary = policy.lm.get_output_embeddings().weight.shape[0]
    heads = ActionHeads(policy.hidden_size, vocabulary, torch.Generator().manual_seed(0)).requires_grad_(False)
    sampling = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_new_tokens=4, max_new_tokens=4)
    greedy = BeamSearch(num_beams=1, length_penalty=1.0, min_new_tokens=4, max_new_tokens=4)
    noise = torch.rand(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    none = ShiftedPolicy(policy, heads, b=0.0, top_k=10**6)
    for decoding in (sampling, greedy):
        one, other = (generate(who, ids, mask, decoding, 1, noise) for who in (policy, none))
        assert torch.equal(one.response_ids, other.response_ids)
    heads.copy_1.last.bias[9] = heads.copy_2.last.bias[9] = 10.0
    ((name, strong),) = shifted_policies(policy, heads, [400.0], 20).items()
    assert name == "_b400"
    assert (generate(strong, ids, mask, sampling, 1, noise).response_ids == 9).all()
