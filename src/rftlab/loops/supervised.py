"""Supervised finetuning and pretraining: one pass of (prompt, target) pairs after the other."""

from dataclasses import dataclass

from rftlab.loops.collect import Fixed
from rftlab.loops.draw import prefix
from rftlab.loops.experience import Schedule, train
from rftlab.loops.lab import Lab
from rftlab.loops.networks import Numerics
from rftlab.loops.update import minibatches_of
from rftlab.ranges import Fraction, NonNegative, Positive
from rftlab.types import Algorithm


@dataclass(frozen=True, kw_only=True)
class Supervised:
    """Learn gold texts, of a share of the prompts and for a share of the steps."""

    steps: Positive[int]
    step_fraction: Fraction[float]
    sample_fraction: Fraction[float]
    batch_size: Positive[int]
    microbatch_size: Positive[int]
    whole_text: Positive[int] | None  # tokens; None: the prompt is given and the target alone is learned
    sample_seed: NonNegative[int] | None = None  # which prompts a share holds; None: as the seed of the run says

    def run(self, lab: Lab, algorithm: Algorithm) -> dict[str, float]:
        """Train on the targets of the prompts, one optimiser step per iteration; see `experience.train`.

        Returns:
            The final metrics.
        """
        total = max(1, round(self.steps * self.step_fraction))
        seed = lab.session.seed if self.sample_seed is None else self.sample_seed
        examples = prefix(lab.task.splits.train, self.sample_fraction, seed)
        schedule = Schedule(
            word="step",
            iterations=total,
            samples_per_prompt=1,
            update_epochs=1,
            cut=minibatches_of(self.batch_size),
            numerics=Numerics(microbatch_size=self.microbatch_size, head_chunk=lab.head_chunk),
            steps=total,
            trimmed=True,
        )
        return train(
            lab, algorithm, Fixed(examples=examples, pairs=self.batch_size, whole_text=self.whole_text), schedule
        )
