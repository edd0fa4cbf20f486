"""Reading a tokenizer as its own file defines it.

`AutoTokenizer` of transformers 5 builds many tokenizers anew: it takes the vocabulary and the merges of
`tokenizer.json`, and the rules by which a text is split, the normaliser and the decoder from the class that
`tokenizer_config.json` or the type of the model names. Where the file has other rules (digits one by one, as in
SmolLM2), texts are then cut otherwise than in pretraining, without a word, and tokens of the class may be added.
"""

from collections.abc import Callable
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import cached_file

from rftlab.models.text import Tokenizer

FILE = "tokenizer.json"


class AsFiled:
    """Loads a tokenizer with the rules of its file; one that has no such file as `AutoTokenizer` does."""

    @staticmethod
    def from_pretrained(where: Path | str, *, local_files_only: bool, revision: str = "main") -> Tokenizer:
        """Read a folder, or what the hub has under an id at a revision.

        Special tokens are those that the folder names. If it names no EOS, as GPT-2's does not, that of the class
        counts, provided that the file has it.

        Raises:
            OSError, ValueError: There is none, or it cannot be read.
        """

        def read(loader: Callable) -> Tokenizer:
            return loader(where, local_files_only=local_files_only, revision=revision)

        quiet = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
        file = cached_file(where, FILE, local_files_only=local_files_only, revision=revision, **quiet)
        if file is None:
            return read(AutoTokenizer.from_pretrained)
        words = read(PreTrainedTokenizerFast.from_pretrained)
        if words.eos_token is None:
            eos = read(AutoTokenizer.from_pretrained).eos_token
            if eos is not None and eos in words.get_vocab():
                words.eos_token = eos
        return words
