"""The probability of a chosen class: which class, and that the classifier is the one that sentiment has."""

from pathlib import Path

import numpy as np
import pytest

from rftlab.errors import UserError
from rftlab.rewards.classifier import Classifier
from rftlab.rewards.intent import load

TEXTS = ["Where is the key?", "It is in the mill.", ""]


@pytest.fixture(scope="module")
def folder(tiny_bert, byte_tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a random classifier of the classes low, middle and high."""
    path = tmp_path_factory.mktemp("classifier")
    tiny_bert(seed=1).lm.save_pretrained(path)
    byte_tokenizer.save_pretrained(path)
    return path


def classifier(folder: Path, label: str, max_tokens: int = 64) -> Classifier:
    return load(source=str(folder), tokenizer=None, label=label, max_tokens=max_tokens, batch_size=2, hub_mirror=None)


def scores(reward: Classifier) -> np.ndarray:
    return reward([""] * len(TEXTS), TEXTS, [()] * len(TEXTS))


def test_a_class_is_named_or_numbered_and_all_sum_to_one(folder: Path):
    by_name = [scores(classifier(folder, label)) for label in ("low", "middle", "high")]
    assert np.ptp(by_name) > 0.01
    np.testing.assert_allclose(sum(by_name), 1.0, atol=1e-6)
    np.testing.assert_array_equal(scores(classifier(folder, "2")), by_name[2])


@pytest.mark.parametrize("label", ["3", "HIGH", ""])
def test_a_class_that_there_is_not_lists_those_there_are(folder: Path, label: str):
    with pytest.raises(UserError, match=r"one of 0 \(low\), 1 \(middle\), 2 \(high\)"):
        classifier(folder, label)


def test_more_tokens_than_the_model_has_positions_are_refused(folder: Path):
    with pytest.raises(UserError, match=r"reward\.max_tokens=65"):
        classifier(folder, "low", max_tokens=65)
