"""The median network on every pattern that can tell it wrong."""

import itertools

import numpy as np

from lib.flow.median import SORT_5, median_of_columns, sort_network


def test_five_are_sorted():
    for pattern in itertools.product((0, 1), repeat=5):  # a network that sorts zeros and ones sorts everything
        assert sort_network(pattern, SORT_5, min, max) == sorted(pattern)


def test_median_of_all_sorted_columns_of_zeros_and_ones():
    columns = [[0] * zeros + [1] * (5 - zeros) for zeros in range(6)]
    for window in itertools.product(columns, repeat=5):
        assert median_of_columns(window, min, max) == (sum(map(sum, window)) >= 13)


def test_median_of_numbers():
    for window in np.random.default_rng(0).normal(size=(200, 5, 5)):
        assert median_of_columns(np.sort(window, axis=1), min, max) == np.median(window)
