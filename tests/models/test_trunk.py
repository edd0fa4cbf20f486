"""A frozen trunk computed once, blocks computed twice: the same numbers and gradients as in one plain pass."""

from collections.abc import Callable

import pytest
import torch
from rows import batch

from rftlab.models import LoRA, Policy, adapt, freeze_below, reference_of
from rftlab.models.trunk import blocks_of

TEMPERATURE = 0.7


def stack_of(policy: Policy) -> torch.nn.Module:
    return policy.lm.get_decoder() if policy.family == "seq2seq" else policy.lm.base_model


def row_of(policy: Policy) -> tuple[torch.Tensor, ...]:
    """Give two responses to the first prompt and one to each other, in the order of no prompt."""
    prompt_ids, prompt_mask, ids, mask = batch(policy)
    index = torch.tensor([2, 0, 1, 0])
    return prompt_ids, prompt_mask, ids[[0, 1, 2, 1]], mask[[0, 1, 2, 1]], index


def logprobs(policy: Policy, trunk: object = None) -> torch.Tensor:
    *row, index = row_of(policy)
    return policy.read(*row, TEMPERATURE, index, "none", trunk=trunk)[0].logprobs


def gradients(policy: Policy, trunk: object = None) -> dict[str, torch.Tensor]:
    policy.zero_grad()
    (logprobs(policy, trunk) ** 2).sum().backward()
    return {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys() and one
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("unfrozen", [1, 2])
def test_the_blocks_above_a_trunk_say_and_learn_the_same_bit_for_bit(
    tiny: Callable[..., Policy], unfrozen: int, plain: bool
) -> None:
    policy = tiny(**({"n_layer": 3} if tiny().lm.config.model_type == "gpt2" else {}))
    policy.plain = plain
    freeze_below(policy, unfrozen)
    trunk = policy.trunk(*row_of(policy))
    blocks = len(blocks_of(stack_of(policy))[1])
    if blocks == unfrozen:
        assert trunk is None, "no block is frozen"
        return
    assert trunk.blocks == blocks - unfrozen and not trunk.states.requires_grad
    same(gradients(policy), gradients(policy, trunk))
    assert torch.equal(logprobs(policy), logprobs(policy, trunk))


def test_the_trunk_does_not_follow_from_anything_that_trains(tiny: Callable[..., Policy]) -> None:
    policy = tiny()
    freeze_below(policy, 1)
    reference, whole = reference_of(policy), reference_of(policy, share=False)
    trunk = policy.trunk(*row_of(policy))
    start = logprobs(policy)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    assert torch.equal(logprobs(reference, trunk), start) and torch.equal(logprobs(whole), start)
    assert torch.equal(logprobs(reference), start)
    assert torch.equal(logprobs(policy, trunk), logprobs(policy)) and not torch.allclose(logprobs(policy), start)


def test_of_a_reference_nothing_but_what_trains_in_the_policy_is_held_twice(tiny: Callable[..., Policy]) -> None:
    policy = tiny()
    freeze_below(policy, 1)
    own = {p.data_ptr() for p in policy.parameters()}
    held = {name for name, p in reference_of(policy).named_parameters() if p.data_ptr() not in own}
    assert held == {name for name, p in policy.named_parameters() if p.requires_grad}


def test_a_trunk_needs_frozen_embeddings_and_blocks(tiny: Callable[..., Policy]) -> None:
    policy = tiny()
    assert policy.trunk(*row_of(policy)) is None
    freeze_below(policy, 1)
    policy.lm.get_input_embeddings().requires_grad_(True)
    assert policy.trunk(*row_of(policy)) is None, "blocks on moving embeddings are not frozen"
    adapted = tiny()
    adapt(adapted, LoRA(rank=1, alpha=1.0, targets=None), torch.Generator().manual_seed(0))
    assert adapted.trunk(*row_of(adapted)) is None, "an adapter trains in every block"


def test_a_classifier_has_no_trunk(tiny_bert: Callable[..., Policy]) -> None:
    policy = tiny_bert()
    freeze_below(policy, 1)
    prompts = policy.encode_prompts(["good"], 8, "right")
    assert policy.trunk(*prompts, *policy.encode_targets(["high"], 1, True), torch.tensor([0])) is None


@pytest.mark.parametrize("part", ["all", "top block", "adapter", "above a trunk"])
def test_checkpointed_gradients_equal_plain_ones(tiny: Callable[..., Policy], part: str) -> None:
    policy = tiny()
    trunk = None
    if part == "adapter":
        adapt(policy, LoRA(rank=2, alpha=4.0, targets=None), torch.Generator().manual_seed(0))
    elif part != "all":
        freeze_below(policy, 1)
        trunk = policy.trunk(*row_of(policy)) if part == "above a trunk" else None
    plain = gradients(policy, trunk)
    policy.recompute = True
    same(plain, gradients(policy, trunk))


def test_checkpointing_is_on_in_evaluation_mode_computes_blocks_twice_and_keeps_less(tiny) -> None:
    policy = tiny()
    calls: list[bool] = []
    for block in blocks_of(stack_of(policy))[1]:
        block.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))

    def cost() -> tuple[int, int]:
        calls.clear()
        kept: dict[int, int] = {}
        own = {p.untyped_storage().data_ptr() for p in policy.parameters()}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = logprobs(policy).sum()
        held = sum(kept.values())
        loss.backward()
        return len(calls), held

    plain_calls, plain_held = cost()
    policy.recompute = True
    assert not policy.training
    calls_twice, held = cost()
    assert plain_calls == 2 and calls_twice == 4
    assert held < 0.7 * plain_held
    with torch.no_grad():
        calls.clear()
        logprobs(policy)
    assert len(calls) == 2, "nothing is computed twice where nothing is learned"


def test_copies_of_a_policy_recompute_as_it_does(tiny: Callable[..., Policy]) -> None:
    policy = tiny()
    policy.recompute = True
    assert policy.with_lm(policy.lm).recompute and reference_of(policy).recompute


def test_a_dropout_in_the_config_changes_nothing_in_an_adapted_or_checkpointed_policy(tiny_gpt2) -> None:
    policy = tiny_gpt2(resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5)
    adapt(policy, LoRA(rank=2, alpha=4.0, targets=None), torch.Generator().manual_seed(0))
    policy.recompute = True
    policy.train()
    one, two = gradients(policy), gradients(policy)
    same(one, two)
    assert torch.equal(reference_of(policy)(*batch(policy)).logprobs, tiny_gpt2()(*batch(policy)).logprobs)
