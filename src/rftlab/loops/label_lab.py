"""What the loops over classifiers are given: inputs in memory, gold labels, rewards, groups, network, optimiser."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from rftlab.loops.lab import OptimizerSpec
from rftlab.loops.session import Session
from rftlab.models.networks import LabelNetwork


@dataclass(frozen=True, kw_only=True)
class LabelTask:
    """A classification dataset in one phase: pretraining has several gold labels per input and no groups."""

    name: str
    inputs: Tensor  # (n ...), as the network encodes them
    targets: Int[Tensor, "n m"]
    rewards: Float[Tensor, "n k"]  # of every label, given the finetuning label
    groups: dict[str, Bool[Tensor, " n"]]  # disjoint, together all inputs; empty in pretraining
    reward_range: tuple[float, float]
    test_inputs: Tensor
    test_targets: Int[Tensor, "q 1"]  # true labels
    test_rewards: Float[Tensor, "q k"]


@dataclass(frozen=True, kw_only=True)
class LabelLab:
    """Everything a loop over a classifier works with."""

    task: LabelTask
    network: LabelNetwork
    optimizer: OptimizerSpec
    evaluate_every: int  # epochs
    session: Session
