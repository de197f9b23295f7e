"""k-means on a sample that is held in memory: greedy k-means++ and Lloyd's iterations, each in one call.

The sample is laid out in panels once. Both are serial and pure functions of their arguments.
"""

from typing import NamedTuple

import numpy as np

from fastem.kernels.clusters.nearest import add_to_clusters, assign, half_squares, padded
from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.tiles import aligned_doubles
from fastem.kernels.vectors.blocks import BLOCK
from fastem.kernels.vectors.simd import BLOCK_VECTORS, PANEL, WIDTH, vectorised

FAR = 1e300  # beyond every squared distance; not inf, whose product with a zero weight is NaN
TIE = 1e-12  # relative difference that rounding explains: which of two equal candidates wins must not depend on it


class Sample(NamedTuple):
    """Rows in panels; what remains of the last panel is zero and weighs nothing."""

    panels: np.ndarray  # (n_panels * D * PANEL)
    weights: np.ndarray  # (n_panels * PANEL)
    n_panels: int
    n_features: int


@jitted
def _in_panels(rows, weights):
    n_rows, n_features = rows.shape
    n_panels = (n_rows + PANEL - 1) // PANEL
    panels, padded_weights = aligned_doubles(n_panels * n_features * PANEL), aligned_doubles(n_panels * PANEL)
    for p in range(n_panels):
        for j in range(n_features):
            at = (p * n_features + j) * PANEL
            for r in range(PANEL):
                row = p * PANEL + r
                panels[at + r] = rows[row, j] if row < n_rows else 0.0
    for row in range(padded_weights.size):
        padded_weights[row] = weights[row] if row < n_rows else 0.0
    return Sample(panels, padded_weights, n_panels, n_features)


# k-means++ ------------------------------------------------------------------------------------------------------------


@jitted
def kmeans_plusplus(rows, weights, uniforms, n_clusters, n_candidates):
    """Rows chosen one after the other, each the best of some that are drawn by weight times squared distance.

    `uniforms` are used in order: one for the first row, `n_candidates` for every other. When no mass is left (fewer
    distinct rows than clusters), the draw is by weight among the rows that are not chosen yet.
    """
    sample = _in_panels(rows, weights)
    size = sample.weights.size
    closest, distances = aligned_doubles(size), aligned_doubles(n_candidates * size)
    candidates, potentials = np.empty(n_candidates * sample.n_features), np.empty(n_candidates * WIDTH)
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
            for j in range(sample.n_features):
                candidates[c * sample.n_features + j] = rows[drawn[c], j]
        used += tries
        best = _best_candidate(sample, candidates, tries, closest, distances, potentials)
        for row in range(size):
            closest[row] = distances[best * size + row]
        mass = _running_sum(sample.weights, closest, cumulative)
        indices[k] = drawn[best]
        free[drawn[best]] = 0.0
    return indices


@inlined
def _running_sum(weights, factors, cumulative):
    total = 0.0
    for row in range(weights.size):
        total += weights[row] * factors[row]
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
def _best_candidate(sample, candidates, n_candidates, closest, distances, potentials):
    """The first candidate that leaves the least weighted sum of squared distances, up to rounding."""
    for i in range(potentials.size):
        potentials[i] = 0.0
    _try_candidates(
        sample.panels,
        sample.n_panels,
        sample.n_features,
        candidates,
        n_candidates,
        sample.weights,
        closest,
        distances,
        potentials,
    )
    best, least = 0, np.inf
    for c in range(n_candidates):
        potential = 0.0
        for i in range(c * WIDTH, (c + 1) * WIDTH):
            potential += potentials[i]
        if potential < least * (1.0 - TIE):
            best, least = c, potential
    return best


@vectorised
def _try_candidates(v, panels, n_panels, n_features, candidates, n_candidates, weights, closest, distances, potentials):
    """distances[c] = min(closest, |x - candidate c|^2); potentials[c] (eight parts) += their weighted sum."""
    b = v.builder
    n_rows = b.mul(n_panels, v.index(PANEL))

    def rows_block(offset, rows):
        x = v.at(panels, offset)

        def block(first, count):
            members = [b.add(first, v.index(r)) for r in range(count)]
            starts = [b.mul(member, n_features) for member in members]

            def feature(j, *squares):
                vectors = v.load_all(v.at(x, b.mul(j, v.index(PANEL))), BLOCK_VECTORS)
                entries = [v.broadcast(candidates, b.add(start, j)) for start in starts]
                deviations = [v.subtract(vector, entry) for entry in entries for vector in vectors]
                return [v.fma(d, d, square) for d, square in zip(deviations, squares, strict=True)]

            squares = v.loop(n_features, [v.constant(0.0)] * (count * BLOCK_VECTORS), feature)
            for r, member in enumerate(members):
                potential = b.mul(member, v.index(WIDTH))
                total = v.load(potentials, potential)
                for c in range(BLOCK_VECTORS):
                    place = b.add(rows, v.index(c * WIDTH))
                    square, before = squares[r * BLOCK_VECTORS + c], v.load(closest, place)
                    least = b.select(b.fcmp_ordered("<", square, before), square, before)
                    v.store(least, distances, b.add(b.mul(member, n_rows), place))
                    total = v.fma(v.load(weights, place), least, total)
                v.store(total, potentials, potential)

        v.blocks(n_candidates, BLOCK, block)
        return ()

    v.panels(n_panels, n_features, (), rows_block)


# Lloyd ----------------------------------------------------------------------------------------------------------------


class Clusters(NamedTuple):
    """Centres and what one sweep over the sample makes of them; centres and sums are padded to whole vectors."""

    centers: np.ndarray  # (K * padded D)
    constants: np.ndarray  # (K,) -|c|^2 / 2
    counts: np.ndarray  # (K,) sums of weights
    sums: np.ndarray  # (K * padded D) sums of weighted rows
    labels: np.ndarray  # (rows,)
    top: np.ndarray  # (rows,) scores of the winners
    distances: np.ndarray  # (rows,) squared
    inertia: np.ndarray  # (1,)


@inlined
def _new_clusters(centers, n_rows):
    n_clusters, n_features = centers.shape
    stride = padded(n_features)
    table = aligned_doubles(n_clusters * stride)
    for k in range(n_clusters):
        for j in range(stride):
            table[k * stride + j] = centers[k, j] if j < n_features else 0.0
    return Clusters(
        table,
        np.empty(n_clusters),
        np.empty(n_clusters),
        aligned_doubles(n_clusters * stride),
        np.empty(n_rows, np.int64),
        aligned_doubles(n_rows),
        aligned_doubles(n_rows),
        np.empty(1),
    )


@jitted
def lloyd(rows, weights, centers, max_iter, tol):
    """Centres (K, D), labels (n,), inertia and the number of iterations.

    The labels are those of the centres returned; the iterations end when the squared moves of the centres sum to `tol`.
    """
    sample = _in_panels(rows, weights)
    clusters = _new_clusters(centers, sample.weights.size)
    _sweep(sample, clusters)
    n_iter, moved = 0, np.inf
    while n_iter < max_iter and moved > tol:
        _fill_empty(rows, weights, clusters)
        moved = _move(clusters)
        _sweep(sample, clusters)
        n_iter += 1
    result, stride = np.empty_like(centers), padded(sample.n_features)
    for k in range(centers.shape[0]):
        for j in range(sample.n_features):
            result[k, j] = clusters.centers[k * stride + j]
    return result, clusters.labels[: weights.size], clusters.inertia[0], n_iter


@jitted
def _sweep(sample, clusters):
    """Labels, distances, inertia, counts and sums for the present centres."""
    half_squares(clusters.centers, sample.n_features, clusters.constants)
    assign(
        sample.panels,
        sample.n_panels,
        sample.n_features,
        clusters.constants.size,
        clusters.centers,
        clusters.constants,
        clusters.top,
        clusters.labels,
    )
    for k in range(clusters.counts.size):
        clusters.counts[k] = 0.0
    for i in range(clusters.sums.size):
        clusters.sums[i] = 0.0
    add_to_clusters(
        sample.panels,
        sample.n_panels,
        sample.n_features,
        clusters.centers,
        clusters.labels,
        clusters.distances,
        sample.weights,
        clusters.inertia,
        clusters.counts,
        clusters.sums,
    )


@inlined
def _fill_empty(rows, weights, clusters):
    """Give every empty cluster one of the rows that are farthest from their centres.

    Their distances differ, so that copies of one row do not take several clusters.
    """
    n_features, stride = rows.shape[1], clusters.sums.size // clusters.counts.size
    limit = np.inf
    for k in range(clusters.counts.size):
        if clusters.counts[k] > 0.0:
            continue
        far, greatest = -1, 0.0
        for row in range(weights.size):
            if weights[row] > 0.0 and greatest < clusters.distances[row] < limit:
                far, greatest = row, clusters.distances[row]
        if far < 0:  # no row is left that is not at its centre already: fewer distinct rows than clusters
            return
        limit = greatest
        clusters.counts[k] = 1.0
        for j in range(n_features):
            clusters.sums[k * stride + j] = rows[far, j]


@inlined
def _move(clusters):
    """Centres to the means of their clusters, where they have rows; returns the sum of their squared moves."""
    stride = clusters.sums.size // clusters.counts.size
    moved = 0.0
    for k in range(clusters.counts.size):
        if clusters.counts[k] > 0.0:
            for i in range(k * stride, (k + 1) * stride):
                new = clusters.sums[i] / clusters.counts[k]
                moved += (new - clusters.centers[i]) ** 2
                clusters.centers[i] = new
    return moved
