"""What the networks of a run hold: parameters, what of them trains, copies, gradients and moments.

It follows `models/freeze.py`, `models/critic.py` and `loops/networks.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rftlab.memory.shapes import Shape

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
TARGETS = {  # of an adapter, where the config names none; as models/adapters.py
    "t5": ("q", "v"), "mt5": ("q", "v"), "gpt2": ("c_attn",), "gpt_neox": ("query_key_value",),
}  # fmt: skip
OTHER_TARGETS = ("q_proj", "v_proj")
MOMENTS = {"Adam": 2, "AdamW": 2, "SGD": 0}  # numbers that an optimiser keeps of each parameter


@dataclass(frozen=True, kw_only=True)
class Network:
    """A model with what of it trains."""

    shape: Shape
    dtype: str  # of the parameters
    compute_dtype: str
    unfrozen_blocks: int | None
    rank: int | None  # of its adapter
    targets: tuple[str, ...]
    has_head: bool = True  # over the vocabulary; that of a reward model is gone

    @classmethod
    def of(cls, model: Mapping[str, Any], shape: Shape) -> "Network":
        """Read `model` of a config."""
        lora = model.get("lora") or {}  # a stored config may be older than the key
        targets = lora.get("targets") or TARGETS.get(shape.model_type, OTHER_TARGETS)
        return cls(
            shape=shape, dtype=model["policy"]["dtype"], compute_dtype=model["policy"]["compute_dtype"],
            unfrozen_blocks=model["unfrozen_blocks"], rank=lora.get("rank"), targets=tuple(targets),
        )  # fmt: skip

    @property
    def parameters(self) -> int:
        """Count all parameters, those of the adapter included."""
        return (self.shape.parameters if self.has_head else self.shape.trunk) + self.adapter

    @property
    def adapter(self) -> int:
        """Count the parameters of the adapter; 0 without one."""
        return 0 if self.rank is None else self.shape.adapter(self.rank, self.targets)

    @property
    def trained(self) -> int:
        """Count the parameters that train."""
        if self.rank is not None:
            return self.adapter
        if self.unfrozen_blocks is None:
            return self.parameters
        return self.shape.top(self.unfrozen_blocks) - (0 if self.has_head else self.shape.head)

    @property
    def trained_blocks(self) -> int:
        """Count the blocks of the decoder whose states the backward pass needs."""
        if self.unfrozen_blocks is None or self.rank is not None:
            return self.shape.layers
        return min(self.unfrozen_blocks, self.shape.layers)

    @property
    def size(self) -> int:
        return self.parameters * BYTES[self.dtype]

    def copy_size(self, *, share: bool) -> int:
        """Give the bytes of a frozen copy: of what trains, as the rest is shared, or of everything."""
        return (self.trained if share else self.parameters) * BYTES[self.dtype]

    def of_values(self) -> "Network":
        """Give the network of values that is apart: a copy without a head, which trains whole or by its adapter."""
        return Network(
            shape=self.shape, dtype=self.dtype, compute_dtype=self.compute_dtype, unfrozen_blocks=None,
            rank=self.rank, targets=self.targets, has_head=False,
        )  # fmt: skip


def value_head(width: int, kind: str) -> int:
    """Count the parameters of a value head: hidden -> 2 hidden -> 1 with biases, or hidden -> 1 without."""
    return width if kind == "linear" else _mlp(width, 1)


def action_heads(width: int, vocabulary: int) -> tuple[int, int]:
    """Count the parameters of two Q heads and a V head, and those of the copies of the Q heads."""
    both = 2 * _mlp(width, vocabulary)
    return both + _mlp(width, 1), both


def _mlp(width: int, outputs: int) -> int:
    return 2 * width * width + 2 * width + 2 * width * outputs + outputs


def moments_of(optimizer: Mapping[str, Any]) -> int | None:
    """Say how many numbers an optimiser keeps of each parameter that trains; None where nobody here knows."""
    build = optimizer["build"]
    if build is None:
        return 0
    known = MOMENTS.get(build["_target_"].rpartition(".")[2])
    return 1 if known == 0 and build.get("momentum") else known
