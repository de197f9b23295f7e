"""The components of a mixture as pictures see them: distributions of one or two features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from fastem.estimators.elliptical import EllipticalMixin
from fastem.families.ellipses import Ellipses

REACH = 3.5  # standard deviations of a component that a frame shows


@dataclass(frozen=True)
class Components(Ellipses):
    """Elliptical components with an outline."""

    @classmethod
    def of(cls, estimator: Any) -> "Components":
        """Those of a fitted Gaussian, Bayesian Gaussian or Student's t mixture; TypeError for any other estimator."""
        if not isinstance(estimator, EllipticalMixin):
            raise TypeError(
                "A picture needs a GaussianMixture, BayesianGaussianMixture or StudentTMixture, got "
                f"{type(estimator).__name__}."
            )
        return cls(**vars(estimator._ellipses()))

    @property
    def alive(self) -> list[int]:
        """The components that have a weight."""
        return np.flatnonzero(self.weights > 0).tolist()

    def frame(self, feature: int) -> tuple[float, float]:
        """The range of a feature within REACH standard deviations of any component."""
        means, deviations = self.means[self.alive, feature], np.sqrt(self.scales[self.alive, feature, feature])
        return float((means - REACH * deviations).min()), float((means + REACH * deviations).max())

    def densities(self, x: np.ndarray) -> np.ndarray:
        """w_k p(x | k) of numbers (n,), as (n, K), of the first feature."""
        deviations = np.sqrt(self.scales[:, 0, 0])
        return (
            self.weights
            / deviations
            * stats.t.pdf((x[:, None] - self.means[:, 0]) / deviations, self.degrees_of_freedom)
        )

    def outline(self, k: int, level: float) -> np.ndarray:
        """The ellipse (n, 2) that holds a share `level` of component k, of two features."""
        angles = np.linspace(0, 2 * np.pi, 181)
        eigenvalues, axes = np.linalg.eigh(self.scales[k])
        radii = np.sqrt(np.maximum(eigenvalues, 0.0) * self.squared_radii(level)[k])
        return self.means[k] + ((axes * radii) @ np.stack([np.cos(angles), np.sin(angles)])).T
