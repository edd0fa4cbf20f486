"""What a run says it loads: its first log line, and the architecture that it notes."""

import logging
from pathlib import Path
from typing import Any

import pytest
from build.test_labs import made
from config.test_config import plan
from transformers import LlamaConfig

from rftlab.build import labs, training
from rftlab.errors import UserError
from rftlab.runs import Run, naming, read_run
from rftlab.stop import StopFlag


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    """Return a folder with the config of a tiny Llama, called like another model."""
    folder = tmp_path / "models" / "gpt2"
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    LlamaConfig(vocab_size=4096, num_attention_heads=2, **sizes).save_pretrained(folder)
    return folder


def test_a_llama_folder_is_no_gpt2_whatever_its_name(llama: Path, tmp_path: Path) -> None:
    words = ("model=gpt2_mini", f"model.policy.source={llama}", "model.policy.init=random", "algo=ppo", "data=imdb")
    lab = made(tmp_path / "run", *words)
    assert labs.architecture(lab) == "llama"
    config = plan(*words).config
    with Run.claim(tmp_path / "noted", config) as run:
        run.ready(1.0, labs.architecture(lab))
        assert naming.model_name(read_run(run.folder).flat) == "gpt2-llama-random"


def test_a_classifier_notes_no_architecture(tmp_path: Path) -> None:
    assert labs.architecture(made(tmp_path, "data=mnist", "algo=pretrain")) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("data=narrativeqa",), "model t5_mini  bundled data"),
        (("data=narrativeqa", "data.source=hub", "paths.hub_mirror={tmp}"), "model t5_mini  rows of a local mirror"),
        (("data=imdb", "model.policy.source=/models/llama", "model.policy.init=random"), "model llama-random  bundled"),
    ],
)
def test_the_first_line_of_a_run_names_what_it_loads(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "deepmind" / "narrativeqa").mkdir(parents=True)
    config = plan(*(word.replace("{tmp}", str(tmp_path)) for word in words)).config

    def refuse(*_: object) -> None:
        raise UserError("nothing", "more", "it")

    monkeypatch.setattr(training.labs, "build", refuse)
    with caplog.at_level(logging.INFO, "rftlab"), pytest.raises(UserError):
        training.train(config, tmp_path / "run", StopFlag(), mirror=False)
    assert said in caplog.text and f"-> {tmp_path / 'run'}" in caplog.text
    assert "hub data" not in caplog.text


class Nothing:
    """A loop that trains nothing."""

    def run(self, *_: object) -> dict[str, float]:
        return {}


def test_a_run_notes_the_architecture_that_it_loaded(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("model=gpt2_mini", f"model.policy.source={llama}", "model.policy.init=random", "algo=ppo", "data=imdb")
    config = plan(*words, "tracking=none", "runtime.device=cpu", f"paths.outputs={tmp_path}").config
    monkeypatch.setattr(training, "make", lambda _: Nothing())
    training.train(config, tmp_path / "run", StopFlag(), mirror=False)
    assert read_run(tmp_path / "run").flat["loaded.architecture"] == "llama"
