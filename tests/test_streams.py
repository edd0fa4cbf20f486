"""Noise of rows: a function of seed, purpose, place and number alone."""

import torch

from rftlab.streams import row_noise


def noise(*purpose: str, places: list[str | int], samples: int = 3, steps: int = 4, seed: int = 0) -> torch.Tensor:
    return row_noise(seed, *purpose, places=places, samples=samples, steps=steps)


def test_a_row_does_not_depend_on_the_others():
    whole = noise("a", places=["x", "y", "z"])
    assert torch.equal(whole[3:6], noise("a", places=["y"]))
    assert torch.equal(whole.view(3, 3, 4)[:, :2], noise("a", places=["x", "y", "z"], samples=2).view(3, 2, 4))
    assert torch.equal(whole, noise("a", places=["x", "y", "z"], steps=9)[:, :4])


def test_rows_differ_in_every_part_of_their_key():
    rows = torch.cat(
        [noise("a", places=["x", "y"]), noise("b", places=["x", "y"]), noise("a", places=["x", "y"], seed=1)]
    )
    assert len({tuple(row) for row in rows.tolist()}) == len(rows) == 18


def test_numbers_are_uniform_and_independent_between_neighbours():
    rows = noise("a", places=list(range(500)), samples=10, steps=20)
    assert rows.dtype == torch.float64 and rows.min() >= 0 and rows.max() < 1
    counts = torch.histc(rows, bins=20, min=0, max=1)  # of 100,000: 5,000 each, with a std of 69
    assert (counts - 5000).abs().max() < 350
    flat = rows - rows.mean()
    for one, other in ((flat[1:], flat[:-1]), (flat[:, 1:], flat[:, :-1])):  # 1 / sqrt(100,000) = 0.003
        assert abs(float((one * other).mean() / rows.var())) < 0.016
