"""ROUGE-1, -2, -L and -Lsum as rouge-score computes them, but for the letters of other languages and for newlines."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
import regex
from jaxtyping import Float
from rapidfuzz.distance import LCSseq

from rftlab.rewards.porter import PorterStemmer
from rftlab.rewards.references import with_references

Letters = Literal["unicode", "ascii"]
Words = tuple[str, ...]
ASCII_WORD = regex.compile(r"[a-z0-9]+")
LATIN = "cp1252"  # one byte per sign: ASCII, the letters of Western Europe, printers' quotes and dashes
SIGNS = bytes(range(256)).decode(LATIN, "replace")
PLAIN = "".join(sign.lower() if sign.isalnum() else " " for sign in SIGNS).encode(LATIN)
NO_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}"  # scripts without spaces: each letter is a word, as in sacreBLEU's `zh`
WORD = regex.compile(rf"[{NO_SPACES}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[{NO_SPACES}]]+", regex.V1)
STEMMER = PorterStemmer()
SHORTEST_STEMMED = 4  # letters
MOST_STEMS = 131_072  # that are kept
CUT = (  # endings of which some rule of nltk's stemmer, or its list of irregular forms, cuts one
    "s", "ed", "ing", "y", "i", "al", "er", "ic", "ant", "ent", "ion", "ou", "ism", "ful", "ator", "e", "ll",
)  # fmt: skip


class _Stems(dict[str, str]):
    """The stem of each word that was asked for; nltk, which takes longer than a text, is asked where it may cut."""

    def __missing__(self, word: str) -> str:
        if len(self) >= MOST_STEMS:
            self.clear()
        self[word] = stem = STEMMER.stem(word) if len(word) >= SHORTEST_STEMMED and word.endswith(CUT) else word
        return stem


STEMS = _Stems()


@dataclass(frozen=True, kw_only=True)
class Rouge:
    """Score a response by its best ROUGE F1 over the references, in [0, 1]; an empty response scores 0.

    Equal to rouge-score 0.1.2 with `letters=ascii` and `lines=all`. There a letter outside ASCII ends a word (`Häuser`
    is `h`, `user`) and other scripts have no word at all; here words are of the letters of every script. And there a
    response gains by newlines: a newline after each word makes ROUGE-Lsum a bag of words, 1 for a reversed text; here
    lines of a response beyond the number of lines of the reference count as one with the last.
    """

    variant: Literal["rouge1", "rouge2", "rougeL", "rougeLsum"]
    stem: bool
    letters: Letters
    lines: Literal["reference", "all"]

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response.

        Raises:
            UserError: A row has no reference.
        """
        rows = with_references(prompts, responses, targets)
        score = self._best_of_lines if self.variant == "rougeLsum" else self._best
        return np.array([score(response, references) for response, references in rows], dtype=np.float64)

    def _best(self, response: str, references: tuple[str, ...]) -> float:
        words = words_of(response, self.letters, self.stem)
        best = 0.0
        for reference in references:
            gold = words_of(reference, self.letters, self.stem)
            if self.variant == "rougeL":
                best = max(best, _f(LCSseq.similarity(words, gold), len(words), len(gold)))
            else:
                best = max(best, _f_of_ngrams(words, gold, 2 if self.variant == "rouge2" else 1))
        return best

    def _best_of_lines(self, response: str, references: tuple[str, ...]) -> float:
        best = 0.0
        for reference in references:
            gold = self._lines(reference)
            most = len(gold) if self.lines == "reference" else None
            best = max(best, _f_of_lines(self._lines(response, most), gold))
        return best

    def _lines(self, text: str, most: int | None = None) -> list[Words]:
        lines = [line for line in text.split("\n") if line]
        if most is not None and len(lines) > most:
            lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
        return [words_of(line, self.letters, self.stem) for line in lines]


@lru_cache(16_384)
def words_of(text: str, letters: Letters, stem: bool) -> Words:
    """Cut a text into words in lower case, without punctuation; of more than three letters their Porter stems."""
    words = _latin_words(text) if letters == "unicode" or text.isascii() else ASCII_WORD.findall(text.lower())
    if words is None:
        words = WORD.findall(unicodedata.normalize("NFC", text.lower()))
    return tuple(map(STEMS.__getitem__, words) if stem else words)


def _latin_words(text: str) -> list[str] | None:
    """Cut a text of Latin signs into words, with one look at a table per sign; None for other texts."""
    code = "utf-8" if text.isascii() else LATIN  # the same bytes for ASCII, in half the time
    try:
        return text.encode(code).translate(PLAIN).decode(code).split()
    except UnicodeEncodeError:
        return None


def _f(common: int, n: int, m: int) -> float:
    """F1 of what is common to n and m words; 0 where nothing is."""
    return 2 * common / (n + m) if common else 0.0


def _f_of_ngrams(words: Words, reference: Words, n: int) -> float:
    ours, theirs = (Counter(zip(*(text[i:] for i in range(n)), strict=False)) for text in (words, reference))
    return _f((ours & theirs).total(), ours.total(), theirs.total())


def _f_of_lines(lines: Sequence[Words], reference: Sequence[Words]) -> float:
    """F1 of the union over lines of the longest common subsequences with each line of the reference (Lin 2004).

    A word counts at most as often as it stands in either text.
    """
    left_here, left_there = (Counter(word for line in text for word in line) for text in (lines, reference))
    n, m = left_here.total(), left_there.total()
    common = 0
    for gold in reference:
        union = set().union(*(_positions(gold, line) for line in lines))
        for word in (gold[i] for i in sorted(union)):
            if left_here[word] > 0 and left_there[word] > 0:
                common += 1
                left_here[word] -= 1
                left_there[word] -= 1
    return _f(common, n, m)


def _positions(reference: Words, words: Words) -> list[int]:
    """Return the positions in the reference of one longest common subsequence: the one that rouge-score finds."""
    longest = [[0] * (len(words) + 1)]
    for gold in reference:
        above, row = longest[-1], [0]
        for j, word in enumerate(words):
            row.append(above[j] + 1 if word == gold else max(above[j + 1], row[j]))
        longest.append(row)
    found, i, j = [], len(reference), len(words)
    while i and j:
        if reference[i - 1] == words[j - 1]:
            i, j = i - 1, j - 1
            found.append(i)
        elif longest[i][j - 1] > longest[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return found
