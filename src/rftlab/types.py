"""Records and protocols that cross the boundaries between the parts of rftlab.

Shape letters: B prompts, G samples per prompt, n = B * G rows, p prompt tokens, t response tokens, v vocabulary.
Every `*_mask` is True where the element counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rftlab.ranges import Fraction, NonNegative, Positive


@dataclass(frozen=True, kw_only=True)
class Example:
    """One prompt with its gold texts; `targets` may be empty where the data has none."""

    id: str
    prompt: str
    targets: tuple[str, ...]
    meta: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The three splits of a dataset, and where they came from (`bundled`, or `hub` also through a mirror)."""

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]
    source: str


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Ancestral sampling. Every value is explicit; nothing is inherited from a checkpoint's generation config."""

    temperature: Positive[float]
    top_k: NonNegative[int]  # 0 keeps the whole vocabulary
    top_p: Fraction[float]  # 1.0 keeps the whole vocabulary
    min_new_tokens: NonNegative[int]  # EOS cannot be sampled before this many tokens
    max_new_tokens: Positive[int]


@dataclass(frozen=True, kw_only=True)
class BeamSearch:
    """Deterministic beam search for evaluation; `num_beams=1` is greedy decoding."""

    num_beams: Positive[int]
    length_penalty: float  # hypotheses are ranked by sum of log-probabilities / length ** length_penalty
    min_new_tokens: NonNegative[int]
    max_new_tokens: Positive[int]


@dataclass(frozen=True, kw_only=True)
class Responses:
    """What a decoder produced; rows of one prompt are adjacent."""

    response_ids: Int[Tensor, "n t"]  # padded on the right
    response_mask: Bool[Tensor, "n t"]  # True on generated tokens, a generated EOS included
    logprobs: Float[Tensor, "n t"]  # under the decoding distribution (temperature, top-k, top-p, minimum length)
    kept_mass: Float[
        Tensor, "n t"
    ]  # full-vocabulary probability of the tokens that could be chosen; 1 if nothing is cut
    truncated: Bool[Tensor, " n"]  # True where the length limit ended the row, not EOS
    prompt_index: Int[Tensor, " n"]  # row of the prompt batch that each response answers


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Sampled responses with everything known at sampling time; no tensor carries a gradient."""

    prompt_ids: Int[Tensor, "n p"]
    prompt_mask: Bool[Tensor, "n p"]
    response_ids: Int[Tensor, "n t"]
    response_mask: Bool[Tensor, "n t"]  # True = sampled by the policy, EOS included
    old_logprobs: Float[Tensor, "n t"]  # of the policy that sampled, at the sampling temperature
    ref_logprobs: Float[Tensor, "n t"]  # of the frozen start
    values: Float[Tensor, "n t"]  # V(s_t), read at the position that predicts token t
    scores: Float[Tensor, " n"]  # task reward of the whole response, raw units
    prompt_index: Int[Tensor, " n"]  # rows that share a prompt form its group


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The part of a rollout that a minibatch update needs, with its advantages and returns."""

    prompt_ids: Int[Tensor, "n p"]
    prompt_mask: Bool[Tensor, "n p"]
    response_ids: Int[Tensor, "n t"]
    response_mask: Bool[Tensor, "n t"]
    old_logprobs: Float[Tensor, "n t"]
    ref_logprobs: Float[Tensor, "n t"]
    old_values: Float[Tensor, "n t"]
    advantages: Float[Tensor, "n t"]
    returns: Float[Tensor, "n t"]


@dataclass(frozen=True, kw_only=True)
class Forward:
    """What the current networks say of a batch, with gradients."""

    logprobs: Float[Tensor, "n t"]  # of the response tokens, full vocabulary, logits divided by the temperature
    entropy: Float[Tensor, "n t"]  # nats, of the full-vocabulary next-token distribution
    values: Float[Tensor, "n t"] | None  # None where the algorithm has no value network


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """Inputs of a classifier, each with its true label; images come normalised, sentence pairs as text."""

    inputs: Float[Tensor, "n c h w"] | tuple[tuple[str, str], ...]
    labels: Int[Tensor, " n"]


@dataclass(frozen=True, kw_only=True)
class LabelSplits:
    """The two splits of a classification dataset, and where they came from (`bundled`, or `hub`)."""

    train: LabelSet
    test: LabelSet
    source: str


@dataclass(frozen=True, kw_only=True)
class LabelBatch:
    """A classifier as a policy over one-token outputs, on a batch of inputs; K labels, m gold labels per input."""

    logprobs: Float[Tensor, "n k"]  # of every label, with gradient
    rewards: Float[Tensor, "n k"]  # of every label
    targets: Int[Tensor, "n m"]  # gold labels; several in multi-label pretraining
    noise: Float[Tensor, " n"]  # uniform in [0, 1), for algorithms that sample a label


@dataclass(frozen=True, kw_only=True)
class LossOutput:
    """A differentiable scalar and the detached numbers worth logging."""

    loss: Float[Tensor, ""]
    metrics: dict[str, Float[Tensor, ""]]


@runtime_checkable
class Reward(Protocol):
    """Score whole responses; one float per row, raw units of the task metric."""

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]: ...


@runtime_checkable
class Algorithm(Protocol):
    """An online algorithm: pure functions of a rollout, held by a frozen dataclass that Hydra builds.

    Losses and metrics of the microbatches of one optimiser step are shares of it: they are summed, not averaged.
    """

    needs_value: ClassVar[bool]

    @property
    def initial_kl_coef(self) -> float:
        """Weight of the KL penalty in the first rollout; 0 where the reward has none."""
        ...

    def update_kl_coef(self, kl_coef: float, measured_kl: float) -> float:
        """Give the weight for the next rollout; `measured_kl` in nats per response."""
        ...

    def rewards(self, rollout: Rollout, kl_coef: float) -> Float[Tensor, "n t"]:
        """Spread the scores over tokens, with the KL penalty if the algorithm has one."""
        ...

    def advantages(
        self, rewards: Float[Tensor, "n t"], rollout: Rollout
    ) -> tuple[Float[Tensor, "n t"], Float[Tensor, "n t"]]:
        """Estimate advantages, whitened over the rollout if so configured, and returns in raw units."""
        ...

    def prepare(self, minibatch: Batch) -> Batch:
        """Change what must be computed over a whole minibatch, before it is cut into microbatches."""
        ...

    def loss(self, new: Forward, batch: Batch, denominator: int) -> LossOutput:
        """Compute the share of the loss of one microbatch; `denominator` counts the tokens of the optimiser step."""
        ...


@runtime_checkable
class LabelAlgorithm(Protocol):
    """An algorithm for classifiers: a loss per input, of exact probabilities or of one sampled label."""

    def label_loss(self, batch: LabelBatch) -> Float[Tensor, " n"]:
        """Compute the loss of each input; the loop averages over inputs, or over a group of them."""
        ...
