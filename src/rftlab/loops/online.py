"""Online reinforcement finetuning: sample responses, score them, update on them."""

from dataclasses import dataclass
from typing import Literal

from rftlab.errors import UserError
from rftlab.loops.collect import Sampled
from rftlab.loops.experience import Schedule, train
from rftlab.loops.lab import Lab
from rftlab.loops.networks import Numerics
from rftlab.ranges import Positive
from rftlab.types import Algorithm


@dataclass(frozen=True, kw_only=True)
class Online:
    """Alternate rollouts and updates."""

    iterations: Positive[int]
    prompts_per_iteration: Positive[int]
    samples_per_prompt: Positive[int]
    update_epochs: Positive[int]
    minibatch_size: Positive[int]
    microbatch_size: Positive[int]
    score_scaling: Literal["none", "running"]
    score_clip: Positive[float] | None

    def run(self, lab: Lab, algorithm: Algorithm) -> dict[str, float]:
        """Train on what the policy samples; see `experience.train`.

        Returns:
            The final metrics.

        Raises:
            UserError: A minibatch would part the responses to a prompt, which the algorithm takes together.
        """
        if algorithm.unit == "group" and self.minibatch_size % self.samples_per_prompt:
            found = f"algo.loop.minibatch_size={self.minibatch_size}, which parts groups of {self.samples_per_prompt}"
            raise UserError(found, "a multiple of algo.loop.samples_per_prompt", "algo.loop.minibatch_size")
        collector = Sampled(
            prompts=self.prompts_per_iteration, samples_per_prompt=self.samples_per_prompt, unit=algorithm.unit
        )
        rows = self.prompts_per_iteration * self.samples_per_prompt
        schedule = Schedule(
            word="iteration",
            iterations=self.iterations,
            samples_per_prompt=self.samples_per_prompt,
            update_epochs=self.update_epochs,
            minibatch_size=self.minibatch_size,
            numerics=Numerics(microbatch_size=self.microbatch_size, head_chunk=lab.head_chunk),
            steps=self.iterations * self.update_epochs * (rows // self.minibatch_size),
            trimmed=False,
            score_scaling=self.score_scaling,
            score_clip=self.score_clip,
        )
        return train(lab, algorithm, collector, schedule)
