"""Which parameters train: frozen references and partly frozen policies."""

import copy

from torch import nn

from rftlab.errors import UserError
from rftlab.models import trunk
from rftlab.models.adapters import copy_sharing, switch_off
from rftlab.models.policy import Policy


def reference_of(policy: Policy, *, share: bool = True) -> Policy:
    """Give the policy as it is now, for good; training `policy` cannot move it.

    What is frozen in the policy is shared with it: the base of an adapter, whose reference is the network with the
    adapter off, or the blocks below those that train. Without `share`, and where everything trains, all is copied.
    """
    reference = frozen_copy(policy, share=share)
    switch_off(reference.lm)
    return reference


def frozen_copy(policy: Policy, *, share: bool = True) -> Policy:
    """Copy a policy, its adapter included, and freeze the copy; what is frozen already may be shared."""
    lm = copy_sharing(policy.lm) if share else copy.deepcopy(policy.lm)
    return policy.with_lm(lm.requires_grad_(False))


def freeze_below(policy: Policy, unfrozen_blocks: int | None) -> None:
    """Let only the top `unfrozen_blocks` blocks, the final norm and the head train; None lets everything train.

    Embeddings are frozen, and with them a head tied to them, as the APA paper describes it. In a seq2seq model the
    blocks are the decoder's and the encoder is frozen.
    """
    lm = policy.lm
    if unfrozen_blocks is None:
        lm.requires_grad_(True)
        return
    stack = lm.get_decoder() if policy.family == "seq2seq" else lm.base_model
    _, blocks = trunk.blocks_of(stack)
    if not 1 <= unfrozen_blocks <= len(blocks):
        found = f"model.unfrozen_blocks={unfrozen_blocks} with {len(blocks)} blocks"
        raise UserError(found, f"1 to {len(blocks)}, or null for all", "model.unfrozen_blocks")
    lm.requires_grad_(False)
    for block in blocks[len(blocks) - unfrozen_blocks :]:
        block.requires_grad_(True)
    for module in [*trunk.after_blocks(stack).values(), *_heads(policy)]:
        module.requires_grad_(True)


def _heads(policy: Policy) -> list[nn.Module]:
    """List what turns hidden states into logits, unless it is the input embedding itself."""
    lm = policy.lm
    if policy.family == "classifier":
        return [module for module in lm.children() if module is not lm.base_model]
    head = lm.get_output_embeddings()
    return [] if head.weight is lm.get_input_embeddings().weight else [head]
