"""Ranges of numbers and texts, as annotations on the fields that a config fills; composition checks them.

A class or function that a `_target_` names says what it takes, and nothing else repeats it:

    clip_range: Positive[float]
    value_clip_range: Positive[float] | None
    whiten_advantages: Literal["rollout", "minibatch", "none"]
    depths: Sequence[Positive[int]]
    hub_mirror: Given[Path | None]

Python itself ignores them. Importing this module costs no torch.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Rule:
    """What a value must satisfy, and the words for a refusal."""

    expected: str
    holds: Callable[[Any], bool]
    of_null: bool = False  # whether null must satisfy it too: where types say nothing of null


@dataclass(frozen=True)
class ByBuilder:
    """Marks an argument that no config holds."""


Positive = Annotated[T, Rule("a number above 0", lambda x: x > 0)]
NonNegative = Annotated[T, Rule("0 or more", lambda x: x >= 0)]
Fraction = Annotated[T, Rule("a fraction in (0, 1]", lambda x: 0 < x <= 1)]
UnitInterval = Annotated[T, Rule("a number in [0, 1]", lambda x: 0 <= x <= 1)]
BelowHalf = Annotated[T, Rule("a number in [0, 0.5)", lambda x: 0 <= x < 0.5)]
BelowOne = Annotated[T, Rule("a number in [0, 1)", lambda x: 0 <= x < 1)]
OpenUnitInterval = Annotated[T, Rule("a number in (0, 1)", lambda x: 0 < x < 1)]
AtLeastTwo = Annotated[T, Rule("2 or more", lambda x: x >= 2)]
Blocks = Annotated[int | None, Rule("1 to the number of blocks, or null for all", lambda x: x > 0)]
Samples = Annotated[int, Rule("2 or more, for a standard deviation or error", lambda x: x >= 2)]
PointsOfSlope = Annotated[int, Rule("3 or more, for the interval of a slope", lambda x: x >= 3)]
Device = Annotated[
    str, Rule("auto, cpu, cuda or cuda:N", lambda x: re.fullmatch(r"auto|cpu|cuda(:\d+)?", x) is not None)
]
RunKey = Annotated[
    str,
    Rule(
        "a run key, the 12 hex digits at the end of a run folder's name",
        lambda x: bool(re.fullmatch(r"[0-9a-f]{12}", x)),
    ),
]
Built = Annotated[
    Any,
    Rule(
        "what is built here: keys and values with a _target_",
        lambda x: isinstance(x, Mapping) and "_target_" in x,
        of_null=True,
    ),
]
NoDropout = Annotated[float, Rule("0: rollout, scoring and update must see one and the same network", lambda x: x == 0)]
Given = Annotated[T, ByBuilder()]
