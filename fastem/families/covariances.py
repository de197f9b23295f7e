"""What a covariance matrix may look like: full, tied, diagonal or spherical.

One class a structure, the same methods in each; `STRUCTURES` finds it by its name. Throughout, a *whitener* is the
inverse lower Cholesky factor L of a covariance, Sigma^-1 = L^T L; scikit-learn's `precisions_cholesky_` is L^T.

Shapes of covariances and whiteners: full (K, D, D), tied (D, D), diag (K, D), spherical (K,).
"""

from abc import ABC, abstractmethod
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg.lapack import dtrtri

from fastem.kernels.families import diag, full, spherical, tied

EPSILON = np.finfo(np.float64).eps


class Moments(NamedTuple):
    """Sufficient statistics of a Gaussian mixture about the means that the responsibilities were taken with.

    Attributes
    ----------
    counts : ndarray of shape (K,)
        Sums of weighted responsibilities.
    first : ndarray of shape (K, D)
        Sums of r (x - mean).
    second : ndarray
        Full: sums of r (x - mean)(x - mean)^T (K, D, D); diag: their diagonals (K, D); spherical: their traces (K,);
        tied: the total scatter of all rows about their mean (D, D).
    """

    counts: np.ndarray
    first: np.ndarray
    second: np.ndarray


class Scatter(NamedTuple):
    """The total scatter of the data about a centre near their mean: tied covariances need it once."""

    centre: np.ndarray
    matrix: np.ndarray
    weight: float


class CovarianceStructure(ABC):
    """The formulas in which the structures differ."""

    name: str
    kernel: ModuleType
    shared: bool = False  # one covariance for all components

    @abstractmethod
    def kernel_parameters(self, origin, log_weights, means, whiteners, scatter: Scatter | None) -> Any:
        """What the kernel reads; rows are moved to `origin` (D,) on loading."""

    @abstractmethod
    def moments(self, sums, origin, means, scatter: Scatter | None) -> tuple[Moments, Scatter | None]:
        """Moments about `means` from what the kernel added up, and the scatter for the next pass."""

    @abstractmethod
    def scatter_about(self, deviations: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The second moment of weighted rows (n, D) that are deviations already: one entry of `Moments.second`."""

    @abstractmethod
    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of the covariances."""

    @abstractmethod
    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the covariances."""

    @abstractmethod
    def estimate(self, moments: Moments, counts: np.ndarray, shifts: np.ndarray, centred: np.ndarray) -> np.ndarray:
        """Maximum-likelihood covariances.

        `counts` (K,) are positive, `shifts` (K, D) lead from the old means to the new ones, `centred` (K, D) are the
        new means about the mean of the mixture.
        """

    def expected(self, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
        """`Moments.second` per unit weight that a mixture expects of its own rows."""
        return covariances * weights.reshape(-1, *[1] * (covariances.ndim - 1))

    @abstractmethod
    def whiten(self, covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whiteners, and which covariances (K,) or the one (1,) are singular to working precision."""

    @abstractmethod
    def variances(self, covariances: np.ndarray, n_components: int, n_features: int) -> np.ndarray:
        """Variances of the features, (K, D)."""

    @abstractmethod
    def widen(self, covariances: np.ndarray, variances: np.ndarray, which: np.ndarray | None = None) -> np.ndarray:
        """Add `variances` (D,) to the diagonals of all covariances, or of those that the mask `which` selects."""

    @abstractmethod
    def precision_eigenvalues(self, whiteners: np.ndarray) -> np.ndarray:
        """Eigenvalues of the precisions, (K or 1, D); spherical ones D times."""

    @abstractmethod
    def diagonals(self, whiteners: np.ndarray, n_components: int, n_features: int) -> np.ndarray:
        """Diagonals of the whiteners, (K, D): one over the deviation of a feature when those before it are known."""

    @abstractmethod
    def expand(self, whiteners: np.ndarray, n_components: int, n_features: int) -> np.ndarray:
        """Whiteners as matrices, (K, D, D)."""

    # A model in the coordinates of a reference, where its component means are 0 and its covariances I -----------------

    def to_standard(self, deviations: np.ndarray, whiteners: np.ndarray) -> np.ndarray:
        """L d for the deviations (K, D) of means from those of the reference."""
        return deviations * whiteners.reshape(len(deviations), -1)

    def from_standard(self, standard: np.ndarray, whiteners: np.ndarray) -> np.ndarray:
        """The deviations that `to_standard` takes to `standard`."""
        return standard / whiteners.reshape(len(standard), -1)

    @abstractmethod
    def second_moments(self, covariances: np.ndarray, standard: np.ndarray, whiteners: np.ndarray) -> np.ndarray:
        """L Sigma L^T + d d^T - I with d = `standard`, (K, n); its norm is that of the matrix. Empty for tied ones."""

    @abstractmethod
    def covariances_of(
        self, second: np.ndarray, standard: np.ndarray, reference, weights: np.ndarray, means: np.ndarray
    ):
        """The covariances whose `second_moments` about the model `reference` these are, given weights and means."""

    def precisions(self, whiteners: np.ndarray) -> np.ndarray:
        """Inverse covariances."""
        return whiteners**2

    def covariances(self, whiteners: np.ndarray) -> np.ndarray:
        """Covariances from their whiteners."""
        return whiteners**-2.0

    def whiteners_of_precisions(self, precisions: np.ndarray) -> np.ndarray:
        """Whiteners from inverse covariances; raises LinAlgError if one is not positive-definite."""
        return np.sqrt(precisions)

    def cholesky(self, whiteners: np.ndarray) -> np.ndarray:
        """scikit-learn's `precisions_cholesky_` from whiteners, and back."""
        return whiteners


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


def _invert_triangles(lower: np.ndarray) -> np.ndarray:
    """Inverses of lower triangular matrices (K, D, D), exact zeros above the diagonal."""
    inverses = np.empty_like(lower)
    for matrix, inverse in zip(lower, inverses, strict=True):
        inverse[...] = dtrtri(matrix.T, lower=0)[0].T
    return inverses


def _between(weights: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Covariance of the component means, (D, D)."""
    centred = means - weights @ means
    return np.einsum("k,ki,kj->ij", weights, centred, centred)


class _Matrices(CovarianceStructure):
    """What full and tied covariances have in common: matrices (..., D, D)."""

    def whiten(self, covariances):
        matrices = covariances.reshape(-1, *covariances.shape[-2:])
        variances = np.diagonal(matrices, axis1=1, axis2=2)
        positive = np.all(variances > 0, axis=1)
        scales = np.sqrt(np.where(positive[:, None], variances, 1.0))
        # The factor of the correlations: its squared pivots are what a feature keeps for itself, free of all scales.
        factors, singular = _cholesky(matrices / (scales[:, :, None] * scales[:, None, :]))
        pivots = np.diagonal(factors, axis1=1, axis2=2).min(axis=1) ** 2
        singular |= ~positive | (pivots < 64 * EPSILON * matrices.shape[-1])
        if singular.any():
            factors[singular] = np.eye(matrices.shape[-1])
        whiteners = _invert_triangles(factors)
        whiteners /= scales[:, None, :]
        return whiteners.reshape(covariances.shape), singular

    def scatter_about(self, deviations, weights):
        return (deviations * weights[:, None]).T @ deviations

    def precisions(self, whiteners):
        return whiteners.swapaxes(-1, -2) @ whiteners

    def covariances(self, whiteners):
        factors = _invert_triangles(whiteners.reshape(-1, *whiteners.shape[-2:])).reshape(whiteners.shape)
        return factors @ factors.swapaxes(-1, -2)

    def whiteners_of_precisions(self, precisions):
        # Sigma^-1 = L^T L with L lower: the ordinary factor of the matrix turned upside down, turned back.
        return np.linalg.cholesky(precisions[..., ::-1, ::-1])[..., ::-1, ::-1].swapaxes(-1, -2).copy()

    def cholesky(self, whiteners):
        return whiteners.swapaxes(-1, -2)

    def precision_eigenvalues(self, whiteners):
        return np.linalg.eigvalsh(self.precisions(whiteners)).reshape(-1, whiteners.shape[-1])

    def to_standard(self, deviations, whiteners):
        return np.einsum("...ij,...j->...i", whiteners, deviations)

    def from_standard(self, standard, whiteners):
        return np.linalg.solve(np.broadcast_to(whiteners, (*standard.shape, standard.shape[1])), standard[..., None])[
            ..., 0
        ]

    def widen(self, covariances, variances, which=None):
        widened = np.array(covariances, order="C")
        diagonals = widened.reshape(-1, variances.size**2)[:, :: variances.size + 1]
        diagonals += variances if which is None else np.where(which[:, None], variances, 0.0)
        return widened


class Full(_Matrices):
    """One matrix a component."""

    name, kernel = "full", full

    def kernel_parameters(self, origin, log_weights, means, whiteners, scatter):
        return full.FullParameters.of(origin, log_weights, means, whiteners)

    def moments(self, sums, origin, means, scatter):
        return Moments(*full.unpack(sums, *means.shape)), None

    def shape(self, n_components, n_features):
        return n_components, n_features, n_features

    def n_parameters(self, n_components, n_features):
        return n_components * n_features * (n_features + 1) // 2

    def estimate(self, moments, counts, shifts, centred):
        return moments.second / counts[:, None, None] - shifts[:, :, None] * shifts[:, None, :]

    def variances(self, covariances, n_components, n_features):
        return np.diagonal(covariances, axis1=1, axis2=2)

    def diagonals(self, whiteners, n_components, n_features):
        return np.diagonal(whiteners, axis1=1, axis2=2)

    def expand(self, whiteners, n_components, n_features):
        return whiteners

    def second_moments(self, covariances, standard, whiteners):
        second = whiteners @ covariances @ whiteners.swapaxes(1, 2) + standard[:, :, None] * standard[:, None, :]
        return (second - np.eye(standard.shape[1])).reshape(len(standard), -1)

    def covariances_of(self, second, standard, reference, weights, means):
        matrices = second.reshape(reference.covariances.shape) + np.eye(standard.shape[1])
        matrices = matrices - standard[:, :, None] * standard[:, None, :]
        factors = _invert_triangles(reference.whiteners)
        return factors @ matrices @ factors.swapaxes(1, 2)


class Tied(_Matrices):
    """One matrix for all components."""

    name, kernel, shared = "tied", tied, True

    def kernel_parameters(self, origin, log_weights, means, whiteners, scatter):
        return tied.TiedParameters.of(origin, log_weights, means, whiteners, with_scatter=scatter is None)

    def moments(self, sums, origin, means, scatter):
        counts, first, total = tied.unpack(sums, *means.shape)
        weight = counts.sum()
        scatter = scatter or Scatter(origin, total, weight)
        offset = origin + first.sum(axis=0) / weight - scatter.centre
        second = scatter.matrix - scatter.weight * np.outer(offset, offset)
        # A scatter that was taken far from the mean has lost digits: take it again in the next pass.
        far = (offset**2 > 0.99 * np.diagonal(scatter.matrix) / scatter.weight).any()
        return Moments(counts, first - counts[:, None] * (means - origin), second), None if far else scatter

    def shape(self, n_components, n_features):
        return n_features, n_features

    def n_parameters(self, n_components, n_features):
        return n_features * (n_features + 1) // 2

    def estimate(self, moments, counts, shifts, centred):
        total = moments.counts.sum()
        return moments.second / total - _between(moments.counts / total, centred)

    def expected(self, weights, means, covariances):
        return covariances + _between(weights, means)

    def variances(self, covariances, n_components, n_features):
        return np.broadcast_to(np.diagonal(covariances), (n_components, n_features))

    def diagonals(self, whiteners, n_components, n_features):
        return np.broadcast_to(np.diagonal(whiteners), (n_components, n_features))

    def expand(self, whiteners, n_components, n_features):
        return np.broadcast_to(whiteners, (n_components, n_features, n_features))

    def second_moments(self, covariances, standard, whiteners):
        return np.empty((len(standard), 0))  # the total scatter is fixed: weights and means decide

    def covariances_of(self, second, standard, reference, weights, means):
        return reference.covariances + _between(reference.weights, reference.means) - _between(weights, means)


class Diag(CovarianceStructure):
    """One variance a component and feature."""

    name, kernel = "diag", diag

    def kernel_parameters(self, origin, log_weights, means, whiteners, scatter):
        return diag.DiagParameters.of(origin, log_weights, means, whiteners)

    def moments(self, sums, origin, means, scatter):
        return Moments(*diag.unpack(sums, *means.shape)), None

    def scatter_about(self, deviations, weights):
        return weights @ deviations**2

    def shape(self, n_components, n_features):
        return n_components, n_features

    def n_parameters(self, n_components, n_features):
        return n_components * n_features

    def estimate(self, moments, counts, shifts, centred):
        raw = moments.second / counts[:, None]
        return np.where(raw - shifts**2 > 8 * EPSILON * raw, raw - shifts**2, 0.0)  # what is left is rounding

    def whiten(self, covariances):
        singular = ~(covariances > 0).all(axis=1)
        return 1.0 / np.sqrt(np.where(singular[:, None], 1.0, covariances)), singular

    def variances(self, covariances, n_components, n_features):
        return covariances

    def widen(self, covariances, variances, which=None):
        return covariances + (variances if which is None else np.where(which[:, None], variances, 0.0))

    def precision_eigenvalues(self, whiteners):
        return whiteners**2

    def diagonals(self, whiteners, n_components, n_features):
        return whiteners

    def expand(self, whiteners, n_components, n_features):
        return whiteners[:, :, None] * np.eye(n_features)

    def second_moments(self, covariances, standard, whiteners):
        return covariances * whiteners**2 + standard**2 - 1

    def covariances_of(self, second, standard, reference, weights, means):
        return (second + 1 - standard**2) / reference.whiteners**2


class Spherical(CovarianceStructure):
    """One variance a component."""

    name, kernel = "spherical", spherical

    def kernel_parameters(self, origin, log_weights, means, whiteners, scatter):
        return spherical.SphericalParameters.of(origin, log_weights, means, whiteners)

    def moments(self, sums, origin, means, scatter):
        counts, first, second = spherical.unpack(sums, *means.shape)
        return Moments(counts, first - counts[:, None] * (means - origin), second), None

    def scatter_about(self, deviations, weights):
        return weights @ (deviations**2).sum(axis=1)

    def shape(self, n_components, n_features):
        return (n_components,)

    def n_parameters(self, n_components, n_features):
        return n_components

    def estimate(self, moments, counts, shifts, centred):
        raw, moved = moments.second / counts, (shifts**2).sum(axis=1)
        return np.where(raw - moved > 8 * EPSILON * raw, raw - moved, 0.0) / shifts.shape[1]

    def whiten(self, covariances):
        singular = ~(covariances > 0)
        return 1.0 / np.sqrt(np.where(singular, 1.0, covariances)), singular

    def expected(self, weights, means, covariances):
        return weights * covariances * means.shape[1]

    def variances(self, covariances, n_components, n_features):
        return np.broadcast_to(covariances[:, None], (n_components, n_features))

    def widen(self, covariances, variances, which=None):
        return covariances + (variances.mean() if which is None else np.where(which, variances.mean(), 0.0))

    def precision_eigenvalues(self, whiteners):
        return whiteners[:, None] ** 2

    def diagonals(self, whiteners, n_components, n_features):
        return np.broadcast_to(whiteners[:, None], (n_components, n_features))

    def expand(self, whiteners, n_components, n_features):
        return whiteners[:, None, None] * np.eye(n_features)

    def second_moments(self, covariances, standard, whiteners):
        n_features = standard.shape[1]
        trace = n_features * (covariances * whiteners**2 - 1) + (standard**2).sum(axis=1)
        return trace[:, None] / np.sqrt(n_features)

    def covariances_of(self, second, standard, reference, weights, means):
        n_features = standard.shape[1]
        trace = np.sqrt(n_features) * second[:, 0] - (standard**2).sum(axis=1)
        return (trace / n_features + 1) / reference.whiteners**2


STRUCTURES: dict[str, CovarianceStructure] = {s.name: s for s in (Full(), Tied(), Diag(), Spherical())}
