"""Pairs of real texts of a mirror: answers and summaries, captions of the same concepts, highlights and articles."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, islice, pairwise
from pathlib import Path

import pyarrow.parquet as pq

Pair = tuple[str, tuple[str, ...]]


def real_pairs(mirror: Path, n: int) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return n responses and their targets, the kinds of pairs in turn while they last."""
    kinds = [answers(mirror), captions(mirror), highlights(mirror), translations(mirror)]
    pairs = list(islice(chain.from_iterable(islice(kind, n // 3) for kind in kinds), n))
    assert len(pairs) == n
    return [response for response, _ in pairs], [targets for _, targets in pairs]


def rows(mirror: Path, hub_id: str) -> Iterator[dict]:
    for path in sorted((mirror / hub_id).rglob("*.parquet")):
        yield from pq.read_table(path).to_pylist()


def answers(mirror: Path) -> Iterator[Pair]:
    """Pair a first answer with the second, and the beginning of the summary with both."""
    for number, row in enumerate(rows(mirror, "deepmind/narrativeqa")):
        first, second = (answer["text"] for answer in row["answers"])
        yield first, (second,)
        yield row["document"]["summary"]["text"][: 30 + 7 * number % 500], (first, second)


def captions(mirror: Path) -> Iterator[Pair]:
    """Pair a caption with up to four others of the same concepts."""
    texts = defaultdict(list)
    for row in rows(mirror, "allenai/common_gen"):
        if row["target"]:
            texts[tuple(row["concepts"])].append(row["target"])
    yield from ((group[0], tuple(group[1:5])) for group in texts.values() if len(group) > 1)


def highlights(mirror: Path) -> Iterator[Pair]:
    """Pair the first sentences of an article with its highlights, line by line."""
    for row in rows(mirror, "abisee/cnn_dailymail"):
        yield row["article"][:400].replace(". ", ".\n"), (row["highlights"],)


def translations(mirror: Path) -> Iterator[Pair]:
    """Pair neighbours of a German talk, with its letters beyond ASCII."""
    texts = (row["translation"]["de"] for row in rows(mirror, "IWSLT/iwslt2017"))
    yield from ((first, (second,)) for first, second in pairwise(texts) if first and second)
