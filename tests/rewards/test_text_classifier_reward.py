"""A classifier that a run has fitted as a reward, and the runs that are none."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rftlab.build.rewards import build_reward
from rftlab.errors import UserError
from rftlab.models.tfidf import FILE, TextClassifier, TfidfLogistic
from rftlab.rewards.text_classifier import load
from rftlab.runs import Run
from rftlab.types import Reward

MODEL = TfidfLogistic(
    max_ngram=1, min_documents=1, max_terms=None, lowercase=True, sublinear=True, inverse_penalty=10.0,
    max_iterations=500, tolerance=1e-4,
)  # fmt: skip
KEY = "0123456789ab"
TEXTS = ["superb and warm", "dull and weak", "warm music", "weak music", "a superb cast", "a dull cast"]
LABELS = np.array([True, False] * 3)


def final(value: float = 0.8, low: float = 0.7, high: float = 0.9, positives: float = 0.5) -> dict[str, float]:
    validation = {"accuracy": value, "accuracy_low": low, "accuracy_high": high, "positives": positives}
    return {f"eval/validation/{name}": number for name, number in validation.items()} | {"eval/test/accuracy": 0.77}


def made(
    outputs: Path,
    metrics: Mapping[str, float] | None,
    loop: str = "rftlab.loops.text_classifier.TextClassification",
    source: str = "hub",
) -> TextClassifier:
    """Leave a run folder as the loop would; without metrics it is not finished."""
    config = {"algo": {"name": "some", "loop": {"_target_": loop, "positive": "positive"}}}
    run = Run.claim(outputs / "sweep" / f"some-{KEY}", config | {"data": {"name": "films", "source": source}})
    classifier = MODEL.fit(TEXTS, LABELS)
    classifier.save(run.folder / "final")
    run.stop() if metrics is None else run.finish(dict(metrics))
    return classifier


def loaded(outputs: Path, **values: Any) -> Reward:
    usual = {"run": KEY, "text": "whole", "at_chance": False, "outputs": outputs, "source": "hub"}
    return load(**usual | values)


def test_the_whole_text_or_the_response_alone_is_scored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    classifier = made(tmp_path, final())
    prompts, responses = ["a superb", "dull"], [" cast", " and weak"]
    with caplog.at_level(logging.INFO, "rftlab"):
        whole = loaded(tmp_path, parent={"overrides": []})
    assert "P(positive) of data=films, accuracy 0.770" in caplog.text
    assert isinstance(whole, Reward)
    joined = classifier.probability(["a superb cast", "dull and weak"])
    np.testing.assert_array_equal(whole(prompts, responses, [()] * 2), joined)
    alone = loaded(tmp_path, text="response")(prompts, responses, [()] * 2)
    np.testing.assert_array_equal(alone, classifier.probability(responses))
    assert joined[0] > 0.5 > joined[1] and abs(alone[0] - joined[0]) > 0.1
    assert joined.dtype == np.float64 and whole.score_range == (0.0, 1.0)
    assert whole([], [], []).shape == (0,)


@pytest.mark.parametrize(
    "metrics",
    [
        final(0.55, 0.45, 0.65),
        final(0.55, 0.5, 0.6),  # reaches chance
        final(0.92, 0.88, 0.95, positives=0.1),  # always `no` would be right nine times in ten
        final(0.92, 0.88, 0.95, positives=0.9),
        final(*[float("nan")] * 3),
        {},
    ],
)
def test_one_that_may_guess_is_refused_unless_that_is_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, metrics: dict[str, float]
) -> None:
    made(tmp_path, metrics)
    with pytest.raises(UserError, match=r"a classifier with accuracy .* on held-out texts; .*reward\.at_chance=true"):
        loaded(tmp_path)
    with caplog.at_level(logging.WARNING, "rftlab"):
        loaded(tmp_path, at_chance=True)
    assert "may be no better than chance" in caplog.text


def test_one_of_generated_texts_is_refused_on_real_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made(tmp_path, final(), source="bundled")
    loaded(tmp_path, source="bundled")
    for source in ("hub", "file"):
        with pytest.raises(UserError, match=f"a classifier of bundled texts, with data.source={source}; expected one"):
            loaded(tmp_path, source=source)
    with caplog.at_level(logging.WARNING, "rftlab"):
        loaded(tmp_path, at_chance=True)
    assert "may be at chance" in caplog.text


def test_runs_that_are_no_such_classifier_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"reward\.run=null; expected the run key of a finished run of algo=text_class"):
        loaded(tmp_path, run=None)
    with pytest.raises(UserError, match="which is no run in"):
        loaded(tmp_path)
    made(tmp_path / "stopped", None)
    with pytest.raises(UserError, match="a run that is stopped"):
        loaded(tmp_path / "stopped")
    made(tmp_path / "other", final(), loop="rftlab.loops.reward_model.RewardModelling")
    with pytest.raises(UserError, match="a run of algo=some, which trains no classifier of texts"):
        loaded(tmp_path / "other")


def test_a_run_whose_file_is_damaged_is_named(tmp_path: Path) -> None:
    made(tmp_path, final())
    file = tmp_path / "sweep" / f"some-{KEY}" / "final" / FILE
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"expected a classifier\.safetensors .*; change reward\.run"):
        loaded(tmp_path)


def test_a_run_is_built_with_the_classifier_that_its_config_names_also_as_a_term_of_a_sum(tmp_path: Path) -> None:
    classifier = made(tmp_path, final())
    node = {
        "_target_": "rftlab.rewards.text_classifier.load", "run": KEY, "parent": None, "text": "whole",
        "at_chance": False,
    }  # fmt: skip
    both = {"_target_": "rftlab.rewards.weighted_sum.WeightedSum", "weights": {"mood": 2.0}, "terms": {"mood": node}}
    for reward, factor in ((node, 1.0), (both, 2.0)):
        config = {
            "reward": reward, "paths": {"outputs": str(tmp_path), "hub_mirror": None},
            "data": {"name": "x", "source": "hub"},
        }  # fmt: skip
        built = build_reward(config, [], torch.device("cpu"))
        assert built is not None
        np.testing.assert_array_equal(built(["dull"], [" cast"], [()]), factor * classifier.probability(["dull cast"]))
