"""Checkpoints: what is saved comes back exactly, and no crash costs more than the newest one."""

import errno
import io
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import rftlab
from rftlab.errors import UserError
from rftlab.loops import checkpoint
from rftlab.streams import stream


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((64, 64), value)}


def test_a_run_without_checkpoints_starts_from_the_beginning(tmp_path):
    assert checkpoint.latest(tmp_path) is None


def test_training_resumed_from_a_checkpoint_equals_training_without_a_break_bit_for_bit(tmp_path):
    def start() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 1))
        return model, torch.optim.AdamW(model.parameters(), lr=0.1)

    def train(model: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
        for step in steps:
            x = torch.randn(8, 4, generator=stream(0, "data", step))
            optimizer.zero_grad()
            model(x).pow(2).mean().backward()
            optimizer.step()

    model, optimizer = start()
    train(model, optimizer, range(3))
    checkpoint.save(tmp_path, 3, {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    train(model, optimizer, range(3, 6))

    resumed, resumed_optimizer = start()
    found = checkpoint.latest(tmp_path)
    assert found is not None
    step, loaded = found
    resumed.load_state_dict(loaded["model"])
    resumed_optimizer.load_state_dict(loaded["optimizer"])
    train(resumed, resumed_optimizer, range(step, 6))
    assert step == 3
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), resumed.parameters(), strict=True))


def test_the_state_before_the_first_step_is_a_checkpoint_like_any_other(tmp_path):
    checkpoint.save(tmp_path, 0, weights(7.0))
    saved = checkpoint.latest(tmp_path)
    assert saved is not None and saved[0] == 0 and saved[1].keys() == weights(7.0).keys()


def test_the_newest_two_are_kept(tmp_path):
    for step in (1, 20, 300):
        checkpoint.save(tmp_path, step, weights(float(step)))
    assert files(tmp_path) == ["step_00000020.pt", "step_00000300.pt"]


@pytest.mark.parametrize("damage", ["empty", "half", "tail", "bit"])
def test_a_damaged_newest_checkpoint_is_reported_and_the_one_before_it_is_used(tmp_path, caplog, damage):
    checkpoint.save(tmp_path, 5, weights(5.0))
    path = checkpoint.save(tmp_path, 10, weights(10.0))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2  # inside the weights, which fill most of the file
    content[middle] ^= damage == "bit"
    path.write_bytes(content[: {"empty": 0, "half": middle, "tail": -5, "bit": None}[damage]])
    with caplog.at_level(logging.WARNING):
        found = checkpoint.latest(tmp_path)
    assert found is not None
    assert (found[0], found[1]["w"][0, 0].item()) == (5, 5.0)
    assert "step_00000010.pt" in caplog.text


def test_after_a_fallback_the_damaged_file_does_not_push_out_a_good_one(tmp_path):
    for step in (5, 10):
        path = checkpoint.save(tmp_path, step, weights(float(step)))
    path.write_bytes(b"")
    checkpoint.save(tmp_path, 6, weights(6.0))
    assert files(tmp_path) == ["step_00000005.pt", "step_00000006.pt"]


def test_a_file_left_half_written_is_no_checkpoint_and_is_cleared_away(tmp_path):
    checkpoint.save(tmp_path, 5, weights(5.0))
    (tmp_path / "checkpoints" / ".step_00000010.pt.1-1.tmp").write_bytes(b"half")
    found = checkpoint.latest(tmp_path)
    assert found is not None
    assert found[0] == 5
    checkpoint.save(tmp_path, 10, weights(10.0))
    assert files(tmp_path) == ["step_00000005.pt", "step_00000010.pt"]


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_a_full_disk_is_named_and_leaves_the_older_checkpoint(tmp_path, monkeypatch, call):
    checkpoint.save(tmp_path, 5, weights(5.0))

    def no_space(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    class FullDisk(io.BytesIO):
        write = no_space

    with monkeypatch.context() as patch:
        if call == "fsync":
            patch.setattr(os, "fsync", no_space)
        else:
            save = torch.save
            patch.setattr(torch, "save", lambda state, file: save(state, FullDisk()))
        with pytest.raises(UserError, match="No space left on device"):
            checkpoint.save(tmp_path, 10, weights(10.0))
    assert files(tmp_path) == ["step_00000005.pt"]
    checkpoint.save(tmp_path, 10, weights(10.0))
    assert files(tmp_path) == ["step_00000005.pt", "step_00000010.pt"]


@pytest.mark.parametrize("value", [np.arange(3), Path("x")])
def test_what_a_safe_load_would_refuse_is_refused_when_it_is_saved(tmp_path, value):
    checkpoint.save(tmp_path, 5, weights(5.0))
    with pytest.raises(TypeError):
        checkpoint.save(tmp_path, 10, {"value": value})
    assert files(tmp_path) == ["step_00000005.pt"]


def test_plain_data_comes_back_as_it_was(tmp_path):
    state = {"t": (1, 2.5, None, "s", True), "l": [1], "d": {"a": {"b": 2**100}}, "x": float("inf")}
    checkpoint.save(tmp_path, 1, state)
    assert checkpoint.latest(tmp_path) == (1, state)


def test_a_run_that_needs_no_checkpoints_any_more_has_none(tmp_path):
    checkpoint.save(tmp_path, 1, weights(1.0))
    checkpoint.remove_all(tmp_path)
    checkpoint.remove_all(tmp_path)
    assert checkpoint.latest(tmp_path) is None


SAVE_FOREVER = """
import sys
from pathlib import Path
import torch
from rftlab.loops import checkpoint
folder = Path(sys.argv[1])
found = checkpoint.latest(folder)
step = found[0] if found else 0
print("ready", flush=True)
while True:
    step += 1
    checkpoint.save(folder, step, {"w": torch.full((1_000_000,), float(step))})
"""


@pytest.mark.slow
def test_killed_at_any_moment_a_whole_checkpoint_remains_and_steps_never_go_back(tmp_path, caplog):
    environment = {**os.environ, "PYTHONPATH": str(Path(rftlab.__file__).parents[1])}
    seen = 0
    random = np.random.default_rng(0)
    for _ in range(12):
        command = [sys.executable, "-c", SAVE_FOREVER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(random.uniform(0.05, 0.3))
            process.send_signal(signal.SIGKILL)
        found = checkpoint.latest(tmp_path)
        assert found is not None
        step, state = found
        assert step >= seen
        assert torch.equal(state["w"], torch.full((1_000_000,), float(step)))
        seen = step
    assert seen > 12
    assert not caplog.records
