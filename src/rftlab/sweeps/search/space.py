"""What a search chooses from, and the words in which a choice is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

Distribution = CategoricalDistribution | FloatDistribution | IntDistribution
Value = str | int | float


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One key that varies."""

    key: str
    given: str  # as it was asked for: `interval(1e-6,1e-3)`
    distribution: Distribution
    listed: tuple[str, ...] = ()  # the words of all values, in order; empty where any number between two ends may come

    def word(self, value: Value) -> str:
        """Write a value as on the command line; of a listed one the very word, which gives the key of a grid's run."""
        if isinstance(self.distribution, CategoricalDistribution):
            return str(value)
        if self.listed:
            return min(self.listed, key=lambda word: abs(float(word) - float(value)))
        return repr(value)

    @property
    def ends(self) -> tuple[str, ...]:
        """The words that are checked before anything starts: all of a choice, the two ends of numbers."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.listed
        return self.word(self.distribution.low), self.word(self.distribution.high)


@dataclass(frozen=True, kw_only=True)
class Space:
    """What a search may try."""

    dimensions: Sequence[Dimension]
    fixed: tuple[str, ...]  # overrides of every run
    seeds: tuple[int, ...]  # of every trial

    def words(self, params: Mapping[str, Value]) -> dict[str, str]:
        """Write a choice as on the command line, by key."""
        return {each.key: each.word(params[each.key]) for each in self.dimensions}

    def overrides(self, words: Mapping[str, str], seed: int) -> list[str]:
        """Return what asks for one run of a trial."""
        return [*self.fixed, *(f"{key}={word}" for key, word in words.items()), f"seed={seed}"]

    def corners(self) -> list[dict[str, str]]:
        """Return choices in which every end of every dimension comes once, the others at their first one."""
        first = {each.key: each.ends[0] for each in self.dimensions}
        others = [{**first, each.key: word} for each in self.dimensions for word in each.ends[1:]]
        return [first, *others]
