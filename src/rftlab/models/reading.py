"""Reading given responses to prompts in packed rows: no padding, and every prompt once for all of its responses."""

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from rftlab.models import attention
from rftlab.models.packing import Packing, pack
from rftlab.models.trunk import Trunk, above, below, bias_of, biased

if TYPE_CHECKING:
    from rftlab.models.policy import Policy


def packing_of(
    policy: "Policy",
    prompt_mask: Bool[Tensor, "b p"],
    response_mask: Bool[Tensor, "n t"],
    prompt_index: Int[Tensor, " n"] | None,
    trunk: Trunk | None = None,
) -> Packing | None:
    """Lay out a pass of a policy; None where its architecture, its rows or the trunk as given do not allow it."""
    causal = policy.family == "causal"
    if policy.plain or policy.family == "classifier" or not attention.packs(policy.lm):
        return None
    if trunk is not None and trunk.encoded is None:
        return None  # of rows with a copy of the prompt each
    if prompt_index is None:
        prompt_index = torch.arange(len(prompt_mask), device=prompt_mask.device)
    return pack(prompt_mask, response_mask, prompt_index, causal=causal)


def read_packed(
    policy: "Policy",
    packing: Packing,
    prompt_ids: Int[Tensor, "b p"],
    response_ids: Int[Tensor, "n t"],
    trunk: Trunk | None,
) -> Float[Tensor, "n t d"]:
    """Give the final hidden states at the positions that predict each response token."""
    if policy.family == "causal":
        stack, row = policy.lm.base_model, None
        if trunk is not None:
            assert trunk.encoded is not None
            row = packing.row_of(trunk.encoded, trunk.states)
            stack = above(stack, Trunk(blocks=trunk.blocks, states=row, encoded=None))
        states = _causal(policy.recomputing(stack), packing, prompt_ids, response_ids)
    else:
        encoded = _encoded(policy, packing, prompt_ids) if trunk is None else _tokens(packing, trunk.encoded)
        if packing.rows is None:
            return encoded.new_zeros((*packing.outputs.shape, encoded.shape[-1]))
        stack = policy.lm.get_decoder()
        bias = bias_of(stack, packing.rows.width, causal=True)
        if trunk is None:
            stack = biased(stack, bias)
        else:
            row = trunk.states.flatten(0, 1)[packing.row_source].unsqueeze(0)
            stack = above(stack, Trunk(blocks=trunk.blocks, states=row, encoded=None), bias)
        states = _decoded(policy, policy.recomputing(stack), packing, encoded, response_ids)
    return nn.functional.embedding(packing.outputs, states[0])


def trunk_packed(
    policy: "Policy", packing: Packing, prompt_ids: Int[Tensor, "b p"], response_ids: Int[Tensor, "n t"], blocks: int
) -> Trunk:
    """Compute what lies below the blocks that train, of every prompt once and of every response."""
    p, t = prompt_ids.shape[1], response_ids.shape[1]
    if policy.family == "causal":
        row = _causal(below(policy.lm.base_model, blocks), packing, prompt_ids, response_ids)
        prompts, states = packing.apart(row, p, t)
        return Trunk(blocks=blocks, states=states, encoded=prompts)
    encoded, stack = _encoded(policy, packing, prompt_ids), policy.lm.get_decoder()
    row = encoded[:, :0]
    if packing.rows is not None:
        stack = biased(below(stack, blocks), bias_of(stack, packing.rows.width, causal=True))
        row = _decoded(policy, stack, packing, encoded, response_ids)
    prompts, states = packing.apart(torch.cat([encoded, row], dim=1), p, t)
    return Trunk(blocks=blocks, states=states, encoded=prompts)


def _causal(
    stack: nn.Module, packing: Packing, prompt_ids: Int[Tensor, "b p"], response_ids: Int[Tensor, "n t"]
) -> Float[Tensor, "1 m d"]:
    return stack(
        input_ids=packing.row_of(prompt_ids, response_ids),
        attention_mask=_own_masks(packing),
        position_ids=packing.positions,
        use_cache=False,
        packing=packing,
    ).last_hidden_state


def _encoded(policy: "Policy", packing: Packing, prompt_ids: Int[Tensor, "b p"]) -> Float[Tensor, "1 i d"]:
    encoder: Any = policy.lm.get_encoder()
    stack = biased(encoder, bias_of(encoder, packing.prompts.width, causal=False))
    return policy.recomputing(stack)(
        input_ids=_tokens(packing, prompt_ids), attention_mask=_own_masks(packing), packing=packing
    ).last_hidden_state


def _decoded(
    policy: "Policy",
    stack: nn.Module,
    packing: Packing,
    encoded: Float[Tensor, "1 i d"],
    response_ids: Int[Tensor, "n t"],
) -> Float[Tensor, "1 j d"]:
    start = response_ids.new_full((len(response_ids), 1), policy.lm.config.decoder_start_token_id)
    read = torch.cat([start, response_ids[:, :-1]], dim=1)
    return stack(
        input_ids=read.flatten()[packing.row_source].unsqueeze(0),
        attention_mask=_own_masks(packing),
        encoder_hidden_states=encoded,
        encoder_attention_mask=_own_masks(packing),
        use_cache=False,
        packing=packing,
    ).last_hidden_state


def _tokens(packing: Packing, prompts: Tensor | None) -> Tensor:
    """Bring (b p ...) of prompts into one row."""
    assert prompts is not None
    return prompts.flatten(0, 1)[packing.prompt_source].unsqueeze(0)


def _own_masks(packing: Packing) -> Bool[Tensor, "1 1 1 1"]:
    """Tell a model that there is a mask already, so that it makes none; attention knows from the packing."""
    return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=packing.positions.device)
