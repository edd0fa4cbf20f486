"""A language model of this machine as judge, which answers greedily (temperature 0)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from rftlab.errors import UserError
from rftlab.judges.question import Answer, Question, Verdict
from rftlab.judges.wording import check_wording, read_verdict, worded
from rftlab.models import Chat, Policy, load_policy
from rftlab.models.text import token_ids
from rftlab.positions import positions_of, refuse_beyond
from rftlab.ranges import Given, Positive
from rftlab.sampling.beam import beam_search
from rftlab.types import BeamSearch

TOO_LONG = "the question has {} tokens, more than judge.max_prompt_tokens={}"


@dataclass(frozen=True, kw_only=True)
class LocalJudge:
    """Asks a model in words, both orders by themselves."""

    policy: Policy
    template: str
    reference: str | None
    max_prompt_tokens: int
    max_new_tokens: int
    batch_size: int

    symmetric = False

    @property
    def wants_reference(self) -> bool:
        """A passage of the question has a gold text."""
        return self.reference is not None

    def verdicts(self, questions: Sequence[Question], stopped: Callable[[], bool]) -> Iterator[Answer]:
        """Answer batches of questions of like length; one that is too long is unreadable, as a part of it says less."""
        asked = [(question, worded(self.template, self.reference, question)) for question in questions]
        asked.sort(key=lambda both: len(both[1]))
        for start in range(0, len(asked), self.batch_size):
            if stopped():
                return
            yield from self._answered(asked[start : start + self.batch_size])

    @torch.no_grad()
    def _answered(self, asked: Sequence[tuple[Question, str]]) -> Iterator[Answer]:
        lengths = [self._length(text) for _, text in asked]
        for (question, _), length in zip(asked, lengths, strict=True):
            if length > self.max_prompt_tokens:
                yield question, Verdict(choice="unreadable", said=TOO_LONG.format(length, self.max_prompt_tokens))
        short = [both for both, n in zip(asked, lengths, strict=True) if n <= self.max_prompt_tokens]
        if not short:
            return
        ids, mask = self.policy.encode_prompts([text for _, text in short], self.max_prompt_tokens, "left")
        greedy = BeamSearch(num_beams=1, length_penalty=1.0, min_new_tokens=0, max_new_tokens=self.max_new_tokens)
        found = beam_search(self.policy, ids, mask, greedy)
        texts = self.policy.decode(found.response_ids, found.response_mask)
        sizes = zip(mask.sum(1).tolist(), found.response_mask.sum(1).tolist(), strict=True)
        for (question, _), text, (read, written) in zip(short, texts, sizes, strict=True):
            yield question, Verdict(choice=read_verdict(text), said=text, tokens_in=read, tokens_out=written)

    def _length(self, text: str) -> int:
        """Count the tokens of a question as the model would read it, uncut."""
        if self.policy.chat is not None:
            return len(self.policy.chat.ids(self.policy.tokenizer, text))
        return len(token_ids(self.policy.tokenizer, text)) + 1  # BOS, or the EOS of an encoder


def load(
    *,
    source: str | Path,
    family: Literal["auto", "seq2seq", "causal"],
    tokenizer: str | Path | None,
    dtype: Literal["float32", "bfloat16"],
    compute_dtype: Literal["float32", "bfloat16"],
    format: Literal["plain", "chat"],
    system: str | None,
    template: str,
    reference: str | None,
    max_prompt_tokens: Positive[int],
    max_new_tokens: Positive[int],
    batch_size: Positive[int],
    hub_mirror: Given[Path | None],
    device: Given[str | torch.device] = "cpu",
) -> Any:
    """Load a model from a folder, an embedded asset (`asset:NAME`) or a hub id, as `model=hub` finds it.

    Raises:
        UserError: It cannot be had, has no room for a question, or has no chat template though `format` says chat.
    """
    check_wording(template, reference)
    try:
        policy = load_policy(
            source=source,
            family=family,
            tokenizer=tokenizer,
            init="pretrained",
            dtype=dtype,
            compute_dtype=compute_dtype,
            hub_mirror=hub_mirror,
        )
        policy.talk(Chat(system=system) if format == "chat" else None)
    except UserError as error:
        raise in_judge(error) from error
    if policy.family == "causal":
        lengths = {"judge.max_prompt_tokens": max_prompt_tokens, "judge.max_new_tokens": max_new_tokens}
        refuse_beyond(positions_of(policy.lm.config.to_dict()), source, lengths)
    return LocalJudge(
        policy=policy.to(device),
        template=template,
        reference=reference,
        max_prompt_tokens=max_prompt_tokens,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
    )


def in_judge(error: UserError) -> UserError:
    """Name the keys of a judge where those of a run's model were named."""
    words = (error.found, error.expected, error.change)
    for here, there in (
        ("model.policy.", "judge."), ("data.prompt.format", "judge.format"), ("data.prompt.system", "judge.system"),
    ):  # fmt: skip
        words = tuple(text.replace(here, there) for text in words)
    return UserError(*words)
