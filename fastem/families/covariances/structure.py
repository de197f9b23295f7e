"""What a model asks of the structure of its covariances.

Throughout, a *whitener* is the inverse lower Cholesky factor L of a covariance, Sigma^-1 = L^T L; scikit-learn's
`precisions_cholesky_` is L^T.
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np

from fastem.families.covariances.coordinates import Coordinates

EPSILON = np.finfo(np.float64).eps
TINY = 1e-290  # a variance whose inverse, or a square of it, would overflow soon


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
        shared: the total scatter of all rows about their mean (D, D).
    """

    counts: np.ndarray
    first: np.ndarray
    second: np.ndarray


class Scatter(NamedTuple):
    """The total scatter of the data about a centre near their mean: shared covariances need it once."""

    centre: np.ndarray
    matrix: np.ndarray
    weight: float


class CovarianceStructure(ABC):
    """The formulas in which the structures differ.

    Attributes
    ----------
    name : str
    parts : str
        Whether volumes, shapes and orientations are equal (E), variable (V) or those of the identity (I).
    shared : bool
        One covariance for all components: the M-step has the total scatter, the arrays have no axis of components.
    repeated : bool
        Users see the shared covariance once for each component; here its arrays have one entry.
    of_some_features : str
        The name of the structure that marginal and conditional distributions have; empty if it is this one.
    coordinates : Coordinates or None
        In which standard errors are computed; None if there are none.
    constrains : bool
        The M-step ends in `constrained`.
    bayesian, student_t : bool
        Whether `BayesianGaussianMixture` and `StudentTMixture` have it.
    correlated : bool
        Whether its covariances are matrices, which must be symmetric.
    """

    name: str
    parts: str
    shared: bool = False
    repeated: bool = False
    of_some_features: str = ""
    coordinates: Coordinates | None = None
    constrains: bool = False
    bayesian: bool = False
    student_t: bool = False
    correlated: bool = False

    # The E-step -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def kernel_parameters(self, origin, log_weights, means, whiteners, scatter: Scatter | None) -> Any:
        """What the kernel reads; rows are moved to `origin` (D,) on loading."""

    @abstractmethod
    def moments(self, sums, origin, means, scatter: Scatter | None) -> tuple[Moments, Scatter | None]:
        """Moments about `means` from what the kernel added up, and the scatter for the next pass."""

    def of_matrix_moments(self, moments: Moments, means: np.ndarray) -> Moments:
        """Those of this structure from moments about `means` whose second ones are matrices (K, D, D)."""
        return moments._replace(second=self.of_matrices(moments.second))

    def joined(self, one: Moments, other: Moments, means: np.ndarray) -> Moments:
        """Moments about `means` of two sets of rows together."""
        return Moments(*(a + b for a, b in zip(one, other, strict=True)))

    @abstractmethod
    def scatter_about(self, deviations: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The second moment of weighted rows (n, D) that are deviations already: one entry of `Moments.second`."""

    # The M-step -------------------------------------------------------------------------------------------------------

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the covariances."""
        volumes, shapes, axes = ({"E": 1, "V": n_components, "I": 0}[part] for part in self.parts)
        return volumes + shapes * (n_features - 1) + axes * n_features * (n_features - 1) // 2

    @abstractmethod
    def shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of the covariances."""

    @abstractmethod
    def estimate(self, moments: Moments, counts: np.ndarray, shifts: np.ndarray, centred: np.ndarray) -> np.ndarray:
        """Covariances of the rows of each component, or within all of them.

        `counts` (K,) are positive, `shifts` (K, D) lead from the old means to the new ones, `centred` (K, D) are the
        new means about the mean of the mixture.
        """

    def constrained(self, covariances: np.ndarray, shares: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """The covariances of this structure with the greatest likelihood for rows that have these covariances.

        `shares` (K,) are those of the components in the rows. Where it takes iterations, they begin at the parts that
        `previous` covariances of this structure have in common, and do not end at a lower likelihood. Zeros, or what
        else `whiten` calls singular, where there is no maximum.
        """
        return covariances

    def expected(self, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
        """`Moments.second` per unit weight that a mixture expects of its own rows."""
        return covariances * weights.reshape(-1, *[1] * (covariances.ndim - 1))

    @abstractmethod
    def widen(self, covariances: np.ndarray, variances: np.ndarray, which: np.ndarray | None = None) -> np.ndarray:
        """Add `variances` (D,) to the diagonals of all covariances, or of those that the mask `which` selects."""

    def resolution(self, means: np.ndarray, centred: np.ndarray) -> np.ndarray:
        """The variance of each feature that is nothing but rounding, (K, D) or what broadcasts to it.

        Means (K, D) round, and so do rows that are moved to the mean of the mixture, where the means are `centred`.
        """
        reach = np.maximum(np.abs(means), np.abs(centred))
        return np.maximum((8 * EPSILON * reach) ** 2, TINY)

    def unbounded(self, constant: np.ndarray) -> bool:
        """Whether some covariance must be singular when the features that the mask (D,) selects are constant."""
        return bool(constant.any())

    # Conversions ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def whiten(self, covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whiteners, and which covariances (K,) or the one (1,) are singular to working precision."""

    @abstractmethod
    def variances(self, covariances: np.ndarray, n_components: int, n_features: int) -> np.ndarray:
        """Variances of the features, (K, D)."""

    @abstractmethod
    def precision_eigenvalues(self, whiteners: np.ndarray) -> np.ndarray:
        """Eigenvalues of the precisions, (K or 1, D); spherical ones D times."""

    @abstractmethod
    def diagonals(self, whiteners: np.ndarray, n_components: int, n_features: int) -> np.ndarray:
        """Diagonals of the whiteners, (K, D): one over the deviation of a feature when those before it are known."""

    @abstractmethod
    def as_matrices(self, arrays: np.ndarray, n_components: int, n_features: int) -> np.ndarray:
        """Covariances, precisions or whiteners as matrices, (K, D, D)."""

    def precisions(self, whiteners: np.ndarray) -> np.ndarray:
        """Inverse covariances."""
        return whiteners**2

    def covariances(self, whiteners: np.ndarray) -> np.ndarray:
        """Covariances from their whiteners."""
        return whiteners**-2.0

    def factors(self, whiteners: np.ndarray, n_features: int) -> np.ndarray:
        """Lower Cholesky factors of the covariances, (K or 1, D, D), or their diagonals (K or 1, D)."""
        return 1.0 / self.diagonals(whiteners, 1 if self.shared else len(whiteners), n_features)

    def whiteners_of_precisions(self, precisions: np.ndarray) -> np.ndarray:
        """Whiteners from inverse covariances; raises LinAlgError if one is not positive-definite."""
        return np.sqrt(precisions)

    def cholesky(self, whiteners: np.ndarray) -> np.ndarray:
        """scikit-learn's `precisions_cholesky_` from whiteners, and back."""
        return whiteners

    # What users see ---------------------------------------------------------------------------------------------------

    def shown_shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of the attributes."""
        shape = self.shape(n_components, n_features)
        return (n_components, *shape[1:]) if self.repeated else shape

    def shown(self, arrays: np.ndarray, n_components: int) -> np.ndarray:
        """Covariances, precisions or their factors as the attributes have them."""
        return np.repeat(arrays, n_components, axis=0) if self.repeated else arrays

    def of_shown(self, arrays: np.ndarray) -> np.ndarray:
        """What `shown` was given."""
        return arrays[:1] if self.repeated else arrays

    def holds(self, arrays: np.ndarray) -> bool:
        """Whether positive-definite matrices or variances of the shape of the attributes are of this structure."""
        if self.repeated:
            return bool(np.allclose(arrays, arrays[:1], rtol=1e-6, atol=0.0))
        fitted = self.constrained(arrays, np.full(len(arrays), 1.0 / len(arrays)), arrays)
        if fitted is arrays:
            return True
        whiteners, _ = self.whiten(arrays)
        return bool(np.abs(self.second_moments(fitted, np.zeros(whiteners.shape[:2]), whiteners)).max() < 1e-6)

    # Some of the features ---------------------------------------------------------------------------------------------

    @abstractmethod
    def select(self, covariances: np.ndarray, features: list[int]) -> np.ndarray:
        """The covariances of some features."""

    def regression(
        self, covariances: np.ndarray, whiteners: np.ndarray, known: list[int], rest: list[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Slopes of the features `rest` on the `known` ones, (K or 1, rest, known), and the covariances that are left.

        `whiteners` are those of the known features.
        """
        return np.zeros((1, len(rest), len(known))), self.select(covariances, rest)

    @property
    def unshared(self) -> "CovarianceStructure":
        """The structure of covariances of the same form, one for each component."""
        return self

    # A model in the coordinates of a reference, where its component means are 0 and its covariances I -----------------

    @abstractmethod
    def to_standard(self, deviations: np.ndarray, whiteners: np.ndarray) -> np.ndarray:
        """L d for the deviations (K, D) of means from those of the reference."""

    @abstractmethod
    def from_standard(self, standard: np.ndarray, whiteners: np.ndarray) -> np.ndarray:
        """The deviations that `to_standard` takes to `standard`."""

    @abstractmethod
    def second_moments(self, covariances: np.ndarray, standard: np.ndarray, whiteners: np.ndarray) -> np.ndarray:
        """L Sigma L^T + d d^T - I with d = `standard`, (K, n); its norm is that of the matrix. Empty if shared."""

    @abstractmethod
    def covariances_of(
        self, second: np.ndarray, standard: np.ndarray, reference, weights: np.ndarray, means: np.ndarray
    ) -> np.ndarray:
        """The covariances whose `second_moments` about the model `reference` these are, given weights and means."""

    # The likelihood ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def gradient(self, moments: Moments, means: np.ndarray, whiteners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of the log-likelihood by means (K, D) and covariances, from the moments of an E-step.

        sum r P d and sum r (P d d^T P - P) / 2 with d = x - mu_k and the precision P.
        """

    @abstractmethod
    def of_matrices(self, matrices: np.ndarray) -> np.ndarray:
        """What symmetric matrices (..., D, D) are on average in this form: all of them, diagonals, means of these."""
