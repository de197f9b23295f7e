"""Structures in which each component has a covariance of its own: full, diagonal, spherical."""

import numpy as np

from fastem.families.covariances.coordinates import (
    Coordinates,
    DiagonalCoordinates,
    IsotropicCoordinates,
    MatrixCoordinates,
)
from fastem.families.covariances.forms import Matrices, Number, Variances
from fastem.families.covariances.structure import EPSILON, Moments
from fastem.kernels.families import diag, full, spherical


class Full(Matrices):
    """One matrix a component."""

    name, parts = "full", "VVV"
    coordinates: Coordinates | None = MatrixCoordinates()
    bayesian = student_t = True

    def kernel_parameters(self, origin, log_weights, means, whiteners, scatter):
        return full.FullParameters.of(origin, log_weights, means, whiteners)

    def moments(self, sums, origin, means, scatter):
        return Moments(*full.FullParameters.unpack(sums, *means.shape)), None

    def shape(self, n_components, n_features):
        return n_components, n_features, n_features

    def estimate(self, moments, counts, shifts, centred):
        return moments.second / counts[:, None, None] - shifts[:, :, None] * shifts[:, None, :]


class Diag(Variances):
    """One variance a component and feature."""

    name, parts = "diag", "VVI"
    coordinates: Coordinates | None = DiagonalCoordinates()
    bayesian = student_t = True

    def kernel_parameters(self, origin, log_weights, means, whiteners, scatter):
        return diag.DiagParameters.of(origin, log_weights, means, whiteners)

    def moments(self, sums, origin, means, scatter):
        return Moments(*diag.DiagParameters.unpack(sums, *means.shape)), None

    def shape(self, n_components, n_features):
        return n_components, n_features

    def estimate(self, moments, counts, shifts, centred):
        raw = moments.second / counts[:, None]
        return np.where(raw - shifts**2 > 8 * EPSILON * raw, raw - shifts**2, 0.0)  # what is left is rounding


class Spherical(Number):
    """One variance a component."""

    name, parts = "spherical", "VII"
    coordinates: Coordinates | None = IsotropicCoordinates()
    bayesian = student_t = True

    def kernel_parameters(self, origin, log_weights, means, whiteners, scatter):
        return spherical.SphericalParameters.of(origin, log_weights, means, whiteners)

    def moments(self, sums, origin, means, scatter):
        counts, first, second = spherical.SphericalParameters.unpack(sums, *means.shape)
        return Moments(counts, first - counts[:, None] * (means - origin), second), None

    def of_matrix_moments(self, moments, means):
        return moments._replace(second=np.trace(moments.second, axis1=1, axis2=2))

    def shape(self, n_components, n_features):
        return (n_components,)

    def estimate(self, moments, counts, shifts, centred):
        raw, moved = moments.second / counts, (shifts**2).sum(axis=1)
        return np.where(raw - moved > 8 * EPSILON * raw, raw - moved, 0.0) / shifts.shape[1]

    def expected(self, weights, means, covariances):
        return weights * covariances * means.shape[1]
