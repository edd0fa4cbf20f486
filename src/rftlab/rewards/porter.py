"""nltk's Porter stemmer, without the rest of nltk: its packages import scipy and scikit-learn, for half a second."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nltk.stem.porter import PorterStemmer
else:
    from rftlab.light import import_alone

    PorterStemmer = import_alone("nltk.stem.porter").PorterStemmer

__all__ = ["PorterStemmer"]
