"""Loss and gradient norm of the first steps of every algorithm are those that were written down.

A formula, a draw or a default that changes by accident shows here. Where a change is meant, write the file anew
(`PYTHONPATH=src python tests/loops/test_loss_traces.py`) and say in the changelog what changed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from by_config import built, on_texts
from scored import with_responses
from torch import nn
from toy import Killed

from rftlab.loops.lab import Lab

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "loss_traces.json"
WRITES = "WRITE_LOSS_TRACES" in os.environ  # set by running this file
STEPS = 20
LOOKS = {"every": 1000, "probe_every": None, "sizes": dict.fromkeys(("train", "validation", "test"), 1)}
LOOKS |= {"probe_prompts": 1, "probe_prompts_during": 1}


def descent(params: Iterable[nn.Parameter], *, lr: float) -> torch.optim.Optimizer:
    """Build plain SGD: Adam would hide the scale of a loss, and turn rounding noise into whole steps."""
    return torch.optim.SGD(params, lr=lr)


@contextmanager
def told() -> Iterator[list[dict[str, float]]]:
    """Collect what the guards of all loops are told of each optimiser step, and end the run after so many."""
    steps: list[dict[str, float]] = []

    def note(metrics: dict[str, float], step: int) -> None:
        if "loss" in metrics:
            assert step == len(steps) + 1
            steps.append({name: metrics[name] for name in ("loss", "grad/norm")})
            if len(steps) == STEPS:
                raise Killed

    guarded = [name for name, module in sys.modules.items() if name.startswith("rftlab.loops.")]
    guarded = [name for name in guarded if hasattr(sys.modules[name], "refuse_divergence")]
    patches = [patch(f"{name}.refuse_divergence", note) for name in guarded]
    for each in patches:
        each.start()
    try:
        yield steps
    finally:
        for each in patches:
            each.stop()


def trace(make_lab: Callable[..., Lab], name: str) -> dict[str, list[float]]:
    """Run an algorithm on the toy task for so many optimiser steps; give loss and gradient norm of each."""
    lab = with_responses(make_lab(name, lr=0.03, evaluation=LOOKS, checkpoint_every=1000))
    lab = replace(lab, optimizer=replace(lab.optimizer, build=descent))
    loop, loss = built(name, iterations=STEPS, steps=STEPS)
    with told() as steps, pytest.raises(Killed):
        loop.run(lab, loss)
    lab.session.run.stop()
    return {key: [step[key] for step in steps] for key in steps[0]}


@pytest.fixture(scope="module")
def recorded() -> Iterator[dict[str, dict[str, list[float]]]]:
    """Give the traces of the file; where they are written anew, an empty dict that becomes the file."""
    if not WRITES:
        yield json.loads(GOLDEN.read_text())
        return
    anew: dict[str, dict[str, list[float]]] = {}
    yield anew
    lines = [f"{json.dumps(name)}: {json.dumps(anew[name])}" for name in sorted(anew)]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def same(values: list[float]) -> object:
    """Allow for the rounding of another CPU: without vector instructions the traces moved by up to 2e-5."""
    return pytest.approx(values, rel=5e-5, abs=1e-5)


@pytest.mark.parametrize("name", list(on_texts()))
def test_twenty_steps_are_those_that_were_written_down(
    make_lab: Callable[..., Lab], recorded: dict[str, dict[str, list[float]]], name: str
) -> None:
    found = trace(make_lab, name)
    if WRITES:
        recorded[name] = {key: [float(f"{value:.8g}") for value in values] for key, values in found.items()}
    if name not in recorded:
        pytest.skip(f"no trace of {name} is written down: PYTHONPATH=src python {Path(__file__).relative_to(ROOT)}")
    for key, values in recorded[name].items():
        assert len(values) == STEPS and found[key] == same(values), key


def test_nothing_but_algorithms_has_a_trace(recorded: dict[str, dict[str, list[float]]]) -> None:
    assert set(recorded) <= set(on_texts())


if __name__ == "__main__":
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    sys.exit(subprocess.run(command, env=os.environ | {"WRITE_LOSS_TRACES": "yes"}).returncode)
