"""k-means on a sample that is held in memory: greedy k-means++ and Lloyd's iterations, each in one call.

The sample is laid out in panels once. Both are serial and pure functions of their arguments.
"""

from typing import NamedTuple

import numpy as np

from fastem.kernels.clusters.nearest import KMeansParameters, add_to_clusters, assign, half_squares, new_hard_tile
from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.tiles import aligned_doubles
from fastem.kernels.vectors.blocks import BLOCK
from fastem.kernels.vectors.simd import BLOCK_VECTORS, PANEL, WIDTH, fused, padded, vectorised

padded_inline = inlined(padded)
FAR = 1e300  # beyond every squared distance; not inf, whose product with a zero weight is NaN
TIE = 1e-12  # relative difference that rounding explains: which of two equal candidates wins must not depend on it


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


# k-means++ ------------------------------------------------------------------------------------------------------------


class Candidates(NamedTuple):
    """Rows that may become centres, and how near each would bring all rows."""

    rows: np.ndarray  # (candidates * D)
    distances: np.ndarray  # (candidates * rows) squared, to the nearest centre
    potentials: np.ndarray  # (candidates * WIDTH) parts of their weighted sums


@jitted
def _new_candidates(n_candidates, n_features, n_rows):
    return Candidates(
        np.empty(n_candidates * n_features), aligned_doubles(n_candidates * n_rows), np.empty(n_candidates * WIDTH)
    )


@jitted
def kmeans_plusplus(rows, weights, uniforms, n_clusters, n_candidates):
    """Rows chosen one after the other, each the best of some that are drawn by weight times squared distance.

    `uniforms` are used in order: one for the first row, `n_candidates` for every other. When no mass is left (fewer
    distinct rows than clusters), the draw is by weight among the rows that are not chosen yet.
    """
    sample, n_features = _in_panels(rows, weights), rows.shape[1]
    size = sample.weights.size
    closest = aligned_doubles(size)
    candidates = _new_candidates(n_candidates, n_features, size)
    free, cumulative = np.ones(size), np.empty(size)
    drawn, indices = np.empty(n_candidates, np.int64), np.empty(n_clusters, np.int64)
    for row in range(size):
        closest[row] = FAR
    mass, used = 0.0, 0
    for k in range(n_clusters):
        if not mass > 0.0:
            _running_sum(sample.weights, free, cumulative)
        tries = n_candidates if k else 1
        for c in range(tries):
            drawn[c] = _draw(cumulative, uniforms[used + c])
            for j in range(n_features):
                candidates.rows[c * n_features + j] = rows[drawn[c], j]
        used += tries
        best = _best_candidate(sample, candidates, tries, closest)
        for row in range(size):
            closest[row] = candidates.distances[best * size + row]
        mass = _running_sum(sample.weights, closest, cumulative)
        indices[k] = drawn[best]
        free[drawn[best]] = 0.0
    return indices


@inlined
def _running_sum(weights, factors, cumulative):
    total = 0.0
    for row in range(weights.size):
        total = fused(weights[row], factors[row], total)
        cumulative[row] = total
    return total


@inlined
def _draw(cumulative, uniform):
    """The first row whose running sum exceeds `uniform` times the total: never one without mass."""
    target = uniform * cumulative[-1]
    low, high = 0, cumulative.size - 1
    while low < high:
        middle = (low + high) // 2
        if cumulative[middle] > target:
            high = middle
        else:
            low = middle + 1
    return low


@inlined
def _best_candidate(sample, candidates, n_candidates, closest):
    """The first candidate that leaves the least weighted sum of squared distances, up to rounding."""
    potentials = candidates.potentials
    for i in range(potentials.size):
        potentials[i] = 0.0
    _try_candidates(candidates, n_candidates, sample.panels.size // sample.weights.size, sample, closest)
    best, least = 0, np.inf
    for c in range(n_candidates):
        potential = 0.0
        for i in range(c * WIDTH, (c + 1) * WIDTH):
            potential += potentials[i]
        if potential < least * (1.0 - TIE):
            best, least = c, potential
    return best


@vectorised
def _try_candidates(v, candidates, n_candidates, n_features, sample, closest):
    """distances[c] = min(closest, |x - candidate c|^2); potentials[c] (eight parts) += their weighted sum."""
    b, n_rows = v.builder, v.size(sample.weights)

    def rows_block(offset, rows):
        x = v.at(sample.panels, offset)

        def block(first, count):
            members = [b.add(first, v.index(r)) for r in range(count)]
            starts = [b.mul(member, n_features) for member in members]

            def feature(j, *squares):
                vectors = v.load_all(v.at(x, b.mul(j, v.index(PANEL))), BLOCK_VECTORS)
                entries = [v.broadcast(candidates.rows, b.add(start, j)) for start in starts]
                deviations = [v.subtract(vector, entry) for entry in entries for vector in vectors]
                return [v.fma(d, d, square) for d, square in zip(deviations, squares, strict=True)]

            squares = v.loop(n_features, [v.constant(0.0)] * (count * BLOCK_VECTORS), feature)
            for r, member in enumerate(members):
                potential = b.mul(member, v.index(WIDTH))
                total = v.load(candidates.potentials, potential)
                for c in range(BLOCK_VECTORS):
                    place = b.add(rows, v.index(c * WIDTH))
                    square, before = squares[r * BLOCK_VECTORS + c], v.load(closest, place)
                    least = b.select(b.fcmp_ordered("<", square, before), square, before)
                    v.store(least, candidates.distances, b.add(b.mul(member, n_rows), place))
                    total = v.fma(v.load(sample.weights, place), least, total)
                v.store(total, candidates.potentials, potential)

        v.blocks(n_candidates, BLOCK, block)
        return ()

    v.panels(b.sdiv(n_rows, v.index(PANEL)), n_features, (), rows_block)


# Lloyd ----------------------------------------------------------------------------------------------------------------


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
