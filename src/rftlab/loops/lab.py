"""What the loops over language models are given: task, networks, optimiser and session. Loops know no config."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import cos, inf, pi
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rftlab.loops.first_looks import FirstLooks
from rftlab.loops.session import Session
from rftlab.models import Policy
from rftlab.ranks import Ranks
from rftlab.sampling.decoding import StartDecoder, start_decoder
from rftlab.types import BeamSearch, Reward, Sampling, ScoredResponse, Splits


@dataclass(frozen=True, kw_only=True)
class Task:
    """A dataset with its formatting, decoding and reward."""

    name: str
    splits: Splits
    max_prompt_tokens: int
    truncation_side: str  # left | right: the side on which a long prompt loses tokens
    max_target_tokens: int
    append_eos: bool
    rollout: Sampling | None  # of training
    probe: Sampling | None  # of looks at the train prompts; the same in runs whose rollouts differ in temperature
    evaluation: Sampling | BeamSearch | None
    reward: Reward | None
    gold: Reward | None = None  # scores evaluations beside the reward, and teaches nothing
    low_reward: float | None  # a mean reward below this is low
    stop: tuple[str, ...] = ()  # texts at which a response ends; `sampling.stop` says what of it counts
    prompt_ending: str | None = None  # the end of every prompt, which is never cut
    responses: Mapping[str, Sequence[ScoredResponse]] | None = None  # of each split, for algorithms that do not sample


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """When and on how much a run is evaluated."""

    every: int  # iterations (online) or steps (supervised)
    sizes: dict[str, int]  # split -> prompts
    batch_size: int  # responses decoded at a time, in evaluations, looks and rollouts
    probe_prompts: int
    probe_samples: int
    probe_every: int | None  # iterations or steps between two looks during training; None = before and after only
    probe_prompts_during: int  # the first so many of the probe prompts
    probe_null: bool  # take a second look before training
    std_below: float
    n_logged: int
    kl_to_start: bool = False  # tell the KL to the start also where no rollout of the run does

    def probes(self, step: int, total: int) -> bool:
        """Tell whether the probe set is looked at after this iteration or step of `total`."""
        return self.probe_every is not None and step % self.probe_every == 0 and step < total


@runtime_checkable
class BuildOptimizer(Protocol):
    """A `torch.optim` class with everything but the parameters and the learning rate."""

    def __call__(self, params: Iterable[nn.Parameter], *, lr: float) -> torch.optim.Optimizer: ...


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec:
    """Optimiser, learning-rate schedule and gradient clipping."""

    build: BuildOptimizer
    lr: float
    schedule: str  # constant | cosine (from lr after the warm-up to zero at the last step)
    warmup_steps: int  # linear, up to lr at this step
    max_grad_norm: float | None  # None = no clipping

    def make(self, module: nn.Module) -> torch.optim.Optimizer:
        """Build the optimiser over everything in `module` that trains."""
        return self.build([p for p in module.parameters() if p.requires_grad], lr=self.lr)

    def lr_at(self, step: int, total: int) -> float:
        """Give the learning rate of optimiser step `step`, counted from 1, of `total`."""
        if step < self.warmup_steps:
            return self.lr * step / self.warmup_steps
        highest = max(1, self.warmup_steps)
        if self.schedule == "constant" or step == highest:
            return self.lr
        return self.lr * 0.5 * (1 + cos(pi * (step - highest) / (total - highest)))

    def clip(self, module: nn.Module) -> Float[Tensor, ""]:
        """Clip the joint gradient norm; returns the norm before clipping, without waiting for it."""
        parameters = [p for p in module.parameters() if p.requires_grad]
        return nn.utils.clip_grad_norm_(parameters, inf if self.max_grad_norm is None else self.max_grad_norm)

    def step(self, optimizer: torch.optim.Optimizer, step: int, total: int) -> None:
        """Take one step and clear the gradients."""
        for group in optimizer.param_groups:
            group["lr"] = self.lr_at(step, total)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


@runtime_checkable
class PromptChoice(Protocol):
    """Decides which prompts an online run learns from (a heuristic of conf/heuristic)."""

    def collector(self, lab: "Lab", sampled: Any) -> Any:
        """Turn `collect.Sampled` into the `collect.Collector` that chooses; called once, with the start policy."""
        ...


@dataclass(frozen=True, kw_only=True)
class Lab:
    """Everything a loop over a language model works with."""

    task: Task
    policy: Policy
    value_kind: str  # separate | head
    value_head: str  # mlp | linear
    optimizer: OptimizerSpec
    evaluation: Evaluation
    session: Session
    head_chunk: int | None = None  # tokens at a time through the head over the vocabulary; None = all of a pass
    shifted: Mapping[str, Policy] = field(default_factory=dict)  # name -> a policy that evaluations decode with, too
    start: Policy | None = None  # frozen; evaluations say how far the policy has gone from it
    held_out: Callable[[], dict[str, float]] | None = None  # what evaluations measure besides, on held-out pairs
    share_trunk: bool = True  # hold and compute once what is frozen in the policy, for its reference and all updates
    start_decoder: StartDecoder = start_decoder  # of the rollouts of training; the loop sets it where they are masked
    choice: PromptChoice | None = None  # None = all prompts, in passes
    first_looks: FirstLooks | None = None  # what other runs have drawn from a policy that is not trained yet
    ranks: Ranks = field(default_factory=Ranks.of_this_process)
