"""A Python function or class of the user's own, from a module or a file, as a reward."""

import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from rftlab.errors import UserError
from rftlab.stop import StopRequested

KEY = "reward.function"
CHANGE = f"{KEY} or reward._target_"  # both name it
FORMS = "my_module.fn or path/to/my_reward.py:fn"
LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
OURS = str(Path(__file__).parents[1])


@dataclass(frozen=True, kw_only=True)
class Function:
    """Score with a callable of prompts, responses and targets that gives a number per response, in an array or a list.

    Its `score_range`, if it has one, is checked on every score, as are their number and NaN.
    """

    call: Callable[..., Any]
    name: str  # as the config says it

    @property
    def score_range(self) -> tuple[float, float]:
        """Interval of the scores."""
        return getattr(getattr(self.call, "func", self.call), "score_range", (-inf, inf))

    def __call__(self, prompts: Sequence[str], responses: Sequence[str], targets: Sequence[tuple[str, ...]]) -> Any:
        """Score every response.

        Raises:
            UserError: The callable raised an error.
        """
        try:
            scores = self.call(prompts, responses, targets)
        except (UserError, StopRequested):
            raise
        except (Exception, SystemExit) as error:  # code of the user's own may raise anything, and end the process
            expected = "a number per response"
            raise _refused(error, self.name, expected, "the function, or reward.arguments") from error
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
        raise UserError(said, FORMS, CHANGE) from error
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # what stands in the file may raise anything
        raise _refused(error, function, "a file that can be imported", f"the file, or {CHANGE}") from error
    if not callable(found):
        raise UserError(f"{KEY}={function}, a {type(found).__name__}", "a function or a class", CHANGE)
    if not isinstance(found, type):
        return Function(call=partial(found, **arguments), name=function)
    try:
        return Function(call=found(**arguments), name=function)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise _refused(error, function, "what the class takes", "reward.arguments, or the class") from error


def _refused(error: Exception | SystemExit, function: str, expected: str, change: str) -> UserError:
    """Word what code of the user's own raised, with its file and line."""
    said = " ".join(str(error).split())
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return UserError(f"{KEY}={function} raised {what}{_line_of(error)}", expected, change)


def _line_of(error: Exception | SystemExit) -> str:
    """Name the last line of the user's own that an error has come through, or that cannot be read as Python."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {_short(error.filename)}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    return f" at {_short(frames[-1].filename)}, line {frames[-1].lineno}" if frames else ""


def _short(file: str) -> Path:
    path = Path(file)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _is_own(file: str) -> bool:
    return not file.startswith((*LIBRARIES, OURS, "<"))


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
