"""Offline reinforcement finetuning: learn from scored responses that were sampled before the run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from rftlab.errors import UserError
from rftlab.loops.experience import Schedule, train
from rftlab.loops.lab import Lab
from rftlab.loops.networks import Numerics
from rftlab.loops.scored import Scored, standardised
from rftlab.loops.update import minibatches_of
from rftlab.ranges import Positive
from rftlab.types import Algorithm, ScoredResponse


@dataclass(frozen=True, kw_only=True)
class Offline:
    """Take optimiser steps on a fixed set of scored responses; nothing is sampled but in evaluations."""

    steps: Positive[int]
    batch_size: Positive[int]
    microbatch_size: Positive[int]
    standardise_scores: bool  # over the train responses: mean 0, std 1
    values: Literal["once", "refreshed"]  # when networks are asked for columns: before the first step, or before each
    scores: Literal["given", "reward"] = "given"  # of the responses, or of the reward, asked before the first step

    def run(self, lab: Lab, algorithm: Algorithm) -> dict[str, float]:
        """Train on the responses to train prompts; see `experience.train`.

        Returns:
            The final metrics.

        Raises:
            UserError: There are no responses to train prompts.
        """
        rows = (lab.task.responses or {}).get("train", ())
        if not rows:
            found = f"no scored responses to train prompts of data={lab.task.name}"
            raise UserError(found, "a run of algo=responses with some", "algo.responses.run")
        rows = shortened(lab, rescored(lab, rows) if self.scores == "reward" else rows)
        raw = np.array([row.score for row in rows])
        collector = Scored(
            rows=rows, scores=standardised(raw) if self.standardise_scores else raw, size=self.batch_size
        )
        schedule = Schedule(
            word="step",
            iterations=self.steps,
            samples_per_prompt=1,
            update_epochs=1,
            cut=minibatches_of(self.batch_size),
            numerics=Numerics(microbatch_size=self.microbatch_size, head_chunk=lab.head_chunk),
            steps=self.steps,
            trimmed=True,
            drift=True,
        )
        at_start = partial(collector.annotate_once, lab) if self.values == "once" else None
        return train(lab, algorithm, collector, schedule, at_start)


def rescored(lab: Lab, rows: Sequence[ScoredResponse]) -> list[ScoredResponse]:
    """Score responses with the reward of the task in place of the scores that they bring; tell what came of it."""
    reward, size = lab.task.reward, lab.evaluation.batch_size
    assert reward is not None  # see config.checks
    scores: list[float] = []
    for start in lab.session.bar(range(0, len(rows), size), "scores"):
        lab.session.stop.check()
        part = rows[start : start + size]
        asked = [row.example for row in part]
        found = reward([e.prompt for e in asked], [row.response for row in part], [e.targets for e in asked])
        scores += found.tolist()
    lab.session.describe(
        f"{len(rows)} responses of the dataset, scored by the reward: {np.mean(scores):.3f} +- {np.std(scores):.3f}"
    )
    return [replace(row, score=score) for row, score in zip(rows, scores, strict=True)]


def shortened(lab: Lab, rows: Sequence[ScoredResponse]) -> list[ScoredResponse]:
    """Cut responses of a dataset to the length that a rollout may have, as sampled ones are; tell how many are cut."""
    assert lab.task.rollout is not None
    most = lab.task.rollout.max_new_tokens
    if long := sum(len(row.response_ids) > most for row in rows):
        lab.session.describe(
            f"{long} of {len(rows)} responses have more than {most} tokens: their beginning is learned"
        )
    return [replace(row, response_ids=row.response_ids[:most]) for row in rows]
