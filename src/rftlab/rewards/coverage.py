"""The share of the asked-for words that a response has: concept coverage, as for CommonGen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float

from rftlab.errors import UserError
from rftlab.rewards.rouge_score import words_of


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Score the share of the words of a prompt behind `after` whose stem stands in the response, in [0, 1].

    It is the coverage of Lin et al. 2020 (CommonGen) with Porter stems in the place of spaCy's lemmas; each word counts
    once. With `score=all` a response scores 1 if it has every word, else 0. References are not used.
    """

    after: str
    score: Literal["share", "all"]

    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]
    ) -> Float[np.ndarray, " n"]:
        """Score every response.

        Raises:
            UserError: A prompt does not have `after`, or has no word behind it.
        """
        asked = {prompt: self._asked(prompt) for prompt in dict.fromkeys(prompts)}
        rows = zip(prompts, responses, strict=True)
        shares = np.array([_share(asked[prompt], response) for prompt, response in rows], dtype=np.float64)
        return shares if self.score == "share" else (shares == 1.0).astype(np.float64)

    def _asked(self, prompt: str) -> frozenset[str]:
        _, found, words = prompt.rpartition(self.after)
        if not found or not (stems := _stems(words)):
            raise UserError(f"the prompt {prompt[:60]!r}", f"words behind {self.after!r} in it", "reward.after or data")
        return stems


def _share(asked: frozenset[str], response: str) -> float:
    return len(asked & _stems(response)) / len(asked)


def _stems(text: str) -> frozenset[str]:
    return frozenset(words_of(text, "unicode", True))
