"""Records and protocols that cross the boundaries between the parts of rftlab.

Shape letters: B prompts, G samples per prompt, n = B * G rows, p prompt tokens, t response tokens, v vocabulary.
Every `*_mask` is True where the element counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from rftlab.ranges import AtLeastTwo, Fraction, NonNegative, Positive


@dataclass(frozen=True, kw_only=True)
class Example:
    """One prompt with its gold texts; `targets` may be empty where the data has none."""

    id: str
    prompt: str
    targets: tuple[str, ...]
    meta: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ScoredText:
    """A response that a row of a dataset brings, with its score: 1 and 0 for the two of a preference pair."""

    example: Example  # the two responses of a pair, and all to one prompt that are compared, share its id and prompt
    response: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The three splits of a dataset, and where they came from (`bundled`, `file`, or `hub` also through a mirror)."""

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]
    source: str
    responses: Mapping[str, Sequence[ScoredText]] = field(default_factory=dict)  # of each split, where rows bring some


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
class Experience:
    """Responses to prompts with all that is known of them before an update; no tensor carries a gradient.

    Sampled responses, gold texts and rows of a scored dataset all have this form. What only some algorithms need lies
    in `columns`, each (n t) or (n): `old_logprobs` of the policy that sampled, `ref_logprobs` of the frozen start,
    `values`, `rewards` per token, `advantages`, `returns`. Where the policy is masked (`Needs.mask`), `old_logprobs`
    are of the masked policy and `unmasked_logprobs` of the whole one, by which the KL to the start is measured.

    The rows of a unit keep their order: of a pair the chosen response comes first, the rejected one behind it.
    """

    prompt_ids: Int[Tensor, "b p"]  # every prompt once
    prompt_mask: Bool[Tensor, "b p"]
    response_ids: Int[Tensor, "n t"]
    response_mask: Bool[Tensor, "n t"]  # True on response tokens, EOS included
    prompt_index: Int[Tensor, " n"]  # the prompt that each row answers
    unit: Int[Tensor, " n"]  # rows of one number stay together in shuffles and microbatches, and are adjacent
    scores: Float[Tensor, " n"] | None  # task reward of the whole response, raw units; None where nothing was scored
    temperature: float  # of the sampling: all log-probabilities are those of logits / temperature
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    prompt_columns: Mapping[str, Tensor] = field(default_factory=dict)  # the same of prompts: (b p d)

    def __getitem__(self, name: str) -> Tensor:
        """Return a column."""
        return self.columns[name]

    def with_(self, **columns: Tensor) -> "Experience":
        """Add columns, or replace those of the same name."""
        return replace(self, columns={**self.columns, **columns})

    def rows(self, index: Int[Tensor, " m"]) -> "Experience":
        """Take some rows, in that order, with the prompts that they answer."""
        prompts, prompt_index = self.prompt_index[index].unique(return_inverse=True)
        return replace(
            self,
            prompt_ids=self.prompt_ids[prompts],
            prompt_mask=self.prompt_mask[prompts],
            response_ids=self.response_ids[index],
            response_mask=self.response_mask[index],
            prompt_index=prompt_index,
            unit=self.unit[index],
            scores=None if self.scores is None else self.scores[index],
            columns={name: column[index] for name, column in self.columns.items()},
            prompt_columns={name: column[prompts] for name, column in self.prompt_columns.items()},
        )


@dataclass(frozen=True, kw_only=True)
class ScoredResponse:
    """A response to a prompt that was scored earlier: sampled by a run whose work is done, or brought by a dataset."""

    example: Example
    response: str
    response_ids: tuple[
        int, ...
    ]  # as sampled, EOS included where it was: what policies learn; a reward model reads `response`
    score: float  # raw units of the reward


@dataclass(frozen=True, kw_only=True)
class Nucleus:
    """The tokens that a policy finds likely: the fewest of probability `top_p` together, the top few, and EOS."""

    top_p: Fraction[float]  # below 1; at 1 nothing would be masked
    min_tokens: AtLeastTwo[int]  # of two, one is not EOS: something is left where EOS is banned


EntropyMode = Literal["none", "logged", "trained"]  # not computed | computed without a gradient | with one


@dataclass(frozen=True, kw_only=True)
class ActionValueNeeds:
    """Two Q heads and a V head on the policy's hidden states, slow copies of the Q heads, and decoding with them."""

    polyak: float  # by how much the copies move at each optimiser step
    decode_b: tuple[float, ...]  # weights of the advantages in decoding, each evaluated for itself
    decode_top_k: int


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What an algorithm wants beside the policy; whatever it does not ask for is neither held nor computed."""

    reference: bool = False  # the frozen start, and the column `ref_logprobs`
    value: bool = False  # a value function, `Forward.values` and the column `values`
    old_logprobs: bool = False  # the column `old_logprobs`
    # A copy of the policy renewed after every so many iterations, never between the rollout and the updates on it. It
    # gives the column `lagged_logprobs`, or, where there is a `mask`, which tokens policy and sampler may choose; these
    # are found anew in every pass, and the columns are `unmasked_logprobs` and `mask_size`.
    lagged_every: int | None = None
    mask: Nucleus | None = None  # of the lagged copy's next-token distribution
    entropy: EntropyMode = "none"  # `Forward.entropy`
    action_values: ActionValueNeeds | None = None  # `Forward.action_values`


@dataclass(frozen=True, kw_only=True)
class ActionValues:
    """What two Q heads and a V head say of the response tokens and of the states before them; 0 elsewhere."""

    q: Float[Tensor, "2 n t"]  # of the tokens
    q_logsumexp: Float[Tensor, "2 n t"]  # over all tokens of the vocabulary
    target_q: Float[Tensor, "n t"]  # of the tokens, the smaller of the slow copies, without a gradient
    v: Float[Tensor, "n t"]


@dataclass(frozen=True, kw_only=True)
class Forward:
    """What the current networks say of a batch, with gradients."""

    logprobs: Float[Tensor, "n t"]  # of the response tokens, all that may be chosen, logits divided by the temperature
    entropy: Float[Tensor, "n t"] | None  # nats, of the same next-token distribution; None if not asked for
    values: Float[Tensor, "n t"] | None  # None where the algorithm has no value function
    action_values: ActionValues | None = None  # None where the algorithm has no Q heads


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Sizes of a whole optimiser step, over all its microbatches and processes: the denominators of its means."""

    tokens: int  # response tokens
    rows: int
    units: int


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
    """A microbatch's share of the loss, and the detached numbers worth logging.

    `metrics` are shares like the loss, which add up to the value of the optimiser step; of `maxima` the largest counts.
    `squares` are shares of the mean square of weights whose mean is a metric of the same name: from both the loop makes
    NAME_ess = mean^2 / mean square, the effective share of the tokens.
    """

    loss: Float[Tensor, ""]
    metrics: dict[str, Float[Tensor, ""]]
    maxima: dict[str, Float[Tensor, ""]] = field(default_factory=dict)
    squares: dict[str, Float[Tensor, ""]] = field(default_factory=dict)


@runtime_checkable
class Reward(Protocol):
    """Score whole responses; one float per row, raw units of the task metric."""

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]: ...


@runtime_checkable
class KLControl(Protocol):
    """Sets the coefficient beta of the KL penalty in the reward, from rollout to rollout."""

    @property
    def initial(self) -> float:
        """Give beta of the first rollout."""
        ...

    @property
    def unit(self) -> Literal["response", "token"]:
        """Say whether it is told the KL per response or per token."""
        ...

    def update(self, beta: float, measured_kl: float) -> float:
        """Give beta of the next rollout; `measured_kl` in nats per `unit`."""
        ...


@runtime_checkable
class Algorithm(Protocol):
    """An algorithm on texts is credit and loss: pure functions, held by a frozen dataclass that Hydra builds.

    The loop does, once for all algorithms, what stands between the two: scaling of scores, the KL penalty in the token
    rewards, whitening, the optimiser steps.
    """

    unit: ClassVar[Literal["row", "pair", "group"]]  # what belongs together: rows, pairs, all responses to a prompt

    @property
    def needs(self) -> Needs:
        """Say which networks and columns credit and loss read."""
        ...

    @property
    def kl(self) -> KLControl | None:
        """Give the control of the KL penalty in the reward; None where the reward has none."""
        ...

    @property
    def whiten_advantages(self) -> Literal["rollout", "minibatch", "none"]:
        """Say over what the loop shifts and scales the advantages to mean 0 and std 1."""
        ...

    def credit(self, experience: Experience) -> Experience:
        """Add the columns that the loss reads, `advantages` unwhitened, from the column `rewards` (n t)."""
        ...

    def loss(self, new: Forward, batch: Experience, totals: Totals) -> LossOutput:
        """Compute the share of one microbatch in the loss of an optimiser step of the size `totals`."""
        ...


@runtime_checkable
class PairAlgorithm(Protocol):
    """An algorithm that teaches a network to score responses, from pairs of them."""

    def pair_loss(self, chosen: Float[Tensor, " n"], rejected: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Compute the loss of each pair from the scores of its two responses; the loop averages over pairs."""
        ...


@runtime_checkable
class LabelAlgorithm(Protocol):
    """An algorithm for classifiers: a loss per input, of exact probabilities or of one sampled label."""

    def label_loss(self, batch: LabelBatch) -> Float[Tensor, " n"]:
        """Compute the loss of each input; the loop averages over inputs, or over a group of them."""
        ...
