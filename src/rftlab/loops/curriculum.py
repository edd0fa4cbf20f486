"""A curriculum by reward std: prompts with spread under the start policy, which give a gradient, come more or sooner.

The reward std of a prompt bounds the norm of its expected gradient (Razin et al. 2024, theorem 1).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from rftlab.diagnostics import prompt_statistics
from rftlab.errors import UserError
from rftlab.loops.collect import Sampled
from rftlab.loops.draw import shuffled
from rftlab.loops.evaluation import answer, places_of, prompt_rows, reward
from rftlab.loops.lab import Lab
from rftlab.ranges import NonNegative, Samples
from rftlab.runs import read_run
from rftlab.streams import stream_seed
from rftlab.types import Example

PHASE = "curriculum"  # of prompts.parquet

OrderByStd = Literal["descending", "ascending", "weighted"]


@dataclass(frozen=True, kw_only=True)
class StdCurriculum:
    """Take train prompts by their reward std under the start policy, measured once before training."""

    order: (
        OrderByStd  # of each pass, from the largest or from the smallest std; or drawn with replacement, p ~ std^power
    )
    power: NonNegative[float]  # read by `weighted` alone; 0 = all alike
    samples: Samples  # responses per train prompt of the measurement, sampled as in the rollouts

    def collector(self, lab: Lab, sampled: Sampled) -> Sampled:
        """Measure, or read what an earlier attempt at this run measured; draw as `sampled` does, in another order.

        Raises:
            UserError: Prompts are weighted and none has a weight.
        """
        order = ByStd(stds=measured(lab, self.samples), order=self.order, power=self.power)
        if self.order == "weighted" and not order.weights().sum() > 0:
            found = f"a reward std of 0 for all {len(order.stds)} train prompts"
            expected = "one above 0 at least, to weight prompts by it"
            raise UserError(found, expected, "heuristic.prompts.order, heuristic.prompts.samples or init_from")
        return replace(sampled, order=order)


@dataclass(frozen=True, kw_only=True, eq=False)
class ByStd:
    """An order of prompts by their std, one per prompt."""

    stds: Float[np.ndarray, " n"]
    order: OrderByStd
    power: float

    def __call__(self, examples: Sequence[Example], count: int, seed: int, position: int) -> list[Example]:
        """Take `count` examples from place `position` on."""
        places = range(position, position + count)
        if self.order == "weighted":
            shares = self.weights().cumsum()
            draws = [np.random.default_rng(stream_seed(seed, PHASE, place)).random() for place in places]
            return [examples[int(np.searchsorted(shares, draw * shares[-1], side="right"))] for draw in draws]
        passes = {epoch: self._sorted(seed, epoch) for epoch in {place // len(examples) for place in places}}
        return [examples[int(passes[place // len(examples)][place % len(examples)])] for place in places]

    def weights(self) -> Float[np.ndarray, " n"]:
        """Give each prompt's share of the draws, not normalised."""
        return self.stds**self.power

    def _sorted(self, seed: int, epoch: int) -> np.ndarray:
        """Sort a pass; equal stds are in a fresh random order in each."""
        order = shuffled(len(self.stds), seed, epoch)
        sign = -1.0 if self.order == "descending" else 1.0
        return order[np.argsort(sign * self.stds[order], kind="stable")]


def measured(lab: Lab, samples: int) -> Float[np.ndarray, " n"]:
    """Give the reward std of every train prompt under the policy as it is, in the order of the split.

    The statistics go to `prompts.parquet` under the phase `curriculum`; a resumed run reads them there, as its policy
    is no longer the one that it began with.
    """
    assert lab.task.rollout is not None
    examples = lab.task.splits.train
    known = read_run(lab.session.run.folder).prompts()
    if known is not None and len(rows := known[known["phase"] == PHASE]):
        return rows["reward_std"].to_numpy()
    started = time.perf_counter()
    label = "reward std of the train prompts"
    answers = answer(lab, examples, places_of(examples), lab.task.rollout, samples, PHASE, label=label)
    statistics = prompt_statistics(reward(lab, answers).reshape(len(examples), samples))
    seconds = time.perf_counter() - started
    share = float((statistics.std < lab.evaluation.std_below).mean())
    cost = {"curriculum/responses": float(len(examples) * samples), "time/curriculum_s": seconds}
    lab.session.run.log(0, {"curriculum/share_vanishing": share} | cost)
    lab.session.describe(
        f"curriculum: {samples} responses to each of {len(examples)} train prompts in {seconds:.0f} s, "
        f"{share:.0%} of the prompts with a reward std below {lab.evaluation.std_below:g}"
    )
    lab.session.run.save_prompts(prompt_rows(PHASE, 0, "own", examples, statistics, samples))
    return statistics.std
