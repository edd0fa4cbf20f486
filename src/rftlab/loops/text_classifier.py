"""Fitting a classifier of texts to their labels; what it says of held-out texts tells whether it can be a reward."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from rftlab.diagnostics.pairs import pair_accuracy
from rftlab.errors import UserError
from rftlab.loops.document_lab import DocumentLab, FittedClassifier
from rftlab.ranges import Positive
from rftlab.types import Example

SPLITS = ("train", "validation", "test")
SHOWN = 5  # labels in a message
STEP = 1  # of all metrics: the fit is one step


@dataclass(frozen=True, kw_only=True)
class TextClassification:
    """Fit to the train texts, and measure on all texts of every split; nothing is drawn, whatever the seed."""

    positive: str
    last_words: Positive[int] | None

    def run(self, lab: DocumentLab) -> dict[str, float]:
        """Fit, measure, and store the classifier.

        Returns:
            The final metrics.

        Raises:
            UserError: A text has no label, or the train texts do not have both.
        """
        texts = {split: [example.prompt for example in getattr(lab.splits, split)] for split in SPLITS}
        labels = {split: self._labels(getattr(lab.splits, split), lab.name) for split in SPLITS}
        self._refuse_one_kind(lab, labels["train"])
        lab.session.stop.check()
        started = time.perf_counter()
        classifier = lab.model.fit(texts["train"], labels["train"])
        metrics = {"time/fit_s": time.perf_counter() - started, "classifier/terms": float(len(classifier.terms))}
        for split in SPLITS:
            lab.session.stop.check()
            metrics |= {f"eval/{split}/{name}": value for name, value in self._measured(
                classifier, texts[split], labels[split], short=split != "train"
            ).items()}  # fmt: skip
        classifier.save(lab.session.run.folder / "final")
        lab.session.run.log(STEP, metrics)
        lab.session.describe(self._told(metrics, len(texts["train"])))
        return metrics

    def _labels(self, examples: Sequence[Example], name: str) -> Bool[np.ndarray, " n"]:
        if bare := [example.id for example in examples if not example.targets]:
            raise UserError(f"{len(bare)} texts of data={name} without a label, first {bare[0]}", "one each", "data")
        return np.array([self.positive in example.targets for example in examples], dtype=bool)

    def _refuse_one_kind(self, lab: DocumentLab, has_label: Bool[np.ndarray, " n"]) -> None:
        if 0 < has_label.sum() < len(has_label):
            return
        there = [label for label, _ in Counter(e.targets[0] for e in lab.splits.train).most_common(SHOWN)]
        found = f"{has_label.sum()} of {len(has_label)} train texts with the label '{self.positive}'"
        raise UserError(
            found,
            f"some with it and some without; the most frequent labels there: {', '.join(there)}",
            "algo.loop.positive or data",
        )

    def _measured(
        self, classifier: FittedClassifier, texts: Sequence[str], has_label: Bool[np.ndarray, " n"], short: bool
    ) -> dict[str, float]:
        """Give the accuracy on some texts with its interval, on their last words too, and how many have the label."""
        found = {"n": float(len(texts)), "positives": float(has_label.mean()) if len(texts) else np.nan}
        found |= _accuracy(classifier, texts, has_label, "accuracy")
        if short and self.last_words is not None:
            ends = [" ".join(text.split()[-self.last_words :]) for text in texts]
            found |= _accuracy(classifier, ends, has_label, "last_words_accuracy")
        return found

    def _told(self, metrics: dict[str, float], n: int) -> str:
        def said(name: str) -> str:
            return "{:.3f} ({:.3f} to {:.3f})".format(*(metrics[f"eval/{name}{end}"] for end in ("", "_low", "_high")))

        full = ", ".join(f"{split} {said(f'{split}/accuracy')}" for split in SPLITS)
        short = "" if self.last_words is None else f"; test, last {self.last_words} words: "
        short += said("test/last_words_accuracy") if short else ""
        terms, seconds = metrics["classifier/terms"], metrics["time/fit_s"]
        return f"{n:,} train texts, {terms:,.0f} terms, fitted in {seconds:.1f} s  accuracy: {full}{short}"


def _accuracy(
    classifier: FittedClassifier, texts: Sequence[str], has_label: Bool[np.ndarray, " n"], name: str
) -> dict[str, float]:
    """Measure how often P(label) is on the right side of 1/2; equal texts count as one in the interval."""
    margins = np.where(has_label, 1.0, -1.0) * (classifier.probability(texts) - 0.5)
    found = pair_accuracy(margins, texts)
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
