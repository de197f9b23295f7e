"""Full covariances: one inverse Cholesky factor per component.

log w_k N(x | mu_k, Sigma_k) = log w_k + log det L_k - D/2 log 2 pi - |L_k (x - mu_k)|^2 / 2, Sigma_k^-1 = L_k^T L_k.
Second moments are taken about the current mean: data that lie far from the origin, or components far from each other,
lose nothing.
"""

from typing import NamedTuple

import numpy as np

from fastem.kernels.compilation import inlined
from fastem.kernels.families.moves import least_stretch, rounding_of
from fastem.kernels.pruning import taken
from fastem.kernels.tiles import panel_rows
from fastem.kernels.vectors.bounds import move_sums
from fastem.kernels.vectors.deviations import (
    FEW,
    MANY_FEATURES,
    copied_deviations,
    count_responsible,
    gathered_deviations,
    list_responsible,
)
from fastem.kernels.vectors.outer import outer_products, outer_size, unpack_outer
from fastem.kernels.vectors.simd import BLOCK_VECTORS, vectorised
from fastem.kernels.vectors.whitening import BLOCK, pack, packed_offset, unpack, whiten_rows

outer_size_inline = inlined(outer_size)
PART = 128  # rows that meet one component after the other, and whose deviations from one mean are kept together


@vectorised
def _score(v, p, n_panels, tile):
    """h_k = constant_k - |bias_k + L_k x / 2|^2 for the rows of a tile, and their maximum.

    One PART of the rows after the other meets all components.
    """
    b, n_features, n_components = v.builder, v.size(p.origin), v.size(p.constants)
    packed = b.sdiv(v.size(p.whiteners), n_components)
    whole = b.sdiv(n_features, v.index(BLOCK))
    remainder = b.srem(n_features, v.index(BLOCK))
    panels_per_part = v.index(PART // v.panel)

    def part(i):
        first = b.mul(i, panels_per_part)
        row, left = b.mul(first, v.index(v.panel)), b.sub(n_panels, first)
        count = b.select(b.icmp_signed("<", left, panels_per_part), left, panels_per_part)
        x, h = v.at(tile.panels, b.mul(row, n_features)), v.at(tile.scores, b.mul(row, n_components))
        v.loop(n_components, (), lambda k: component(k, x, count, h, v.at(tile.top, row)))
        return ()

    def component(k, panels, count, scores, top):
        whitener, bias = v.at(p.whiteners, b.mul(k, packed)), v.at(p.biases, b.mul(k, n_features))
        constant, score = v.broadcast(p.constants, k), v.at(scores, b.mul(k, v.index(v.panel)))

        def squares_of(x, first, rows, squares):
            start = [v.broadcast(bias, b.add(first, v.index(r))) for r in range(rows)]
            z = whiten_rows(v, x, v.at(whitener, packed_offset(v, first)), first, start)
            squares, vectors = list(squares), len(squares)
            for n, value in enumerate(z):
                squares[n % vectors] = v.fma(value, value, squares[n % vectors])
            return squares

        def rows_block(offset, row):
            x, squares = v.at(panels, offset), [v.constant(0.0)] * BLOCK_VECTORS
            squares = v.loop(whole, squares, lambda i, *s: squares_of(x, b.mul(i, v.index(BLOCK)), BLOCK, s))
            first = b.mul(whole, v.index(BLOCK))
            for rows in range(1, BLOCK):
                matches = b.icmp_signed("==", remainder, v.index(rows))
                squares = v.when(matches, squares, lambda *s, rows=rows: squares_of(x, first, rows, s))
            panel, within = b.sdiv(row, v.index(v.panel)), b.srem(row, v.index(v.panel))
            target = v.at(score, b.add(b.mul(b.mul(panel, n_components), v.index(v.panel)), within))
            greatest = v.at(top, row)
            for c, square in enumerate(squares):
                h = v.subtract(constant, square)
                v.store(h, target, c * v.width)
                v.store(v.maximum(h, v.load(greatest, c * v.width)), greatest, c * v.width)  # so NaN never wins
            return ()

        v.panels(count, n_features, (), rows_block)
        return ()

    n_parts = b.sdiv(b.add(n_panels, v.index(PART // v.panel - 1)), panels_per_part)
    v.loop(n_parts, (), part)


class FullParameters(NamedTuple):
    """A mixture as the kernel reads it; `of` makes one."""

    origin: np.ndarray  # (D,) subtracted from every row on loading
    means: np.ndarray  # (K * D,) about the origin
    constants: np.ndarray  # (K,) half of log w_k + log det L_k - D/2 log 2 pi
    whiteners: np.ndarray  # (K * packed,) L_k / 2, see `whitening.pack`
    biases: np.ndarray  # (K * D,) -L_k mu_k / 2

    @classmethod
    def of(cls, origin, log_weights, means, whiteners):
        """From log w_k (K,), means (K, D) and inverse lower Cholesky factors L_k (K, D, D)."""
        n_features = origin.size
        centred, halves = means - origin, 0.5 * whiteners
        log_det = np.log(np.diagonal(whiteners, axis1=1, axis2=2)).sum(axis=1)
        constants = 0.5 * (log_weights + log_det - 0.5 * n_features * np.log(2 * np.pi))
        biases = -(halves @ centred[:, :, None])
        return cls(origin, centred.ravel(), constants, pack(halves).ravel(), biases.ravel())

    def statistics_size(self) -> int:
        return self.constants.size * outer_size(self.origin.size + 1)

    @staticmethod
    def unpack(statistics: np.ndarray, n_components: int, n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums of r (K,), of r (x - mu) (K, D) and of r (x - mu) (x - mu)^T (K, D, D)."""
        augmented = unpack_outer(statistics.reshape(n_components, -1), n_features + 1)
        return augmented[:, -1, -1], augmented[:, -1, :-1], augmented[:, :-1, :-1]

    def auxiliary_size(self, capacity: int) -> int:
        return min(capacity, PART) * (self.origin.size + 1)  # weighted deviations from one mean

    # pruning ----------------------------------------------------------------------------------------------------------

    def _factors(self) -> np.ndarray:
        """L_k (K, D, D)."""
        return 2.0 * unpack(self.whiteners.reshape(self.constants.size, -1), self.origin.size)

    def moved(self, before: "FullParameters") -> tuple[np.ndarray, np.ndarray]:
        factors, shape = self._factors(), (self.constants.size, self.origin.size)
        shifts = (self.means.astype(float) - before.means).reshape(shape) + (self.origin - before.origin)
        return least_stretch(factors, before._factors()), np.linalg.norm(factors @ shifts[:, :, None], axis=(1, 2))

    def rounding(self) -> tuple[np.ndarray, np.ndarray]:
        norms = np.linalg.norm(self._factors(), axis=(1, 2))
        return rounding_of(norms, np.linalg.norm(self.means.reshape(len(norms), -1), axis=1), self)

    # compiled ---------------------------------------------------------------------------------------------------------

    def chosen(self, ids):
        n_components = self.constants.size
        if ids.size == n_components:
            return self
        return FullParameters(
            self.origin,
            taken(self.means, n_components, ids),
            taken(self.constants, n_components, ids),
            taken(self.whiteners, n_components, ids),
            taken(self.biases, n_components, ids),
        )

    def give_back(self, ids, part, statistics):
        size = statistics.size // self.constants.size
        for i in range(ids.size):
            move_sums(part, i * size, statistics, ids[i] * size, size)

    def log_joint(self, n_panels, tile):
        _score(self, n_panels, tile)

    def accumulate(self, n_panels, tile, statistics):
        n_features, n_components = self.origin.size, self.constants.size
        size, panel = outer_size_inline(n_features + 1), panel_rows(tile.panels)
        deviations = tile.auxiliary  # taken out of the tuple here: that is counted, in memory that threads share
        for k in range(n_components):
            n_used, gather = n_panels * panel, False
            if n_features >= MANY_FEATURES:
                n_responsible = count_responsible(self, k, n_panels, tile)
                gather = n_responsible * FEW < n_used
            if gather:  # all at once: they are less than a PART
                n_used = n_responsible
                list_responsible(self, k, n_panels, tile)
            for first in range(0, n_used, PART):
                count = min(PART, n_used - first)
                if gather:
                    count = gathered_deviations(self, k, count, tile)
                else:
                    count = copied_deviations(self, k, first // panel, count // panel, tile)
                if count > 0:
                    outer_products(deviations, count, n_features + 1, statistics, k * size)
