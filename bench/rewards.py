"""Time ROUGE-L and METEOR against the libraries that they replace: `python bench/rewards.py [PAIRS.jsonl]`.

The pairs of the file, or of the bundled stories, are cut into parts; both score each part in turn, so that a busy
machine slows both alike; time is that of the processor. Ours scores each part as a batch, as in a training, and then,
with all of it forgotten, pair by pair; the libraries know pairs alone. The first half of the pairs is scored before the
clock starts, so that words are known as in the middle of a training, and texts are new. The ratio is the median over
parts. Modules are frozen, as in the jobs of a sweep: Python's collector would look through them now and then.
"""

import gc
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import nltk
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer

from rftlab.commands import pairs
from rftlab.data.worlds import stories
from rftlab.rewards import meteor, wordnet
from rftlab.rewards.rouge_score import STEMS, Rouge, words_of
from rftlab.types import Reward

PARTS, MOST = 10, 5000
Score = Callable[[str, tuple[str, ...]], object]
Pair = tuple[str, tuple[str, ...]]
WORDS = NLTKWordTokenizer()


class NoWordNet:
    """What nltk takes for WordNet where there is none."""

    def synsets(self, word: str) -> list[object]:
        """Know no word."""
        return []


def compare(name: str, ours: Reward, theirs: Score, rows: Sequence[Pair]) -> None:
    """Print pairs per second of both, and how many times as fast ours is."""
    half = len(rows) // 2
    parts = [rows[half + i :: PARTS] for i in range(PARTS)]
    for way, score in (("batches", _in_batch), ("pairs", _one_by_one)):
        for known in (meteor._words, meteor._of_part, meteor._stem, words_of):
            known.cache_clear()
        STEMS.clear()
        _time(lambda part, score=score: score(ours, part), rows[:half])
        _time(lambda part: [theirs(*row) for row in part], rows[: half // 10])
        seconds = [
            (
                _time(lambda part, score=score: score(ours, part), part),
                _time(lambda p: [theirs(*row) for row in p], part),
            )
            for part in parts
        ]
        speeds = [sum(map(len, parts)) / sum(column) for column in zip(*seconds, strict=True)]
        ratios = sorted(b / a for a, b in seconds)
        print(
            f"{name:<28}{way:<8}{speeds[0]:>10,.0f}{speeds[1]:>10,.0f} pairs/s"
            f"{median(ratios):>8.1f} x ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        )


def _in_batch(reward: Reward, rows: Sequence[Pair]) -> None:
    responses, targets = zip(*rows, strict=True)
    reward(responses, responses, targets)


def _one_by_one(reward: Reward, rows: Sequence[Pair]) -> None:
    for response, targets in rows:
        reward([""], [response], [targets])


def _time(score: Callable[[Sequence[Pair]], object], rows: Sequence[Pair]) -> float:
    started = time.process_time()
    score(rows)
    return time.process_time() - started


def bundled() -> list[Pair]:
    """Pair each question of the bundled stories with its story."""
    rows = stories.rows(0, "train")
    return [(row["document"]["summary"]["text"], tuple(a["text"] for a in row["answers"])) for row in rows]


def of_nltk() -> Any:
    """Return WordNet as nltk reads it, or what knows no word."""
    try:
        return WordNetCorpusReader(nltk.data.find(wordnet.PLACE), None)
    except LookupError:
        return NoWordNet()


def main() -> None:
    """Compare on the file that is named, or on bundled texts."""
    if sys.argv[1:]:
        read = pairs.read(Path(sys.argv[1]))
        rows: list[Pair] = list(zip(read.responses, read.targets, strict=True))[:MOST]
    else:
        rows = bundled()[:MOST]
    gc.collect()
    gc.freeze()
    print(f"{len(rows):,} pairs{'':<29}ours    theirs")
    for stem in (False, True):
        scorer = RougeScorer(["rougeL"], use_stemmer=stem)
        ours = Rouge(variant="rougeL", stem=stem, letters="unicode", lines="reference")
        compare(
            f"ROUGE-L{', stems' if stem else ''}",
            ours,
            lambda text, golds, scorer=scorer: scorer.score_multi(golds, text),
            rows,
        )
    known = of_nltk()
    for synonyms in ("words", "stems"):
        metric = meteor.load(tokenize="treebank", alpha=0.9, beta=3.0, gamma=0.5, synonyms=synonyms, as_released=False)
        compare(
            f"METEOR, synonyms of {synonyms}",
            metric,
            lambda text, golds: meteor_score(
                [WORDS.tokenize(gold) for gold in golds], WORDS.tokenize(text), wordnet=known
            ),
            rows,
        )


if __name__ == "__main__":
    main()
