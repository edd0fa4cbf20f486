"""WordNet's synonyms of a word, where the files lie that nltk reads; `make wordnet` gets them.

Its files are read here, as nltk's reader makes an object of every word of every synset, which takes longer than all the
rest of METEOR. The forms of a word are found as nltk does (Morphy's rules applied once, and the lists of exceptions).
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

PLACE = "corpora/wordnet"  # below one of nltk's folders: NLTK_DATA, or nltk_data in the environment of Python
KEPT = 65_536  # words whose synonyms are remembered
ENDINGS = {  # part of speech -> endings and what takes their place (Morphy, of Princeton's WordNet)
    "noun": (
        ("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"),
        ("men", "man"), ("ies", "y"),
    ),
    "verb": (
        ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", ""),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}  # fmt: skip
Synonyms = Callable[[str], frozenset[str]]
log = logging.getLogger("rftlab")


@dataclass(frozen=True, kw_only=True)
class PartOfSpeech:
    """The files of nouns, verbs, adjectives or adverbs."""

    index: Mapping[str, bytes]  # lemma -> the rest of its line: counts, signs, and offsets of its synsets
    data: bytes  # a line per synset
    exceptions: Mapping[str, list[str]]  # irregular form -> lemmas
    endings: tuple[tuple[str, str], ...]

    def names(self, word: str) -> set[str]:
        """Return the words of all synsets of a word, in any of its forms; those of several words are left out."""
        return {name for form in self._forms(word) for offset in self._offsets(form) for name in self._words(offset)}

    def _forms(self, word: str) -> set[str]:
        regular = [word[: -len(old)] + new for old, new in self.endings if word.endswith(old)]
        return {word, *self.exceptions.get(word, regular)}

    def _offsets(self, lemma: str) -> list[int]:
        fields = self.index.get(lemma, b"").split()
        return list(map(int, fields[-int(fields[1]) :])) if fields else []

    def _words(self, offset: int) -> list[str]:
        """Read the line of a synset: offset, file, type, number of words in base 16, words, each with a number."""
        fields = self.data[offset : self.data.index(b"|", offset)].decode().split()  # the gloss is behind the bar
        words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
        return [word.partition("(")[0] for word in words if "_" not in word]  # `(a)`, where an adjective stands


def synonyms() -> Synonyms | None:
    """Return a function from a word to the one-word members of its synsets; None without WordNet, as the log says."""
    if (folder := found()) is None:
        log.warning(
            "METEOR found no WordNet (%s in NLTK_DATA or in the environment): words match if they or their stems are "
            "equal, synonyms do not; `make wordnet` gets it",
            PLACE,
        )
        return None
    log.info("METEOR has the synonyms of %s, from %s", name_of(folder), folder)
    return read(folder)


def found() -> Path | None:
    """Return the folder of WordNet; None where nltk finds none."""
    import nltk  # half a second, for METEOR with synonyms alone

    try:
        return Path(str(nltk.data.find(PLACE)))
    except LookupError:
        return None


def source() -> str:
    """Name the synonyms that METEOR has on this machine: those of a WordNet, by its content, or `none`."""
    return "none" if (folder := found()) is None else name_of(folder)


@cache
def name_of(folder: Path) -> str:
    """Name a WordNet by 12 hexadecimal digits of what `read` reads of it."""
    content = hashlib.sha256()
    for name in ENDINGS:
        for file in (f"index.{name}", f"data.{name}", f"{name}.exc"):
            content.update((folder / file).read_bytes())
    return f"wordnet-{content.hexdigest()[:12]}"


def read(folder: Path) -> Synonyms:
    """Read the files of a folder."""
    parts = [_part(folder, name) for name in ENDINGS]

    @lru_cache(KEPT)
    def found(word: str) -> frozenset[str]:
        word = word.lower()
        return frozenset().union(*(part.names(word) for part in parts))

    return found


def _part(folder: Path, name: str) -> PartOfSpeech:
    lines = (line.partition(b" ") for line in (folder / f"index.{name}").read_bytes().splitlines())
    exceptions = (line.split() for line in (folder / f"{name}.exc").read_text("utf-8").splitlines())
    return PartOfSpeech(
        index={lemma.decode(): rest for lemma, _, rest in lines if lemma},  # the licence is indented
        data=(folder / f"data.{name}").read_bytes(),
        exceptions={words[0]: words[1:] for words in exceptions if words},
        endings=ENDINGS[name],
    )
