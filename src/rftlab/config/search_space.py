"""The space of a search, from overrides in Hydra's own syntax: `interval`, `range`, `choice`, `tag(log, ...)`."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, ValueType
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from rftlab.config.options import groups
from rftlab.errors import UserError
from rftlab.runs.identity import flatten
from rftlab.sweeps.job import Job
from rftlab.sweeps.search.space import Dimension, Space

MOST_VALUES = 1_000  # of a choice or a range


def space_of(overrides: Sequence[Override], compose: Callable[[Sequence[str]], Job]) -> Space:
    """Read what varies, what is fixed, and the seeds of every trial.

    `compose` makes a job from overrides: a key takes numbers if the config makes one of them.

    Raises:
        UserError: Nothing varies, a list of values as of a grid, or an interval on what is no number.
    """
    seeds, fixed, varied = (0,), [], []
    for override in overrides:
        if override.get_key_element() == "seed":
            seeds = _seeds(override)
        elif (alone := _alone(override)) is not None:
            fixed.append(alone)
        else:
            varied.append(override)
    if not varied:
        expected = "a key with several: 'optimizer.lr=tag(log,interval(1e-5,1e-3))', range(...) or choice(...)"
        raise UserError("a search in which no key may have another value", expected, "the command line")
    first = [*fixed, *(f"{each.get_key_element()}={_first(each)}" for each in varied), f"seed={seeds[0]}"]
    dimensions = [_dimension(each, lambda: compose(first)) for each in varied]
    return Space(dimensions=dimensions, fixed=tuple(fixed), seeds=seeds)


def _seeds(override: Override) -> tuple[int, ...]:
    found: list[Any] = []
    if override.is_discrete_sweep():
        found = [*override.sweep_iterator()]
    elif not override.is_sweep_override():
        found = [override.value()]
    if not found or not all(type(seed) is int for seed in found):
        expected = "the seeds of every trial: seed=0, seed=0,1,2 or seed=range(0,3)"
        raise UserError(f"{override.input_line}, which is no list of whole numbers", expected, "seed")
    return tuple(dict.fromkeys(found))


def _alone(override: Override) -> str | None:
    """Return an override without alternatives as it is set in every run, None where there are some."""
    if not override.is_sweep_override():
        return override.input_line
    if override.value_type == ValueType.SIMPLE_CHOICE_SWEEP:
        key, _, values = str(override.input_line).partition("=")
        expected = f"{key}=choice({values}), of which the search chooses, or one value; all of them are a grid's"
        raise UserError(f"{override.input_line}, a grid in a search", expected, f"{key} or hydra/sweeper")
    if override.is_choice_sweep() and len(words := _listed(override)) == 1:
        return f"{override.get_key_element()}={words[0]}"
    return None


def _listed(override: Override) -> list[str]:
    """Return the words of all values of a choice or a range, in order.

    Raises:
        UserError: There is none, or there are too many.
    """
    key, words = override.get_key_element(), []
    try:
        for word in override.sweep_string_iterator():
            words.append(word)
            if len(words) > MOST_VALUES:
                raise UserError(
                    f"{override.input_line}, of more than {MOST_VALUES} values", f"{key}=interval(...)", key
                )
    except ValueError:  # of a step of 0
        raise UserError(f"{override.input_line}, which never ends", "a step above 0", key) from None
    if not words:
        raise UserError(f"{override.input_line}, which has no value", "one at least", key)
    return list(dict.fromkeys(words))


def _first(override: Override) -> str:
    sweep = override.value()
    return str(sweep.start) if isinstance(sweep, IntervalSweep) else _listed(override)[0]


def _dimension(override: Override, composed: Callable[[], Job]) -> Dimension:
    key = override.get_key_element()
    given = override.get_value_string()
    sweep: Any = override.value()
    if key.lstrip("+~") in groups() and not override.is_choice_sweep():
        raise UserError(f"{override.input_line}, numbers for a group", f"{key}=choice(NAME,NAME)", key)
    if override.is_choice_sweep():
        words = tuple(_listed(override))
        _refuse_tags(override, ())
        return Dimension(key=key, given=given, distribution=CategoricalDistribution(words), listed=words)
    if isinstance(sweep, RangeSweep):
        _refuse_tags(override, ())
        _number(override, composed())
        words = tuple(sorted(_listed(override), key=float))
        return Dimension(key=key, given=given, distribution=_steps(words), listed=words)
    assert isinstance(sweep, IntervalSweep)
    _refuse_tags(override, ("log",))
    return Dimension(key=key, given=given, distribution=_interval(override, sweep, _number(override, composed())))


def _steps(words: Sequence[str]) -> IntDistribution | FloatDistribution | CategoricalDistribution:
    if len(words) == 1:
        return CategoricalDistribution(words)
    try:
        low, second, high = (int(word) for word in (words[0], words[1], words[-1]))
        return IntDistribution(low, high, step=second - low)
    except ValueError:
        step = Decimal(words[1]) - Decimal(words[0])  # of floats it would be 0.10000000000000002
        high = Decimal(words[0]) + step * (len(words) - 1)
        return FloatDistribution(float(words[0]), float(high), step=float(step))


def _interval(override: Override, sweep: IntervalSweep, whole: bool) -> IntDistribution | FloatDistribution:
    key, log = override.get_key_element(), "log" in sweep.tags
    assert sweep.start is not None and sweep.end is not None
    low, high = float(sweep.start), float(sweep.end)
    if not low < high:
        raise UserError(override.input_line or key, "an interval whose first end is below its second", key)
    if log and low <= 0:
        raise UserError(f"{override.input_line}, logarithmic from {low:g}", "an interval above 0", key)
    if not whole:
        return FloatDistribution(low, high, log=log)
    if not (low.is_integer() and high.is_integer()):
        raise UserError(f"{override.input_line}, though {key} is a whole number", "whole numbers as ends", key)
    return IntDistribution(int(low), int(high), log=log)


def _number(override: Override, job: Job) -> bool:
    """Say whether the key holds whole numbers; refuse what holds none at all."""
    key = override.get_key_element()
    flat: Mapping[str, Any] = flatten(job.config)
    value = flat.get(key.lstrip("+"))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        found = f"{override.input_line}, though {key} is no number"
        raise UserError(found, f"a key that is one, or {key}=choice(...)", key)
    return isinstance(value, int)


def _refuse_tags(override: Override, known: Sequence[str]) -> None:
    sweep: Any = override.value()
    unknown = sorted(getattr(sweep, "tags", set()) - set(known))
    if unknown:
        expected = "log, for an interval whose orders of magnitude are equally likely" if known else "no tag"
        raise UserError(f"{override.input_line}: tag {', '.join(unknown)}", expected, override.get_key_element())
