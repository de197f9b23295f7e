"""The moments of the fused pass against the plain oracle; densities are in `families/test_model_laws.py`.

They are made of LLVM intrinsics, which have no meaning without a compiler: `NUMBA_DISABLE_JIT=1` cannot run them. The
plain twin that they are compared with here is `tests/reference.py`.
"""

import numpy as np
import pytest
import reference
from cases import SHAPES, STRUCTURES
from helpers import accumulated, kernel_parameters, moments
from numpy.testing import assert_allclose, assert_array_equal

from fastem.kernels.assignments import LIKELIHOOD

pytestmark = pytest.mark.parametrize(
    "case",
    [
        pytest.param((structure, *shape), id=f"{structure}-{'x'.join(map(str, shape))}")
        for structure in STRUCTURES
        for shape in SHAPES
    ],
    indirect=True,
)


def test_log_likelihood_alone_equals_that_of_the_fused_pass(case):
    block = case.rows, case.sample_weight
    alone, fused = accumulated(case, [block], assignment=LIKELIHOOD), accumulated(case, [block])
    assert_array_equal(alone[:3], fused[:3])
    assert not alone[8:].any()


def test_moments(case):
    expected_counts = reference.counts(case.shares)
    found = moments(case, accumulated(case, [(case.rows, case.sample_weight)]))
    assert_allclose(found[0], expected_counts, rtol=1e-11, atol=1e-14)
    for moment, expected in zip(found[1:], expected_moments(case), strict=True):
        assert_allclose(moment, expected, rtol=1e-10, atol=1e-12 * max(1.0, np.abs(expected).max()))


def expected_moments(case):
    """First and second moments, each about what the kernel takes it about."""
    origins = np.broadcast_to(kernel_parameters(case).origin, case.means.shape)
    first_about = case.means if case.structure in ("full", "diag") else origins
    second_about = origins if case.structure == "tied" else case.means
    second = reference.second_moments(case.rows, case.shares, second_about)
    reduced = {
        "full": second,
        "tied": second.sum(axis=0),
        "diag": np.diagonal(second, axis1=1, axis2=2),
        "spherical": np.trace(second, axis1=1, axis2=2),
    }
    return reference.first_moments(case.rows, case.shares, first_about), reduced[case.structure]


def test_without_weights_every_row_counts_one(case):
    ones = np.ones(len(case.rows))
    assert_array_equal(accumulated(case, [(case.rows, None)]), accumulated(case, [(case.rows, ones)]))
