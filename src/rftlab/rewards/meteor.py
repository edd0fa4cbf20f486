"""METEOR as nltk computes it, with the synonyms of words instead of stems."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float

from rftlab.light import import_alone
from rftlab.ranges import NonNegative, OpenUnitInterval, UnitInterval
from rftlab.rewards import wordnet
from rftlab.rewards.porter import PorterStemmer
from rftlab.rewards.references import with_references

Tokens = Literal["treebank", "whitespace"]
Texts = Sequence[str] | Mapping[int, str]  # by position
Match = tuple[int, int]  # position in the response, position in the reference
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'(\[]?[A-Z])|\n")  # in place of punkt, which needs data files
TREEBANK = import_alone("nltk.tokenize.destructive").NLTKWordTokenizer()  # without the rest of nltk, as its stemmer
CLOSING = "])}>\"'»”\N{RIGHT SINGLE QUOTATION MARK}"
TWO_WORDS = ("cannot", "gimme", "gonna", "gotta", "lemme", "wanna")  # which are cut
SIMPLE = ("", ".", ",", ";", "?", "!")  # behind letters alone: split off, but for the period within a sentence
OTHER_SPACE = re.compile(r"[^\S ]")
STEMMER = PorterStemmer()


@dataclass(frozen=True, kw_only=True)
class Meteor:
    """Score a response by its best METEOR (Lavie and Agarwal 2007) over the references, in [0, 1).

    Words in lower case are matched if they are equal, then if their Porter stems are, then if one is a synonym of the
    other in WordNet, each word once, from the end. With m matches in c runs, P = m / words of the response and
    R = m / words of the reference, the score is (1 - gamma (c / m)^beta) P R / (alpha P + (1 - alpha) R).

    Equal to nltk 3.10 but for one thing: nltk asks WordNet for synonyms of stems (`automobil`), and finds few. Equal
    texts score below 1, as they are one run: 0.5 for one word, 0.9995 for ten. An empty text scores 0.
    """

    tokenize: Tokens
    alpha: OpenUnitInterval[float]
    beta: NonNegative[float]
    gamma: UnitInterval[float]
    synonyms: Literal["words", "stems", "none"]
    as_released: bool
    of_word: wordnet.Synonyms | None  # None: no synonyms

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response.

        Raises:
            UserError: A row has no reference.
        """
        if self.as_released:
            targets = [(str(list(references)),) if references else () for references in targets]
        rows = with_references(prompts, responses, targets)
        return np.array([self._best(response, references) for response, references in rows], dtype=np.float64)

    def _best(self, response: str, references: tuple[str, ...]) -> float:
        words = _words(response, self.tokenize)
        return max((self.of_words(words, _words(text, self.tokenize)) for text in references), default=0.0)

    def of_words(self, words: Sequence[str], reference: Sequence[str]) -> float:
        """Score words in lower case against one reference."""
        matches = self._matches(words, reference)
        if not matches:
            return 0.0
        precision, recall = len(matches) / len(words), len(matches) / len(reference)
        mean = precision * recall / (self.alpha * precision + (1 - self.alpha) * recall)
        return (1 - self.gamma * (_runs(matches) / len(matches)) ** self.beta) * mean

    def _matches(self, words: Sequence[str], reference: Sequence[str]) -> list[Match]:
        """Match words with those of the reference in three stages, each with what the one before has left."""
        found, rows, columns = _equal(words, reference, range(len(words)), range(len(reference)))
        stems, stems_there = {i: _stem(words[i]) for i in rows}, {j: _stem(reference[j]) for j in columns}
        more, rows, columns = _equal(stems, stems_there, rows, columns)
        found += more
        if self.of_word is not None:
            said = (stems, stems_there) if self.synonyms == "stems" else (words, reference)
            found += _synonymous(*said, rows, columns, self.of_word)
        return sorted(found)


def load(
    *,
    tokenize: Tokens,
    alpha: OpenUnitInterval[float],
    beta: NonNegative[float],
    gamma: UnitInterval[float],
    synonyms: Literal["words", "stems", "none"],
    as_released: bool,
) -> Meteor:
    """Find WordNet, unless no synonyms are asked for; where it is missing the log says so and none are matched."""
    of_word = None if synonyms == "none" else wordnet.synonyms()
    return Meteor(
        tokenize=tokenize,
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        synonyms=synonyms,
        as_released=as_released,
        of_word=of_word,
    )


def _equal(
    words: Texts, reference: Texts, rows: Sequence[int], columns: Sequence[int]
) -> tuple[list[Match], list[int], list[int]]:
    """Match equal words at these positions, the last ones first; returns the matches, and the positions left."""
    places = defaultdict(list)
    for column in columns:
        places[reference[column]].append(column)
    found, left = [], []
    for row in reversed(rows):
        if there := places.get(words[row]):
            found.append((row, there.pop()))
        else:
            left.append(row)
    return found, left[::-1], _without(columns, found)


def _synonymous(
    words: Texts, reference: Texts, rows: Sequence[int], columns: Sequence[int], of_word: wordnet.Synonyms
) -> list[Match]:
    """Match each word, from the last one on, with the last word of the reference that is a synonym of it."""
    found, left = [], list(reversed(columns))
    there = {reference[column] for column in left}
    for row in reversed(rows):
        word = words[row]
        same = of_word(word)
        if word not in there and there.isdisjoint(same):
            continue
        column = next(column for column in left if reference[column] == word or reference[column] in same)
        left.remove(column)
        found.append((row, column))
        there = {reference[column] for column in left}
    return found


def _without(columns: Sequence[int], found: Sequence[Match]) -> list[int]:
    taken = {column for _, column in found}
    return [column for column in columns if column not in taken]


def _runs(matches: Sequence[Match]) -> int:
    """Count runs of matches that follow each other in both texts."""
    return 1 + sum(b != (a[0] + 1, a[1] + 1) for a, b in pairwise(matches))


@lru_cache(8192)
def _words(text: str, tokenize: Tokens) -> tuple[str, ...]:
    """Cut a text into words in lower case, as nltk's `word_tokenize` does but for where its sentences end."""
    if tokenize == "whitespace":
        return tuple(text.lower().split())
    return tuple(word for sentence in SENTENCE.split(text) for word in treebank(sentence))


def treebank(sentence: str) -> list[str]:
    """Cut a sentence as nltk's NLTKWordTokenizer does, in lower case, each of its parts between spaces only once.

    Its rules look no further than a part and the space around it, but for one: a period ends a sentence also if only
    quotes and brackets follow. Such sentences, and those with other white space than spaces, are left to it whole.
    """
    parts = sentence.split()
    if not parts or not parts[-1].strip(CLOSING) or OTHER_SPACE.search(sentence):
        return [word.lower() for word in TREEBANK.tokenize(sentence)]
    first, last = -1 if sentence[0] == " " else 0, len(parts) - 1
    return [word for i, part in enumerate(parts) for word in _of_part(part, i == first, i == last)]


@lru_cache(65_536)
def _of_part(part: str, first: bool, last: bool) -> tuple[str, ...]:
    """Cut what stands between spaces; with a word before and behind it, unless it is the first or the last."""
    stem, end = (part, "") if part[-1].isalpha() else (part[:-1], part[-1])
    if stem.isalpha() and (word := stem.lower()) not in TWO_WORDS and end in SIMPLE:  # most parts, and all rules
        return (word, end) if end and (end != "." or last) else (word + end,)
    words = TREEBANK.tokenize(f"{'' if first else 'x '}{part}{'' if last else ' x'}")
    return tuple(word.lower() for word in words[0 if first else 1 : None if last else -1])


@lru_cache(65_536)
def _stem(word: str) -> str:
    return STEMMER.stem(word)
