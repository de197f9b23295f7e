"""Independent columns of levels 0, 1, ...: p(x | k) = prod_j p_kj(x_j); latent class analysis."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import xlogy

from fastem.families.discrete import NEAREST, TINY, Pass, Statistics
from fastem.families.independent import IndependentFeatures
from fastem.kernels.families import categorical


@dataclass(frozen=True)
class CategoricalMixtureModel(IndependentFeatures):
    """`means` are the probabilities (K, levels of all columns), column after column; t(x) is one at each level of x.

    `pseudo_count` is the number of rows that every component has seen beforehand at every level: Dirichlet(1 + a)
    priors, p_kj(v) = (sum r [x_j = v] + a) / (N_k + a levels_j).

    Attributes
    ----------
    n_levels : ndarray of shape (D,)
    n_counted : int or None
        Levels of all columns that count as parameters; None stands for all.
    """

    n_levels: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def check(self) -> None:
        super().check()
        levels = self.n_levels
        if levels.dtype != np.int64 or levels.ndim != 1 or not (levels > 0).all() or levels.max() > self.means.shape[1]:
            raise ValueError(f"n_levels is {levels!r}")
        if levels.sum() != self.means.shape[1]:  # the kernel looks a level up where the column begins
            raise ValueError(f"n_levels has {levels.sum()} levels, means {self.means.shape[1]}")

    n_counted: int | None = None

    @property
    def n_features(self) -> int:
        return len(self.n_levels)

    @property
    def _n_free_means(self) -> int:
        return (int(self.n_levels.sum()) if self.n_counted is None else self.n_counted) - self.n_features

    @property
    def _starts(self) -> np.ndarray:
        return np.cumsum(self.n_levels) - self.n_levels

    def _parameters(self, *, with_row_terms: bool) -> Any:
        with np.errstate(divide="ignore"):
            log_probabilities = np.log(self.means)
        return categorical.CategoricalParameters.of(self._log_weights, log_probabilities, self.n_levels)

    def _unpack(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        counts, by_level = categorical.CategoricalParameters.unpack(sums, *self.means.shape)
        return counts, by_level, 0.0

    def _estimate(self, counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
        # An empty component has no sums either: any number does, it keeps its old means.
        smoothed = sums + self.pseudo_count
        totals = self._column_totals(smoothed)
        return smoothed / np.where(totals > 0, totals, 1.0)

    def _column_totals(self, table: np.ndarray) -> np.ndarray:
        """The sums over the levels of each column, once for every level."""
        return np.repeat(np.add.reduceat(table, self._starts, axis=1), self.n_levels, axis=1)

    def expected_statistics(self, counts: np.ndarray, batch: Statistics) -> np.ndarray:
        a = self.pseudo_count
        sums = self.means * (counts[:, None] + a * np.repeat(self.n_levels, self.n_levels)) - a
        sums = np.maximum(sums, 0.0)
        return sums * counts[:, None] / np.maximum(self._column_totals(sums), TINY)

    def _log_prior(self, counts: np.ndarray, sums: np.ndarray) -> float:
        return xlogy(self.pseudo_count, self.means).sum()

    def _scales(self) -> np.ndarray:
        return np.sqrt(np.where(self.means > 0, self.means, 1.0))

    def clipped(self, means: np.ndarray) -> np.ndarray:
        inside = np.maximum(means, NEAREST * self.means)
        return inside / self._column_totals(inside)

    def sufficient_statistics(self, rows: np.ndarray) -> np.ndarray:
        table, missing = np.zeros((len(rows), self.means.shape[1])), np.isnan(rows)
        levels = np.where(missing, 0, rows).astype(np.int64)
        np.put_along_axis(table, levels + self._starts, 1.0, axis=1)
        table[np.repeat(missing, self.n_levels, axis=1)] = np.nan
        return table

    def coordinates(self, rows: np.ndarray) -> np.ndarray:
        return self.sufficient_statistics(rows)

    # Rows with gaps: what is missing is one more level of its column, of probability one.

    def masked(self, rows: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(rows), self.n_levels, rows).astype(np.float64)

    def _parameters_of_masked(self, *, with_row_terms: bool) -> Any:
        with np.errstate(divide="ignore"):
            log_probabilities = np.log(self.means)
        ends = np.cumsum(self.n_levels)
        extended = np.insert(log_probabilities, ends, 0.0, axis=1)
        return categorical.CategoricalParameters.of(self._log_weights, extended, self.n_levels + 1)

    def _unpack_masked(self, sums: np.ndarray) -> Pass:
        n_components, n_extended = self.n_components, self.means.shape[1] + self.n_features
        counts, extended = categorical.CategoricalParameters.unpack(sums, n_components, n_extended)
        places = np.cumsum(self.n_levels + 1) - 1
        observed = counts[:, None] - np.repeat(extended[:, places], self.n_levels, axis=1)
        return Pass(counts, np.delete(extended, places, axis=1), 0.0, observed)

    def most_probable(self, means: np.ndarray) -> np.ndarray:
        columns = np.split(means, self._starts[1:], axis=1)
        return np.stack([column.argmax(axis=1) for column in columns], axis=1).astype(np.float64)

    def quantiles(self, components: np.ndarray, shares: np.ndarray) -> np.ndarray:
        columns = zip(np.split(self.means, self._starts[1:], axis=1), shares.T, strict=True)
        levels = [(np.cumsum(p[:, :-1], axis=1)[components] <= share[:, None]).sum(axis=1) for p, share in columns]
        return np.stack(levels, axis=1).astype(np.float64)

    def _draw(self, k: int, size: int, random_state: np.random.RandomState) -> np.ndarray:
        columns = [
            random_state.choice(len(p), size=size, p=p / p.sum()) for p in np.split(self.means[k], self._starts[1:])
        ]
        return np.stack(columns, axis=1).astype(np.int64)
