"""Structures with one covariance for all components.

Their M-step needs no second moments but the scatter of all rows about their mean, which is taken once: the covariance
is what the scatter of the means leaves of it.
"""

import numpy as np

from fastem.families.covariances.coordinates import (
    Coordinates,
    DiagonalCoordinates,
    IsotropicCoordinates,
    MatrixCoordinates,
)
from fastem.families.covariances.forms import Matrices, Number, Variances
from fastem.families.covariances.own import Diag, Full, Spherical
from fastem.families.covariances.structure import EPSILON, CovarianceStructure, Moments, Scatter
from fastem.kernels.families import tied


def _between(weights: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Covariance of the component means, (D, D)."""
    centred = means - weights @ means
    return np.einsum("k,ki,kj->ij", weights, centred, centred)


def _mean_row(moments: Moments, means: np.ndarray) -> np.ndarray:
    """The mean of the rows with these moments about `means`, (D,)."""
    return (moments.counts @ means + moments.first.sum(axis=0)) / moments.counts.sum()


class Shared(CovarianceStructure):
    """The kernel and the M-step of one covariance, whatever its form."""

    shared = True

    def kernel_parameters(self, origin, log_weights, means, whiteners, scatter):
        whitener = self.as_matrices(whiteners, 1, len(origin))[0]
        return tied.TiedParameters.of(origin, log_weights, means, whitener, with_scatter=scatter is None)

    def moments(self, sums, origin, means, scatter):
        counts, first, total = tied.TiedParameters.unpack(sums, *means.shape)
        weight = counts.sum()
        scatter = scatter or Scatter(origin, total, weight)
        offset = origin + first.sum(axis=0) / weight - scatter.centre
        second = scatter.matrix - scatter.weight * np.outer(offset, offset)
        # A scatter that was taken far from the mean has lost digits: take it again in the next pass.
        far = (offset**2 > 0.99 * np.diagonal(scatter.matrix) / scatter.weight).any()
        return Moments(counts, first - counts[:, None] * (means - origin), second), None if far else scatter

    def of_matrix_moments(self, moments, means):
        counts, first, second = moments
        offsets = means - _mean_row(moments, means)
        mixed = np.einsum("ki,kj->ij", first, offsets)
        total = second.sum(axis=0) + mixed + mixed.T + np.einsum("k,ki,kj->ij", counts, offsets, offsets)
        return Moments(counts, first, total)

    def joined(self, one, other, means):
        apart = _mean_row(one, means) - _mean_row(other, means)
        weights = one.counts.sum(), other.counts.sum()
        between = weights[0] * weights[1] / sum(weights) * np.outer(apart, apart)
        together = super().joined(one, other, means)
        return together._replace(second=together.second + between)

    def scatter_about(self, deviations, weights):
        return (deviations * weights[:, None]).T @ deviations

    def estimate(self, moments, counts, shifts, centred):
        total = moments.counts.sum()
        within = moments.second / total - _between(moments.counts / total, centred)
        return self.of_matrices(within).reshape(self.shape(*centred.shape))

    def expected(self, weights, means, covariances):
        return self.as_matrices(covariances, 1, means.shape[1])[0] + _between(weights, means)

    def resolution(self, means, centred):
        # A difference of the total and the scatter of the means.
        own = super().resolution(means, centred).max(axis=0)
        return np.maximum(own, 64 * EPSILON * (centred**2).max(axis=0))

    def second_moments(self, covariances, standard, whiteners):
        return np.empty((len(standard), 0))  # the total scatter is fixed: weights and means decide

    def covariances_of(self, second, standard, reference, weights, means):
        before, after = _between(reference.weights, reference.means), _between(weights, means)
        return reference.covariances + self.of_matrices(before) - self.of_matrices(after)

    def gradient(self, moments, means, whiteners):
        counts, first, total = moments
        alive = counts > 0
        shifts = first[alive] / counts[alive][:, None]
        # From the scatter about the mean of all rows to that about the means of their components.
        shares = counts[alive] / counts.sum()
        within = total / counts.sum() - _between(shares, means[alive] + shifts)
        within = within + np.einsum("k,ki,kj->ij", shares, shifts, shifts)
        precision = self.as_matrices(self.precisions(whiteners), 1, means.shape[1])[0]
        by_matrix = 0.5 * counts.sum() * (precision @ within @ precision - precision)
        return first @ precision, self.of_matrices(by_matrix).reshape(whiteners.shape)


class Tied(Shared, Matrices):
    """One matrix for all components."""

    name, parts = "tied", "EEE"
    coordinates: Coordinates | None = MatrixCoordinates()
    bayesian = student_t = True

    unshared = Full()

    def shape(self, n_components, n_features):
        return n_features, n_features


class EEE(Tied):
    """The same, as users of mclust see it."""

    name, repeated = "EEE", True
    bayesian = False

    def shape(self, n_components, n_features):
        return 1, n_features, n_features


class EEI(Shared, Variances):
    """One variance a feature for all components."""

    name, parts, repeated = "EEI", "EEI", True
    coordinates: Coordinates | None = DiagonalCoordinates()
    student_t = True
    unshared = Diag()

    def shape(self, n_components, n_features):
        return 1, n_features


class EII(Shared, Number):
    """One variance for all components and features."""

    name, parts, repeated = "EII", "EII", True
    coordinates: Coordinates | None = IsotropicCoordinates()
    student_t = True
    unshared = Spherical()

    def shape(self, n_components, n_features):
        return (1,)

    def gradient(self, moments, means, whiteners):
        by_means, by_mean_of_diagonal = super().gradient(moments, means, whiteners)
        return by_means, means.shape[1] * by_mean_of_diagonal
