"""Independent Poisson counts: p(x | k) = prod_j rate_kj^x_j exp(-rate_kj) / x_j!."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import xlogy
from scipy.stats import poisson

from fastem.families.discrete import NEAREST, ROUNDING, Pass, Statistics, beside_sums
from fastem.families.independent import IndependentFeatures
from fastem.kernels.families import linear


@dataclass(frozen=True)
class PoissonMixtureModel(IndependentFeatures):
    """`means` are the rates (K, D); t(x) = x.

    `pseudo_count` is the number of rows, all of them the mean of the data (of half an event more in all), that every
    component has seen beforehand: a gamma prior, rate_kj = (sum r x_j + a m_j) / (N_k + a).
    """

    @property
    def n_features(self) -> int:
        return self.means.shape[1]

    @property
    def bound_slack(self) -> float:
        return float(ROUNDING * self.weights @ np.abs(xlogy(self.means, self.means)).sum(axis=1))

    @property
    def _n_free_means(self) -> int:
        return self.n_features

    def _parameters(self, *, with_row_terms: bool) -> Any:
        zero = self.means == 0.0
        row_term = linear.INDEPENDENT_COUNTS if with_row_terms else linear.NO_ROW_TERM
        constants = self._log_weights - self.means.sum(axis=1)
        return linear.LinearParameters.of(constants, np.log(np.where(zero, 1.0, self.means)), zero, row_term)

    def _unpack(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        return linear.LinearParameters.unpack(sums, *self.means.shape)

    def _estimate(self, counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
        a = self.pseudo_count
        return (sums + a * _mean_row(counts, sums)) / (beside_sums(counts) + a)

    def expected_statistics(self, counts: np.ndarray, batch: Statistics) -> np.ndarray:
        a = self.pseudo_count
        sums = self.means * (counts[:, None] + a) - a * (self.weights @ self.means)
        return np.where(counts[:, None] > 0, np.maximum(sums, 0.0), 0.0)

    def _log_prior(self, counts: np.ndarray, sums: np.ndarray) -> float:
        return self.pseudo_count * (xlogy(_mean_row(counts, sums), self.means) - self.means).sum()

    def _scales(self) -> np.ndarray:
        return np.sqrt(np.where(self.means > 0, self.means, 1.0))

    def clipped(self, means: np.ndarray) -> np.ndarray:
        return np.maximum(means, NEAREST * self.means)

    def sufficient_statistics(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def coordinates(self, rows: np.ndarray) -> np.ndarray:
        """Square roots of counts: their variance hardly depends on the rate."""
        return np.sqrt(rows)

    def masked(self, rows: np.ndarray) -> np.ndarray:
        return linear.masked(rows)

    def _parameters_of_masked(self, *, with_row_terms: bool) -> Any:
        zero = self.means == 0.0
        row_term = linear.INDEPENDENT_COUNTS if with_row_terms else linear.NO_ROW_TERM
        slopes = np.log(np.where(zero, 1.0, self.means))
        return linear.LinearParameters.of_masked(self._log_weights, -self.means, slopes, zero * 1.0, row_term)

    def _unpack_masked(self, sums: np.ndarray) -> Pass:
        return Pass(*linear.LinearParameters.unpack_masked(sums, *self.means.shape))

    def most_probable(self, means: np.ndarray) -> np.ndarray:
        return means

    def quantiles(self, components: np.ndarray, shares: np.ndarray) -> np.ndarray:
        return poisson.ppf(shares, self.means[components])

    def _draw(self, k: int, size: int, random_state: np.random.RandomState) -> np.ndarray:
        return random_state.poisson(self.means[k], size=(size, self.n_features))


def _mean_row(counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """The mean of all rows; positive even where no event was seen."""
    return (sums.sum(axis=0) + 0.5) / counts.sum(axis=0)
