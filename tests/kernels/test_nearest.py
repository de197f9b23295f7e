"""The passes of k-means against plain NumPy, and their bits."""

import hashlib

import kmeans_reference as reference
import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastem.families.centers import Centers
from fastem.kernels import threads
from fastem.kernels.clusters import kmeans
from fastem.sources import as_source

SHAPES = [(1, 1, 1), (1, 3, 2), (33, 1, 5), (77, 8, 4), (1000, 9, 7), (515, 17, 33), (300, 70, 6), (20_001, 3, 5)]
every_shape = pytest.mark.parametrize(("n_rows", "n_features", "n_clusters"), SHAPES)


def problem(n_rows, n_features, n_clusters):
    rng = np.random.default_rng(n_rows)
    rows = 3.0 * rng.normal(size=(n_rows, n_features)) + 5.0
    weights = rng.random(n_rows) * (rng.random(n_rows) > 0.3)
    weights[0] = 0.5
    return rows, weights, Centers.of(3.0 * rng.normal(size=(n_clusters, n_features)) + 5.0)


def assigned(centers, rows):
    labels, distances = np.empty(len(rows), dtype=np.int32), np.empty(len(rows))
    centers.assign(rows, labels=labels, distances=distances)
    return labels, distances


def table(centers, rows):
    result = np.empty((len(rows), len(centers.means)))
    centers.distances(rows, result)
    return result


def assert_pass_is_plain(rows, weights, centers):
    statistics = centers.e_step(as_source(rows, weights))
    weights = np.ones(len(rows)) if weights is None else weights
    squares = reference.squared_distances(rows.astype(np.float64), centers.means)
    labels = squares.argmin(axis=1)
    members = weights * (labels == np.arange(len(centers.means))[:, None])
    assert_allclose(statistics.inertia, weights @ squares.min(axis=1), rtol=1e-12)
    assert_allclose(statistics.counts, members.sum(axis=1), rtol=1e-12)
    assert_allclose(statistics.sums, members @ (rows - centers.origin), rtol=1e-10, atol=1e-10)
    found_labels, found_distances = assigned(centers, rows)
    assert_array_equal(found_labels, labels)
    assert_allclose(found_distances, squares.min(axis=1), rtol=1e-12)
    assert_allclose(table(centers, rows), np.sqrt(squares), rtol=1e-12)


@every_shape
def test_passes_equal_the_plain_algorithm(n_rows, n_features, n_clusters):
    rows, weights, centers = problem(n_rows, n_features, n_clusters)
    assert_pass_is_plain(rows, weights, centers)
    assert_pass_is_plain(rows, None, centers)


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "every second row": lambda rows: np.repeat(rows, 2, axis=0)[::2],
    "backwards": lambda rows: np.ascontiguousarray(rows[::-1, ::-1])[::-1, ::-1],
    "single precision": lambda rows: rows.astype(np.float32),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("shape", [(515, 17, 33), (1000, 2, 3)])
def test_any_layout_and_single_precision(layout, shape):
    rows, weights, centers = problem(*shape)
    assert_pass_is_plain(layout(rows), weights, centers)


def test_far_from_zero_nothing_is_lost():
    rows, weights, centers = problem(1000, 4, 7)
    far = Centers.of(centers.means + 2.0**27)
    statistics, expected = far.e_step(as_source(rows + 2.0**27, weights)), centers.e_step(as_source(rows, weights))
    assert_allclose(statistics.inertia, expected.inertia, rtol=1e-7)
    assert_array_equal(statistics.counts, expected.counts)
    assert_array_equal(assigned(far, rows + 2.0**27)[0], assigned(centers, rows)[0])


def test_the_first_of_equal_centres_wins():
    rows, _, centers = problem(100, 3, 6)
    labels, _ = assigned(Centers.of(np.repeat(centers.means, 2, axis=0)), rows)
    assert_array_equal(labels, 2 * assigned(centers, rows)[0])


def test_the_farthest_rows_have_a_weight_and_different_distances():
    rows, weights, centers = problem(300, 2, 3)
    rows = np.repeat(rows, 2, axis=0)
    weights = np.repeat(weights, 2)
    nearest = np.where(weights > 0, reference.squared_distances(rows, centers.means).min(axis=1), 0.0)
    expected = rows[2 * np.argsort(-nearest[::2])[:5]]
    assert_array_equal(centers.farthest(as_source(rows, weights), 5), expected)
    assert_array_equal(centers.farthest_of([(rows[:333], weights[:333]), (rows[333:], weights[333:])], 5)[1], expected)
    assert len(Centers.of(rows).farthest(as_source(rows, weights), 5)) == 0


# the same bits --------------------------------------------------------------------------------------------------------

PROBLEMS = [problem(*shape) for shape in SHAPES]


def digest():
    """A digest of all that the passes compute."""
    results = []
    for rows, weights, centers in PROBLEMS:
        statistics = centers.e_step(as_source(rows, weights))
        results += [np.float64(statistics.inertia), statistics.counts, statistics.sums]
        results += [*assigned(centers, rows), table(centers, rows)]
    return hashlib.sha256(b"".join(result.tobytes() for result in results)).hexdigest()


@pytest.mark.parametrize("size", [1, 255, 1_000, 19_999])
def test_chunks_of_any_size(size):
    rows, weights, centers = problem(20_001, 3, 5)
    rows, weights = rows[: 2_000 * size], weights[: 2_000 * size]
    chunks = [(rows[first : first + size], weights[first : first + size]) for first in range(0, len(rows), size)]
    parameters = centers.kernel_parameters
    assert_array_equal(kmeans.accumulated(parameters, chunks), kmeans.accumulated(parameters, [(rows, weights)]))


def test_any_number_of_threads(monkeypatch):
    if numba.config.NUMBA_NUM_THREADS == 1:
        pytest.skip("one processor")
    expected, entered, run_parallel = digest(), [], threads.run_parallel
    monkeypatch.setattr(threads, "PARALLEL_WORK", 0)
    monkeypatch.setattr(threads, "run_parallel", lambda kernel, *a: (entered.append(kernel), run_parallel(kernel, *a)))
    assert digest() == expected
    assert set(entered) == {kmeans.nearest_lanes, kmeans.table_lanes}
