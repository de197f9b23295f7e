"""Calls by address: what parallel kernels are made of."""

from typing import NamedTuple

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_array_equal

from fastem.kernels.compilation import address_of, call_at


class Pair(NamedTuple):
    first: np.ndarray
    second: float


@njit
def fill(pair, begin, end):
    if end > pair.first.size:
        raise ValueError
    for i in range(begin, end):
        pair.first[i] = pair.second


@njit
def fill_at(address, pair, begin, end):
    return call_at(address, (pair, begin, end))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_function_at_the_address_is_called_with_the_arguments(dtype):
    pair = Pair(np.zeros(4, dtype), 2.0)
    assert fill_at(address_of(fill, (pair, 0, 0)), pair, 1, 3) == 0
    assert_array_equal(pair.first, [0, 2, 2, 0])


def test_an_exception_is_reported():
    pair = Pair(np.zeros(4), 2.0)
    assert fill_at(address_of(fill, (pair, 0, 0)), pair, 0, 5) == 1
    assert_array_equal(pair.first, 0)


def test_types_have_their_own_addresses():
    one, other = Pair(np.zeros(4), 2.0), Pair(np.zeros(4, np.float32), 2.0)
    strided, whole = Pair(np.zeros(8)[::2], 2.0), Pair(np.zeros(4), 2)
    addresses = [address_of(fill, (pair, 0, 1)) for pair in (one, other, strided, whole)]
    assert len(set(addresses)) == len(addresses)
    assert address_of(fill, (Pair(np.ones(9), -1.0), 5, 7)) == addresses[0]
