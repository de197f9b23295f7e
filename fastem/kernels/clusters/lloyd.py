"""Lloyd's iterations on a sample that is held in memory, in one call of one thread.

The sample is laid out in panels once.
"""

import numpy as np

from fastem.kernels.clusters.nearest import KMeansParameters, add_to_clusters, assign, half_squares, new_hard_tile
from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.tiles import aligned_doubles
from fastem.kernels.vectors.simd import PANEL, fused, padded

padded_inline = inlined(padded)


@jitted
def _in_panels(rows, weights):
    """All rows as one tile; what remains of the last panel is zero and weighs nothing."""
    n_rows, n_features = rows.shape
    n_panels = (n_rows + PANEL - 1) // PANEL
    sample = new_hard_tile(n_panels * PANEL, n_features)
    for p in range(n_panels):
        for j in range(n_features):
            at = (p * n_features + j) * PANEL
            for r in range(PANEL):
                row = p * PANEL + r
                sample.panels[at + r] = rows[row, j] if row < n_rows else 0.0
    for row in range(sample.weights.size):
        sample.weights[row] = weights[row] if row < n_rows else 0.0
    return sample


@jitted
def _new_clusters(centers):
    """Parameters whose constants a sweep will fill, and the counts and sums that it will, as the passes have them."""
    n_clusters, n_features = centers.shape
    stride = padded_inline(n_features)
    table = aligned_doubles(n_clusters * stride)
    for k in range(n_clusters):
        for j in range(stride):
            table[k * stride + j] = centers[k, j] if j < n_features else 0.0
    statistics = aligned_doubles(padded_inline(n_clusters) + table.size)
    return KMeansParameters(np.zeros(n_features), table, np.empty(n_clusters)), statistics


@jitted
def lloyd(rows, weights, centers, max_iter, tol):
    """Centres (K, D), labels (n,), inertia and the number of iterations.

    The labels are those of the centres returned; the iterations end when the squared moves of the centres sum to `tol`.
    """
    sample = _in_panels(rows, weights)
    parameters, statistics = _new_clusters(centers)
    counts, sums = statistics[: centers.shape[0]], statistics[statistics.size - parameters.centers.size :]
    _sweep(sample, parameters, statistics)
    n_iter, moved = 0, np.inf
    while n_iter < max_iter and moved > tol:
        _fill_empty(rows, weights, sample.distances, counts, sums)
        moved = _move(parameters, counts, sums)
        _sweep(sample, parameters, statistics)
        n_iter += 1
    result, stride = np.empty_like(centers), sums.size // counts.size
    for k in range(centers.shape[0]):
        for j in range(rows.shape[1]):
            result[k, j] = parameters.centers[k * stride + j]
    return result, sample.labels[: weights.size], sample.inertia[0], n_iter


@jitted
def _sweep(sample, parameters, statistics):
    """Labels, distances, inertia, counts and sums for the present centres."""
    half_squares(parameters)
    n_panels = sample.weights.size // PANEL
    assign(parameters, n_panels, sample)
    for i in range(statistics.size):
        statistics[i] = 0.0
    add_to_clusters(parameters, n_panels, sample, statistics)


@inlined
def _fill_empty(rows, weights, distances, counts, sums):
    """Give every empty cluster one of the rows that are farthest from their centres.

    Their distances differ, so that copies of one row do not take several clusters.
    """
    n_features, stride = rows.shape[1], sums.size // counts.size
    limit = np.inf
    for k in range(counts.size):
        if counts[k] > 0.0:
            continue
        far, greatest = -1, 0.0
        for row in range(weights.size):
            if weights[row] > 0.0 and greatest < distances[row] < limit:
                far, greatest = row, distances[row]
        if far < 0:  # no row is left that is not at its centre already: fewer distinct rows than clusters
            return
        limit = greatest
        counts[k] = 1.0
        for j in range(n_features):
            sums[k * stride + j] = rows[far, j]


@inlined
def _move(parameters, counts, sums):
    """Centres to the means of their clusters, where they have rows; returns the sum of their squared moves."""
    stride = sums.size // counts.size
    moved = 0.0
    for k in range(counts.size):
        if counts[k] > 0.0:
            for i in range(k * stride, (k + 1) * stride):
                new = sums[i] / counts[k]
                moved = fused(new - parameters.centers[i], new - parameters.centers[i], moved)
                parameters.centers[i] = new
    return moved
