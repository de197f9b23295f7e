"""What the arrays of a structure are: matrices (..., D, D), variances (..., D), or a number (...).

The leading axis is that of the components, or there is none where they share one covariance.
"""

import numpy as np
from scipy.linalg.lapack import dtrtri

from fastem.families.covariances.structure import EPSILON, CovarianceStructure


class Matrices(CovarianceStructure):
    """Symmetric positive-definite matrices (..., D, D); whiteners are lower triangular."""

    correlated = True

    def of_matrices(self, matrices):
        return matrices

    def scatter_about(self, deviations, weights):
        return (deviations * weights[:, None]).T @ deviations

    def whiten(self, covariances):
        matrices = covariances.reshape(-1, *covariances.shape[-2:])
        variances = matrices.diagonal(axis1=1, axis2=2)
        positive = (variances > 0).all(axis=1)
        scales = np.sqrt(np.where(positive[:, None], variances, 1.0))
        # The factor of the correlations: its squared pivots are what a feature keeps for itself, free of all scales.
        factors, singular = _cholesky(matrices / (scales[:, :, None] * scales[:, None, :]))
        pivots = factors.diagonal(axis1=1, axis2=2).min(axis=1) ** 2
        singular |= ~positive | (pivots < 64 * EPSILON * matrices.shape[-1])
        if singular.any():
            factors[singular] = np.eye(matrices.shape[-1])
        whiteners = invert_triangles(factors)
        whiteners /= scales[:, None, :]
        return whiteners.reshape(covariances.shape), singular

    def precisions(self, whiteners):
        return whiteners.swapaxes(-1, -2) @ whiteners

    def covariances(self, whiteners):
        factors = self.factors(whiteners, whiteners.shape[-1]).reshape(whiteners.shape)
        return factors @ factors.swapaxes(-1, -2)

    def factors(self, whiteners, n_features):
        return invert_triangles(whiteners.reshape(-1, n_features, n_features))

    def whiteners_of_precisions(self, precisions):
        # Sigma^-1 = L^T L with L lower: the ordinary factor of the matrix turned upside down, turned back.
        return np.linalg.cholesky(precisions[..., ::-1, ::-1])[..., ::-1, ::-1].swapaxes(-1, -2).copy()

    def cholesky(self, whiteners):
        return whiteners.swapaxes(-1, -2)

    def precision_eigenvalues(self, whiteners):
        return np.linalg.eigvalsh(self.precisions(whiteners)).reshape(-1, whiteners.shape[-1])

    def variances(self, covariances, n_components, n_features):
        return np.broadcast_to(np.diagonal(covariances, axis1=-2, axis2=-1), (n_components, n_features))

    def diagonals(self, whiteners, n_components, n_features):
        diagonals = whiteners.diagonal(axis1=-2, axis2=-1)
        return diagonals if diagonals.ndim == 2 else np.broadcast_to(diagonals, (n_components, n_features))

    def as_matrices(self, arrays, n_components, n_features):
        return np.broadcast_to(arrays, (n_components, n_features, n_features))

    def widen(self, covariances, variances, which=None):
        widened = np.array(covariances, order="C")
        diagonals = widened.reshape(-1, variances.size**2)[:, :: variances.size + 1]
        diagonals += variances if which is None else np.where(which[:, None], variances, 0.0)
        return widened

    def select(self, covariances, features):
        return covariances[..., features, :][..., features]

    def regression(self, covariances, whiteners, known, rest):
        # With L_b the whitener of the known: Sigma_ab Sigma_bb^-1 Sigma_ba is a product of Sigma_ab L_b^T with itself.
        across = covariances[..., rest, :][..., known] @ whiteners.swapaxes(-1, -2)
        left = self.select(covariances, rest) - across @ across.swapaxes(-1, -2)
        slopes = (across @ whiteners).reshape(-1, len(rest), len(known))
        return slopes, 0.5 * (left + left.swapaxes(-1, -2))

    def to_standard(self, deviations, whiteners):
        return np.einsum("...ij,...j->...i", whiteners, deviations)

    def from_standard(self, standard, whiteners):
        return np.linalg.solve(np.broadcast_to(whiteners, (*standard.shape, standard.shape[1])), standard[..., None])[
            ..., 0
        ]

    def second_moments(self, covariances, standard, whiteners):
        second = whiteners @ covariances @ whiteners.swapaxes(1, 2) + standard[:, :, None] * standard[:, None, :]
        return (second - np.eye(standard.shape[1])).reshape(len(standard), -1)

    def covariances_of(self, second, standard, reference, weights, means):
        matrices = second.reshape(reference.covariances.shape) + np.eye(standard.shape[1])
        matrices = matrices - standard[:, :, None] * standard[:, None, :]
        factors = invert_triangles(reference.whiteners)
        return factors @ matrices @ factors.swapaxes(1, 2)

    def gradient(self, moments, means, whiteners):
        precisions, counts = self.precisions(whiteners), moments.counts.reshape(-1, 1, 1)
        by_means = np.einsum("...ij,...j->...i", precisions, moments.first)
        return by_means, 0.5 * (precisions @ moments.second @ precisions - counts * precisions)


class Variances(CovarianceStructure):
    """Positive variances of the features (..., D), which are uncorrelated; whiteners are one over deviations."""

    def of_matrices(self, matrices):
        return np.diagonal(matrices, axis1=-2, axis2=-1)

    def scatter_about(self, deviations, weights):
        return weights @ deviations**2

    def whiten(self, covariances):
        singular = ~(covariances > 0).all(axis=-1)
        return 1.0 / np.sqrt(np.where(singular[..., None], 1.0, covariances)), np.atleast_1d(singular)

    def precision_eigenvalues(self, whiteners):
        return (whiteners**2).reshape(-1, whiteners.shape[-1])

    def variances(self, covariances, n_components, n_features):
        return np.broadcast_to(covariances, (n_components, n_features))

    def diagonals(self, whiteners, n_components, n_features):
        return whiteners if whiteners.ndim == 2 else np.broadcast_to(whiteners, (n_components, n_features))

    def as_matrices(self, arrays, n_components, n_features):
        return np.broadcast_to(arrays[..., None] * np.eye(n_features), (n_components, n_features, n_features))

    def widen(self, covariances, variances, which=None):
        added = variances if which is None else np.where(which[:, None], variances, 0.0).reshape(covariances.shape)
        return covariances + added

    def select(self, covariances, features):
        return covariances[..., features]

    def to_standard(self, deviations, whiteners):
        return deviations * whiteners

    def from_standard(self, standard, whiteners):
        return standard / whiteners

    def second_moments(self, covariances, standard, whiteners):
        return covariances * whiteners**2 + standard**2 - 1

    def covariances_of(self, second, standard, reference, weights, means):
        return (second + 1 - standard**2) / reference.whiteners**2

    def gradient(self, moments, means, whiteners):
        precisions = whiteners**2
        by_variances = precisions * (moments.second * precisions - moments.counts[:, None])
        return moments.first * precisions, 0.5 * by_variances


class Number(CovarianceStructure):
    """One positive variance (...) of all features; a whitener is one over the deviation."""

    def of_matrices(self, matrices):
        return np.diagonal(matrices, axis1=-2, axis2=-1).mean(axis=-1)

    def scatter_about(self, deviations, weights):
        return weights @ (deviations**2).sum(axis=1)

    def whiten(self, covariances):
        singular = ~(covariances > 0)
        return 1.0 / np.sqrt(np.where(singular, 1.0, covariances)), np.atleast_1d(singular)

    def precision_eigenvalues(self, whiteners):
        return whiteners.reshape(-1, 1) ** 2

    def variances(self, covariances, n_components, n_features):
        return np.broadcast_to(covariances[..., None], (n_components, n_features))

    def diagonals(self, whiteners, n_components, n_features):
        return np.broadcast_to(whiteners[..., None], (n_components, n_features))

    def as_matrices(self, arrays, n_components, n_features):
        return np.broadcast_to(arrays[..., None, None] * np.eye(n_features), (n_components, n_features, n_features))

    def widen(self, covariances, variances, which=None):
        added = variances.mean()
        return covariances + (added if which is None else np.where(which, added, 0.0).reshape(covariances.shape))

    def resolution(self, means, centred):
        return super().resolution(means, centred).mean(axis=-1, keepdims=True)

    def unbounded(self, constant):
        return bool(constant.all())

    def select(self, covariances, features):
        return covariances

    def to_standard(self, deviations, whiteners):
        return deviations * whiteners[..., None]

    def from_standard(self, standard, whiteners):
        return standard / whiteners[..., None]

    def second_moments(self, covariances, standard, whiteners):
        n_features = standard.shape[1]
        trace = n_features * (covariances * whiteners**2 - 1) + (standard**2).sum(axis=1)
        return trace[:, None] / np.sqrt(n_features)

    def covariances_of(self, second, standard, reference, weights, means):
        n_features = standard.shape[1]
        trace = np.sqrt(n_features) * second[:, 0] - (standard**2).sum(axis=1)
        return (trace / n_features + 1) / reference.whiteners**2

    def gradient(self, moments, means, whiteners):
        precisions = whiteners**2
        by_variances = precisions * (moments.second * precisions - moments.counts * means.shape[1])
        return moments.first * precisions[:, None], 0.5 * by_variances


def _cholesky(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower factors of matrices (K, D, D), and which (K,) have none: theirs is the identity."""
    failed = np.zeros(len(matrices), dtype=bool)
    try:
        return np.linalg.cholesky(matrices), failed
    except np.linalg.LinAlgError:
        factors = np.tile(np.eye(matrices.shape[-1]), (len(matrices), 1, 1))
    for k, matrix in enumerate(matrices):
        try:
            factors[k] = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            failed[k] = True
    return factors, failed


def invert_triangles(lower: np.ndarray) -> np.ndarray:
    """Inverses of lower triangular matrices (K, D, D), exact zeros above the diagonal."""
    inverses = np.empty_like(lower)
    for matrix, inverse in zip(lower, inverses, strict=True):
        inverse[...] = dtrtri(matrix.T, lower=0)[0].T
    return inverses
