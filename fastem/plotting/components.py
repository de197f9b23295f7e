"""The components of a mixture as pictures see them: distributions of one or two features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from sklearn.utils.validation import check_is_fitted

from fastem.estimators.bayesian_gaussian_mixture import BayesianGaussianMixture
from fastem.estimators.gaussian_mixture import GaussianMixture
from fastem.estimators.student_t_mixture import StudentTMixture
from fastem.families.covariances import STRUCTURES

REACH = 3.5  # standard deviations of a component that a frame shows


@dataclass(frozen=True)
class Components:
    """Elliptical components.

    Attributes
    ----------
    weights : ndarray of shape (K,)
    means : ndarray of shape (K, D)
    scales : ndarray of shape (K, D, D)
        Covariances, or the scale matrices of Student's t.
    degrees_of_freedom : ndarray of shape (K,)
        Infinite for Gaussians.
    """

    weights: np.ndarray
    means: np.ndarray
    scales: np.ndarray
    degrees_of_freedom: np.ndarray

    @classmethod
    def of(cls, estimator: Any) -> "Components":
        """Those of a fitted Gaussian, Bayesian Gaussian or Student's t mixture; TypeError for any other estimator."""
        if not isinstance(estimator, GaussianMixture | BayesianGaussianMixture | StudentTMixture):
            raise TypeError(
                "A picture needs a GaussianMixture, BayesianGaussianMixture or StudentTMixture, got "
                f"{type(estimator).__name__}."
            )
        check_is_fitted(estimator)
        robust = isinstance(estimator, StudentTMixture)
        arrays = estimator.scales_ if robust else estimator.covariances_
        scales = STRUCTURES[estimator.covariance_type].as_matrices(arrays, *estimator.means_.shape)
        none = np.full(len(estimator.weights_), np.inf)
        freedom = np.broadcast_to(estimator.degrees_of_freedom_, none.shape) if robust else none
        return cls(estimator.weights_, estimator.means_, scales, freedom)

    def of_features(self, features: list[int]) -> "Components":
        """The marginal distributions of some features."""
        chosen = np.ix_(range(len(self.weights)), features, features)
        return Components(self.weights, self.means[:, features], self.scales[chosen], self.degrees_of_freedom)

    @property
    def alive(self) -> list[int]:
        """The components that have a weight."""
        return np.flatnonzero(self.weights > 0).tolist()

    def frame(self, feature: int) -> tuple[float, float]:
        """The range of a feature within REACH standard deviations of any component."""
        means, deviations = self.means[self.alive, feature], np.sqrt(self.scales[self.alive, feature, feature])
        return float((means - REACH * deviations).min()), float((means + REACH * deviations).max())

    def densities(self, points: np.ndarray) -> np.ndarray:
        """w_k p(x | k) of points (n, D), as (n, K)."""
        columns = [
            weight * stats.multivariate_t(mean, scale, df=nu, allow_singular=True).pdf(points)
            for weight, mean, scale, nu in zip(
                self.weights, self.means, self.scales, self.degrees_of_freedom, strict=True
            )
        ]
        return np.stack([np.broadcast_to(column, len(points)) for column in columns], axis=1)

    def outline(self, k: int, level: float) -> np.ndarray:
        """The ellipse (n, 2) that holds a share `level` of component k, of two features.

        Squared Mahalanobis distances of D Gaussian features follow chi2(D), of Student's t D F(D, nu).
        """
        nu = self.degrees_of_freedom[k]
        square = stats.chi2.ppf(level, 2) if np.isinf(nu) else 2 * stats.f.ppf(level, 2, nu)
        angles = np.linspace(0, 2 * np.pi, 181)
        eigenvalues, axes = np.linalg.eigh(self.scales[k])
        circle = np.stack([np.cos(angles), np.sin(angles)])
        return self.means[k] + ((axes * np.sqrt(np.maximum(eigenvalues, 0.0) * square)) @ circle).T
