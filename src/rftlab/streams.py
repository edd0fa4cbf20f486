"""Random streams: each draw is a function of the run seed, the purpose and the position in the run.

A stream is made anew wherever it is needed, so nothing about randomness has to be saved: a resumed run draws what the
uninterrupted one would have drawn.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor


def stream_seed(seed: int, *purpose: str | int) -> int:
    """Derive a 63-bit seed from the run seed and a purpose, e.g. `("sampling", iteration)`."""
    return int.from_bytes(_digest(seed, *purpose)[:8], "big") >> 1


def stream(seed: int, *purpose: str | int) -> torch.Generator:
    """Make the CPU generator of one purpose; independent of all other purposes and of the global state."""
    return torch.Generator().manual_seed(stream_seed(seed, *purpose))


def row_noise(
    seed: int, *purpose: str | int, places: Sequence[str | int], samples: int, steps: int
) -> Float64[Tensor, "n t"]:
    """Draw uniform numbers in [0, 1) for `samples` rows at each place; the rows of a place are adjacent.

    A row is a function of seed, purpose, its place and its number among the samples alone: not of the other rows, nor
    of how many there are, and a shorter row is the beginning of a longer one. So it does not matter how rows are cut
    into batches. Each row is a Philox stream of its own (Salmon et al. 2011), whose 128-bit key is a hash.
    """
    noise = np.empty((len(places) * samples, steps))
    bits = np.random.Philox(key=0)
    generator, start = np.random.Generator(bits), bits.state
    rows = ((place, number) for place in places for number in range(samples))
    for row, (place, number) in zip(noise, rows, strict=True):
        start["state"]["key"] = np.frombuffer(_digest(seed, *purpose, place, number)[:16], dtype="<u8")
        bits.state = start  # four times faster than a new generator per row
        generator.random(out=row)
    return torch.from_numpy(noise)


def _digest(*words: str | int) -> bytes:
    return hashlib.sha256("/".join(map(str, words)).encode()).digest()
