"""Time ROUGE-L and METEOR against the libraries that they replace: `python bench/rewards.py [PAIRS.jsonl]`.

The pairs of the file, or of the bundled stories, are cut into parts; both score each part in turn, one pair at a time,
so that a busy machine slows both alike; time is that of the processor. No pair is scored twice. The first half of the
pairs is scored before the clock starts, so that words are known as in the middle of a training, and texts are new. The
ratio is the median over parts.
"""

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
from rftlab.rewards.rouge_score import Rouge

PARTS, MOST = 10, 5000
Score = Callable[[str, tuple[str, ...]], object]
Pair = tuple[str, tuple[str, ...]]
WORDS = NLTKWordTokenizer()


class NoWordNet:
    """What nltk takes for WordNet where there is none."""

    def synsets(self, word: str) -> list[object]:
        """Know no word."""
        return []


def compare(name: str, ours: Score, theirs: Score, rows: Sequence[Pair]) -> None:
    """Print pairs per second of both, and how many times as fast ours is."""
    meteor._words.cache_clear()
    half = len(rows) // 2
    _time(ours, rows[:half])
    _time(theirs, rows[: half // 5])
    rows = rows[half:]
    seconds = [(_time(ours, part), _time(theirs, part)) for part in (rows[i::PARTS] for i in range(PARTS))]
    speeds = [len(rows) / sum(column) for column in zip(*seconds, strict=True)]
    ratios = sorted(b / a for a, b in seconds)
    print(
        f"{name:<28}{speeds[0]:>10,.0f}{speeds[1]:>10,.0f} pairs/s"
        f"{median(ratios):>8.1f} x ({ratios[0]:.1f} to {ratios[-1]:.1f})"
    )


def _time(score: Score, rows: Sequence[Pair]) -> float:
    started = time.process_time()
    for response, targets in rows:
        score(response, targets)
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
    print(f"{len(rows):,} pairs, one at a time{'':<10}ours    theirs")
    for stem in (False, True):
        scorer = RougeScorer(["rougeL"], use_stemmer=stem)
        ours = Rouge(variant="rougeL", stem=stem, letters="unicode", lines="reference")
        compare(
            f"ROUGE-L{', stems' if stem else ''}",
            lambda text, golds, ours=ours: ours([""], [text], [golds]),
            lambda text, golds, scorer=scorer: scorer.score_multi(golds, text),
            rows,
        )
    known = of_nltk()
    for synonyms in ("words", "stems"):
        metric = meteor.load(tokenize="treebank", alpha=0.9, beta=3.0, gamma=0.5, synonyms=synonyms, as_released=False)
        compare(
            f"METEOR, synonyms of {synonyms}",
            lambda text, golds, metric=metric: metric([""], [text], [golds]),
            lambda text, golds: meteor_score(
                [WORDS.tokenize(gold) for gold in golds], WORDS.tokenize(text), wordnet=known
            ),
            rows,
        )


if __name__ == "__main__":
    main()
