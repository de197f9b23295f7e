"""Competitors in turn, the yardstick, and shares of it as asv takes them: the less the better."""

import time
import warnings
from contextlib import contextmanager

import numba
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from benchmarks.data import ROWS_DIVISOR

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # a fixed number of iterations is meant to end early

REST = 0.1  # seconds after which the threads of OpenBLAS and OpenMP have stopped spinning
PRODUCT = 1500  # rows and columns of the matrices of the yardstick


@contextmanager
def threads(count):
    """Numba and BLAS on `count` threads; NotImplementedError, which asv takes for a skip, if there are not so many."""
    if count > numba.config.NUMBA_NUM_THREADS:
        raise NotImplementedError(f"needs {count} cores")
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        numba.set_num_threads(before)


def in_turn(*functions, rounds=3):
    """Seconds, (rounds, functions): one is called after the other in every round, so that noise meets all of them."""
    seconds = np.empty((rounds, len(functions)))
    for of_round in seconds:
        for i, function in enumerate(functions):
            time.sleep(REST)
            begun = time.perf_counter()
            function()
            of_round[i] = time.perf_counter() - begun
    return seconds


def share(ours, theirs, rounds=3, scale=1.0):
    """Our seconds over theirs, times `scale`: one sample, since what a process has in common would pass for certainty.

    asv makes statistics of samples, one for each of its rounds, which `track.py` takes in turn for both commits.
    """
    ours()
    theirs()
    least = in_turn(ours, theirs, rounds=rounds if ROWS_DIVISOR == 1 else 1).min(axis=0)
    return {"samples": [scale * least[0] / least[1]], "number": 1}


def product(dtype="float64", n=PRODUCT):
    """A function that multiplies two matrices, and its flops: what this machine's BLAS makes of its cores."""
    a = np.random.default_rng(0).random((n, n)).astype(dtype)
    out = np.empty_like(a)
    return lambda: np.matmul(a, a, out=out), 2 * n**3


def in_matrix_products(function, rounds=7):
    """Seconds of a function in matrix products of 1500 x 1500."""
    return share(function, product()[0], rounds)


in_matrix_products.unit = f"matrix products of {PRODUCT} x {PRODUCT}"


def in_products_of_as_many_flops(function, flops, dtype="float64", rounds=15):
    """Seconds of a function in those of a matrix product with as many flops: 1 is the most that BLAS gets out."""
    multiply, of_product = product(dtype, 1000)
    return share(function, multiply, rounds, scale=of_product / flops)


in_products_of_as_many_flops.unit = "matrix products of as many useful flops"
