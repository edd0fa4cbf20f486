"""The record of one mistake."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One change of one file that some test must notice."""

    file: str  # below src/rftlab
    old: str  # stands in the file exactly once
    new: str
    tests: str  # files or single tests below tests/ that concern it, separated by spaces
    harm: str  # what it would do to a paper
    equivalent: str | None = None  # why nothing can notice it: then it must survive
