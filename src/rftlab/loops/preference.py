"""Preference optimisation: learn from pairs of responses that a finished run has sampled and scored."""

from dataclasses import dataclass
from typing import Literal

from rftlab.errors import UserError
from rftlab.loops.experience import Schedule, train
from rftlab.loops.lab import Lab
from rftlab.loops.networks import Numerics
from rftlab.loops.pairs import Pairs, longest_response, pairs_of_task
from rftlab.loops.update import minibatches_of
from rftlab.ranges import Positive
from rftlab.types import Algorithm


@dataclass(frozen=True, kw_only=True)
class Preference:
    """Pass over preference pairs; sizes count pairs, of two rows each."""

    steps: Positive[int]
    batch_size: Positive[int]
    microbatch_size: Positive[int]
    pairs: Literal["best_worst", "all"]
    max_response_tokens: Positive[int] | None

    def run(self, lab: Lab, algorithm: Algorithm) -> dict[str, float]:
        """Train on the pairs of the train split, one optimiser step per iteration; see `experience.train`.

        Rows keep their padding, so that policy and reference read them in one shape and the first ratio is exactly 1.

        Returns:
            The final metrics.

        Raises:
            UserError: The algorithm takes no pairs, or there are none.
        """
        if algorithm.unit != "pair":
            found = f"an algorithm of {algorithm.unit}s with a loop over pairs"
            raise UserError(found, "one of pairs", "algo.loss or algo.loop")
        pairs = pairs_of_task(lab, "train", self.pairs, longest_response(lab, self.max_response_tokens))
        schedule = Schedule(
            word="step",
            iterations=self.steps,
            samples_per_prompt=2,
            update_epochs=1,
            cut=minibatches_of(2 * self.batch_size),
            numerics=Numerics(microbatch_size=2 * self.microbatch_size, head_chunk=lab.head_chunk),
            steps=self.steps,
            trimmed=False,
        )
        return train(lab, algorithm, Pairs(pairs=pairs, count=self.batch_size), schedule)
