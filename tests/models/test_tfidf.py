"""TF-IDF with logistic regression: equal to scikit-learn, stored without pickle, the same bits when read again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from rftlab.data.worlds import reviews
from rftlab.errors import UserError
from rftlab.models.tfidf import FILE, TextClassifier, TfidfLogistic, read_classifier

MODEL = TfidfLogistic(
    max_ngram=2, min_documents=2, max_terms=None, lowercase=True, sublinear=True, inverse_penalty=10.0,
    max_iterations=500, tolerance=1e-4,
)  # fmt: skip
ROWS = [reviews.review(0, "train", index) for index in range(300)]
TEXTS = [text for text, _ in ROWS]
LABELS = np.array([label == 1 for _, label in ROWS])
HELD_OUT = ["", "nothing of it", *(reviews.review(0, "test", index)[0] for index in range(60))]


@pytest.fixture(scope="module")
def fitted() -> TextClassifier:
    return MODEL.fit(TEXTS, LABELS)


def by_hand(lowercase: bool = True, sublinear: bool = True) -> TextClassifier:
    tensors = {"idf": np.array([1.0, 2.0]), "coefficients": np.array([-1.0, 3.0]), "intercept": np.array([0.5])}
    return replace(MODEL, max_ngram=1, lowercase=lowercase, sublinear=sublinear).restored(["bad", "good"], tensors)


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def test_scores_are_those_of_scikit_learn(fitted: TextClassifier) -> None:
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    regression = LogisticRegression(C=10.0, max_iter=500, tol=1e-4).fit(vectorizer.fit_transform(TEXTS), LABELS)
    expected = regression.predict_proba(vectorizer.transform(HELD_OUT))[:, 1]
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(fitted.probability(HELD_OUT), expected, atol=1e-12, rtol=0)


def test_what_was_stored_scores_with_the_same_bits(fitted: TextClassifier, tmp_path: Path) -> None:
    fitted.save(tmp_path / "final")
    assert [path.name for path in (tmp_path / "final").iterdir()] == [FILE]
    read = read_classifier(tmp_path / "final", "reward.run")
    assert read.settings == MODEL and read.terms == fitted.terms
    np.testing.assert_array_equal(read.probability(HELD_OUT), fitted.probability(HELD_OUT))
    read.save(tmp_path / "again")
    assert (tmp_path / "again" / FILE).read_bytes() == (tmp_path / "final" / FILE).read_bytes()


def test_a_case_by_hand() -> None:
    weights = np.array([1.0, 2 * (1 + np.log(2))])  # idf times 1 + ln of the count: bad once, good twice
    unit = weights / np.linalg.norm(weights)
    expected = [sigmoid(3.5), sigmoid(-0.5), sigmoid(0.5), sigmoid(0.5 - unit[0] + 3 * unit[1])]
    scores = by_hand().probability(["Good", "so bad", "neither nor", "good bad good"])
    np.testing.assert_allclose(scores, expected, atol=1e-12)
    plain = np.array([1.0, 4.0]) / np.sqrt(17)
    (score,) = by_hand(sublinear=False).probability(["good bad good"])
    assert score == pytest.approx(sigmoid(0.5 - plain[0] + 3 * plain[1]))
    assert by_hand(lowercase=False).probability(["Good"]) == pytest.approx(sigmoid(0.5))


def test_no_score_depends_on_the_texts_beside_it(fitted: TextClassifier) -> None:
    whole = fitted.probability(HELD_OUT)
    alone = np.concatenate([fitted.probability([text]) for text in HELD_OUT[::-1]])[::-1]
    np.testing.assert_array_equal(alone, whole)
    assert fitted.probability([]).shape == (0,)


def test_limits_of_terms_hold() -> None:
    every, few = (replace(MODEL, max_terms=most).fit(TEXTS, LABELS).terms for most in (None, 50))
    assert len(few) == 50 < len(every) and set(few) < set(every)
    assert any(" " in term for term in every)
    assert not any(" " in term for term in replace(MODEL, max_ngram=1).fit(TEXTS, LABELS).terms)


def test_a_fit_that_cannot_be_is_one_line() -> None:
    with pytest.raises(UserError, match=r"did not converge in 1 iterations; .*model\.classifier\.max_iterations"):
        replace(MODEL, max_iterations=1).fit(TEXTS, LABELS)
    with pytest.raises(UserError, match=r"300 train texts without a term .*=301; .*model\.classifier\.min_documents"):
        replace(MODEL, min_documents=301).fit(TEXTS, LABELS)
    with pytest.raises(UserError, match="without a term"):
        replace(MODEL, min_documents=1).fit(["", "!"], np.array([True, False]))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def of_another(path: Path) -> None:
    save_file({"weight": np.zeros(3)}, path)


def of_sizes(path: Path, idf: int, coefficients: int) -> None:
    """Two terms, with other numbers of what belongs to them."""
    made = {"made": json.dumps(vars(MODEL))}
    terms = np.frombuffer(b"good\nbad", dtype=np.uint8)
    numbers = {"idf": np.ones(idf), "coefficients": np.ones(coefficients), "intercept": np.ones(1)}
    save_file({**numbers, "terms": terms}, path, made)


def short_idf(path: Path) -> None:
    of_sizes(path, 1, 2)


def short_coefficients(path: Path) -> None:
    of_sizes(path, 2, 1)


@pytest.mark.parametrize("damage", [cut, empty, of_another, short_idf, short_coefficients, Path.unlink])
def test_a_file_that_is_damaged_or_gone_is_named_in_one_line(fitted: TextClassifier, tmp_path: Path, damage) -> None:
    fitted.save(tmp_path)
    damage(tmp_path / FILE)
    with pytest.raises(UserError, match=rf"{FILE}.*; expected a {FILE} as algo=text_classifier .*; change reward\.run"):
        read_classifier(tmp_path, "reward.run")
