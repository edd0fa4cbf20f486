"""Where experience comes from: sampled responses with their scores, or gold texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from rftlab.loops.draw import Order, draw, in_passes
from rftlab.loops.evaluation import encode, encode_targets, encode_whole, score
from rftlab.loops.lab import Lab
from rftlab.loops.metrics import sampling_metrics
from rftlab.sampling.sample import joined, sample
from rftlab.sampling.stop import cut_at
from rftlab.streams import row_noise
from rftlab.types import Example, Experience, Responses


@dataclass(frozen=True, kw_only=True)
class Place:
    """How far a run has come in its data; it is in the checkpoint."""

    iteration: int  # the one to collect for, from 1
    position: int  # in the order of prompts: how many of them earlier iterations took


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The experience of one iteration, what describes it, and how many prompts it took.

    All of it describes the policy; the updates learn from the rows `kept`.
    """

    experience: Experience
    metrics: dict[str, float]
    prompts: int  # also those of which no row is kept
    kept: Int[Tensor, " m"] | None = None  # None = all rows


@runtime_checkable
class Collector(Protocol):
    """A source of experience; what it gives is a function of the networks, the run seed and the place."""

    samples: ClassVar[bool]  # whether it draws from the policy: what it gives then describes the policy

    def collect(self, lab: Lab, place: Place) -> Collected:
        """Give the experience of one iteration."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Responses of the policy to fresh prompts, scored by the reward.

    With a budget of `tokens`, prompts are drawn in rounds until their responses have so many. The first prompts that
    fill it are kept, each with all its responses; the next iteration goes on behind them.
    """

    prompts: int  # of a round: the only one, or the first
    tokens: int | None  # None = one round
    samples_per_prompt: int
    unit: Literal["row", "group"]
    order: Order = in_passes  # in which prompts are taken

    samples: ClassVar[bool] = True

    def collect(self, lab: Lab, place: Place) -> Collected:
        """Draw prompts, sample responses and score them."""
        examples, encoded, responses = self._sampled(lab, place)
        _, scores = score(lab, examples, responses)
        experience = self.experience(lab, encoded, responses, scores)
        return Collected(experience=experience, metrics=sampling_metrics(responses), prompts=len(examples))

    def experience(
        self, lab: Lab, encoded: tuple[Tensor, Tensor], responses: Responses, scores: Float[np.ndarray, " n"]
    ) -> Experience:
        """Put prompts (ids, mask), responses and scores together."""
        assert lab.task.rollout is not None
        prompt_ids, prompt_mask = encoded
        return Experience(
            prompt_ids=prompt_ids,
            prompt_mask=prompt_mask,
            response_ids=responses.response_ids,
            response_mask=responses.response_mask,
            prompt_index=responses.prompt_index,
            unit=responses.prompt_index if self.unit == "group" else _each(responses.prompt_index),
            scores=torch.as_tensor(scores, dtype=torch.float32, device=prompt_ids.device),
            temperature=lab.task.rollout.temperature,
        )

    def round(self, lab: Lab, position: int, count: int) -> tuple[list[Example], tuple[Tensor, Tensor], Responses]:
        """Sample responses to the `count` prompts from `position` on: as text, encoded, and answered.

        The noise is keyed by the place of the prompt in the whole run: rounds do not change what is drawn.
        """
        assert lab.task.rollout is not None
        asked = self.order(lab.task.splits.train, count, lab.session.seed, position)
        encoded, steps = encode(lab, asked), lab.task.rollout.max_new_tokens
        places, samples = range(position, position + count), self.samples_per_prompt
        noise = row_noise(lab.session.seed, "sampling", places=places, samples=samples, steps=steps)
        responses = sample(
            lab.policy, *encoded, lab.task.rollout, samples, noise,
            batch_size=lab.evaluation.batch_size, start=lab.start_decoder,
        )  # fmt: skip
        return asked, encoded, cut_at(lab.policy, responses, lab.task.stop)

    def _sampled(self, lab: Lab, place: Place) -> tuple[list[Example], tuple[Tensor, Tensor], Responses]:
        """Sample in rounds until the budget is filled, and keep the prompts that fill it: as text and encoded."""
        examples: list[Example] = []
        rounds: list[Responses] = []
        wanted = self.prompts
        while wanted:
            asked, encoded, responses = self.round(lab, place.position + len(examples), wanted)
            examples += asked
            rounds.append(responses)
            wanted = self._missing(rounds)
        if self.tokens is None:
            return examples, encoded, rounds[0]
        responses = joined(rounds, lab.policy.pad_id)
        sums = self._tokens_of_prompts(responses).cumsum(0)
        kept = int((sums < self.tokens).sum()) + 1
        return examples[:kept], encode(lab, examples[:kept]), first_rows(responses, kept * self.samples_per_prompt)

    def _missing(self, rounds: Sequence[Responses]) -> int:
        """Say how many more prompts the budget asks for, if their responses are as long as those so far."""
        if self.tokens is None:
            return 0
        counts = torch.cat([self._tokens_of_prompts(responses) for responses in rounds])
        there = int(counts.sum())
        return ceil_div(max(0, self.tokens - there) * len(counts), there)

    def _tokens_of_prompts(self, responses: Responses) -> Int[Tensor, " b"]:
        return responses.response_mask.sum(1).view(-1, self.samples_per_prompt).sum(1)


def ceil_div(a: int, b: int) -> int:
    """Divide and round up."""
    return -(-a // b)


def first_rows(responses: Responses, n: int) -> Responses:
    """Keep the first n responses, as wide as the longest of them."""
    width = int(responses.response_mask[:n].sum(1).max())
    return Responses(
        response_ids=responses.response_ids[:n, :width],
        response_mask=responses.response_mask[:n, :width],
        logprobs=responses.logprobs[:n, :width],
        kept_mass=responses.kept_mass[:n, :width],
        truncated=responses.truncated[:n],
        prompt_index=responses.prompt_index[:n],
    )


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """Gold texts: every target of a prompt is a pair of its own, and each pass over the prompts takes the next one.

    With `whole_text`, prompt and target are one text of at most so many tokens, and all of it is learned.
    """

    examples: Sequence[Example]
    pairs: int
    whole_text: int | None = None

    samples: ClassVar[bool] = False

    def collect(self, lab: Lab, place: Place) -> Collected:
        """Draw (prompt, target) pairs, from the shortest to the longest: like rows waste little on padding."""
        drawn = draw(self.examples, self.pairs, lab.session.seed, place.position)
        asked = [example for example, _ in drawn]
        targets = [example.targets[epoch % len(example.targets)] for example, epoch in drawn]
        if self.whole_text is None:
            prompt_ids, prompt_mask = encode(lab, asked)
            ids, mask = encode_targets(lab, targets)
        else:
            texts = [example.prompt + target for example, target in zip(asked, targets, strict=True)]
            prompt_ids, prompt_mask, ids, mask = encode_whole(lab, texts, self.whole_text)
        order = (prompt_mask.sum(1) + mask.sum(1)).argsort()
        experience = Experience(
            prompt_ids=prompt_ids[order],
            prompt_mask=prompt_mask[order],
            response_ids=ids[order],
            response_mask=mask[order],
            prompt_index=_each(order),
            unit=_each(order),
            scores=None,
            temperature=1.0,
        )
        return Collected(experience=experience, metrics={}, prompts=len(drawn))


def _each(rows: Tensor) -> Tensor:
    """Number rows, each on its own."""
    return torch.arange(len(rows), device=rows.device)
