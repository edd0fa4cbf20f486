"""Draws are functions of seed and position."""

import pytest

from rftlab.loops.draw import draw, prefix
from rftlab.streams import stream, stream_seed
from rftlab.types import Example

EXAMPLES = [Example(id=str(i), prompt="", targets=("a",)) for i in range(10)]


def test_each_pass_sees_every_example_once() -> None:
    drawn = [pair for number in range(5) for pair in draw(EXAMPLES, 4, seed=3, position=4 * number)]
    for epoch in (0, 1):
        assert sorted(e.id for e, p in drawn if p == epoch) == sorted(e.id for e in EXAMPLES)


def test_passes_and_seeds_differ_in_order() -> None:
    orders = {
        tuple(e.id for e, _ in draw(EXAMPLES, 10, seed=seed, position=start)) for seed in (0, 1) for start in (0, 10)
    }
    assert len(orders) == 4


def test_a_draw_does_not_depend_on_earlier_draws() -> None:
    alone = draw(EXAMPLES, 3, seed=0, position=21)
    for number in range(8):
        after_others = draw(EXAMPLES, 3, seed=0, position=3 * number)
    assert alone == after_others


@pytest.mark.parametrize(("fraction", "count"), [(0.01, 1), (0.25, 2), (0.99, 9), (1.0, 10)])
def test_a_share_of_samples_is_a_prefix_of_every_larger_share(fraction: float, count: int) -> None:
    kept = [e.id for e in prefix(EXAMPLES, fraction, seed=0)]
    assert len(kept) == count
    if fraction < 1.0:
        assert kept == [e.id for e in prefix(EXAMPLES, 0.999, seed=0)][:count]


def test_streams_of_different_purposes_are_unrelated() -> None:
    seeds = {stream_seed(0), stream_seed(1), stream_seed(0, "a"), stream_seed(0, "a", 1), stream_seed(0, "a/1", "")}
    assert len(seeds) == 5
    assert stream(0, "a").initial_seed() == stream(0, "a").initial_seed()
