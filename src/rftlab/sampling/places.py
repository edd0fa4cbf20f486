"""Where the rows of a batch stand, so that those of one prompt read one copy of its keys and values.

A group is a prompt and the rows that continue it, each in a slot. Every step adds a column per slot to the cache of the
group; a mask says which columns a row sees: those of its prompt, and those that it or the row it grew from has added.
Rows are dropped, repeated and reordered by changing the mask alone.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Places:
    """The slot of each row: group * slots + number within the group."""

    place: Int[Tensor, " n"]
    groups: int
    slots: int

    @property
    def full(self) -> bool:
        """Tell whether every slot is taken, so that grouping is a change of shape alone."""
        return self.place.shape[0] == self.groups * self.slots

    def spread(self, rows: Float[Tensor, "n w"]) -> Float[Tensor, "m w"]:
        """Put rows into their slots; free ones are 0."""
        if self.full:
            return rows
        return rows.new_zeros((self.groups * self.slots, rows.shape[1])).index_copy_(0, self.place, rows)

    def gather(self, slots: Float[Tensor, "m w"]) -> Float[Tensor, "n w"]:
        """Undo `spread`."""
        return slots if self.full else slots.index_select(0, self.place)

    def select(self, rows: Int[Tensor, " m"], at_most: int | None = None) -> tuple["Places", Int[Tensor, " g"]]:
        """Follow a choice of rows, those of a group adjacent; also return which group each new one comes from.

        Args:
            at_most: Rows in a group; those of one that has more are read by several, each with a copy of its prompt.
        """
        group, owner, counts = _runs(self.place[rows] // self.slots)
        number = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[owner]
        if at_most is not None and int(counts.max()) > at_most:
            part, owner, counts = _runs(owner * len(rows) + number // at_most)
            group, number = group[part // len(rows)], number % at_most
        slots = int(counts.max())
        return Places(place=owner * slots + number, groups=len(group), slots=slots), group


def one_each(n: int, device: torch.device) -> Places:
    """Give every group one row."""
    return Places(place=torch.arange(n, device=device), groups=n, slots=1)


def _runs(key: Int[Tensor, " n"]) -> tuple[Tensor, Tensor, Tensor]:
    return torch.unique_consecutive(key, return_inverse=True, return_counts=True)
