import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from fastem.kernels.draws import draw_rows
from fastem.kernels.threads import serial_passes


def drawn(key, counts, means, factors):
    return draw_rows(np.uint64(key), np.array(counts), np.array(means, dtype=float), np.array(factors, dtype=float))


def test_the_numbers_are_normal():
    numbers = drawn(3, [1_000_000], [[0.0]], [[1.0]])[:, 0]
    assert stats.kstest(numbers, "norm").pvalue > 0.01
    for bound in (3.0, 3.442619855899, 4.0):  # the tail begins at the second
        expected = 2 * stats.norm.sf(bound) * len(numbers)
        assert abs((np.abs(numbers) > bound).sum() - expected) < 3 * np.sqrt(expected)


def test_numbers_of_a_row_and_of_neighbours_are_uncorrelated():
    rows = drawn(4, [200_000], [[0.0] * 3], [[1.0] * 3])
    assert_allclose(np.corrcoef(np.hstack([rows[:-1], rows[1:]]).T), np.eye(6), atol=0.01)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("n_features", [1, 3, 8, 11])  # less than a vector, one, more
def test_rows_are_factors_times_the_numbers_plus_means(n_features, shared):
    random = np.random.default_rng(0)
    counts, means = [5, 0, 9, 2], random.normal(size=(4, n_features))
    factors = np.tril(random.normal(size=(1 if shared else 4, n_features, n_features)))
    labels = np.repeat(np.arange(4), counts)
    normal = drawn(7, counts, np.zeros_like(means), np.ones((1, n_features)))
    expected = means[labels] + np.einsum(
        "nij,nj->ni", np.broadcast_to(factors, (4, *factors.shape[1:]))[labels], normal
    )
    assert_allclose(drawn(7, counts, means, factors), expected, rtol=1e-12, atol=1e-12)
    scales = np.diagonal(factors, axis1=1, axis2=2)
    expected = means[labels] + np.broadcast_to(scales, means.shape)[labels] * normal
    assert_allclose(drawn(7, counts, means, scales), expected, rtol=1e-12, atol=1e-12)


def test_rows_depend_on_the_key_alone():
    counts, means, factors = [30_000, 1, 50_000], np.ones((3, 2)), np.tile(np.eye(2), (3, 1, 1))
    rows = drawn(1, counts, means, factors)
    with serial_passes():
        assert_array_equal(drawn(1, counts, means, factors), rows)
    assert (drawn(2, counts, means, factors) != rows).all()
