"""Asking other people's code: each peer has packages of its own in `.peers/`, and answers in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
PACKAGES = Path(os.environ.get("RFTLAB_PEERS", HERE.parents[2] / ".peers"))

ALONE = {"PYTHONSAFEPATH": "1", "HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0"}  # no network, no script's folder


def ask(peer: str, case: dict[str, torch.Tensor], folder: Path) -> dict[str, torch.Tensor]:
    """Return what `asked/PEER.py` makes of the tensors; the test is skipped where the peer is not installed."""
    packages = PACKAGES / peer
    if not packages.is_dir():
        pytest.skip(f"{peer} is not installed: make peers")
    asked, answered = folder / f"{peer}-asked.pt", folder / f"{peer}-answered.pt"
    torch.save(case, asked)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", HERE / "asked" / f"{peer}.py", asked, answered],
        env={**os.environ, **ALONE, "PYTHONPATH": str(packages)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(answered)


def cases() -> dict[str, torch.Tensor]:
    """Make six responses of one to five tokens, two groups of three, with garbage behind their ends."""
    generator = torch.Generator().manual_seed(5)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    lengths = torch.tensor([5, 1, 4, 2, 3, 5])
    shape = (6, 5)
    old = -randn(*shape).abs() - 0.1
    return {
        "mask": torch.arange(5) < lengths.unsqueeze(1),
        "group": torch.tensor([0, 0, 0, 1, 1, 1]),
        "scores": randn(6),
        "rewards": randn(*shape),
        "values": randn(*shape),
        "new_values": randn(*shape),
        "returns": randn(*shape),
        "advantages": randn(6, 1).expand(shape).contiguous(),
        "old": old,
        "new": old + 0.3 * randn(*shape),
        "ref": old + 0.5 * randn(*shape),
    }
