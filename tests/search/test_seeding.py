import kmeans_reference as reference
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import kmeans_plusplus as sklearn_kmeans_plusplus

from fastem.search import seeding

SHAPES = [(1, 1, 1), (1, 3, 1), (33, 1, 5), (150, 4, 3), (100, 9, 7), (700, 17, 32), (64, 70, 6), (500, 8, 101)]


def problem(n_rows, n_features, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_rows, n_features))
    weights = rng.random(n_rows) * (rng.random(n_rows) > 0.2)
    weights[0] = 1.0
    return rows, weights


@pytest.mark.parametrize(("n_rows", "n_features", "n_clusters"), SHAPES)
def test_kmeans_plusplus_chooses_the_rows_of_the_plain_algorithm(n_rows, n_features, n_clusters):
    rows, weights = problem(n_rows, n_features)
    indices = seeding.kmeans_plusplus(rows, weights, n_clusters, np.random.RandomState(1))
    assert_array_equal(indices, reference.kmeans_plusplus(rows, weights, n_clusters, np.random.RandomState(1)))


def test_kmeans_plusplus_uses_random_numbers_as_scikit_learn_does():
    rows, weights = problem(300, 5)
    indices = seeding.kmeans_plusplus(rows, weights, 12, np.random.RandomState(3))
    _, expected = sklearn_kmeans_plusplus(rows, 12, sample_weight=weights, random_state=np.random.RandomState(3))
    assert_array_equal(indices, expected)


@pytest.mark.parametrize("seed", range(5))
def test_rows_of_zero_weight_are_never_chosen(seed):
    rows, weights = problem(40, 2, seed)
    n_clusters = np.count_nonzero(weights)
    indices = seeding.kmeans_plusplus(rows, weights, n_clusters, np.random.RandomState(seed))
    assert_array_equal(np.sort(indices), np.flatnonzero(weights))


def test_equal_rows_fill_the_clusters_that_distinct_ones_cannot():
    rows, weights = np.repeat([[0.0, 1.0], [2.0, 3.0]], 10, axis=0), np.ones(20)
    weights[[0, 10]] = 0.0
    indices = seeding.kmeans_plusplus(rows, weights, 7, np.random.RandomState(0))
    assert np.unique(indices).size == 7
    assert np.unique(rows[indices[:2]], axis=0).shape == (2, 2)
    assert (weights[indices] > 0).all()
    centers, labels, inertia, _ = seeding.lloyd(rows, weights, rows[indices], 10)
    assert np.isfinite(centers).all()
    assert inertia == 0
    assert np.unique(labels).size == 2


def test_more_clusters_than_rows_of_positive_weight_are_refused():
    with pytest.raises(ValueError, match="3 clusters need as many rows of positive weight, got 2"):
        seeding.kmeans_plusplus(np.ones((4, 1)), np.array([1.0, 0.0, 1.0, 0.0]), 3, np.random.RandomState(0))


@pytest.mark.parametrize("max_iter", [0, 1, 50])
@pytest.mark.parametrize(("n_rows", "n_features", "n_clusters"), SHAPES)
def test_lloyd_equals_the_plain_algorithm(n_rows, n_features, n_clusters, max_iter):
    rows, weights = problem(n_rows, n_features)
    tol = 1e-20  # zero would count sweeps in which only the last bits of a centre change
    start = rows[:n_clusters] if n_clusters % 2 else np.zeros((n_clusters, n_features))  # all but one cluster empty
    centers, labels, inertia, n_iter = seeding.lloyd(rows, weights, start, max_iter, tol)
    expected = reference.lloyd(rows, weights, start, max_iter, tol)
    assert_allclose(centers, expected[0], rtol=1e-12, atol=1e-13)
    assert_array_equal(labels, expected[1])
    assert_allclose(inertia, expected[2], rtol=1e-12)
    assert n_iter == expected[3]


def test_lloyd_stops_when_the_centres_move_less_than_the_tolerance():
    rows, weights = problem(2000, 3)
    exact, loose = (seeding.lloyd(rows, weights, rows[:5], 300, tol) for tol in (0.0, 1e-2))
    assert 0 < loose[3] < exact[3] < 300
    assert_array_equal(loose[1], reference.squared_distances(rows, loose[0]).argmin(axis=1))


def test_kmeans_is_a_function_of_the_random_state():
    rows, weights = problem(5000, 6)
    first, second = (seeding.kmeans(rows, weights, 20, np.random.RandomState(0), 10) for _ in range(2))
    assert_array_equal(first, second)
    assert np.unique(first).size == 20


def test_the_canonical_order_is_that_of_the_values():
    rows, _ = problem(500, 4)
    rows = np.repeat(rows, 2, axis=0)
    shuffled = rows[np.random.default_rng(0).permutation(1000)]
    ordered = rows[seeding.canonical_order(rows)]
    assert_array_equal(shuffled[seeding.canonical_order(shuffled)], ordered)
    assert_array_equal(ordered[::2], ordered[1::2])


def test_partitions_that_agree_but_for_few_rows_are_the_same():
    labels = np.repeat([0, 1, 2], 100)
    renamed = np.array([2, 0, 1])[labels]
    assert seeding.same_partition(labels, renamed, 3)
    renamed[:9] = 0
    assert seeding.same_partition(labels, renamed, 3)
    renamed[:10] = 0
    assert not seeding.same_partition(labels, renamed, 3)
    assert not seeding.same_partition(labels, np.minimum(labels, 1), 3)


def test_passes_with_threads_find_what_one_call_does(monkeypatch):
    rows, weights = problem(3000, 2)
    start = np.repeat(rows[:20], 2, axis=0)  # half of the clusters are empty at first
    in_one_call = seeding.lloyd(rows, weights, start, 30)
    monkeypatch.setattr(seeding, "SMALL_WORK", 0)
    in_passes = seeding.lloyd(rows, weights, start, 30)
    assert_allclose(in_passes[0], in_one_call[0], rtol=1e-12)
    assert_array_equal(in_passes[1], in_one_call[1])
    assert_allclose(in_passes[2], in_one_call[2], rtol=1e-12)
    assert in_passes[3] == in_one_call[3]


@pytest.mark.parametrize("factor", [1e-150, 1e30, 1e60, 1e140])
def test_kmeans_plusplus_out_of_the_range_of_single_precision(factor):
    rows, weights = problem(500, 3)
    expected = seeding.kmeans_plusplus(rows, weights, 20, np.random.RandomState(1))
    found = seeding.kmeans_plusplus(rows * factor, weights, 20, np.random.RandomState(1))
    assert_array_equal(found, expected)


def test_kmeans_plusplus_of_an_outlier_and_its_neighbours():
    rows, weights = problem(2000, 2)
    rows[7] = 1e12
    for n_clusters in (2, 5, 60):
        indices = seeding.kmeans_plusplus(rows, weights, n_clusters, np.random.RandomState(3))
        expected = reference.kmeans_plusplus(rows, weights, n_clusters, np.random.RandomState(3))
        assert_array_equal(indices, expected)
