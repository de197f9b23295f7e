"""One covariance for all components.

Each row is whitened once, z = L x with Sigma^-1 = L^T L, and log w_k N(x | mu_k, Sigma) = log w_k + log det L
- D/2 log 2 pi - |z - L mu_k|^2 / 2. The M-step needs first moments only: the total scatter of the data is a constant,
taken once, in the first pass.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import overload

from fastem.kernels import passes
from fastem.kernels.tiles import panel_rows
from fastem.kernels.vectors import blocks
from fastem.kernels.vectors.outer import outer_products, outer_size, unpack_outer
from fastem.kernels.vectors.simd import BLOCK_VECTORS, PANEL_VECTORS, WIDTH, vectorised
from fastem.kernels.vectors.whitening import BLOCK, pack, packed_offset, whiten_rows


class TiedParameters(NamedTuple):
    """A mixture as the kernel reads it; `of` makes one."""

    origin: np.ndarray  # (D,) subtracted from every row on loading
    means: np.ndarray  # (K * D,) L (mu_k - origin) / 2
    constants: np.ndarray  # (K,) half of log w_k + log det L - D/2 log 2 pi
    slopes: np.ndarray  # (K * D,) -2 times these means, or empty if squares must not be expanded
    norms: np.ndarray  # (K,) their squares, or empty
    whitener: np.ndarray  # (packed,) L / 2, see `whitening.pack`
    with_scatter: bool  # take the total scatter about the origin in this pass

    @classmethod
    def of(cls, origin, log_weights, means, whitener, with_scatter=True):
        """From log w_k (K,), means (K, D) and the inverse lower Cholesky factor L (D, D)."""
        n_features = origin.size
        half = 0.5 * whitener
        log_det = np.log(np.diagonal(whitener)).sum()
        constants = 0.5 * (log_weights + log_det - 0.5 * n_features * np.log(2 * np.pi))
        whitened = (means - origin) @ half.T
        return cls(origin, whitened.ravel(), constants, *blocks.expanded(whitened), pack(half), with_scatter)


def auxiliary_size(capacity: int, n_components: int, n_features: int) -> int:
    return capacity * n_features  # whitened rows


def statistics_size(n_components: int, n_features: int) -> int:
    return sum(_sizes(n_components, n_features))


def _sizes(n_components: int, n_features: int) -> tuple[int, int, int]:
    first = blocks.first_moments_size(n_components, n_features)
    return blocks.counts_size(n_components), outer_size(n_features), first


def unpack(statistics: np.ndarray, n_components: int, n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of r (K,), of r (x - origin) (K, D) and of (x - origin) (x - origin)^T (D, D), if it was taken."""
    counts_size, scatter_size, _ = _sizes(n_components, n_features)
    counts, scatter, first = np.split(statistics, [counts_size, counts_size + scatter_size])
    return (
        counts[:n_components],
        blocks.unpack_first_moments(first, n_components, n_features),
        unpack_outer(scatter, n_features),
    )


@vectorised
def _whiten(v, panels, n_panels, n_features, whitener, whitened):
    """whitened = L x / 2 for the rows of a tile."""
    b = v.builder

    def rows_block(offset, _):
        x = v.at(panels, offset)

        def block(i, rows):
            z = whiten_rows(v, x, v.at(whitener, packed_offset(v, i)), i, [v.constant(0.0)] * rows)
            target = v.at(whitened, b.add(offset, b.mul(i, v.index(v.panel))))
            for n, value in enumerate(z):
                v.store(value, target, n // BLOCK_VECTORS * v.panel + n % BLOCK_VECTORS * v.width)

        v.blocks(n_features, BLOCK, block)
        return ()

    v.panels(n_panels, n_features, (), rows_block)


def _of_square(v, constants):
    return lambda k, square, _: v.subtract(v.broadcast(constants, k), square)


@vectorised
def _score(v, whitened, n_panels, n_features, n_components, means, constants, scores, top):
    b = v.builder

    def deviation(k, j):
        mean = v.broadcast(means, b.add(b.mul(k, n_features), j))
        return lambda z: v.subtract(z, mean)

    blocks.score_by_squares(
        v, whitened, n_panels, n_features, n_components, scores, top, deviation, _of_square(v, constants)
    )


@vectorised
def _score_expanded(v, whitened, n_panels, n_features, n_components, slopes, norms, constants, scores, top):
    score = _of_square(v, constants)
    blocks.score_by_expanded_squares(v, whitened, n_panels, n_features, n_components, scores, top, slopes, norms, score)


@vectorised
def _weight_rows(v, panels, n_panels, n_features, weights, weighted):
    """weighted = sqrt(weight) x for the rows of a tile."""
    b = v.builder

    def panel(p):
        row = b.mul(p, v.index(v.panel))
        roots = []
        for c in range(PANEL_VECTORS):
            places = [b.add(row, v.index(c * v.width + half)) for half in range(0, v.width, WIDTH)]
            roots.append(v.from_doubles([v.doubles.sqrt(v.doubles.load(weights, place)) for place in places]))
        first = b.mul(row, n_features)

        def feature(j):
            at = b.add(first, b.mul(j, v.index(v.panel)))
            for c, x in enumerate(v.load_all(v.at(panels, at), PANEL_VECTORS)):
                v.store(v.multiply(roots[c], x), v.at(weighted, at), c * v.width)
            return ()

        v.loop(n_features, (), feature)
        return ()

    v.loop(n_panels, (), panel)


@overload(passes.log_joint)
def _log_joint(parameters, n_panels, tile):
    if parameters.instance_class is not TiedParameters:
        return None
    may_expand = blocks.may_expand(parameters)

    def score_components(parameters, n_panels, tile):
        n_features, n_components = parameters.origin.size, parameters.constants.size
        constants, slopes = parameters.constants, parameters.slopes
        _whiten(tile.panels, n_panels, n_features, parameters.whitener, tile.auxiliary)
        if may_expand and slopes.size:
            _score_expanded(
                tile.auxiliary,
                n_panels,
                n_features,
                n_components,
                slopes,
                parameters.norms,
                constants,
                tile.scores,
                tile.top,
            )
        else:
            means = parameters.means
            _score(tile.auxiliary, n_panels, n_features, n_components, means, constants, tile.scores, tile.top)

    return score_components


@overload(passes.accumulate)
def _accumulate(parameters, n_panels, tile, statistics):
    if parameters.instance_class is not TiedParameters:
        return None

    def add_moments(parameters, n_panels, tile, statistics):
        n_features, n_components = parameters.origin.size, parameters.constants.size
        passes.square_responsibilities(n_panels, n_components, tile.scores, tile.root)
        size = (n_components + 7) // 8 * 8
        block_rows = (n_features + 3) // 4
        scatter = 8 * block_rows * (block_rows + 1)  # `outer_size`
        blocks.counts(tile.scores, n_panels, n_components, statistics)
        if parameters.with_scatter:
            _weight_rows(tile.panels, n_panels, n_features, tile.weights, tile.auxiliary)
            n_rows = n_panels * panel_rows(tile.panels)
            outer_products(tile.auxiliary, n_rows, n_features, statistics, size)
        first = statistics[size + scatter :]
        blocks.first_moments(tile.scores, n_panels, n_components, tile.panels, n_features, first)

    return add_moments
