"""Counts of a given total n: p(x | k) = n! / prod_j x_j! prod_j p_kj^x_j."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import xlogy

from fastem.families.discrete import LEAST_SCALE, NEAREST, ROUNDING, TINY, DiscreteMixtureModel, Statistics
from fastem.kernels.families import linear


@dataclass(frozen=True)
class MultinomialMixtureModel(DiscreteMixtureModel):
    """`means` are the probabilities (K, D) of the categories: the means of a single count; t(x) = x.

    `pseudo_count` is the number of counts that every component has seen beforehand in every category: a
    Dirichlet(1 + a) prior, p_kj = (sum r x_j + a) / (sum r n + D a).

    Attributes
    ----------
    n_trials : float
        Mean total of the rows, for `sample`.
    """

    n_trials: float = 1.0

    @property
    def n_features(self) -> int:
        return self.means.shape[1]

    @property
    def bound_slack(self) -> float:
        return float(ROUNDING * self.n_trials)

    @property
    def _n_free_means(self) -> int:
        return self.n_features - 1

    def _parameters(self, *, with_row_terms: bool) -> Any:
        zero = self.means == 0.0
        row_term = linear.COUNTS_OF_A_TOTAL if with_row_terms else linear.NO_ROW_TERM
        return linear.LinearParameters.of(self._log_weights, np.log(np.where(zero, 1.0, self.means)), zero, row_term)

    def _unpack(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        return linear.LinearParameters.unpack(sums, *self.means.shape)

    def m_step(self, statistics: Statistics) -> "MultinomialMixtureModel":
        n_trials = float(statistics.sums.sum() / statistics.weight)
        return replace(super().m_step(statistics), n_trials=n_trials)

    def _estimate(self, counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
        smoothed = sums + self.pseudo_count
        totals = smoothed.sum(axis=1, keepdims=True)  # zero if all rows are: they say nothing
        return np.where(totals > 0, smoothed / np.where(totals > 0, totals, 1.0), self.means)

    def expected_statistics(self, counts: np.ndarray, batch: Statistics) -> np.ndarray:
        a, totals = self.pseudo_count, counts[:, None] * batch.sums.sum() / batch.weight
        sums = np.maximum(self.means * (totals + self.n_features * a) - a, 0.0)
        return sums * totals / np.maximum(sums.sum(axis=1, keepdims=True), TINY)

    def _log_prior(self, counts: np.ndarray, sums: np.ndarray) -> float:
        return xlogy(self.pseudo_count, self.means).sum()

    def _scales(self) -> np.ndarray:
        return np.sqrt(np.where(self.means > 0, self.means, 1.0))

    def clipped(self, means: np.ndarray) -> np.ndarray:
        inside = np.maximum(means, NEAREST * self.means)
        return inside / inside.sum(axis=1, keepdims=True)

    def sufficient_statistics(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def coordinates(self, rows: np.ndarray) -> np.ndarray:
        """Square roots of shares: their distances are those of Hellinger."""
        return np.sqrt(rows / np.maximum(rows.sum(axis=1, keepdims=True), 1.0))

    def residuals(self, rows: np.ndarray, k: int) -> np.ndarray:
        totals = rows.sum(axis=1, keepdims=True)
        scales = np.sqrt(np.maximum(totals, 1.0)) * np.maximum(self._scales()[k], LEAST_SCALE)
        return (rows - totals * self.means[k]) / scales

    def _draw(self, k: int, size: int, random_state: np.random.RandomState) -> np.ndarray:
        return random_state.multinomial(round(self.n_trials), self.means[k], size=size)
