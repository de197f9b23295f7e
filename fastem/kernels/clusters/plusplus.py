"""Greedy k-means++ on a sample that is held in memory: rows far apart, one after the other.

Which rows a candidate would bring nearer is found in single precision, sixteen rows a vector: |x - c|^2 < d is
x.c > (|x|^2 - d) / 2 + |c|^2 / 2, less what rounding can make of it. The few rows for which that holds are measured in
double precision, with their neighbours. In the course of a run hardly one in a hundred is.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.threads import run_shares, team
from fastem.kernels.vectors.blocks import BLOCK
from fastem.kernels.vectors.memory import aligned_zeros
from fastem.kernels.vectors.simd import BLOCK_VECTORS, I32, I64, PANEL_VECTORS, WIDTH, Vectors, fused, vectorised

FAR = 1e300  # beyond every squared distance; not inf, whose product with a zero weight is NaN
TIE = 1e-12  # relative difference that rounding explains: which of two equal candidates wins must not depend on it
TILE = 64  # rows: a panel of floats
SHARES = 64  # of the tiles, for threads
ROUNDING = 2.0**-22  # of floats, relative, with room: what a sum of D products loses is D times this
SHARED_WORK = 20_000_000  # rows * candidates * features from which a draw is worth waking threads


class Sample(NamedTuple):
    """The rows, and how near they are to the centres so far."""

    panels: np.ndarray  # (tiles * TILE * D) a tile feature after feature
    singles: np.ndarray  # the same about the mean, in single precision
    floors: np.ndarray  # (tiles * TILE) what x.c less |c|^2 / 2 must reach to bring a row nearer, in single precision
    weights: np.ndarray  # (tiles * TILE)
    squares: np.ndarray  # (tiles * TILE) |x|^2 about the mean
    closest: np.ndarray  # (tiles * TILE) squared distance to the nearest centre
    masses: np.ndarray  # (tiles) sum of weights * closest


class Candidates(NamedTuple):
    """Rows that may become centres, and how near each would bring all rows."""

    rows: np.ndarray  # (candidates * D)
    singles: np.ndarray  # (candidates * D) the same about the mean, in single precision
    floors: np.ndarray  # (candidates,) |c|^2 / 2, rounded down to single precision
    masks: np.ndarray  # (tiles * candidates * PANEL_VECTORS) uint16, a bit for a row that one may bring nearer
    potentials: np.ndarray  # (SHARES * candidates) parts of the weighted sums of squared distances


def kmeans_plusplus(
    rows: np.ndarray, weights: np.ndarray, uniforms: np.ndarray, n_clusters: int, n_candidates: int
) -> np.ndarray:
    """Rows chosen one after the other, each the best of some that are drawn by weight times squared distance.

    `uniforms` are used in order: one for the first row, `n_candidates` for every other. When no mass is left (fewer
    distinct rows than clusters), the draw is by weight among the rows that are not chosen yet.
    """
    (n_rows, n_features), n_tiles = rows.shape, -(-len(rows) // TILE)
    its_weights, squares, closest = (aligned_zeros(n_tiles, TILE).ravel() for _ in range(3))
    sample = Sample(
        aligned_zeros(n_tiles, TILE * n_features).ravel(),
        aligned_zeros(n_tiles, TILE // 2 * n_features).ravel().view(np.float32),
        np.full(n_tiles * TILE, -np.inf, dtype=np.float32),
        its_weights,
        squares,
        closest,
        np.zeros(n_tiles),
    )
    candidates = Candidates(
        np.zeros(n_candidates * n_features),
        np.zeros(n_candidates * n_features, dtype=np.float32),
        np.zeros(n_candidates, dtype=np.float32),
        np.zeros(n_tiles * n_candidates * PANEL_VECTORS, dtype=np.uint16),
        np.zeros(SHARES * n_candidates),
    )
    with np.errstate(over="ignore", invalid="ignore"):
        mean = rows.mean(axis=0)
    work = n_rows * n_features * n_candidates
    with team((try_tiles, (sample, candidates, 1)), work=work if work >= SHARED_WORK else 0) as helpers:
        return _choose(rows, weights, mean, uniforms, n_clusters, sample, candidates, helpers)


@jitted
def _choose(rows, weights, mean, uniforms, n_clusters, sample, candidates, helpers):
    n_features, n_candidates = mean.size, candidates.floors.size
    _lay_out(rows, weights, mean, sample)
    free, cumulative = np.zeros(sample.closest.size), np.empty(sample.masses.size)
    for row in range(weights.size):
        free[row] = 1.0
    drawn, indices, used = np.empty(n_candidates, np.int64), np.empty(n_clusters, np.int64), 0
    for k in range(n_clusters):
        factors = sample.closest
        if not k or not _running_sum(sample.masses, cumulative) > 0.0:
            factors = free
            for t in range(cumulative.size):
                cumulative[t] = 0.0
                for row in range(t * TILE, (t + 1) * TILE):
                    cumulative[t] += sample.weights[row] * free[row]
            _running_sum(cumulative, cumulative)
        tries = n_candidates if k else 1
        for c in range(tries):
            drawn[c] = _draw(sample.weights, factors, cumulative, uniforms[used + c])
            square = 0.0
            for j in range(n_features):
                x = rows[drawn[c], j] - mean[j]
                candidates.rows[c * n_features + j], candidates.singles[c * n_features + j] = rows[drawn[c], j], x
                square = fused(x, x, square)
            candidates.floors[c] = 0.5 * square * (1.0 - ROUNDING * (n_features + 2))
        used += tries
        if helpers.loop:
            run_shares(helpers.loop, helpers.functions[0], (sample, candidates, tries), SHARES)
        else:
            try_tiles(sample, candidates, tries, 0, SHARES)
        best = _best(candidates.potentials, tries)
        _make_centre(sample, candidates, best, tries, n_features)
        indices[k] = drawn[best]
        free[indices[k]] = 0.0
    return indices


@inlined
def _lay_out(rows, weights, mean, sample):
    n_rows, n_features = rows.shape
    for row in range(n_rows):
        square = 0.0
        for j in range(n_features):
            at, x = (row // TILE * n_features + j) * TILE + row % TILE, rows[row, j] - mean[j]
            sample.panels[at], sample.singles[at] = rows[row, j], x
            square = fused(x, x, square)
        sample.weights[row], sample.squares[row], sample.closest[row] = weights[row], square, FAR


@inlined
def _running_sum(values, sums):
    total = 0.0
    for i in range(values.size):
        total += values[i]
        sums[i] = total
    return total


@inlined
def _draw(weights, factors, cumulative, uniform):
    """The first row at which the running sum exceeds `uniform` times the total: never one without mass."""
    target = uniform * cumulative[-1]
    low, high = 0, cumulative.size - 1
    while low < high:
        middle = (low + high) // 2
        if cumulative[middle] > target:
            high = middle
        else:
            low = middle + 1
    total, chosen = cumulative[low - 1] if low else 0.0, 0
    for row in range(low * TILE, (low + 1) * TILE):
        if weights[row] * factors[row] > 0.0:
            total, chosen = fused(weights[row], factors[row], total), row
            if total > target:
                break
    return chosen


@inlined
def _best(potentials, n_candidates):
    """The first candidate that leaves the least weighted sum of squared distances, up to rounding."""
    best, least = 0, np.inf
    for c in range(n_candidates):
        potential = 0.0
        for share in range(SHARES):
            potential += potentials[share * n_candidates + c]
        if potential < least * (1.0 - TIE):
            best, least = c, potential
    return best


@inlined
def _make_centre(sample, candidates, best, n_candidates, n_features):
    """Bring nearer what a candidate does, after `try_tiles`."""
    masks = candidates.masks.view(np.uint64)
    for t in range(sample.masses.size):
        if masks[t * n_candidates + best]:
            _bring_nearer(sample, t, candidates, best, t * n_candidates + best, n_features)
            for place in range(t * TILE, (t + 1) * TILE):
                square, near = sample.squares[place], sample.closest[place]
                least = square * (1.0 - ROUNDING * (n_features + 2)) - near
                sample.floors[place] = 0.5 * (least - ROUNDING * (square + near))


# tiles ----------------------------------------------------------------------------------------------------------------


@jitted
def try_tiles(sample, candidates, n_candidates, begin, end):
    """Potentials of the first candidates, as far as the tiles of shares begin, ..., end - 1 have part in them."""
    n_tiles, masks = sample.masses.size, candidates.masks.view(np.uint64)
    n_features = sample.panels.size // (n_tiles * TILE)
    for share in range(begin, end):
        potentials = candidates.potentials[share * n_candidates : (share + 1) * n_candidates]
        for c in range(n_candidates):
            potentials[c] = 0.0
        for t in range(share * n_tiles // SHARES, (share + 1) * n_tiles // SHARES):
            _mark(sample, t, candidates, n_candidates, n_features)
            for c in range(n_candidates):
                if masks[t * n_candidates + c]:
                    _add_potential(sample, t, candidates, c, t * n_candidates + c, n_features, potentials)
                else:
                    potentials[c] += sample.masses[t]


@vectorised
def _mark(v, sample, t, candidates, n_candidates, n_features):
    """The masks of a tile: which rows the candidates may bring nearer."""
    b = v.builder
    panel = v.at(sample.singles, b.mul(b.mul(t, v.index(TILE)), n_features))
    floors = v.at(sample.floors, b.mul(t, v.index(TILE)))
    masks = v.at(candidates.masks, b.mul(b.mul(t, n_candidates), v.index(PANEL_VECTORS)))

    def rows_block(offset, rows):
        x, vector = v.at(panel, offset), b.sdiv(rows, v.index(v.width))

        def block(first, count):
            members = [b.add(first, v.index(r)) for r in range(count)]
            starts = [b.mul(member, n_features) for member in members]

            def feature(j, *products):
                vectors = v.load_all(v.at(x, b.mul(j, v.index(v.panel))), BLOCK_VECTORS)
                entries = [v.broadcast(candidates.singles, b.add(start, j)) for start in starts]
                pairs = [(entry, vector) for entry in entries for vector in vectors]
                return [v.fma(entry, vector, total) for (entry, vector), total in zip(pairs, products, strict=True)]

            products = v.loop(n_features, [v.constant(0.0)] * (count * BLOCK_VECTORS), feature)
            for r, member in enumerate(members):
                floor = v.broadcast(candidates.floors, member)
                for c in range(BLOCK_VECTORS):
                    least = v.add(v.load(floors, b.add(rows, v.index(c * v.width))), floor)
                    # Not a number, of an overflow, is marked, too.
                    marked = b.fcmp_unordered(">=", products[r * BLOCK_VECTORS + c], least)
                    place = b.add(b.mul(member, v.index(PANEL_VECTORS)), b.add(vector, v.index(c)))
                    b.store(b.bitcast(marked, ir.IntType(v.width)), v.at(masks, place))

        v.blocks(n_candidates, BLOCK, block)
        return ()

    v.panels(v.index(1), n_features, (), rows_block)


@vectorised
def _add_potential(v, sample, t, candidates, c, mask, n_features, potentials):
    """potentials[c] += the sum of weights * min(closest, |x - candidate|^2) over a tile."""
    v = v.doubles
    total = _sum_over_tile(v, sample, t, candidates, c, mask, n_features, lambda place, least: None)
    target = v.at(potentials, c)
    v.builder.store(v.builder.fadd(v.builder.load(target), total), target)


@vectorised
def _bring_nearer(v, sample, t, candidates, c, mask, n_features):
    """closest = min(closest, |x - candidate|^2) in a tile, and its mass."""
    v = v.doubles
    total = _sum_over_tile(
        v, sample, t, candidates, c, mask, n_features, lambda place, least: v.store(least, sample.closest, place)
    )
    v.builder.store(total, v.at(sample.masses, t))


def _sum_over_tile(v: Vectors, sample, t, candidates, c, mask, n_features, use) -> ir.Value:
    """The sum of weights * min(closest, |x - candidate|^2); ``use(place, least)`` sees the least of eight rows each.

    Only groups of eight with a marked row are measured.
    """
    b, first = v.builder, v.builder.mul(t, v.index(TILE))
    bits = b.load(v.at(b.bitcast(candidates.masks, I64.as_pointer()), mask))
    candidate, panel = v.at(candidates.rows, b.mul(c, n_features)), v.at(sample.panels, b.mul(first, n_features))

    def group(g, total):
        start = b.mul(g, v.index(WIDTH))
        place = b.add(first, start)

        def measure(before):
            def feature(j, square):
                x = v.load(panel, b.add(b.mul(j, v.index(TILE)), start))
                deviation = v.subtract(x, v.broadcast(candidate, j))
                return (v.fma(deviation, deviation, square),)

            (square,) = v.loop(n_features, [v.constant(0.0)], feature)
            return (b.select(b.fcmp_ordered("<", square, before), square, before),)

        marked = b.icmp_unsigned("!=", b.trunc(b.lshr(bits, start), ir.IntType(WIDTH)), ir.IntType(WIDTH)(0))
        (least,) = v.when(marked, [v.load(sample.closest, place)], measure)
        use(place, least)
        return (v.fma(v.load(sample.weights, place), least, total),)

    (total,) = v.loop(TILE // WIDTH, [v.constant(0.0)], group)
    return b.extract_element(v.sums([total])[0], ir.Constant(I32, 0))
