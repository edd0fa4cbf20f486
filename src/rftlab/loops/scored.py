"""A collector of scored responses that were sampled earlier, whatever the policy has become since."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rftlab.errors import UserError
from rftlab.loops.collect import Collected, Place
from rftlab.loops.draw import draw
from rftlab.loops.evaluation import encode
from rftlab.loops.lab import Lab
from rftlab.loops.networks import NetworkSet
from rftlab.models.text import pad
from rftlab.ops import MIN_STD
from rftlab.types import Experience, ScoredResponse


def standardised(scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Shift and scale to mean 0 and std 1.

    Raises:
        UserError: They differ by rounding noise only, which would become the goal of the run.
    """
    if (std := scores.std()) < MIN_STD:
        found = f"{len(scores)} scored responses with the score {scores[0]:g} each"
        raise UserError(found, "scores that differ", "algo.responses.run, or algo.loop.standardise_scores=false")
    return (scores - scores.mean()) / std


@dataclass(kw_only=True)
class Scored:
    """Rows of a scored dataset, so many at a time: passes, each in a fresh random order.

    What the networks say of a row can be asked of them once, before they train (`annotate_once`).
    """

    rows: Sequence[ScoredResponse]
    scores: Float[np.ndarray, " n"]  # of the rows, as the loop is to see them
    size: int
    known: dict[str, list[Tensor]] = field(default_factory=dict)  # column -> of each row, its response tokens

    samples: ClassVar[bool] = False

    def collect(self, lab: Lab, place: Place) -> Collected:
        """Take the next rows, from the shortest to the longest: like rows waste little on padding."""
        drawn = [number for number, _ in draw(range(len(self.rows)), self.size, lab.session.seed, place.position)]
        return Collected(experience=self._experience(lab, drawn), metrics={}, prompts=len(drawn))

    def annotate_once(self, lab: Lab, networks: NetworkSet) -> None:
        """Keep the columns that the algorithm needs of every row, as the networks are now."""
        order, size = self._by_length(range(len(self.rows))), networks.numerics.microbatch_size
        found: dict[str, dict[int, Tensor]] = {}
        for start in lab.session.bar(range(0, len(order), size), "columns of the start"):
            lab.session.stop.check()
            numbers = order[start : start + size]
            experience = networks.annotate(self._experience(lab, numbers))
            for name in sorted(networks.asked):  # not the states of a frozen trunk, which would fill the memory
                rows = zip(numbers, experience[name].cpu(), experience.response_mask.cpu(), strict=True)
                found.setdefault(name, {}).update((number, row[mask]) for number, row, mask in rows)
        self.known = {name: [rows[number] for number in range(len(order))] for name, rows in found.items()}

    def _experience(self, lab: Lab, numbers: Sequence[int]) -> Experience:
        numbers = self._by_length(numbers)
        rows, device = [self.rows[number] for number in numbers], lab.policy.device
        prompt_ids, prompt_mask = encode(lab, [row.example for row in rows])
        ids, mask = pad([row.response_ids for row in rows], lab.policy.pad_id, "right")
        columns = {
            name: torch.zeros(mask.shape).masked_scatter(mask, torch.cat([known[number] for number in numbers]))
            for name, known in self.known.items()
        }
        each = torch.arange(len(rows), device=device)
        assert lab.task.rollout is not None
        return Experience(
            prompt_ids=prompt_ids,
            prompt_mask=prompt_mask,
            response_ids=ids.to(device),
            response_mask=mask.to(device),
            prompt_index=each,
            unit=each,
            scores=torch.tensor(self.scores[numbers], dtype=torch.float32, device=device),
            temperature=lab.task.rollout.temperature,
            columns={name: column.to(device) for name, column in columns.items()},
        )

    def _by_length(self, numbers: Sequence[int]) -> list[int]:
        return sorted(numbers, key=lambda n: (len(self.rows[n].response_ids), len(self.rows[n].example.prompt)))
