"""Calls by address, what parallel kernels are made of; and what compiling them changes meanwhile."""

import gc
import os
import subprocess
import sys
from functools import partial
from typing import NamedTuple

import numba
import numpy as np
import pytest
from llvmlite import ir
from numba import config, njit, types
from numba.extending import intrinsic
from numpy.testing import assert_array_equal

from fastem.kernels.compilation import KernelCompiler, announce, jitted
from fastem.kernels.threads import address_of, call_at


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


@pytest.mark.parametrize("wanted", [None, "3"])
def test_kernels_are_compiled_at_a_level_of_their_own(wanted, monkeypatch):
    monkeypatch.delenv("NUMBA_OPT", raising=False)
    if wanted is not None:
        monkeypatch.setenv("NUMBA_OPT", wanted)
    njit(lambda: 0)()  # Numba reads the environment when it compiles
    before, seen = int(config.OPT), []

    @intrinsic
    def look(_context):
        def codegen(_context, _builder, _signature, _arguments):
            seen.append((int(config.OPT), gc.isenabled()))
            return ir.Constant(ir.IntType(64), 7)

        return types.int64(), codegen

    assert njit(pipeline_class=KernelCompiler)(lambda: look())() == 7
    assert seen == [(KernelCompiler.LEVEL if wanted is None else before, False)]
    assert int(config.OPT) == before
    assert gc.isenabled()


FIRST_USE = """
import numpy as np
from fastem.kernels import passes, threads
from fastem.kernels.accumulation import accumulated
from fastem.kernels.families.diag import DiagParameters
parameters = DiagParameters.of(np.zeros(2), np.zeros(1), np.ones((1, 2)), np.ones((1, 2)))
for threads.PARALLEL_WORK in (2**62, 0):
    accumulated(parameters, [(np.ones((300, 2)), None)])
functions = passes.fused_lanes, threads.run_shares, threads._loop
print(*[sum(function.stats.cache_hits.values()) for function in functions])
"""


def test_another_process_finds_the_machine_code(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    run = partial(subprocess.run, [sys.executable, "-c", FIRST_USE], env=environment, capture_output=True, check=True)
    found = [run(text=True).stdout.split() for _ in range(2)]
    parallel = "1" if numba.config.NUMBA_NUM_THREADS > 1 else "0"
    assert found == [["0", "0", "0"], ["1", parallel, parallel]]


def test_compiling_is_announced_once():
    def increment(x):
        return x + 1

    def double(x):
        return 2 * x

    said = []
    functions = [jitted(increment), jitted(double)]
    for function in functions:
        function._cache = numba.core.caching.NullCache()  # no folder holds them
    announce(lambda: said.append(1))
    assert not said
    assert [function(4) for function in functions] == [5, 8]
    assert said == [1]
