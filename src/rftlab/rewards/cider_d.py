"""CIDEr-D with document frequencies of a fixed corpus, so that no score depends on its batch."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from rftlab.errors import UserError
from rftlab.ranges import Given, Positive
from rftlab.rewards.references import with_references
from rftlab.rewards.rouge_score import words_of

TRAIN = "train"
ORDERS = 4  # n-grams of 1 to 4 words
Gram = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CiderD:
    """Score the consensus of a response with its references, in [0, 10] (Vedantam et al. 2015, CIDEr-D).

    Of each order n = 1..4, count times log inverse document frequency of every n-gram are a vector. Its cosine with
    that of a reference, where no n-gram of the response counts more than in the reference, times
    exp(-(difference in words)^2 / 2 sigma^2), is averaged over references and orders, and multiplied by 10.

    Document frequencies are those of the corpus, where pycocoevalcap takes the batch's own references (one item alone
    scores 0 there). A text of three words has no 4-grams: 7.5 at most. Words are lower case, without punctuation and
    of every script, which needs no PTB tokenizer in Java.
    """

    frequencies: Mapping[Gram, int]  # documents with the n-gram
    documents: int
    sigma: float
    stem: bool

    score_range: ClassVar[tuple[float, float]] = (0.0, 10.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response.

        Raises:
            UserError: A row has no reference.
        """
        rows = with_references(prompts, responses, targets)
        return np.array([self._consensus(text, references) for text, references in rows], dtype=np.float64)

    def _consensus(self, response: str, references: tuple[str, ...]) -> float:
        ours = grams_of(response, self.stem)
        scores = [self._likeness(ours, grams_of(reference, self.stem)) for reference in references]
        return 10 * sum(scores) / len(scores) if scores else 0.0

    def _likeness(self, ours: Sequence[Counter[Gram]], theirs: Sequence[Counter[Gram]]) -> float:
        """Average the clipped cosines over the orders, less for a difference in length."""
        cosines = [self._cosine(a, b) for a, b in zip(ours, theirs, strict=True)]
        difference = ours[0].total() - theirs[0].total()
        return math.exp(-(difference**2) / (2 * self.sigma**2)) * sum(cosines) / len(cosines)

    def _cosine(self, ours: Counter[Gram], theirs: Counter[Gram]) -> float:
        """Return the cosine, with each entry of the response at most as large as that of the reference."""
        a, b = ({gram: count * self._weight(gram) for gram, count in text.items()} for text in (ours, theirs))
        lengths = math.sqrt(sum(x * x for x in a.values())) * math.sqrt(sum(x * x for x in b.values()))
        return sum(min(x, b[gram]) * b[gram] for gram, x in a.items() if gram in b) / lengths if lengths else 0.0

    def _weight(self, gram: Gram) -> float:
        return math.log(self.documents / max(self.frequencies.get(gram, 0), 1))


def load(*, corpus: str, sigma: Positive[float], stem: bool, train_targets: Given[Sequence[tuple[str, ...]]]) -> CiderD:
    """Count in how many documents each n-gram stands.

    Args:
        corpus: `train`, where the gold texts of a training row are a document, or a text file, where a line is one.
        sigma: Words of difference in length at which a score falls to e^(-1/2) of it.
        stem: Whether words are cut to their Porter stems, as in the paper; pycocoevalcap does not.
        train_targets: Gold texts of the training rows.

    Raises:
        UserError: The corpus cannot be read, or has fewer than two documents: every weight would be 0.
    """
    documents = [tuple(texts) for texts in train_targets] if corpus == TRAIN else _lines(Path(corpus))
    frequencies = Counter(gram for texts in documents for gram in _kinds(texts, stem))
    if len(documents) < 2:
        raise UserError(f"reward.corpus={corpus} with {len(documents)} documents", "two or more", "reward.corpus")
    return CiderD(frequencies=frequencies, documents=len(documents), sigma=sigma, stem=stem)


def _lines(path: Path) -> list[tuple[str, ...]]:
    try:
        return [(line,) for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        said = f"reward.corpus={path}, which cannot be read ({error})"
        raise UserError(said, "train, or a text file with a document per line", "reward.corpus") from None


def _kinds(texts: Sequence[str], stem: bool) -> set[Gram]:
    return {gram for text in texts for grams in grams_of(text, stem) for gram in grams}


@lru_cache(8192)
def grams_of(text: str, stem: bool) -> tuple[Counter[Gram], ...]:
    """Count the n-grams of a text, by order."""
    words = words_of(text, "unicode", stem)
    return tuple(Counter(zip(*(words[i:] for i in range(n)), strict=False)) for n in range(1, ORDERS + 1))
