"""Online reinforcement finetuning: sample responses, score them, update on them."""

from dataclasses import dataclass
from typing import Literal

from rftlab.errors import UserError
from rftlab.loops.best_of import Best, BestOf
from rftlab.loops.collect import Collector, Sampled, ceil_div
from rftlab.loops.experience import Schedule, train
from rftlab.loops.lab import Lab
from rftlab.loops.networks import Numerics
from rftlab.loops.update import Cut, minibatches_of, number_of_minibatches
from rftlab.ranges import Positive
from rftlab.types import Algorithm


@dataclass(frozen=True, kw_only=True)
class Online:
    """Alternate rollouts and updates.

    Both are counted in rows (`prompts_per_iteration`, `minibatch_size`) or in response tokens (`tokens_per_iteration`,
    `minibatch_tokens`), and the other two are None. A pass over a rollout counted in tokens takes exactly
    tokens_per_iteration // minibatch_tokens optimiser steps, however long the responses are. Minibatches of whole
    prompts cost less, as every prompt is read once per pass and not in several minibatches; they are another draw.
    """

    iterations: Positive[int]
    prompts_per_iteration: Positive[int] | None
    tokens_per_iteration: Positive[int] | None
    samples_per_prompt: Positive[int]
    update_epochs: Positive[int]
    minibatch_size: Positive[int] | None
    minibatch_tokens: Positive[int] | None
    microbatch_size: Positive[int]
    score_scaling: Literal["none", "running"]
    score_clip: Positive[float] | None
    best: BestOf | None = None  # which responses to a prompt are learned; None = all
    # what a pass over a rollout shuffles: rows, or prompts with all their rows, which then are read together
    minibatch_of: Literal["rows", "prompts"] = "rows"

    def run(self, lab: Lab, algorithm: Algorithm) -> dict[str, float]:
        """Train on what the policy samples; see `experience.train`.

        Returns:
            The final metrics.

        Raises:
            UserError: The algorithm takes pairs.
        """
        if algorithm.unit == "pair":
            raise UserError(
                "an algorithm of pairs with a loop that samples", "one over pairs", "algo.loss or algo.loop"
            )
        sizes = self._by_tokens(lab) if self.tokens_per_iteration is not None else self._by_rows()
        schedule = Schedule(
            word="iteration",
            iterations=self.iterations,
            samples_per_prompt=self.samples_per_prompt,
            update_epochs=self.update_epochs,
            cut=sizes.cut,
            numerics=Numerics(microbatch_size=self.microbatch_size, head_chunk=lab.head_chunk),
            steps=self.iterations * self.update_epochs * sizes.minibatches,
            trimmed=False,
            score_scaling=self.score_scaling,
            score_clip=self.score_clip,
        )
        collector: Collector = Sampled(
            prompts=sizes.prompts,
            tokens=self.tokens_per_iteration,
            samples_per_prompt=self.samples_per_prompt,
            unit="group" if algorithm.unit == "group" or self.minibatch_of == "prompts" else "row",
        )
        if lab.choice is not None:
            collector = lab.choice.collector(lab, collector)
        if self.best is not None:
            collector = Best(inner=collector, choice=self.best)
        return train(lab, algorithm, collector, schedule)

    def _by_rows(self) -> "_Sizes":
        assert self.prompts_per_iteration is not None and self.minibatch_size is not None  # see config.size_checks
        rows = self.prompts_per_iteration * (self.samples_per_prompt if self.best is None else self.best.keep)
        return _Sizes(
            prompts=self.prompts_per_iteration,
            minibatches=rows // self.minibatch_size,
            cut=minibatches_of(self.minibatch_size),
        )

    def _by_tokens(self, lab: Lab) -> "_Sizes":
        assert self.tokens_per_iteration is not None and self.minibatch_tokens is not None  # see config.size_checks
        assert lab.task.rollout is not None
        longest = lab.task.rollout.max_new_tokens * self.samples_per_prompt
        count = self.tokens_per_iteration // self.minibatch_tokens
        return _Sizes(
            prompts=ceil_div(self.tokens_per_iteration, longest), minibatches=count, cut=number_of_minibatches(count)
        )


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """The prompts of the first round, and the minibatches of a pass."""

    prompts: int
    minibatches: int
    cut: Cut
