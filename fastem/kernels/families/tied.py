"""One covariance for all components.

Each row is whitened once, z = L x with Sigma^-1 = L^T L, and log w_k N(x | mu_k, Sigma) = log w_k + log det L
- D/2 log 2 pi - |z - L mu_k|^2 / 2. The M-step needs first moments only: the total scatter of the data is a constant,
taken once, in the first pass.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from fastem.kernels.compilation import inlined
from fastem.kernels.families.moves import least_stretch, rounding_of
from fastem.kernels.pruning import taken
from fastem.kernels.tiles import square_responsibilities
from fastem.kernels.vectors import blocks
from fastem.kernels.vectors.bounds import move_sums
from fastem.kernels.vectors.outer import add_outer_products, outer_offset, outer_size, unpack_outer
from fastem.kernels.vectors.simd import BLOCK_VECTORS, PANEL_VECTORS, WIDTH, Vectors, padded, vectorised
from fastem.kernels.vectors.whitening import BLOCK, pack, packed_offset, unpack, whiten_rows

padded_inline, outer_inline = inlined(padded), inlined(outer_size)


@vectorised
def _score(v, p, n_panels, tile):
    """Half log-joints of whitened rows, L x / 2, which are kept."""
    b, n_features = v.builder, v.size(p.origin)

    def whiten(offset, _):
        x = v.at(tile.panels, offset)

        def block(i, rows):
            z = whiten_rows(v, x, v.at(p.whitener, packed_offset(v, i)), i, [v.constant(0.0)] * rows)
            target = v.at(tile.auxiliary, b.add(offset, b.mul(i, v.index(v.panel))))
            for n, value in enumerate(z):
                v.store(value, target, n // BLOCK_VECTORS * v.panel + n % BLOCK_VECTORS * v.width)

        v.blocks(n_features, BLOCK, block)
        return ()

    v.panels(n_panels, n_features, (), whiten)

    def score(k, square, _):
        return v.subtract(v.broadcast(p.constants, k), square)

    blocks.score_by_distances(v, p, n_panels, tile.auxiliary, tile, score)


def _weight_rows(v: Vectors, n_panels: ir.Value, n_features: ir.Value, tile) -> None:
    """sqrt(weight) x into `tile.auxiliary` for the rows of a tile."""
    b = v.builder

    def panel(p):
        row = b.mul(p, v.index(v.panel))
        roots = []
        for c in range(PANEL_VECTORS):
            places = [b.add(row, v.index(c * v.width + half)) for half in range(0, v.width, WIDTH)]
            roots.append(v.from_doubles([v.doubles.sqrt(v.doubles.load(tile.weights, place)) for place in places]))
        first = b.mul(row, n_features)

        def feature(j):
            at = b.add(first, b.mul(j, v.index(v.panel)))
            for c, x in enumerate(v.load_all(v.at(tile.panels, at), PANEL_VECTORS)):
                v.store(v.multiply(roots[c], x), v.at(tile.auxiliary, at), c * v.width)
            return ()

        v.loop(n_features, (), feature)
        return ()

    v.loop(n_panels, (), panel)


@vectorised
def _add_moments(v, p, n_panels, tile, statistics):
    b, n_features = v.builder, v.size(p.origin)
    scatter = v.at(statistics, v.padded(v.size(p.constants)))
    square_responsibilities(v, p, n_panels, tile)
    blocks.counts(v, p, n_panels, tile, statistics)
    with b.if_then(p.with_scatter):
        _weight_rows(v, n_panels, n_features, tile)
        add_outer_products(v, tile.auxiliary, b.mul(n_panels, v.index(v.panel)), n_features, scatter)
    after = outer_offset(v, v.padded(n_features, BLOCK))
    blocks.first_moments(v, p, n_panels, tile, v.at(scatter, after))


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

    def statistics_size(self) -> int:
        n_components, n_features = self.constants.size, self.origin.size
        first = blocks.first_moments_size(n_components, n_features)
        return padded(n_components) + outer_size(n_features) + first

    @staticmethod
    def unpack(statistics: np.ndarray, n_components: int, n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums of r (K,), of r (x - origin) (K, D) and of (x - origin) (x - origin)^T (D, D), if it was taken."""
        size = padded(n_components)
        counts, scatter, first = np.split(statistics, [size, size + outer_size(n_features)])
        moments = blocks.unpack_first_moments(first, n_components, n_features)
        return counts[:n_components], moments, unpack_outer(scatter, n_features)

    def auxiliary_size(self, capacity: int) -> int:
        return capacity * self.origin.size  # whitened rows

    # pruning ----------------------------------------------------------------------------------------------------------

    def _factor(self) -> np.ndarray:
        """L, (D, D)."""
        return 2.0 * unpack(self.whitener, self.origin.size)

    def moved(self, before: "TiedParameters") -> tuple[np.ndarray, np.ndarray]:
        factor, factor_before, shape = self._factor(), before._factor(), (self.constants.size, self.origin.size)
        means, means_before = (2.0 * each.means.astype(float).reshape(shape) for each in (self, before))
        ratio = np.linalg.solve(factor_before.T, factor.T)  # (L' L^-1)^T
        shifts = means - means_before @ ratio + (self.origin - before.origin) @ factor.T
        stretch = least_stretch(factor[None], factor_before[None])
        return np.repeat(stretch, len(means)), np.linalg.norm(shifts, axis=1)

    def rounding(self) -> tuple[np.ndarray, np.ndarray]:
        unit, _ = rounding_of(np.linalg.norm(self._factor())[None], np.zeros(1), self)
        _, error = rounding_of(
            np.ones(1), np.linalg.norm(2.0 * self.means.reshape(self.constants.size, -1), axis=1), self
        )
        return np.repeat(unit, len(error)), error

    # compiled ---------------------------------------------------------------------------------------------------------

    def chosen(self, ids):
        n_components = self.constants.size
        if ids.size == n_components:
            return self
        return TiedParameters(
            self.origin,
            taken(self.means, n_components, ids),
            taken(self.constants, n_components, ids),
            taken(self.slopes, n_components, ids),
            taken(self.norms, n_components, ids),
            self.whitener,
            self.with_scatter,
        )

    def give_back(self, ids, part, statistics):
        size, own, scatter = padded_inline(self.constants.size), padded_inline(ids.size), outer_inline(self.origin.size)
        for i in range(ids.size):
            move_sums(part, i, statistics, ids[i], 1)
        move_sums(part, own, statistics, size, scatter)
        blocks.give_back_first_moments(ids, self.origin.size, part, own + scatter, statistics, size + scatter)

    def log_joint(self, n_panels, tile):
        _score(self, n_panels, tile)

    def accumulate(self, n_panels, tile, statistics):
        _add_moments(self, n_panels, tile, statistics)
