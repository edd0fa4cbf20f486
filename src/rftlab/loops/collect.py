"""Where experience comes from: sampled responses with their scores, or gold texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from rftlab.loops.draw import draw
from rftlab.loops.evaluation import encode, encode_targets, score
from rftlab.loops.lab import Lab
from rftlab.loops.metrics import sampling_metrics
from rftlab.sampling.sample import sample
from rftlab.streams import row_noise
from rftlab.types import Example, Experience


@dataclass(frozen=True, kw_only=True)
class Place:
    """How far a run has come in its data; it is in the checkpoint."""

    iteration: int  # the one to collect for, from 1
    draws: int  # of prompts, before this iteration


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The experience of one iteration, what describes it, and how many draws of prompts it took."""

    experience: Experience
    metrics: dict[str, float]
    draws: int


@runtime_checkable
class Collector(Protocol):
    """A source of experience; what it gives is a function of the networks, the run seed and the place."""

    def collect(self, lab: Lab, place: Place) -> Collected:
        """Give the experience of one iteration."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Responses of the policy to fresh prompts, scored by the reward."""

    prompts: int
    samples_per_prompt: int
    unit: Literal["row", "group"]

    def collect(self, lab: Lab, place: Place) -> Collected:
        """Draw prompts, sample responses and score them."""
        assert lab.task.rollout is not None
        drawn = draw(lab.task.splits.train, self.prompts, lab.session.seed, place.draws)
        examples = [example for example, _ in drawn]
        prompt_ids, prompt_mask = encode(lab, examples)
        places = range(place.draws * self.prompts, (place.draws + 1) * self.prompts)  # in the order of the whole run
        steps = lab.task.rollout.max_new_tokens
        noise = row_noise(lab.session.seed, "sampling", places=places, samples=self.samples_per_prompt, steps=steps)
        responses = sample(
            lab.policy, prompt_ids, prompt_mask, lab.task.rollout, self.samples_per_prompt, noise,
            batch_size=lab.evaluation.batch_size,
        )  # fmt: skip
        _, scores = score(lab, examples, responses)
        experience = Experience(
            prompt_ids=prompt_ids,
            prompt_mask=prompt_mask,
            response_ids=responses.response_ids,
            response_mask=responses.response_mask,
            prompt_index=responses.prompt_index,
            unit=responses.prompt_index if self.unit == "group" else _each(responses.prompt_index),
            scores=torch.as_tensor(scores, dtype=torch.float32, device=prompt_ids.device),
            temperature=lab.task.rollout.temperature,
        )
        return Collected(experience=experience, metrics=sampling_metrics(responses), draws=1)


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """Gold texts: every target of a prompt is a pair of its own, and each pass over the prompts takes the next one."""

    examples: Sequence[Example]
    pairs: int

    def collect(self, lab: Lab, place: Place) -> Collected:
        """Draw (prompt, target) pairs, from the shortest to the longest: like rows waste little on padding."""
        drawn = draw(self.examples, self.pairs, lab.session.seed, place.draws)
        prompt_ids, prompt_mask = encode(lab, [example for example, _ in drawn])
        ids, mask = encode_targets(lab, [example.targets[epoch % len(example.targets)] for example, epoch in drawn])
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
        return Collected(experience=experience, metrics={}, draws=1)


def _each(rows: Tensor) -> Tensor:
    """Number rows, each on its own."""
    return torch.arange(len(rows), device=rows.device)
