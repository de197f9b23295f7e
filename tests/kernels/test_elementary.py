"""The vectorised exponential and logarithm against NumPy's, in units of the last place."""

import numba
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastem.kernels.vectors import elementary
from fastem.kernels.vectors.simd import WIDTH, vectorised


@vectorised
def exp_of_eight(v, source, target):
    v.store(elementary.exp(v, v.load(source)), target)


@vectorised
def log_of_eight(v, source, target):
    v.store(elementary.log(v, v.load(source)), target)


@numba.njit
def exp(values, result):
    for first in range(0, values.size, WIDTH):
        exp_of_eight(values[first:], result[first:])


@numba.njit
def log(values, result):
    for first in range(0, values.size, WIDTH):
        log_of_eight(values[first:], result[first:])


def evaluate(function, values):
    """`function` of any number of values, in any lane."""
    values = np.asarray(values, dtype=np.float64)
    padded = np.resize(values, -(-values.size // WIDTH) * WIDTH)
    result = np.empty_like(padded)
    function(padded, result)
    return result[: values.size]


def ulps(found, exact):
    """Distance from a longdouble reference in units in the last place of float64."""
    exact = np.asarray(exact)
    return np.abs((found - exact) / np.spacing(np.abs(exact).astype(np.float64)))


EXPONENTS = {
    "whole range": np.linspace(-340.0, 700.0, 100_001)[1:],
    "near zero": np.linspace(-1.0, 1.0, 100_001),
    "tiny": np.concatenate([s * np.geomspace(1e-320, 1e-3, 1_000) for s in (-1, 1)]),
    "where 2^n changes": np.nextafter((np.arange(-490, 1_000) + 0.5) * np.log(2), np.inf),
}


@pytest.mark.parametrize("values", EXPONENTS.values(), ids=EXPONENTS)
def test_exp(values):
    assert ulps(evaluate(exp, values), np.exp(values.astype(np.longdouble))).max() < 1.0


def test_exp_is_exactly_zero_below_its_floor():
    below = [-np.inf, -1.7e308, -1e300, -745.0, np.nextafter(-340.0, -np.inf), -340.0]
    assert_array_equal(evaluate(exp, below), 0.0)


def test_exp_of_zero_is_one():
    assert_array_equal(evaluate(exp, [0.0, -0.0]), 1.0)


ARGUMENTS = {
    "sums of responsibilities": np.linspace(1.0, 1_000.0, 100_001),
    "near one": 1.0 + np.linspace(-1e-3, 1e-3, 100_001),
    "whole range": np.geomspace(1e-307, 1e308, 100_001),
    "around sqrt(2)": np.linspace(1.41, 1.42, 10_001),
    "ends of the range": np.array([np.finfo(float).tiny, np.finfo(float).max]),
}


@pytest.mark.parametrize("values", ARGUMENTS.values(), ids=ARGUMENTS)
def test_log(values):
    exact = np.log(values.astype(np.longdouble))
    nonzero = exact != 0
    found = evaluate(log, values)
    assert ulps(found[nonzero], exact[nonzero]).max() < 1.0
    assert_array_equal(found[~nonzero], 0.0)
