"""The parameters of a Gaussian mixture as one vector: weights, means, distinct entries of the covariances."""

from dataclasses import dataclass
from typing import cast

import numpy as np

from fastem.families.covariances import CovarianceStructure
from fastem.families.covariances.coordinates import Coordinates
from fastem.families.gaussian import GaussianMixtureModel


@dataclass(frozen=True)
class Layout:
    """Where each parameter lies.

    First the K weights; then the means, component after component; then the covariances, one after another: of a
    matrix the lower triangle row by row, (0, 0), (1, 0), (1, 1), (2, 0), ...; of 'diag' the variances; of 'spherical'
    the one variance.
    """

    structure: CovarianceStructure
    n_components: int
    n_features: int

    @classmethod
    def of(cls, model: GaussianMixtureModel) -> "Layout":
        return cls(model.structure, model.n_components, model.n_features)

    @property
    def coordinates(self) -> Coordinates:
        """Those of a covariance."""
        return cast(Coordinates, self.structure.coordinates)

    @property
    def size(self) -> int:
        n_covariances = 1 if self.structure.shared else self.n_components
        return self.n_components * (1 + self.n_features) + n_covariances * self.coordinates.size(self.n_features)

    def mean(self, k: int) -> slice:
        first = self.n_components + k * self.n_features
        return slice(first, first + self.n_features)

    def covariance(self, k: int) -> slice:
        """Of component k; the same for all if there is one covariance."""
        size = self.coordinates.size(self.n_features)
        first = self.n_components * (1 + self.n_features) + (0 if self.structure.shared else k) * size
        return slice(first, first + size)

    def component(self, k: int) -> np.ndarray:
        """The places of the parameters that the density of component k depends on: weight, mean, covariance."""
        numbers = np.arange(self.size)
        return np.concatenate([[k], numbers[self.mean(k)], numbers[self.covariance(k)]])

    @property
    def names(self) -> tuple[str, ...]:
        """Of all parameters, as the attributes are indexed: 'weights[0]', 'means[0, 1]', 'covariances[0, 1, 0]'."""
        components: list[tuple[int | str, ...]] = [(k,) for k in range(self.n_components)]
        shared: list[tuple[int | str, ...]] = [(":",) if self.structure.repeated else ()]
        places = {
            "weights": components,
            "means": [(*k, j) for k in components for j in range(self.n_features)],
            "covariances": [
                (*k, *entry)
                for k in (shared if self.structure.shared else components)
                for entry in self.coordinates.entries(self.n_features)
            ],
        }
        return tuple(f"{name}[{', '.join(map(str, place))}]" for name in places for place in places[name])

    def pack(self, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
        own = self.coordinates.pack(self.structure.of_shown(covariances))
        return np.concatenate([weights, means.ravel(), own.ravel()])

    def unpack(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights, means and covariances in the shapes of the attributes; symmetric entries are repeated."""
        weights, means, entries = np.split(vector, [self.n_components, self.n_components * (1 + self.n_features)])
        covariances = self.coordinates.unpack(
            entries.reshape(-1, self.coordinates.size(self.n_features)),
            self.structure.shape(self.n_components, self.n_features),
        )
        shown = self.structure.shown(covariances, self.n_components)
        return weights.copy(), means.reshape(self.n_components, self.n_features).copy(), shown
