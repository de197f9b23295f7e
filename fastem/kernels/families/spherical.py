"""Spherical covariances sigma_k^2 I: one variance per component.

log w_k N(x | mu_k, sigma_k^2 I) = log w_k - D log sigma_k - D/2 log 2 pi - |x - mu_k|^2 / (2 sigma_k^2). The squared
distances of the scores are kept: the second moment is their weighted sum, about the current mean.
"""

from typing import NamedTuple

import numpy as np

from fastem.kernels.compilation import inlined
from fastem.kernels.families.moves import rounding_of
from fastem.kernels.pruning import taken
from fastem.kernels.tiles import square_responsibilities
from fastem.kernels.vectors import blocks
from fastem.kernels.vectors.bounds import move_sums
from fastem.kernels.vectors.simd import padded, vectorised

padded_inline = inlined(padded)


@vectorised
def _score(v, p, n_panels, tile):
    """Half log-joints of squared distances, which are kept."""

    def score(k, square, where):
        v.store(square, tile.auxiliary, where)
        return v.fma(v.negate(v.broadcast(p.precisions, k)), square, v.broadcast(p.constants, k))

    blocks.score_by_distances(v, p, n_panels, tile.panels, tile, score)


@vectorised
def _add_moments(v, p, n_panels, tile, statistics):
    squares = v.at(statistics, v.padded(v.size(p.constants)))
    square_responsibilities(v, p, n_panels, tile)
    blocks.counts(v, p, n_panels, tile, statistics)
    blocks.weighted_sums(v, p, n_panels, tile, squares)
    blocks.first_moments(v, p, n_panels, tile, v.at(squares, v.padded(v.size(p.constants))))


class SphericalParameters(NamedTuple):
    """A mixture as the kernel reads it; `of` makes one."""

    origin: np.ndarray  # (D,) subtracted from every row on loading
    means: np.ndarray  # (K * D,) about the origin
    constants: np.ndarray  # (K,) half of log w_k - D log sigma_k - D/2 log 2 pi
    slopes: np.ndarray  # (K * D,) -2 times these means, or empty if squares must not be expanded
    norms: np.ndarray  # (K,) their squares, or empty
    precisions: np.ndarray  # (K,) 1 / (4 sigma_k^2)

    @classmethod
    def of(cls, origin, log_weights, means, whiteners):
        """From log w_k (K,), means (K, D) and 1 / sigma_k (K,)."""
        n_features = origin.size
        constants = 0.5 * (log_weights + n_features * np.log(whiteners) - 0.5 * n_features * np.log(2 * np.pi))
        centred = means - origin
        expanded = blocks.expanded(centred, 0.5 * whiteners[:, None])
        return cls(origin, centred.ravel(), constants, *expanded, 0.25 * whiteners**2)

    def statistics_size(self) -> int:
        n_components = self.constants.size
        return 2 * padded(n_components) + blocks.first_moments_size(n_components, self.origin.size)

    @staticmethod
    def unpack(statistics: np.ndarray, n_components: int, n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Counts (K,), sums of r (x - origin) (K, D), sums of r |x - mu|^2 (K,)."""
        size = padded(n_components)
        counts, squares, first = np.split(statistics, [size, 2 * size])
        moments = blocks.unpack_first_moments(first, n_components, n_features)
        return counts[:n_components], moments, squares[:n_components]

    def auxiliary_size(self, capacity: int) -> int:
        return capacity * self.constants.size  # squared distances

    # pruning ----------------------------------------------------------------------------------------------------------

    def moved(self, before: "SphericalParameters") -> tuple[np.ndarray, np.ndarray]:
        shape, scales = (self.constants.size, self.origin.size), 2.0 * np.sqrt(self.precisions.astype(float))
        shifts = (self.means.astype(float) - before.means).reshape(shape) + (self.origin - before.origin)
        return scales / (2.0 * np.sqrt(before.precisions)), scales * np.linalg.norm(shifts, axis=1)

    def rounding(self) -> tuple[np.ndarray, np.ndarray]:
        norms = 2.0 * np.sqrt(self.precisions)
        return rounding_of(norms, np.linalg.norm(self.means.reshape(len(norms), -1), axis=1), self)

    # compiled ---------------------------------------------------------------------------------------------------------

    def chosen(self, ids):
        n_components = self.constants.size
        if ids.size == n_components:
            return self
        return SphericalParameters(
            self.origin,
            taken(self.means, n_components, ids),
            taken(self.constants, n_components, ids),
            taken(self.slopes, n_components, ids),
            taken(self.norms, n_components, ids),
            taken(self.precisions, n_components, ids),
        )

    def give_back(self, ids, part, statistics):
        size, own = padded_inline(self.constants.size), padded_inline(ids.size)
        for i in range(ids.size):
            move_sums(part, i, statistics, ids[i], 1)
            move_sums(part, own + i, statistics, size + ids[i], 1)
        blocks.give_back_first_moments(ids, self.origin.size, part, 2 * own, statistics, 2 * size)

    def log_joint(self, n_panels, tile):
        _score(self, n_panels, tile)

    def accumulate(self, n_panels, tile, statistics):
        _add_moments(self, n_panels, tile, statistics)
