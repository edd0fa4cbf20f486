"""The space of a search, from Hydra's own syntax; and what is refused of it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from rftlab.config.search_space import space_of
from rftlab.errors import UserError
from rftlab.sweeps.job import Job
from rftlab.sweeps.search.space import Space

KINDS = {"optimizer.lr": float, "algo.loop.iterations": int, "eval.kl_to_start": bool, "name": str}


def compose(words: Sequence[str]) -> Job:
    """Give each key a value of its type, as a typed config does."""
    config: dict = {"seed": 0}
    for word in words:
        key, _, value = word.partition("=")
        *path, name = key.split(".")
        node = config
        for part in path:
            node = node.setdefault(part, {})
        node[name] = KINDS.get(key, str)(float(value)) if key in KINDS else value
    return Job(config=config, key="0" * 12, folder=Path("out"), parents=())


def space(*words: str, compose: Callable[[Sequence[str]], Job] = compose) -> Space:
    return space_of(OverridesParser.create().parse_overrides(list(words)), compose)


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("optimizer.lr=interval(1e-6,1e-3)", FloatDistribution(1e-6, 1e-3)),
        ("optimizer.lr=tag(log, interval(1e-6, 1e-3))", FloatDistribution(1e-6, 1e-3, log=True)),
        ("optimizer.lr=interval(1,2)", FloatDistribution(1.0, 2.0)),  # whole ends of a key that takes any number
        ("algo.loop.iterations=interval(2,8)", IntDistribution(2, 8)),
        ("algo.loop.iterations=tag(log,interval(2,64))", IntDistribution(2, 64, log=True)),
        ("algo.loop.iterations=range(2,9,3)", IntDistribution(2, 8, step=3)),
        ("optimizer.lr=range(0.1,0.45,0.1)", FloatDistribution(0.1, 0.4, step=0.1)),
        ("algo=choice(ppo,apa)", CategoricalDistribution(("ppo", "apa"))),
        ("optimizer.lr=choice(1e-4,1e-3)", CategoricalDistribution(("0.0001", "0.001"))),
    ],
)
def test_a_key_has_the_values_that_hydras_syntax_says(word: str, distribution: object) -> None:
    (dimension,) = space(word).dimensions
    found = dimension.distribution
    if isinstance(found, FloatDistribution) and found.step is not None:
        assert found.step == pytest.approx(0.1) and (found.low, found.high) == (0.1, 0.4)
    else:
        assert found == distribution
    assert dimension.given == word.partition("=")[2]


def test_a_value_of_a_range_is_written_as_a_grid_writes_it() -> None:
    word = "optimizer.lr=range(0.1,0.45,0.1)"
    (dimension,) = space(word).dimensions
    grid = [*OverridesParser.create().parse_override(word).sweep_string_iterator()]
    assert [dimension.word(value) for value in (0.1, 0.2, 0.3, 0.4)] == grid


def test_a_drawn_number_is_written_with_all_its_digits() -> None:
    (dimension,) = space("optimizer.lr=interval(0,1)").dimensions
    assert float(dimension.word(1 / 3)) == 1 / 3


def test_one_value_is_fixed_and_seeds_are_of_every_trial() -> None:
    found = space("algo=ppo", "eval.n=choice(4)", "seed=3,1,3", "optimizer.lr=interval(0,1)")
    assert found.fixed == ("algo=ppo", "eval.n=4") and found.seeds == (3, 1)
    assert found.overrides({"optimizer.lr": "0.5"}, 1) == ["algo=ppo", "eval.n=4", "optimizer.lr=0.5", "seed=1"]
    assert space("optimizer.lr=interval(0,1)").seeds == (0,)
    assert space("optimizer.lr=interval(0,1)", "seed=range(0,3)").seeds == (0, 1, 2)


def test_every_end_comes_once_among_the_corners() -> None:
    corners = space("optimizer.lr=interval(0,1)", "algo=choice(ppo,apa,awr)").corners()
    assert [tuple(corner.values()) for corner in corners] == [
        ("0.0", "ppo"), ("1.0", "ppo"), ("0.0", "apa"), ("0.0", "awr")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["algo=ppo,apa", "optimizer.lr=interval(0,1)"], r"algo=ppo,apa, a grid in a search; expected algo=choice\("),
        (["algo=ppo"], "no key may have another value"),
        (["name=interval(0,1)"], "name=interval.* though name is no number; .*choice"),
        (["eval.kl_to_start=interval(0,1)"], "though eval.kl_to_start is no number"),
        (["algo=interval(0,1)"], r"numbers for a group; expected algo=choice"),
        (["optimizer.lr=interval(1,0)"], "first end is below its second"),
        (["optimizer.lr=tag(log,interval(0,1))"], "logarithmic from 0; expected an interval above 0"),
        (["optimizer.lr=tag(lgo,interval(0.1,1))"], "tag lgo; expected log"),
        (["algo.loop.iterations=interval(0.5,3)"], "is a whole number"),
        (["optimizer.lr=range(0,1,0)"], "never ends"),
        (["optimizer.lr=range(0,5000)"], "more than 1000 values"),
        (["optimizer.lr=interval(0,1)", "seed=interval(0,3)"], "no list of whole numbers"),
        (["optimizer.lr=interval(0,1)", "seed=a"], "no list of whole numbers"),
    ],
)
def test_what_cannot_be_searched_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        space(*words)
    assert "; expected " in str(error.value) and "; change " in str(error.value)
