"""The probability of a label by a classifier of texts that a finished run has fitted, the sentiment of real reviews."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from rftlab.errors import UserError
from rftlab.models.tfidf import TextClassifier, read_classifier
from rftlab.ranges import Given, RunKey
from rftlab.rewards.finished import KEY, finished, refuse_chance
from rftlab.runs import RunRecord

LOOP = "TextClassification"  # what the loop of such a run is called
SPLIT = "eval/validation"  # whose accuracy tells whether it is a reward; test is for reports
Text = Literal["whole", "response"]
log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class LabelProbability:
    """Score prompt + response, or the response alone, by the probability of a label, in [0, 1]; no target is used."""

    classifier: TextClassifier
    text: Text

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response."""
        if self.text == "response":
            return self.classifier.probability(responses)
        return self.classifier.probability([p + r for p, r in zip(prompts, responses, strict=True)])


def load(
    *,
    run: RunKey | None,
    text: Text,
    at_chance: bool,
    outputs: Given[Path],
    source: Given[str],
    parent: Any = None,
) -> LabelProbability:
    """Load the classifier of a finished run, which lies below `outputs`; `parent` says how such a run is made.

    `source` says where the rows come from whose responses it scores. One of generated texts is at chance on others.

    `at_chance` allows such a one, and one whose accuracy on held-out texts may be that of a guess: without it that is
    refused, with it the log says so.

    Raises:
        UserError: There is no such run, it is not finished, fits no classifier, or may be no better than chance.
    """
    record = finished(run, outputs, LOOP, "text_classifier", "classifier of texts")
    final = record.final or {}
    share = final.get(f"{SPLIT}/positives", float("nan"))
    chance = max(share, 1 - share)  # of always saying the more frequent label
    refuse_chance(record, "a classifier", f"{SPLIT}/accuracy", "held-out texts", chance, at_chance)
    _refuse_generated(record, source, at_chance)
    classifier = read_classifier(record.folder / "final", KEY)
    value, low, high = (final.get(f"eval/test/accuracy{end}", float("nan")) for end in ("", "_low", "_high"))
    data, label = record.config["data"]["name"], record.config["algo"]["loop"]["positive"]
    said = "%s=%s: P(%s) of data=%s, accuracy %.3f (%.3f to %.3f) on its test texts"
    log.info(said, KEY, run, label, data, value, low, high)
    return LabelProbability(classifier=classifier, text=text)


def _refuse_generated(record: RunRecord, source: str, at_chance: bool) -> None:
    if source == "bundled" or record.config["data"]["source"] != "bundled":
        return
    found = f"{KEY}={record.key}, a classifier of bundled texts, with data.source={source}"
    if not at_chance:
        raise UserError(found, "one of real texts", f"{KEY}, or reward.at_chance=true to use it all the same")
    log.warning("%s: it may be at chance, and then no score of it means much", found)
