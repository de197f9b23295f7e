"""Diagonal covariances: one variance per component and feature.

log w_k N(x | mu_k, diag sigma_k^2) = log w_k - sum_j log sigma_kj - D/2 log 2 pi
- sum_j ((x_j - mu_kj) / sigma_kj)^2 / 2. The square is taken of the standardised deviation, never expanded: at offset
1e8 the expansion has no digit left.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from fastem.kernels.compilation import inlined
from fastem.kernels.families.moves import rounding_of
from fastem.kernels.pruning import taken
from fastem.kernels.tiles import square_responsibilities
from fastem.kernels.vectors import blocks
from fastem.kernels.vectors.bounds import move_sums
from fastem.kernels.vectors.simd import PANEL_VECTORS, Vectors, padded, vectorised

padded_inline = inlined(padded)
PAIR = 2  # components of a register block of the moments: each cell has two accumulators


@vectorised
def _score(v, p, n_panels, tile):
    b = v.builder

    def deviation(k, j):
        at = b.add(b.mul(k, v.size(p.origin)), j)
        scale, bias = v.broadcast(p.scales, at), v.broadcast(p.biases, at)
        return lambda x: v.fma(scale, x, bias)

    def score(k, square, _):
        return v.subtract(v.broadcast(p.constants, k), square)

    blocks.score_by_squares(v, p, n_panels, tile.panels, tile, deviation, score)


@vectorised
def _add_moments(v, p, n_panels, tile, statistics):
    square_responsibilities(v, p, n_panels, tile)
    blocks.counts(v, p, n_panels, tile, statistics)
    _deviations(v, p, n_panels, tile, v.at(statistics, v.padded(v.size(p.constants))))


def _deviations(v: Vectors, p, n_panels: ir.Value, tile, target: ir.Value) -> None:
    """target += sums of r d and r d^2, d = x - mean, two components by four features a block."""
    b, n_features, n_components = v.builder, v.size(p.origin), v.size(p.constants)
    across = v.padded(n_features, blocks.BLOCK)

    def components(k, rows):
        left = v.at(tile.scores, b.mul(k, v.index(v.panel)))
        base = b.mul(b.mul(k, across), v.index(2))

        def features(j, columns):
            right = v.at(tile.panels, b.mul(j, v.index(v.panel)))
            first, second = {}, {}
            for cells in blocks.register_groups((r, c) for r in range(rows) for c in range(columns)):
                means_of = {
                    (r, c): v.broadcast(p.means, b.add(b.mul(b.add(k, v.index(r)), n_features), b.add(j, v.index(c))))
                    for r, c in cells
                }

                def panel(p, *totals, cells=cells, means_of=means_of):
                    r_at = v.at(left, b.mul(b.mul(p, n_components), v.index(v.panel)))
                    x_at = v.at(right, b.mul(b.mul(p, n_features), v.index(v.panel)))
                    sums, squares = list(totals[: len(cells)]), list(totals[len(cells) :])
                    for vector in range(PANEL_VECTORS):
                        r_of = {r: v.load(r_at, r * v.panel + vector * v.width) for r, _ in cells}
                        x_of = {c: v.load(x_at, c * v.panel + vector * v.width) for _, c in cells}
                        for n, (r, c) in enumerate(cells):
                            d = v.subtract(x_of[c], means_of[r, c])
                            weighted = v.multiply(r_of[r], d)
                            sums[n] = v.add(sums[n], weighted)
                            squares[n] = v.fma(weighted, d, squares[n])
                    return sums + squares

                totals = v.loop(n_panels, [v.constant(0.0)] * (2 * len(cells)), panel)
                first |= dict(zip(cells, totals, strict=False))
                second |= dict(zip(cells, totals[len(cells) :], strict=True))
            zero = v.constant(0.0)
            everything = [(r, c) for r in range(PAIR) for c in range(blocks.BLOCK)]
            block = [moment.get(cell, zero) for moment in (first, second) for cell in everything]
            blocks.add_sums(v, block, v.at(target, b.add(base, b.mul(j, v.index(2 * PAIR)))))

        v.blocks(n_features, blocks.BLOCK, features)

    v.blocks(n_components, PAIR, components)


@inlined
def _cell(k, block, moment, across):
    """Where the sums of a component and four features begin, as `_deviations` lays them out."""
    return (((k // PAIR * across + block) * 2 + moment) * PAIR + k % PAIR) * blocks.BLOCK


class DiagParameters(NamedTuple):
    """A mixture as the kernel reads it; `of` makes one."""

    origin: np.ndarray  # (D,) subtracted from every row on loading
    means: np.ndarray  # (K * D,) about the origin
    constants: np.ndarray  # (K,) half of log w_k - sum log sigma_kj - D/2 log 2 pi
    scales: np.ndarray  # (K * D,) 1 / (2 sigma_kj)
    biases: np.ndarray  # (K * D,) -mu_kj / (2 sigma_kj)

    @classmethod
    def of(cls, origin, log_weights, means, whiteners):
        """From log w_k (K,), means (K, D) and 1 / sigma_kj (K, D)."""
        n_features = origin.size
        centred, scales = means - origin, 0.5 * whiteners
        constants = 0.5 * (log_weights + np.log(whiteners).sum(axis=1) - 0.5 * n_features * np.log(2 * np.pi))
        return cls(origin, centred.ravel(), constants, scales.ravel(), (-scales * centred).ravel())

    def statistics_size(self) -> int:
        down, across = -(-self.constants.size // PAIR), -(-self.origin.size // blocks.BLOCK)
        return padded(self.constants.size) + down * across * 2 * PAIR * blocks.BLOCK

    @staticmethod
    def unpack(statistics: np.ndarray, n_components: int, n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Counts (K,), sums of r (x - mu) (K, D) and of r (x - mu)^2 (K, D)."""
        counts, packed = np.split(statistics, [padded(n_components)])
        down, across = -(-n_components // PAIR), -(-n_features // blocks.BLOCK)
        moments = packed.reshape(down, across, 2, PAIR, blocks.BLOCK).transpose(2, 0, 3, 1, 4)
        first, second = moments.reshape(2, down * PAIR, across * blocks.BLOCK)[:, :n_components, :n_features]
        return counts[:n_components], first, second

    def auxiliary_size(self, capacity: int) -> int:
        return 0

    # pruning ----------------------------------------------------------------------------------------------------------

    def moved(self, before: "DiagParameters") -> tuple[np.ndarray, np.ndarray]:
        shape = self.constants.size, self.origin.size
        shifts = (self.means.astype(float) - before.means).reshape(shape) + (self.origin - before.origin)
        scales = 2.0 * self.scales.astype(float).reshape(shape)
        stretch = (scales / (2.0 * before.scales.reshape(shape))).min(axis=1)
        return stretch, np.linalg.norm(scales * shifts, axis=1)

    def rounding(self) -> tuple[np.ndarray, np.ndarray]:
        norms = np.linalg.norm(2.0 * self.scales.reshape(self.constants.size, -1), axis=1)
        return rounding_of(norms, np.linalg.norm(self.means.reshape(len(norms), -1), axis=1), self)

    # compiled ---------------------------------------------------------------------------------------------------------

    def chosen(self, ids):
        n_components = self.constants.size
        if ids.size == n_components:
            return self
        return DiagParameters(
            self.origin,
            taken(self.means, n_components, ids),
            taken(self.constants, n_components, ids),
            taken(self.scales, n_components, ids),
            taken(self.biases, n_components, ids),
        )

    def give_back(self, ids, part, statistics):
        after, after_part = padded_inline(self.constants.size), padded_inline(ids.size)
        across = (self.origin.size + blocks.BLOCK - 1) // blocks.BLOCK
        for i in range(ids.size):
            k = ids[i]
            move_sums(part, i, statistics, k, 1)
            for moment in range(2):
                for block in range(across):
                    first = after_part + _cell(i, block, moment, across)
                    move_sums(part, first, statistics, after + _cell(k, block, moment, across), blocks.BLOCK)

    def log_joint(self, n_panels, tile):
        _score(self, n_panels, tile)

    def accumulate(self, n_panels, tile, statistics):
        _add_moments(self, n_panels, tile, statistics)
