"""Pretraining data of the embedded tiny models: plain text of the bundled worlds, never in a task's format.

The loaders take a source and a mirror as all loaders do, but the texts are on no hub.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from rftlab.data.parts.splits import check_generated
from rftlab.data.parts.tokenizer import SENTINELS
from rftlab.data.worlds import (
    answers,
    concepts,
    dialogues,
    news,
    pairs,
    phrases,
    posts,
    reviews,
    stories,
    tables,
    talks,
)
from rftlab.data.worlds.grammar import Generated, generator
from rftlab.ranges import Given, NonNegative, Positive
from rftlab.types import Example, Splits

WORLDS = (stories, reviews, dialogues, posts, answers, talks, news, tables, concepts, phrases, pairs)
SPANS = (0.6, 0.06, 0.04, 0.04, 0.04, 0.04, 0.04, 0.04, 0.04, 0.04, 0.02)  # share of each world in the span corpus
CAUSAL = (0.06, 0.6, 0.07, 0.07, 0.07, 0.03, 0.02, 0.02, 0.02, 0.02, 0.02)  # and in the causal corpus
READ = (6000, 1000, 500, 500, 500, 500, 500, 500, 500, 500, 500)  # texts of each world that the tokenizer reads
LOWER = 0.4  # share of texts in lower case, as some tasks have theirs: else names come to models in pieces
MASKED = 0.25  # share of words that infilling hides
MEAN_SPAN = 1.6  # words per hidden span
SPAN_WORDS = 60  # longest text with gaps, in words
CAUSAL_WORDS = 100  # longest causal text, in words
UNIT = re.compile(r"\s*[\w'-]+|\s*[^\w\s]")  # a word or a mark, with the space before it


@dataclass(frozen=True)
class Corpus:
    """Examples that are made when they are read, as many as asked for; `make` takes seed, split and number."""

    make: Callable[[int, str, int], Example]

    def load(
        self,
        *,
        source: Given[Literal["bundled"]],
        hub_mirror: Given[Path | None],
        n_train: Positive[int],
        n_validation: Positive[int],
        seed: NonNegative[int],
    ) -> Splits:
        """Make the splits; the test split is as large as the validation split."""
        check_generated(source)

        def of(split: str, size: int) -> Generated[Example]:
            return Generated(lambda index: self.make(seed, split, index), size)

        train, validation = of("train", n_train), of("validation", n_validation)
        return Splits(train=train, validation=validation, test=of("test", n_validation), source=source)


def tokenizer_texts(seed: int) -> list[str]:
    """Return the plain texts on which the embedded tokenizer is trained: each as it is, then each in lower case."""
    texts = [world.prose(seed, "tokenizer", index) for world, n in zip(WORLDS, READ, strict=True) for index in range(n)]
    return texts + [text.lower() for text in texts]


def corrupt_spans(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Hide random spans of words; return the text with sentinels and the spans, each after its sentinel."""
    units = UNIT.findall(text)
    n_spans = min(len(SENTINELS), max(1, round(MASKED * len(units) / MEAN_SPAN)))
    starts = np.sort(rng.choice(len(units), size=min(n_spans, len(units)), replace=False))
    lengths = rng.geometric(1 / MEAN_SPAN, size=len(starts))
    shown, hidden, position = [], [], 0
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        if start < position or (start == position and hidden):
            continue  # spans neither overlap nor touch
        sentinel = SENTINELS[len(hidden)]
        shown.append("".join(units[position:start]) + sentinel)
        position = start + length
        hidden.append(sentinel + "".join(units[start:position]))
    return "".join(shown) + "".join(units[position:]), "".join(hidden)


def _spans(seed: int, split: str, index: int) -> Example:
    """Make a text infilling example: spans of words hidden behind sentinels, the whole text as target.

    The target is the whole text, as in BART (Lewis et al. 2020, section 2.2), not the hidden spans alone, as in T5
    (Raffel et al. 2020, section 3.1.4): tiny models then learn within minutes to copy from the encoder.
    """
    rng = generator(seed, "spans", split, index)
    text = " ".join(_prose(rng, SPANS, seed, split, index).split(" ")[:SPAN_WORDS])
    return Example(id=f"spans-{split}-{index}", prompt=corrupt_spans(text, rng)[0], targets=(text,))


def _causal(seed: int, split: str, index: int) -> Example:
    """Make a plain text for decoders: the prompt is empty, the target a text that starts at any word."""
    rng = generator(seed, "causal", split, index)
    words = _prose(rng, CAUSAL, seed, split, index).split(" ")
    start = int(rng.integers(len(words) // 2)) if rng.random() < 0.5 else 0
    return Example(id=f"causal-{split}-{index}", prompt="", targets=(" ".join(words[start : start + CAUSAL_WORDS]),))


def _labelled(seed: int, split: str, index: int) -> Example:
    """Take a part of a review with the review's label, for classifiers.

    About a third of the opinions in a review contradict its label, and a part holds a few of them; the best possible
    P(positive) is therefore graded between 0 and 1, without any label noise added here.
    """
    rng = generator(seed, "sentiment", split, index)
    text, label = reviews.review(seed, f"corpus-{split}", index)
    words = text.split(" ")
    if rng.random() < 0.6:
        n = int(rng.integers(8, len(words) + 1))
        start = int(rng.integers(len(words) - n + 1))
        words = words[start : start + n]
    return Example(id=f"sentiment-{split}-{index}", prompt=" ".join(words), targets=(("negative", "positive")[label],))


def _prose(rng: np.random.Generator, shares: tuple[float, ...], seed: int, split: str, index: int) -> str:
    """Draw the world of one text; corpus texts have splits of their own, so that none is a task's text."""
    world = WORLDS[int(rng.choice(len(WORLDS), p=shares))]
    text = world.prose(seed, f"corpus-{split}", index)
    return text.lower() if rng.random() < LOWER else text


load_spans = Corpus(_spans).load
load_causal = Corpus(_causal).load
load_sentiment = Corpus(_labelled).load
