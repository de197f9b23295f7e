"""Full covariances: one inverse Cholesky factor per component.

log w_k N(x | mu_k, Sigma_k) = log w_k + log det L_k - D/2 log 2 pi - |L_k (x - mu_k)|^2 / 2, Sigma_k^-1 = L_k^T L_k.
Second moments are taken about the current mean: data that lie far from the origin, or components far from each other,
lose nothing.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import overload

from fastem.kernels import passes
from fastem.kernels.outer import outer_products, outer_size, unpack_outer
from fastem.kernels.simd import BLOCK_VECTORS, PANEL_VECTORS, vectorised
from fastem.kernels.tiles import panel_rows
from fastem.kernels.whitening import BLOCK, pack, packed_offset, whiten_rows

NEGLIGIBLE = 2.0**-27  # square root of a responsibility that no sum of ordinary size can see (2^-54)


class FullParameters(NamedTuple):
    """A mixture as the kernel reads it; `of` makes one."""

    origin: np.ndarray  # (D,) subtracted from every row on loading
    means: np.ndarray  # (K * D,) about the origin
    constants: np.ndarray  # (K,) half of log w_k + log det L_k - D/2 log 2 pi
    whiteners: np.ndarray  # (K * packed,) L_k / 2, see `whitening.pack`
    biases: np.ndarray  # (K * D,) -L_k mu_k / 2
    negligible: float = NEGLIGIBLE  # where all rows of a panel have less, it is left out of the moments

    @classmethod
    def of(cls, origin, log_weights, means, whiteners):
        """From log w_k (K,), means (K, D) and inverse lower Cholesky factors L_k (K, D, D)."""
        n_features = origin.size
        centred, halves = means - origin, 0.5 * whiteners
        log_det = np.log(np.diagonal(whiteners, axis1=1, axis2=2)).sum(axis=1)
        constants = 0.5 * (log_weights + log_det - 0.5 * n_features * np.log(2 * np.pi))
        biases = -(halves @ centred[:, :, None])
        return cls(origin, centred.ravel(), constants, pack(halves).ravel(), biases.ravel())


def auxiliary_size(capacity: int, n_components: int, n_features: int) -> int:
    return capacity * (n_features + 1)  # weighted deviations of one component


def statistics_size(n_components: int, n_features: int) -> int:
    return n_components * outer_size(n_features + 1)


def unpack(statistics: np.ndarray, n_components: int, n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of r (K,), of r (x - mu) (K, D) and of r (x - mu) (x - mu)^T (K, D, D)."""
    augmented = unpack_outer(statistics.reshape(n_components, -1), n_features + 1)
    return augmented[:, -1, -1], augmented[:, -1, :-1], augmented[:, :-1, :-1]


# scores ---------------------------------------------------------------------------------------------------------------


@vectorised
def _score(v, panels, n_panels, n_features, whitener, bias, constant, score, n_components, top):
    """h = constant - |bias + L x / 2|^2 for the rows of a tile, and the running maximum of h."""
    b = v.builder
    whole = b.sdiv(n_features, v.index(BLOCK))
    remainder = b.srem(n_features, v.index(BLOCK))

    def rows_block(offset, within_tile):
        x = v.at(panels, offset)

        def squares_of(first, rows, squares):
            start = [v.broadcast(bias, b.add(first, v.index(r))) for r in range(rows)]
            z = whiten_rows(v, x, v.at(whitener, packed_offset(v, first)), first, start)
            squares, vectors = list(squares), len(squares)
            for n, value in enumerate(z):
                squares[n % vectors] = v.fma(value, value, squares[n % vectors])
            return squares

        squares = [v.constant(0.0)] * BLOCK_VECTORS
        squares = v.loop(whole, squares, lambda i, *s: squares_of(b.mul(i, v.index(BLOCK)), BLOCK, s))
        first = b.mul(whole, v.index(BLOCK))
        for rows in range(1, BLOCK):
            matches = b.icmp_signed("==", remainder, v.index(rows))
            squares = v.when(matches, squares, lambda *s, rows=rows: squares_of(first, rows, s))
        panel, within = b.sdiv(within_tile, v.index(v.panel)), b.srem(within_tile, v.index(v.panel))
        target = v.at(score, b.add(b.mul(b.mul(panel, n_components), v.index(v.panel)), within))
        greatest = v.at(top, within_tile)
        for c, square in enumerate(squares):
            h = v.subtract(v.splat(constant), square)
            v.store(h, target, c * v.width)
            v.store(v.maximum(h, v.load(greatest, c * v.width)), greatest, c * v.width)  # in this order NaN never wins
        return ()

    v.panels(n_panels, n_features, (), rows_block)


@overload(passes.log_joint)
def _log_joint(parameters, n_panels, tile):
    if parameters.instance_class is not FullParameters:
        return None

    def score_components(parameters, n_panels, tile):
        n_features, n_components = parameters.origin.size, parameters.constants.size
        packed, panel = parameters.whiteners.size // n_components, panel_rows(tile.panels)
        for k in range(n_components):
            _score(
                tile.panels,
                n_panels,
                n_features,
                parameters.whiteners[k * packed :],
                parameters.biases[k * n_features :],
                parameters.constants[k],
                tile.scores[k * panel :],
                n_components,
                tile.top,
            )

    return score_components


# moments --------------------------------------------------------------------------------------------------------------


@vectorised
def _weighted_deviations(v, panels, n_panels, n_features, mean, score, n_components, root, negligible, deviations):
    """sqrt(w r) [x - mean, 1] in panels of D + 1 features; panels without a responsible row are left out.

    Returns the number of panels written.
    """
    b = v.builder
    lanes = range(PANEL_VECTORS)
    threshold = v.splat(negligible if negligible.type == v.real else b.fptrunc(negligible, v.real))

    def panel(p, written):
        row = b.mul(p, v.index(v.panel))
        exponentials = v.load_all(v.at(score, b.mul(row, n_components)), PANEL_VECTORS)
        greatest = exponentials[0]
        for e in exponentials[1:]:
            greatest = v.maximum(greatest, e)

        def write(written):
            roots = [v.multiply(e, v.load(v.at(root, row), c * v.width)) for c, e in enumerate(exponentials)]
            x = v.at(panels, b.mul(row, n_features))
            target = v.at(deviations, b.mul(b.mul(written, v.index(v.panel)), b.add(n_features, v.index(1))))

            def feature(j):
                mu, at = v.broadcast(mean, j), b.mul(j, v.index(v.panel))
                for c in lanes:
                    deviation = v.subtract(v.load(v.at(x, at), c * v.width), mu)
                    v.store(v.multiply(roots[c], deviation), v.at(target, at), c * v.width)
                return ()

            v.loop(n_features, (), feature)
            for c in lanes:
                v.store(roots[c], v.at(target, b.mul(n_features, v.index(v.panel))), c * v.width)
            return (b.add(written, v.index(1)),)

        return v.when(v.any_above(greatest, threshold), (written,), write)

    (written,) = v.loop(n_panels, (v.index(0),), panel)
    return written


@overload(passes.accumulate)
def _accumulate(parameters, n_panels, tile, statistics):
    if parameters.instance_class is not FullParameters:
        return None

    def add_moments(parameters, n_panels, tile, statistics):
        n_features, n_components = parameters.origin.size, parameters.constants.size
        size, panel = statistics.size // n_components, panel_rows(tile.panels)
        for k in range(n_components):
            kept = _weighted_deviations(
                tile.panels,
                n_panels,
                n_features,
                parameters.means[k * n_features :],
                tile.scores[k * panel :],
                n_components,
                tile.root,
                parameters.negligible,
                tile.auxiliary,
            )
            if kept > 0:
                outer_products(tile.auxiliary, kept, n_features + 1, statistics[k * size :])

    return add_moments
