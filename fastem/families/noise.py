"""A mixture and noise: a component of constant density beside those of any family.

p(x) = (1 - w_0) sum_k v_k p(x | k) + w_0 / V for rows in a box of volume V (Banfield and Raftery 1993). What the
components are is the business of their own model, whose weights v_k sum to one.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fastem.families.cached import cached_property
from fastem.families.checks import check_arrays
from fastem.families.model import LikelihoodModel
from fastem.kernels.accumulation import accumulated
from fastem.kernels.assignments import SOFT, Assignment
from fastem.kernels.families.noise import NoiseParameters
from fastem.sources import Source

LABEL = -1  # of rows that are noise


class Statistics(NamedTuple):
    """What one pass over the rows leaves: log-likelihood, sum of the weights, and the statistics of the components."""

    log_likelihood: float
    weight: float
    components: Any

    @property
    def lower_bound(self) -> float:
        """Mean log-likelihood per unit weight."""
        return self.log_likelihood / self.weight

    @property
    def noise(self) -> float:
        """Sum of the responsibilities of the noise."""
        return max(0.0, self.weight - self.components.weight)


@dataclass(frozen=True)
class NoisyMixtureModel(LikelihoodModel):
    """The parameters; immutable, an M-step returns new ones.

    Attributes
    ----------
    components : LikelihoodModel
        Their weights are shares of what is no noise.
    noise_weight : float
    log_volume : float
    box : ndarray of shape (2, D)
        Least and greatest values of the features: where noise is drawn.
    """

    components: LikelihoodModel
    noise_weight: float
    log_volume: float
    box: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        return (1.0 - self.noise_weight) * self.components.weights

    @property
    def means(self) -> Any:
        return self.components.means

    @property
    def structure(self) -> Any:
        return self.components.structure  # type: ignore[attr-defined]

    @property
    def n_features(self) -> int:
        return self.components.n_features

    @property
    def n_parameters(self) -> int:
        """Those of the components, and the weight of the noise."""
        return self.components.n_parameters + 1

    def check(self) -> None:
        self.components.check()
        check_arrays(self, box=(2, self.n_features))
        if not (0.0 <= self.noise_weight < 1.0 and np.isfinite(self.log_volume)):
            raise ValueError(f"noise of weight {self.noise_weight} and log-volume {self.log_volume}")

    def reweighted(self, weights: np.ndarray) -> "NoisyMixtureModel":
        """The weights are shares of what is no noise."""
        return replace(self, components=self.components.reweighted(weights))

    def residuals(self, rows: np.ndarray, k: int) -> np.ndarray:
        return self.components.residuals(rows, k)

    def reordered(self, order: np.ndarray) -> "NoisyMixtureModel":
        return replace(self, components=self.components.reordered(order))

    def detached(self) -> "NoisyMixtureModel":
        return replace(self, components=self.components.detached())

    # E-step -----------------------------------------------------------------------------------------------------------

    @cached_property
    def kernel_parameters(self) -> Any:
        return NoiseParameters.of(self.components.kernel_parameters, self.noise_weight, self.log_volume)

    def e_step(self, source: Source, assignment: Assignment = SOFT) -> Statistics:
        """One fused pass. The statistics of the components are those of rows with what the noise leaves of them."""
        return self.statistics(source.total(partial(accumulated, self.kernel_parameters, assignment=assignment)))

    def statistics(self, sums: np.ndarray) -> Statistics:
        return Statistics(float(sums[0] + sums[1]), float(sums[2]), self.components.statistics(sums))

    def sample(self, n_samples: int, random_state: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n, D) and their components (n,), component after component, then noise, which is uniform in the box."""
        n_noise = random_state.binomial(n_samples, self.noise_weight)
        rows, labels = self.components.sample(n_samples - n_noise, random_state)
        noise = random_state.uniform(self.box[0], self.box[1], size=(n_noise, self.n_features))
        return np.concatenate([rows, noise]), np.concatenate([labels, np.full(n_noise, LABEL)])

    def ellipses(self) -> Any:
        return self.components.ellipses()  # type: ignore[attr-defined]

    def completed(self, rows: np.ndarray) -> np.ndarray:
        """Nothing is expected of the missing numbers of a row that may be noise."""
        raise ValueError("impute is of a mixture without noise.")

    def drawn(self, rows: np.ndarray, random_state: np.random.RandomState) -> np.ndarray:
        return self.completed(rows)

    # M-step -----------------------------------------------------------------------------------------------------------

    def m_step(self, statistics: Statistics) -> "NoisyMixtureModel":
        """That of the components, and w_0 = the share of the noise.

        Raises
        ------
        ValueError
            If nothing but noise is left.
        """
        share = statistics.noise / statistics.weight
        if not share < 1.0:
            raise ValueError("All rows have become noise: its volume is too small for their density.")
        # A scatter of all rows is that of what the noise has left of them, another one in every pass.
        components = self.components.m_step(statistics.components).detached()
        return replace(self, components=components, noise_weight=share)

    def stepwise(self, statistics: Statistics, rate: float) -> "NoisyMixtureModel":
        past = (1.0 - rate) / rate * statistics.weight * (1.0 - self.noise_weight)
        own = statistics.components.weight
        components = self.components.stepwise(statistics.components, own / (own + past)) if own else self.components
        noise = self.noise_weight + rate * (statistics.noise / statistics.weight - self.noise_weight)
        return replace(self, components=components, noise_weight=noise)

    # health -----------------------------------------------------------------------------------------------------------

    @property
    def repairs(self) -> Any:
        return self.components.repairs

    @property
    def bound_slack(self) -> float:
        return self.components.bound_slack

    @staticmethod
    def rows_per_component(n_features: int) -> int:
        raise NotImplementedError  # the components say it: `enough_rows`

    def enough_rows(self, n_rows: int) -> bool:
        return self.components.enough_rows(self._own(n_rows))

    def handicap(self, n_rows: int) -> float:
        own = self._own(n_rows)
        return self.components.handicap(own) * own / n_rows

    def _own(self, n_rows: int) -> int:
        """How many of so many rows are no noise."""
        return max(1, round(n_rows * (1.0 - self.noise_weight)))

    def remarks(self) -> list[str]:
        return self.components.remarks()

    # coordinates ------------------------------------------------------------------------------------------------------

    def flatten(self, reference: "NoisyMixtureModel") -> np.ndarray:
        """Those of the components, and the weight of the noise in units of its deviation."""
        own = self.components.flatten(reference.components)
        return np.append(own.ravel(), (self.noise_weight - reference.noise_weight) / reference._deviation)

    def unflatten(self, coordinates: np.ndarray) -> "NoisyMixtureModel | None":
        shape = self.components.flatten(self.components).shape
        components = self.components.unflatten(coordinates[:-1].reshape(shape))
        noise = self.noise_weight + float(coordinates[-1]) * self._deviation
        if components is None or not 0.0 <= noise < 1.0:
            return None
        return replace(self, components=components, noise_weight=noise)

    @property
    def _deviation(self) -> float:
        """Of one draw from the noise or the rest."""
        return max(float(np.sqrt(self.noise_weight * (1.0 - self.noise_weight))), np.finfo(float).tiny)
