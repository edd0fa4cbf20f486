"""Preference optimisation: learn from pairs of responses that a finished run has sampled and scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch

from rftlab.errors import UserError
from rftlab.loops.experience import Schedule, train
from rftlab.loops.lab import Lab
from rftlab.loops.networks import NetworkSet, Numerics
from rftlab.loops.pairs import Pair, Pairs, as_sampled, longest_response, pair_metrics, pairs_of_task
from rftlab.loops.update import minibatches_of
from rftlab.ops import by_pair, row_sum
from rftlab.ranges import Positive
from rftlab.types import Algorithm, Totals


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
        longest = longest_response(lab, self.max_response_tokens)
        pairs, held_out = (pairs_of_task(lab, split, self.pairs, longest) for split in ("train", "validation"))
        schedule = Schedule(
            word="step",
            iterations=self.steps,
            samples_per_prompt=2,
            update_epochs=1,
            cut=minibatches_of(2 * self.batch_size),
            numerics=Numerics(microbatch_size=2 * self.microbatch_size, head_chunk=lab.head_chunk),
            steps=self.steps,
            trimmed=False,
            drift=True,
        )
        collector = Pairs(pairs=pairs, count=self.batch_size)
        measure = partial(held_out_metrics, lab, algorithm, held_out)
        return train(lab, algorithm, collector, schedule, held_out=measure if held_out else None)


@torch.no_grad()
def held_out_metrics(lab: Lab, algorithm: Algorithm, pairs: Sequence[Pair], networks: NetworkSet) -> dict[str, float]:
    """Measure the loss on held-out pairs, and how often the implicit reward tells the better response.

    The implicit reward is log(pi / pi_ref) of a response (Rafailov et al. 2023, eq. 5, without beta and the term of the
    prompt, which cancel), or log pi where the algorithm has no reference.
    """
    totals = Totals(tokens=sum(map(tokens_of, pairs)), rows=2 * len(pairs), units=len(pairs))
    loss, margins = 0.0, []
    size = max(1, networks.numerics.microbatch_size // 2)
    for start in range(0, len(pairs), size):
        lab.session.stop.check()
        batch = networks.annotate(as_sampled(lab, pairs[start : start + size]))
        new = networks(batch, algorithm.needs.entropy)
        loss += float(algorithm.loss(new, batch, totals).loss)
        before = batch.columns.get("ref_logprobs")
        log_ratio = new.logprobs if before is None else new.logprobs - before
        chosen, rejected = by_pair(row_sum(log_ratio, batch.response_mask))
        margins.append(chosen - rejected)
    found = pair_metrics(pairs, torch.cat(margins).cpu().double().numpy(), loss)
    return {f"eval/validation/{name}": value for name, value in found.items()}


def tokens_of(pair: Pair) -> int:
    """Count the tokens of both responses."""
    return len(pair.chosen.response_ids) + len(pair.rejected.response_ids)
