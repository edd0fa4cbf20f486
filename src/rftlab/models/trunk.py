"""The trunk of a policy whose top blocks alone train: everything below them, which is computed once and read again.

What the lowest block that trains reads does not change from update to update, nor from policy to reference. A model is
seen through views: copies of its modules' shells in which some blocks are replaced, while all weights stay its own. The
model's own forward pass runs in them, so that masks and positions are those of the architecture.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

# Types whose blocks are known to pass on hidden states and nothing else, but for T5 with its position bias.
WITH_BIAS = ("t5", "mt5")
IN_TUPLES = (
    "gpt_neo",
    "gptj",
)  # their blocks give the states in a tuple, with weights of attention that nobody asked for
MODEL_TYPES = (
    "gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", *IN_TUPLES, *WITH_BIAS
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """What a frozen trunk gives to the blocks above it."""

    blocks: int  # how many of the lowest blocks it stands for
    states: Float[Tensor, "n s d"]  # of every position that the decoder reads; of the responses where rows are packed
    # of every prompt: where an encoder reads it, its last states; where a decoder reads it once for all of its rows,
    # the states of the trunk
    encoded: Float[Tensor, "b p d"] | None


def blocks_of(stack: nn.Module) -> tuple[str, nn.ModuleList]:
    """Find the stack of blocks: the outermost list of modules (a T5 block holds a list of its own)."""
    return next((name, module) for name, module in stack.named_modules() if isinstance(module, nn.ModuleList))


def after_blocks(stack: nn.Module) -> dict[str, nn.Module]:
    """Name what follows the blocks: the final norm or, in a classifier, the pooler; not a norm of the embeddings."""
    return {
        name: module
        for name, module in stack.named_children()
        if ("norm" in name or name.startswith("ln_") or name == "pooler") and "emb" not in name
    }


def frozen_blocks(stack: Any) -> int:
    """Count the lowest blocks that are frozen, with everything before them; 0 where they cannot be told apart."""
    name, blocks = blocks_of(stack)
    if "." in name or stack.config.model_type not in MODEL_TYPES:
        return 0
    within = {id(p) for module in (blocks, *after_blocks(stack).values()) for p in module.parameters()}
    if any(p.requires_grad for p in stack.parameters() if id(p) not in within):
        return 0
    trains = [any(p.requires_grad for p in block.parameters()) for block in blocks]
    return trains.index(True) if any(trains) else 0


def below(stack: nn.Module, k: int) -> nn.Module:
    """View the k lowest blocks of a stack, without what follows the blocks: its output is what block k reads."""
    _, blocks = blocks_of(stack)
    return _view(stack, blocks[:k], {name: nn.Identity() for name in after_blocks(stack)})


def above(stack: Any, trunk: Trunk, bias: Tensor | None = None) -> nn.Module:
    """View a stack whose lowest blocks give the states of the trunk, whatever they read, and the `bias` if told."""
    _, blocks = blocks_of(stack)
    given: nn.Module = _Given(trunk.states)
    if bias is not None:
        given = _GivenAll(trunk.states, bias)
    elif stack.config.model_type in WITH_BIAS:
        given = _GivenWithBias(trunk.states, blocks[0])
    elif stack.config.model_type in IN_TUPLES:
        given = _GivenInTuple(trunk.states)
    return _view(stack, [*[given] * trunk.blocks, *blocks[trunk.blocks :]], {})


def biased(stack: Any, bias: Tensor) -> nn.Module:
    """View a T5 stack whose lowest block takes this position bias, instead of making one for the row that it reads."""
    _, blocks = blocks_of(stack)
    return _view(stack, [_Biased(blocks[0], bias), *blocks[1:]], {})


def bias_of(stack: Any, width: int, *, causal: bool) -> Float[Tensor, "1 h w w"]:
    """Make the position bias of a T5 stack for texts of this length; -inf hides what a causal one must not see."""
    lowest: Any = blocks_of(stack)[1][0]
    bias = lowest.layer[0].SelfAttention.compute_bias(width, width)
    later = torch.ones(width, width, dtype=torch.bool, device=bias.device).triu(1)
    return bias.masked_fill(later, -torch.inf) if causal else bias


def recomputing(stack: nn.Module) -> nn.Module:
    """View a stack that keeps of each block what it reads, and computes the block again in the backward pass.

    transformers does so in training mode only, in which a policy never is.
    """
    _, blocks = blocks_of(stack)
    return _view(stack, [block if isinstance(block, _Given) else _Recomputed(block) for block in blocks], {})


class _Given(nn.Module):
    """Stands for blocks whose output is known."""

    def __init__(self, states: Float[Tensor, "n s d"]) -> None:
        super().__init__()
        self.states = states

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.states


class _GivenInTuple(_Given):
    """Stands for blocks of GPT-J and GPT-Neo."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.states, None


class _GivenWithBias(_Given):
    """Stands for blocks of T5, the lowest of which makes the position bias of all; it comes without the mask."""

    def __init__(self, states: Float[Tensor, "n s d"], lowest: Any) -> None:
        super().__init__(states)
        self.compute_bias: Callable[..., Tensor] = lowest.layer[0].SelfAttention.compute_bias

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        length = self.states.shape[1]
        return self.states, self.compute_bias(length, length, device=self.states.device), None


class _GivenAll(_Given):
    """Stands for blocks of T5 where the position bias is known."""

    def __init__(self, states: Float[Tensor, "n s d"], bias: Tensor) -> None:
        super().__init__(states)
        self.bias = bias

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.states, self.bias, self.bias.new_zeros(1, 1, 1, 1)


class _Biased(nn.Module):
    """The lowest block of T5 with a position bias that it is given; attention to the encoder has none."""

    def __init__(self, block: nn.Module, bias: Tensor) -> None:
        super().__init__()
        self.block, self.bias = block, bias

    def forward(
        self, states: Tensor, mask: Any, _bias: Any, encoded: Any, shown: Any, _none: Any, **kwargs: Any
    ) -> Any:
        nothing = self.bias.new_zeros(1, 1, 1, 1)
        read = self.block(states, mask, self.bias, encoded, shown, nothing, **kwargs)
        return read[0], self.bias, nothing


class _Recomputed(nn.Module):
    """A block that forgets what it computed."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def __getattr__(self, name: str) -> Any:
        """Let the stack ask the block what it is, as some do for its kind of attention."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("block"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        # nothing is drawn at random in a block: dropout is off
        return checkpoint(self.block, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)


def _view(stack: nn.Module, blocks: Iterable[nn.Module], others: dict[str, nn.Module]) -> nn.Module:
    """Copy the shell of a module with other children; the original keeps its own."""
    name, _ = blocks_of(stack)
    holder, _, last = name.rpartition(".")
    if holder:  # the list lies deeper, as in BERT
        inner = _view(stack.get_submodule(holder), blocks, {})
        return _shell(stack, {**others, holder: inner})
    return _shell(stack, {**others, last: nn.ModuleList(blocks)})


def _shell(module: nn.Module, children: dict[str, nn.Module]) -> nn.Module:
    view = copy.copy(module)
    view.__dict__["_modules"] = {**module._modules, **children}
    return view
