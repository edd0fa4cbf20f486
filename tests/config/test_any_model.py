"""`model=hub` in composition: what a folder says of itself is checked before anything starts."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from config.test_config import CONF
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from rftlab.config.compose import Composer, Job
from rftlab.errors import UserError

WORDS = ("data=imdb", "algo=ppo", "model=hub")
GPT2 = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_positions": 1024}
T5 = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}


@pytest.fixture(scope="module")
def plan() -> Iterator[Callable[..., Job]]:
    """Compose and check runs, all with one composer."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composer = Composer(GlobalHydra.instance().config_loader())
        yield lambda *words: composer.job(list(words))


def folder_of(path: Path, config: dict, *, tokenizer: bool = True) -> Path:
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    if tokenizer:
        (path / "tokenizer.json").write_text("{}")
    return path


def test_a_source_must_be_named(plan: Callable[..., Job]) -> None:
    with pytest.raises(
        UserError,
        match=r"model=hub leaves model\.policy\.source open; expected .*=FOLDER .*; change model\.policy\.source$",
    ):
        plan(*WORDS)


def test_a_hub_id_is_left_to_the_loading(plan: Callable[..., Job]) -> None:
    assert plan(*WORDS, "model.policy.source=org/name").config["model"]["policy"]["family"] == "auto"


@pytest.mark.parametrize("family", ["causal", "seq2seq"])
def test_the_family_of_a_folder_counts_in_every_check(plan: Callable[..., Job], tmp_path: Path, family: str) -> None:
    source = f"model.policy.source={folder_of(tmp_path / 'm', GPT2 if family == 'causal' else T5)}"
    plan(*WORDS, source)
    whole = ("data=imdb", "algo=sft", "model=hub", source, "algo.loop.whole_text=512")
    if family == "causal":
        plan(*whole)
        with pytest.raises(UserError, match="a model of 1024 positions"):
            plan(*WORDS, source, "data.prompt.max_tokens=2000")
        return
    with pytest.raises(UserError, match="a causal model"):
        plan(*whole)


REFUSED = {
    "a classifier": (
        {"model_type": "gpt2", "architectures": ["GPT2ForSequenceClassification"]},
        True,
        "which is a GPT2F",
    ),
    "no tokenizer": (GPT2, False, "which has no tokenizer"),
    "an empty config": ({}, True, "no JSON object"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_that_cannot_be_used_is_refused_before_the_start(
    plan: Callable[..., Job], tmp_path: Path, case: str
) -> None:
    config, tokenizer, found = REFUSED[case]
    with pytest.raises(UserError, match=found) as caught:
        plan(*WORDS, f"model.policy.source={folder_of(tmp_path / 'm', config, tokenizer=tokenizer)}")
    assert "\n" not in str(caught.value) and "model.policy" in caught.value.change


def test_labels_need_a_classifier(plan: Callable[..., Job]) -> None:
    with pytest.raises(UserError, match="model=hub, no classifier, with data=review_labels"):
        plan("data=review_labels", "algo=pretrain", "model=hub", "model.policy.source=org/name")
