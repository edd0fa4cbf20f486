"""A run that fits a classifier of texts: what it measures, tells, stores and refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rftlab.errors import UserError
from rftlab.loops.document_lab import DocumentLab
from rftlab.loops.session import Session
from rftlab.loops.text_classifier import TextClassification
from rftlab.models.tfidf import TfidfLogistic, read_classifier
from rftlab.runs import Run, read_run
from rftlab.stop import StopFlag, StopRequested
from rftlab.types import Example, Splits

MODEL = TfidfLogistic(
    max_ngram=1, min_documents=1, max_terms=None, lowercase=True, sublinear=True, inverse_penalty=10.0,
    max_iterations=500, tolerance=1e-4,
)  # fmt: skip
WORDS = {"yes": "sun", "no": "rain", "maybe": "fog"}


def texts(split: str, n: int, labels: tuple[str, ...] = ("yes", "no", "maybe")) -> list[Example]:
    """Make texts of which a word tells the label."""
    said = [(labels[i % len(labels)], i) for i in range(n)]
    return [Example(id=f"{split}-{i}", prompt=f"day {i} had {WORDS[label]}", targets=(label,)) for label, i in said]


def lab(folder: Path, lines: list[str] | None = None, **splits: list[Example]) -> DocumentLab:
    rows = {"train": texts("train", 60), "validation": texts("validation", 12), "test": texts("test", 9)} | splits
    session = Session(
        run=Run.claim(folder, {}), seed=0, checkpoint_every=1, progress=False, stop=StopFlag(),
        describe=(lines if lines is not None else []).append,
    )  # fmt: skip
    return DocumentLab(name="days", splits=Splits(**rows, source="file"), model=MODEL, session=session)


def test_it_learns_one_label_against_all_others_and_is_stored(tmp_path: Path) -> None:
    lines: list[str] = []
    here = lab(tmp_path / "run", lines)
    final = TextClassification(positive="yes", last_words=2).run(here)
    assert final["eval/test/accuracy"] == final["eval/validation/accuracy"] == 1.0
    assert {name: final[f"eval/{name}"] for name in ("train/n", "test/n")} == {"train/n": 60, "test/n": 9}
    assert final["eval/test/positives"] == pytest.approx(1 / 3)
    classifier = read_classifier(tmp_path / "run" / "final", "reward.run")
    sun, rain, fog = classifier.probability(["sun", "rain", "fog"])
    assert sun > 0.5 > max(rain, fog)
    assert final["classifier/terms"] == len(classifier.terms)
    assert "accuracy: train 1.000 (0.940 to 1.000)" in lines[0] and "last 2 words: 1.000" in lines[0]
    here.session.run.finish(final)
    assert {(step, name) for step, name, _ in read_run(tmp_path / "run").metrics()} == {(1, name) for name in final}


def test_accuracy_is_the_share_that_was_told_right_with_wilsons_interval(tmp_path: Path) -> None:
    wrong = [replace(example, targets=("no",)) for example in texts("test", 20, ("yes",))[:5]]
    final = TextClassification(positive="yes", last_words=None).run(
        lab(tmp_path / "run", test=[*texts("test", 20, ("yes",))[5:], *wrong])
    )
    value, low, high = (final[f"eval/test/accuracy{end}"] for end in ("", "_low", "_high"))
    assert value == 0.75
    n, z = 20, 1.959964
    for end in (low, high):  # where the difference is z standard errors
        assert (value - end) ** 2 == pytest.approx(z * z * end * (1 - end) / n)
    assert not [name for name in final if "last_words" in name]


def test_equal_texts_are_one_in_the_interval(tmp_path: Path) -> None:
    same = [replace(example, prompt="the sun") for example in texts("test", 40, ("yes",))]
    final = TextClassification(positive="yes", last_words=None).run(lab(tmp_path / "run", test=same))
    assert final["eval/test/accuracy_low"] == pytest.approx(1 / (1 + 1.959964**2))  # of one


def test_last_words_are_the_end_of_a_text(tmp_path: Path) -> None:
    ends = [replace(e, prompt=f"{e.prompt} and then it was over") for e in texts("test", 30)]
    final = TextClassification(positive="yes", last_words=4).run(lab(tmp_path / "run", test=ends))
    assert final["eval/test/accuracy"] == 1.0
    assert final["eval/test/last_words_accuracy"] == pytest.approx(2 / 3)  # none of them says what day it was
    assert "eval/train/last_words_accuracy" not in final


def test_a_split_without_texts_has_no_accuracy(tmp_path: Path) -> None:
    final = TextClassification(positive="yes", last_words=3).run(lab(tmp_path / "run", validation=[]))
    assert np.isnan(final["eval/validation/accuracy"]) and np.isnan(final["eval/validation/accuracy_low"])
    assert final["eval/validation/n"] == 0


def test_labels_that_teach_nothing_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"0 of 60 train texts with the label 'good'; .* labels there: yes, no, maybe"):
        TextClassification(positive="good", last_words=None).run(lab(tmp_path / "typo"))
    with pytest.raises(UserError, match=r"60 of 60 train texts .*; change algo\.loop\.positive or data"):
        TextClassification(positive="yes", last_words=None).run(
            lab(tmp_path / "all", train=texts("train", 60, ("yes",)))
        )
    bare = [replace(example, targets=()) for example in texts("test", 3)]
    with pytest.raises(UserError, match=r"3 texts of data=days without a label, first test-0"):
        TextClassification(positive="yes", last_words=None).run(lab(tmp_path / "bare", test=bare))


def test_a_run_that_is_asked_to_stop_leaves_no_classifier(tmp_path: Path) -> None:
    here = lab(tmp_path / "run")
    here.session.stop.request("SIGTERM")
    with pytest.raises(StopRequested):
        TextClassification(positive="yes", last_words=None).run(here)
    assert not (tmp_path / "run" / "final").exists()
