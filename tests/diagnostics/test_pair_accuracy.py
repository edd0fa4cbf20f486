"""Accuracy on pairs, and its interval."""

import math

import numpy as np
import pytest

from rftlab.diagnostics.pairs import pair_accuracy
from rftlab.intervals import wilson


def test_the_interval_of_a_share_is_the_published_one():
    assert wilson(0.5, 10.0) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(1.0, 10.0) == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_ties_count_half():
    assert pair_accuracy(np.array([1.0, 0.0, -2.0, 3.0]), "abcd").value == 0.625


def test_pairs_of_one_prompt_say_no_more_than_one_pair():
    margins = np.array([1.0, -1.0, 1.0, 1.0])
    alone, doubled = pair_accuracy(margins, "abcd"), pair_accuracy(margins.repeat(3), list("aaabbbcccddd"))
    assert (doubled.value, doubled.low, doubled.high) == pytest.approx((alone.value, alone.low, alone.high))
    apart = pair_accuracy(margins.repeat(3), "abcdefghijkl")
    assert apart.high - apart.low < doubled.high - doubled.low


def test_without_pairs_nothing_is_known():
    nothing = pair_accuracy(np.array([]), [])
    assert math.isnan(nothing.value) and math.isnan(nothing.low)
