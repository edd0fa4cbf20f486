"""A Python function or class of the user's own, from a module or a file, as a reward."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from rftlab.errors import UserError

KEY = "reward.function"
FORMS = "my_module.fn or path/to/my_reward.py:fn"


@dataclass(frozen=True, kw_only=True)
class Function:
    """Score with a callable of prompts, responses and targets that gives a number per response, in an array or a list.

    Its `score_range`, if it has one, is checked on every score, as are their number and NaN.
    """

    call: Callable[..., Any]

    @property
    def score_range(self) -> tuple[float, float]:
        """Interval of the scores."""
        return getattr(getattr(self.call, "func", self.call), "score_range", (-inf, inf))

    def __call__(self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]) -> Any:
        """Score every response."""
        scores = self.call(prompts, responses, targets)
        return np.array(scores, dtype=np.float64) if _are_numbers(scores) else scores


def load(*, function: str, arguments: Mapping[str, Any]) -> Function:
    """Import a function, or make an object of a class, with the arguments that the config gives by name.

    Args:
        function: The dotted path in a module that Python finds, or FILE.py:NAME. Modules beside a file are found too.
        arguments: Of the function, beside prompts, responses and targets; or of the class.

    Raises:
        UserError: There is no such function, it cannot be imported, or it does not take these arguments.
    """
    place, _, name = function.rpartition(":" if ":" in function else ".")
    try:
        module = _module_of(Path(place)) if place.endswith(".py") else importlib.import_module(place)
        found = getattr(module, name)
    except (ImportError, AttributeError, OSError, ValueError) as error:
        said = " ".join(f"{KEY}={function}, which cannot be imported ({error})".split())
        raise UserError(said, FORMS, KEY) from error
    if not callable(found):
        raise UserError(f"{KEY}={function}, a {type(found).__name__}", "a function or a class", KEY)
    if not isinstance(found, type):
        return Function(call=partial(found, **arguments))
    try:
        return Function(call=found(**arguments))
    except TypeError as error:
        raise UserError(f"{KEY}={function}: {error}", "what the class takes", "reward.arguments") from error


def _module_of(path: Path) -> ModuleType:
    """Run a file as a module of its own; what lies beside it can be imported, as if it were run as a script."""
    path = path.absolute()
    name = f"reward_in_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no Python in {path}")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _are_numbers(scores: Any) -> bool:
    return isinstance(scores, (list, tuple)) and all(isinstance(score, (int, float)) for score in scores)
