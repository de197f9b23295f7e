"""Independent Bernoulli features: p(x | k) = prod_j p_kj^x_j (1 - p_kj)^(1 - x_j)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import xlog1py, xlogy

from fastem.families.discrete import NEAREST, Pass, Statistics, beside_sums
from fastem.families.independent import IndependentFeatures
from fastem.kernels.families import linear


@dataclass(frozen=True)
class BernoulliMixtureModel(IndependentFeatures):
    """`means` are the probabilities (K, D) of ones; t(x) = x.

    `pseudo_count` is the number of ones, and of zeros, that every component has seen beforehand in every feature: a
    Beta(1 + a, 1 + a) prior, p_kj = (sum r x_j + a) / (N_k + 2 a).
    """

    @property
    def n_features(self) -> int:
        return self.means.shape[1]

    @property
    def _n_free_means(self) -> int:
        return self.n_features

    def _parameters(self, *, with_row_terms: bool) -> Any:
        intercepts, log_odds, impossible = self._terms()
        constants = self._log_weights + intercepts.sum(axis=1)
        return linear.LinearParameters.of(constants, log_odds, impossible, linear.NO_ROW_TERM)

    def _terms(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """log p(0), what a one adds to it, and the marks of impossible values, (K, D) each."""
        zero, one = self.means == 0.0, self.means == 1.0
        inside = np.where(zero | one, 0.5, self.means)
        log_odds = np.where(zero | one, 0.0, np.log(inside) - np.log1p(-inside))
        return np.where(zero | one, 0.0, np.log1p(-inside)), log_odds, zero * 1.0 - one

    def _unpack(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        return linear.LinearParameters.unpack(sums, *self.means.shape)

    def _estimate(self, counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
        a = self.pseudo_count
        return np.minimum((sums + a) / (beside_sums(counts) + 2 * a), 1.0)

    def expected_statistics(self, counts: np.ndarray, batch: Statistics) -> np.ndarray:
        a = self.pseudo_count
        return np.clip(self.means * (counts[:, None] + 2 * a) - a, 0.0, counts[:, None])

    def _log_prior(self, counts: np.ndarray, sums: np.ndarray) -> float:
        return (xlogy(self.pseudo_count, self.means) + xlog1py(self.pseudo_count, -self.means)).sum()

    def _scales(self) -> np.ndarray:
        variances = self.means * (1.0 - self.means)
        return np.sqrt(np.where(variances > 0, variances, 1.0))

    def clipped(self, means: np.ndarray) -> np.ndarray:
        return np.clip(means, NEAREST * self.means, 1.0 - NEAREST * (1.0 - self.means))

    def sufficient_statistics(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def coordinates(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def masked(self, rows: np.ndarray) -> np.ndarray:
        return linear.masked(rows)

    def _parameters_of_masked(self, *, with_row_terms: bool) -> Any:
        return linear.LinearParameters.of_masked(self._log_weights, *self._terms(), linear.NO_ROW_TERM)

    def _unpack_masked(self, sums: np.ndarray) -> Pass:
        return Pass(*linear.LinearParameters.unpack_masked(sums, *self.means.shape))

    def most_probable(self, means: np.ndarray) -> np.ndarray:
        return (means > 0.5).astype(np.float64)

    def quantiles(self, components: np.ndarray, shares: np.ndarray) -> np.ndarray:
        return (shares >= 1.0 - self.means[components]).astype(np.float64)

    def _draw(self, k: int, size: int, random_state: np.random.RandomState) -> np.ndarray:
        return (random_state.random_sample((size, self.n_features)) < self.means[k]).astype(np.int64)
