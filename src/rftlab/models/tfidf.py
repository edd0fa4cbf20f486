"""A classifier of texts by the words that are in them: scikit-learn's logistic regression on TF-IDF.

A fitted one is stored as one safetensors file, without pickle: its terms, idf, coefficients, and how it was made.
scikit-learn is imported where one is made, as that takes half a second.
"""

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from rftlab.errors import UserError
from rftlab.files import replacing
from rftlab.ranges import Positive

FILE = "classifier.safetensors"
NAMES = ("idf", "coefficients", "intercept", "terms")
MADE = "made"  # the name of the settings in the file
READABLE = f"a {FILE} as algo=text_classifier writes it"


@dataclass(frozen=True, kw_only=True)
class TextClassifier:
    """P(label) of texts, by a fitted vectoriser and a fitted regression."""

    settings: "TfidfLogistic"
    vectorizer: Any  # scikit-learn's TfidfVectorizer
    regression: Any  # its LogisticRegression

    def probability(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Give the probability that each text has the label; none depends on the texts beside it."""
        if not texts:
            return np.empty(0)
        return self.regression.predict_proba(self.vectorizer.transform(texts))[:, 1]

    @property
    def terms(self) -> list[str]:
        """List the terms in the order of their coefficients."""
        return self.vectorizer.get_feature_names_out().tolist()

    def save(self, folder: Path) -> None:
        """Store it in a folder, in the place of one that is there.

        Raises:
            UserError: The disk did not take it.
        """
        tensors = {
            "idf": self.vectorizer.idf_,
            "coefficients": self.regression.coef_[0],
            "intercept": self.regression.intercept_,
            "terms": np.frombuffer("\n".join(self.terms).encode(), dtype=np.uint8),  # no term holds a newline
        }
        content = save(tensors, {MADE: json.dumps(asdict(self.settings))})
        os.makedirs(folder, exist_ok=True)
        with replacing(folder / FILE) as file:
            file.write(content)


@dataclass(frozen=True, kw_only=True)
class TfidfLogistic:
    """Logistic regression on the TF-IDF of terms, each text scaled to length 1; fields as in conf/model."""

    max_ngram: Positive[int]
    min_documents: Positive[int]
    max_terms: Positive[int] | None
    lowercase: bool
    sublinear: bool
    inverse_penalty: Positive[float]
    max_iterations: Positive[int]
    tolerance: Positive[float]

    def fit(self, texts: Sequence[str], has_label: Bool[np.ndarray, " n"]) -> TextClassifier:
        """Fit to texts and whether each has the label; both kinds must be there.

        Raises:
            UserError: No term is left, or the fit does not converge.
        """
        from sklearn.exceptions import ConvergenceWarning

        vectorizer, regression = self._vectorizer(None), self._regression()
        try:
            features = vectorizer.fit_transform(texts)
        except ValueError as error:  # scikit-learn's, where no term is in enough texts
            found = f"{len(texts)} train texts without a term for model.classifier.min_documents={self.min_documents}"
            raise UserError(found, "a word in so many texts", "model.classifier.min_documents or data") from error
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                regression.fit(features, has_label)
            except ConvergenceWarning as error:
                found = f"a logistic regression that did not converge in {self.max_iterations} iterations"
                raise UserError(found, "more of them", "model.classifier.max_iterations or tolerance") from error
        return TextClassifier(settings=self, vectorizer=vectorizer, regression=regression)

    def restored(self, terms: Sequence[str], tensors: dict[str, np.ndarray]) -> TextClassifier:
        """Put what was stored of a fitted one back into place."""
        vectorizer, regression = self._vectorizer(terms), self._regression()
        vectorizer.idf_ = tensors["idf"]
        regression.classes_ = np.array([False, True])
        regression.coef_, regression.intercept_ = tensors["coefficients"][None], tensors["intercept"]
        return TextClassifier(settings=self, vectorizer=vectorizer, regression=regression)

    def _vectorizer(self, terms: Sequence[str] | None) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            ngram_range=(1, self.max_ngram),
            min_df=self.min_documents,
            max_features=self.max_terms,
            lowercase=self.lowercase,
            sublinear_tf=self.sublinear,
            vocabulary=None if terms is None else {term: place for place, term in enumerate(terms)},
        )

    def _regression(self) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=self.inverse_penalty, max_iter=self.max_iterations, tol=self.tolerance)


def read_classifier(folder: Path, key: str) -> TextClassifier:
    """Read what `TextClassifier.save` stored; `key` names the run whose folder it is.

    Raises:
        UserError: The file is missing or damaged.
    """
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"no file {path}", READABLE, key)
    try:
        with safe_open(path, framework="np") as file:
            made = json.loads((file.metadata() or {})[MADE])
            tensors = {name: file.get_tensor(name) for name in NAMES}
        terms = tensors.pop("terms").tobytes().decode().split("\n")
        if len(terms) != len(tensors["coefficients"]):  # scikit-learn compares terms with idf
            raise ValueError(f"{len(terms)} terms and {len(tensors['coefficients'])} coefficients")
        return TfidfLogistic(**made).restored(terms, tensors)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise UserError(f"{path}: {said}", READABLE, key) from error
