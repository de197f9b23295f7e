"""Passes with a history have the bits of those without, whatever has moved, and meet few pairs where few are near."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastem.kernels.clusters import history as module
from fastem.kernels.clusters import kmeans
from fastem.kernels.clusters.history import History
from fastem.kernels.clusters.kd_order import block_rows
from fastem.kernels.clusters.nearest import KMeansParameters
from fastem.kernels.passes import HEADER
from fastem.kernels.threads import serial_passes


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Small tables are worth it, too."""
    monkeypatch.setattr(module, "LEAST_WORK", 0)


def table(kind, n, d, seed=0):
    rng = np.random.default_rng(seed)
    clusters = rng.normal(size=(40, d))[rng.integers(40, size=n)] + 0.1 * rng.normal(size=(n, d))
    return {
        "clusters": clusters,
        "single": clusters.astype(np.float32),
        "columns": np.asfortranarray(clusters),
        "grid": rng.integers(0, 6, size=(n, d)).astype(float),  # ties between centres, copies of rows
        "far": clusters + 1e7,
        "outlier": np.concatenate([clusters[1:], np.full((1, d), 1e9)]),
        "constant": np.full((n, d), 2.0),
    }[kind]


def means(parameters, total, centers):
    counts, sums = KMeansParameters.unpack(total[HEADER:], *centers.shape)
    moved = centers.copy()
    moved[counts > 0] = parameters.origin + sums[counts > 0] / counts[counts > 0, None]
    return moved


def follow(rows, n_clusters, n_passes=6, weights=None, blocks=None, jumps=(), history=None):
    """Lloyd's iterations with and without a history; the shares of the pairs that were met."""
    rng = np.random.default_rng(n_clusters)
    history, shares = History() if history is None else history, []
    centers = rows[rng.choice(len(rows), n_clusters, replace=False)].astype(float)
    for number in range(n_passes):
        if number in jumps:
            centers = np.roll(centers, 1, axis=0)
        parameters = KMeansParameters.of(rows.mean(axis=0, dtype=float), centers)
        expected = kmeans.accumulated(parameters, [(rows, weights)])
        given = [(rows, weights)] if blocks is None else blocks()
        assert_array_equal(history.accumulated(parameters, given, len(rows)), expected)
        shares.append(history.share_met)
        centers = means(parameters, expected, centers)
    return shares


@pytest.mark.parametrize("kind", ["clusters", "single", "columns", "grid", "far", "outlier", "constant"])
@pytest.mark.parametrize(("n", "d", "n_clusters"), [(5000, 2, 70), (3333, 7, 33)])
def test_the_bits_are_those_of_dense_passes(kind, n, d, n_clusters):
    follow(table(kind, n, d), n_clusters)


def test_few_pairs_are_met_where_few_are_near():
    shares = follow(table("clusters", 40_000, 2), 300, 8)
    assert shares[0] < 0.2
    assert shares[-1] < 0.05


def test_weights_and_chunks_change_nothing():
    rows = table("clusters", 70_000, 3)
    weights = np.random.default_rng(1).integers(0, 3, size=len(rows)).astype(float)

    def chunks():
        return iter([(rows[i : i + 9_999], weights[i : i + 9_999]) for i in range(0, len(rows), 9_999)])

    shares = follow(rows, 64, 4, weights, chunks)
    with serial_passes():
        assert follow(rows, 64, 4, weights) == shares


def test_pieces_do_not_matter(monkeypatch):
    rows = table("clusters", block_rows(2) + 5_000, 2)
    whole = follow(rows, 50, 3)
    monkeypatch.setattr(module, "PIECE", block_rows(2))
    assert follow(rows, 50, 3) == whole


def test_centres_that_jump_are_met_again():
    shares = follow(table("clusters", 20_000, 2), 200, 8, jumps=(4, 5))
    assert shares[7] < 0.1


def test_larger_tiles_keep_the_memory_within_its_bound(monkeypatch):
    rows, history = table("clusters", 20_000, 2), History()
    monkeypatch.setattr(module, "MEMORY", 120_000)
    shares = follow(rows, 100, 5, history=history)
    assert history._order.nbytes + history._lower.nbytes + history._worst.nbytes <= 120_000
    assert shares[-1] < 0.2
    monkeypatch.setattr(module, "MEMORY", 10_000)
    assert follow(rows, 100, 2) == [1.0, 1.0]


def test_a_part_of_the_rows_decides_where_it_is_not_known_beforehand():
    clustered, history = table("clusters", 16_000, 6), History()
    follow(clustered, 40, module.TRIAL + 1, history=history)
    assert history._n_known == len(clustered)
    assert history.share_met < 0.3
    uniform, history = np.random.default_rng(0).uniform(size=(16_000, 12)), History()
    follow(uniform, 40, module.TRIAL + 2, history=history)
    assert history._useless
    assert history._lower is None


def test_a_pass_that_was_broken_off_leaves_no_trace():
    rows, history = table("clusters", 20_000, 2), History()
    follow(rows, 100, 3, history=history)
    parameters = KMeansParameters.of(np.zeros(2), rows[:100] + 0.3)

    def broken():
        yield rows[:100], None
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        history.accumulated(parameters, broken(), len(rows))
    follow(rows, 100, 3, history=history)
