"""What Gaussian and Student's t components have in common: ellipsoids of equal density."""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from scipy import stats
from scipy.linalg import solve_triangular
from scipy.optimize import brentq

E = TypeVar("E", bound="Ellipses")


@dataclass(frozen=True)
class Ellipses:
    """Components whose densities fall with the Mahalanobis distance from their means.

    Attributes
    ----------
    weights : ndarray of shape (K,)
    means : ndarray of shape (K, D)
    scales : ndarray of shape (K, D, D)
        Covariances of Gaussians, scale matrices of Student's t.
    degrees_of_freedom : ndarray of shape (K,)
        Infinite for Gaussians.
    """

    weights: np.ndarray
    means: np.ndarray
    scales: np.ndarray
    degrees_of_freedom: np.ndarray

    def of_features(self: E, features: list[int]) -> E:
        """The marginal distributions of some features."""
        chosen = np.ix_(range(len(self.weights)), features, features)
        return replace(self, means=self.means[:, features], scales=self.scales[chosen])

    def squared_distances(self, rows: np.ndarray) -> np.ndarray:
        """(x - mu_k)^T Sigma_k^-1 (x - mu_k) of rows (n, D), as (n, K)."""
        factors = np.linalg.cholesky(self.scales)
        columns = [
            (solve_triangular(factor, (rows - mean).T, lower=True) ** 2).sum(axis=0)
            for factor, mean in zip(factors, self.means, strict=True)
        ]
        return np.stack(columns, axis=1)

    def squared_radii(self, level: float) -> np.ndarray:
        """The squared distances that hold a share `level` of each component, (K,).

        Those of D Gaussian features follow chi2(D), those of Student's t D F(D, nu).
        """
        n_features, heavy = self.means.shape[1], np.isfinite(self.degrees_of_freedom)
        freedom = np.where(heavy, self.degrees_of_freedom, 1.0)
        of_gaussian = stats.chi2.ppf(level, n_features)
        return np.where(heavy, n_features * stats.f.ppf(level, n_features, freedom), of_gaussian)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """P(X <= x) of the mixture in one feature, for x of any shape."""
        standard = (x[..., None] - self.means[:, 0]) / np.sqrt(self.scales[:, 0, 0])
        return stats.t.cdf(standard, self.degrees_of_freedom) @ self.weights

    def quantiles(self, shares: np.ndarray) -> np.ndarray:
        """The x of one feature with P(X <= x) = q, for q of any shape: between the quantiles of the components."""
        alive = self.weights > 0
        means, deviations = self.means[alive, 0], np.sqrt(self.scales[alive, 0, 0])
        found = np.empty(shares.shape)
        for place, share in np.ndenumerate(shares):
            bounds = means + deviations * stats.t.ppf(share, self.degrees_of_freedom[alive])
            low, high = bounds.min(), bounds.max()
            inside = np.isfinite(low) and low < high
            found[place] = (
                brentq(lambda x, q=share: self.cdf(np.array(x)) - q, low, high, xtol=1e-14) if inside else low
            )
        return found
