"""A task of eight letters whose texts are token ids, a reward that remembers what it was asked, a watched optimiser."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from rftlab.loops import checkpoint
from rftlab.loops.lab import Lab
from rftlab.models import Policy
from rftlab.runs import read_run
from rftlab.types import Example, ScoredResponse, Splits

LETTERS = "abcdefgh"
EOS = 0
TEMPERATURE = 0.7  # of sampling
MAX_NEW, MAX_EVALUATED = 6, 4  # tokens of a sampled and of an evaluated response
ROLLOUT_ROWS = 8  # responses of an iteration in these tests; no evaluation or probe scores as many at once


class Killed(Exception):
    """Stands for the death of a process."""


# --- texts --------------------------------------------------------------------------------------------------------


def letters_tokenizer() -> PreTrainedTokenizerFast:
    """Build a tokenizer of EOS and eight letters, without a pad token: a text then says which ids it came from."""
    raw = RawTokenizer(models.BPE(vocab={token: i for i, token in enumerate(["</s>", *LETTERS])}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>")


def ids_of(text: str, max_tokens: int) -> list[int]:
    """Return the ids of a response or target: its letters, and EOS if that fits in the limit."""
    ids = [1 + LETTERS.index(letter) for letter in text]
    return [*ids, EOS] if len(ids) < max_tokens else ids[:max_tokens]


def examples(n: int, split: str, first: str) -> list[Example]:
    """Make n prompts of different lengths that begin with the letter of their split, with two answers each."""

    def word(i: int) -> str:
        return "".join(LETTERS[int(digit)] for digit in f"{i:02o}")

    def example(i: int) -> Example:
        return Example(
            id=f"{split}-{i}", prompt=first + word(i) + "h" * (i % 3), targets=(word(i + 9), word(3 * i + 17) + "de")
        )

    return [example(i) for i in range(n)]


def splits() -> Splits:
    """Make the three splits; no prompt is in two of them."""
    return Splits(
        train=examples(12, "train", "a"),
        validation=examples(4, "validation", "b"),
        test=examples(4, "test", "c"),
        source="bundled",
    )


# --- the reward ---------------------------------------------------------------------------------------------------


def shared_letters(prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]) -> np.ndarray:
    """Score the share of letters that are in the prompt, and of those in a target, with half the weight each."""

    def share(response: str, letters: str) -> float:
        return sum(letter in letters for letter in response) / max(1, len(response))

    rows = zip(prompts, responses, targets, strict=True)
    return np.array([(share(r, p) + share(r, "".join(t))) / 2 for p, r, t in rows])


@dataclass(frozen=True)
class Call:
    """What the reward was asked once, what it found, and the policy's weights at that moment."""

    prompts: list[str]
    responses: list[str]
    targets: list[tuple[str, ...]]
    scores: np.ndarray
    weights: dict[str, Tensor]


@dataclass
class Recorder:
    """Score shared letters and keep every call; `change` turns the scores of a rollout into what the loop is told."""

    policy: Policy
    folder: Path
    change: Callable[[np.ndarray], np.ndarray] | None = None
    calls: list[Call] = field(default_factory=list)
    checkpoint: tuple[int, dict] | None = None  # the last one that was there when an evaluation was scored
    names: list[str] = field(default_factory=list)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> np.ndarray:
        scores = shared_letters(prompts, responses, targets)
        weights = {name: value.clone() for name, value in self.policy.state_dict().items()}
        self.calls.append(Call(list(prompts), list(responses), list(targets), scores, weights))
        if len(scores) == ROLLOUT_ROWS:
            return scores if self.change is None else self.change(scores)
        names = sorted(path.name for path in self.folder.glob("checkpoints/*.pt"))
        if names and names != self.names:
            self.names, self.checkpoint = names, checkpoint.latest(self.folder)
        return scores

    @property
    def rollouts(self) -> list[Call]:
        """The calls of the iterations, in order."""
        return [call for call in self.calls if len(call.responses) == ROLLOUT_ROWS]


# --- scored responses of an earlier run ----------------------------------------------------------------------------

WORDS = ("abc", "hh", "cdefgh", "a", "bad", "cab", "eff")


def scored_responses(words: Sequence[str] = WORDS) -> list[ScoredResponse]:
    """Answer each train prompt with two of the words, in turn."""
    train, rows = splits().train, []
    for number in range(2 * len(train)):
        example, word = train[number // 2], words[number % len(words)]
        (score,) = shared_letters([example.prompt], [word], [example.targets])
        ids = tuple(ids_of(word, MAX_NEW))
        rows.append(ScoredResponse(example=example, response=word, response_ids=ids, score=float(score)))
    return rows


# --- the optimiser ------------------------------------------------------------------------------------------------


@dataclass
class Step:
    """One optimiser step: its learning rate, and the gradients that it takes, after clipping."""

    lr: float
    policy: dict[str, Tensor]  # by name
    everything: Tensor  # of all networks, in one vector


@dataclass
class WatchedAdamW:
    """Build an AdamW that keeps every step, and may die, or call for a stop, at a given one, counted from 1."""

    policy: Policy
    at: int | None = None
    then: Callable[[], None] | None = None
    steps: list[Step] = field(default_factory=list)

    def __call__(self, params: Iterable[nn.Parameter], *, lr: float) -> torch.optim.Optimizer:
        optimizer = torch.optim.AdamW(params, lr=lr)
        optimizer.register_step_pre_hook(self._note)
        return optimizer

    def _note(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        group = optimizer.param_groups[0]
        named = {name: p.grad.clone() for name, p in self.policy.named_parameters() if p.grad is not None}
        whole = torch.cat([p.grad.flatten() for p in group["params"] if p.grad is not None])
        self.steps.append(Step(group["lr"], named, whole))
        if self.then is not None and len(self.steps) == self.at:
            self.then()


def die() -> None:
    """Stand for SIGKILL."""
    raise Killed


def logged(lab: Lab, name: str) -> list[float]:
    """Return the values of a metric in the order of the steps."""
    return [value for _, key, value in read_run(lab.session.run.folder).metrics() if key == name]


# --- what a network says, the slow and plain way ------------------------------------------------------------------


def plain_logits(policy: Policy, prompt: str, ids: Sequence[int]) -> Tensor:
    """Return the logits (t v) that predict each of the ids: one row, no padding, no cache, none of our code."""
    asked = ids_of(prompt, 10**6)  # a seq2seq prompt ends with EOS
    if policy.family == "causal":
        row = torch.tensor([asked[:-1] + list(ids)])
        return policy.lm(input_ids=row).logits[0, len(asked) - 2 : -1]
    start = torch.tensor([[policy.lm.config.decoder_start_token_id, *ids[:-1]]])
    return policy.lm(input_ids=torch.tensor([asked]), decoder_input_ids=start).logits[0]


def plain_logprobs(policy: Policy, prompt: str, ids: Sequence[int], temperature: float) -> Tensor:
    """Return the log-probability (t) of each of the ids."""
    logprobs = (plain_logits(policy, prompt, ids) / temperature).log_softmax(-1)
    return logprobs.gather(-1, torch.tensor(ids).unsqueeze(-1)).squeeze(-1)


def plain_greedy(policy: Policy, prompt: str, max_tokens: int) -> str:
    """Answer with the most likely token at each step."""
    ids: list[int] = []
    while len(ids) < max_tokens:
        ids.append(int(plain_logits(policy, prompt, [*ids, EOS])[-1].argmax()))
        if ids[-1] == EOS:
            return "".join(LETTERS[i - 1] for i in ids[:-1])
    return "".join(LETTERS[i - 1] for i in ids)
