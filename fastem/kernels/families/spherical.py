"""Spherical covariances sigma_k^2 I: one variance per component.

log w_k N(x | mu_k, sigma_k^2 I) = log w_k - D log sigma_k - D/2 log 2 pi - |x - mu_k|^2 / (2 sigma_k^2). The squared
distances of the scores are kept: the second moment is their weighted sum, about the current mean.
"""

from typing import NamedTuple

import numpy as np
from numba.extending import overload

from fastem.kernels import passes
from fastem.kernels.vectors import blocks
from fastem.kernels.vectors.simd import vectorised


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


def auxiliary_size(capacity: int, n_components: int, n_features: int) -> int:
    return capacity * n_components  # squared distances


def statistics_size(n_components: int, n_features: int) -> int:
    return 2 * blocks.counts_size(n_components) + blocks.first_moments_size(n_components, n_features)


def unpack(statistics: np.ndarray, n_components: int, n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts (K,), sums of r (x - origin) (K, D), sums of r |x - mu|^2 (K,)."""
    size = blocks.counts_size(n_components)
    counts, squares, first = np.split(statistics, [size, 2 * size])
    return (
        counts[:n_components],
        blocks.unpack_first_moments(first, n_components, n_features),
        squares[:n_components],
    )


def _of_square(v, constants, precisions, distances):
    """The score of a squared distance, which is kept."""

    def score(k, square, where):
        v.store(square, distances, where)
        return v.subtract(v.broadcast(constants, k), v.multiply(v.broadcast(precisions, k), square))

    return score


@vectorised
def _score(v, panels, n_panels, n_features, n_components, means, constants, precisions, distances, scores, top):
    b = v.builder

    def deviation(k, j):
        mean = v.broadcast(means, b.add(b.mul(k, n_features), j))
        return lambda x: v.subtract(x, mean)

    score = _of_square(v, constants, precisions, distances)
    blocks.score_by_squares(v, panels, n_panels, n_features, n_components, scores, top, deviation, score)


@vectorised
def _score_expanded(
    v, panels, n_panels, n_features, n_components, slopes, norms, constants, precisions, distances, scores, top
):
    score = _of_square(v, constants, precisions, distances)
    blocks.score_by_expanded_squares(v, panels, n_panels, n_features, n_components, scores, top, slopes, norms, score)


@overload(passes.log_joint)
def _log_joint(parameters, n_panels, tile):
    if parameters.instance_class is not SphericalParameters:
        return None
    may_expand = blocks.may_expand(parameters)

    def score_components(parameters, n_panels, tile):
        n_features, n_components = parameters.origin.size, parameters.constants.size
        if may_expand and parameters.slopes.size:
            _score_expanded(
                tile.panels,
                n_panels,
                n_features,
                n_components,
                parameters.slopes,
                parameters.norms,
                parameters.constants,
                parameters.precisions,
                tile.auxiliary,
                tile.scores,
                tile.top,
            )
        else:
            _score(
                tile.panels,
                n_panels,
                n_features,
                n_components,
                parameters.means,
                parameters.constants,
                parameters.precisions,
                tile.auxiliary,
                tile.scores,
                tile.top,
            )

    return score_components


@overload(passes.accumulate)
def _accumulate(parameters, n_panels, tile, statistics):
    if parameters.instance_class is not SphericalParameters:
        return None

    def add_moments(parameters, n_panels, tile, statistics):
        n_features, n_components = parameters.origin.size, parameters.constants.size
        passes.square_responsibilities(n_panels, n_components, tile.scores, tile.root)
        size = (n_components + 7) // 8 * 8
        blocks.counts(tile.scores, n_panels, n_components, statistics)
        blocks.weighted_sums(tile.scores, n_panels, n_components, tile.auxiliary, statistics[size:])
        blocks.first_moments(tile.scores, n_panels, n_components, tile.panels, n_features, statistics[2 * size :])

    return add_moments
