"""Gaussian rows, drawn component after component.

Every row has random numbers of its own, a hash of a key and of its number: threads change nothing. Normal ones are made
of them by the ziggurat (Marsaglia and Tsang 2000) in the form of Doornik (2005), whose layers and places within them
share no bits.
"""

import numpy as np

from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.hashing import GOLDEN, mixed_inline
from fastem.kernels.threads import run
from fastem.kernels.vectors.simd import padded, vectorised

SHARES = 64
LAYERS, TAIL, AREA = 128, 3.442619855899, 9.91256303526217e-3  # of equal area under exp(-x^2 / 2); the tail begins


def _edges() -> np.ndarray:
    """The right ends of the layers (LAYERS + 1,) from the bottom, which the tail widens, to the top."""
    edges = np.zeros(LAYERS + 1)
    edges[:2] = AREA * np.exp(0.5 * TAIL**2), TAIL
    for i in range(2, LAYERS):
        edges[i] = np.sqrt(-2.0 * np.log(AREA / edges[i - 1] + np.exp(-0.5 * edges[i - 1] ** 2)))
    return edges


EDGES = _edges()
INSIDE = EDGES[1:] / EDGES[:-1]  # share of a layer that lies below the curve whatever the height


def draw_rows(key: np.uint64, counts: np.ndarray, means: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """`counts` (K,) rows mean + F z of each component with normal z, (sum of counts, D).

    Parameters
    ----------
    key : numpy.uint64
        What the rows are a function of.
    counts : ndarray of shape (K,), int64
    means : ndarray of shape (K, D)
    factors : ndarray of shape (K or 1, D, D) or (K or 1, D)
        Lower triangular F, or their diagonals.
    """
    n_components, n_features = means.shape
    rows, centres = np.empty((int(counts.sum()), n_features)), np.zeros((n_components, padded(n_features)))
    centres[:, :n_features] = means
    columns, scales = np.empty((0, 0)), factors
    if factors.ndim == 3:
        columns, scales = np.zeros((len(factors), n_features * centres.shape[1])), np.empty((0, 0))
        columns.reshape(-1, *centres.shape[1:])[:, :n_features] = factors.swapaxes(1, 2).reshape(-1, n_features)
    run(_draw_shares, (key, np.cumsum(counts), centres, columns, scales, rows), SHARES, rows.size * n_features)
    return rows


@jitted
def _draw_shares(key, ends, centres, columns, scales, rows, begin, end):
    """The shares begin, ..., end - 1 of the rows; the components begin where those before them end.

    `centres` (K, padded D) and the columns of F, `columns` (K or 1, D * padded D), are padded with zeros. `scales` are
    (K or 1, D); one of the two is empty.
    """
    n_rows, n_features = rows.shape
    n = begin * n_rows // SHARES
    k = np.searchsorted(ends, n, side="right")
    standard, moved = np.empty(n_features), np.empty(centres.shape[1])
    while n < end * n_rows // SHARES:
        while ends[k] <= n:
            k += 1
        _fill_normal(key, n, standard)
        if scales.size:
            scale = scales[min(k, scales.shape[0] - 1)]
            for j in range(n_features):
                rows[n, j] = centres[k, j] + scale[j] * standard[j]
        else:
            _spread(columns[min(k, columns.shape[0] - 1)], centres[k], standard, moved)
            for j in range(n_features):
                rows[n, j] = moved[j]
        n += 1


@vectorised
def _spread(v, columns, centre, standard, moved):
    """moved = centre + F standard, a vector of entries at a time."""
    b, n_features, size = v.builder, v.size(standard), v.size(centre)

    def entries(i):
        first = b.mul(i, v.index(v.width))
        last = b.add(first, v.index(v.width))
        n_columns = b.select(b.icmp_signed("<", last, n_features), last, n_features)

        def column(j, total):
            entry = v.load(columns, b.add(b.mul(j, size), first))
            return [v.fma(entry, v.broadcast(standard, j), total)]

        v.store(v.loop(n_columns, [v.load(centre, first)], column)[0], moved, first)
        return ()

    v.loop(b.sdiv(size, v.index(v.width)), (), entries)


@inlined
def _fill_normal(key, n, row):
    """Standard normal numbers for the row with the number `n`."""
    state = mixed_inline((key + np.uint64(n + 1)) * GOLDEN)
    for j in range(row.size):
        while True:
            state += GOLDEN
            bits = mixed_inline(state)
            layer = np.int64(bits & np.uint64(LAYERS - 1))
            u = np.float64(np.int64(bits >> np.uint64(11))) * 2.0**-52 - 1.0
            x = u * EDGES[layer]
            if abs(u) < INSIDE[layer]:
                break
            state, x, found = _at_the_edge(state, layer, u, x)
            if found:
                break
        row[j] = x


@jitted
def _at_the_edge(state, layer, u, x):
    """One number in eighty: a place that may lie above the curve, or in the tail. The state, x, whether it counts."""
    if layer > 0:
        state += GOLDEN
        height = np.float64(np.int64(mixed_inline(state) >> np.uint64(11))) * 2.0**-53
        low, high = np.exp(0.5 * (x * x - EDGES[layer] ** 2)), np.exp(0.5 * (x * x - EDGES[layer + 1] ** 2))
        return state, x, high + height * (low - high) < 1.0
    while True:
        state += GOLDEN
        beyond = -np.log(np.float64(np.int64(mixed_inline(state) >> np.uint64(11)) + 1) * 2.0**-53) / TAIL
        state += GOLDEN
        height = -np.log(np.float64(np.int64(mixed_inline(state) >> np.uint64(11)) + 1) * 2.0**-53)
        if 2.0 * height >= beyond * beyond:
            return state, np.copysign(TAIL + beyond, u), True
