"""What the loops over labelled texts are given: splits, the model that is fitted, session. No language model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from rftlab.loops.session import Session
from rftlab.types import Splits


@runtime_checkable
class FittedClassifier(Protocol):
    """The probability of a label, by a model that was fitted."""

    @property
    def terms(self) -> Sequence[str]:
        """List what it knows of a text."""
        ...

    def probability(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Give the probability that each text has the label."""
        ...

    def save(self, folder: Path) -> None:
        """Store it."""
        ...


@runtime_checkable
class DocumentModel(Protocol):
    """A model of texts that is fitted in one go (`classifier` of conf/model)."""

    def fit(self, texts: Sequence[str], has_label: Bool[np.ndarray, " n"]) -> FittedClassifier:
        """Fit to texts and whether each has the label."""
        ...


@dataclass(frozen=True, kw_only=True)
class DocumentLab:
    """Everything a loop over labelled texts works with."""

    name: str  # of the data
    splits: Splits  # a text is the prompt of an example, its label the target
    model: DocumentModel
    session: Session
