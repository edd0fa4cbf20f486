"""Which parameters train: frozen references and partly frozen policies."""

import copy

from torch import nn

from rftlab.errors import UserError
from rftlab.models.policy import Policy


def reference_of(policy: Policy) -> Policy:
    """Copy a policy in full and freeze the copy; nothing is shared, so training the policy cannot move it."""
    lm = copy.deepcopy(policy.lm).requires_grad_(False)
    return policy.with_lm(lm)


def freeze_below(policy: Policy, unfrozen_blocks: int | None) -> None:
    """Let only the top `unfrozen_blocks` blocks, the final norm and the head train; None lets everything train.

    Embeddings are frozen, and with them a head tied to them, as the APA paper describes it. In a seq2seq model the
    blocks are the decoder's and the encoder is frozen.
    """
    lm = policy.lm
    if unfrozen_blocks is None:
        lm.requires_grad_(True)
        return
    trunk = lm.get_decoder() if policy.family == "seq2seq" else lm.base_model
    blocks = _blocks(trunk)
    if not 1 <= unfrozen_blocks <= len(blocks):
        found = f"model.unfrozen_blocks={unfrozen_blocks} with {len(blocks)} blocks"
        raise UserError(found, f"1 to {len(blocks)}, or null for all", "model.unfrozen_blocks")
    lm.requires_grad_(False)
    for block in blocks[len(blocks) - unfrozen_blocks :]:
        block.requires_grad_(True)
    for module in [*_after_blocks(trunk), *_heads(policy)]:
        module.requires_grad_(True)


def _blocks(trunk: nn.Module) -> nn.ModuleList:
    """Find the stack of blocks: the outermost list of modules of the trunk (a T5 block holds a list of its own)."""
    return next(module for module in trunk.modules() if isinstance(module, nn.ModuleList))


def _after_blocks(trunk: nn.Module) -> list[nn.Module]:
    """List what follows the blocks: the final norm or, in a classifier, the pooler; not a norm of the embeddings."""
    return [
        module
        for name, module in trunk.named_children()
        if ("norm" in name or name.startswith("ln_") or name == "pooler") and "emb" not in name
    ]


def _heads(policy: Policy) -> list[nn.Module]:
    """List what turns hidden states into logits, unless it is the input embedding itself."""
    lm = policy.lm
    if policy.family == "classifier":
        return [module for module in lm.children() if module is not lm.base_model]
    head = lm.get_output_embeddings()
    return [] if head.weight is lm.get_input_embeddings().weight else [head]
