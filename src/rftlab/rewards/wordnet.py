"""WordNet's synonyms of a word, where the files lie that nltk reads; `make wordnet` gets them."""

import logging
import warnings
from collections.abc import Callable
from functools import lru_cache

import nltk
from nltk.corpus.reader.wordnet import WordNetCorpusReader

PLACE = "corpora/wordnet"  # below one of nltk's folders: NLTK_DATA, or nltk_data in the environment of Python
KEPT = 65_536  # words whose synonyms are remembered
Synonyms = Callable[[str], frozenset[str]]
log = logging.getLogger("rftlab")


def synonyms() -> Synonyms | None:
    """Return a function from a word to the one-word lemmas of its synsets; None, said in the log, without WordNet."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The multilingual functions")  # which are not used
            reader = WordNetCorpusReader(nltk.data.find(PLACE), None)
    except LookupError:
        log.warning(
            "METEOR found no WordNet (%s in NLTK_DATA or in the environment): words match if they or their stems are "
            "equal, synonyms do not; `make wordnet` gets it",
            PLACE,
        )
        return None

    @lru_cache(KEPT)
    def found(word: str) -> frozenset[str]:
        lemmas = (lemma.name() for synset in reader.synsets(word) for lemma in synset.lemmas())
        return frozenset(name for name in lemmas if "_" not in name)

    return found
