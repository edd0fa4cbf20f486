"""Random streams: each draw is a function of the run seed, the purpose and the position in the run.

A stream is made anew wherever it is needed, so nothing about randomness has to be saved: a resumed run draws what the
uninterrupted one would have drawn.
"""

import hashlib

import torch


def stream_seed(seed: int, *purpose: str | int) -> int:
    """Derive a 63-bit seed from the run seed and a purpose, e.g. `("sampling", iteration)`."""
    digest = hashlib.sha256("/".join(map(str, (seed, *purpose))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, *purpose: str | int) -> torch.Generator:
    """Make the CPU generator of one purpose; independent of all other purposes and of the global state."""
    return torch.Generator().manual_seed(stream_seed(seed, *purpose))
