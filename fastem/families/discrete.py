"""Mixtures of discrete distributions as the engine sees them: what the four families share."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from fastem.families.cached import cached_property
from fastem.families.checks import check_arrays, rows_and_columns
from fastem.families.model import LikelihoodModel
from fastem.kernels.accumulation import accumulated
from fastem.kernels.assignments import SOFT, Assignment
from fastem.kernels.passes import HEADER
from fastem.sources import Source

EMPTY = 1e-13  # share of the rows below which a component has no row to itself: its sums are rounding
IMPOSSIBLE = -1e200  # a log-likelihood that no possible rows have
LEAST_SCALE = 0.03  # of a residual: a value that is nearly never seen is not to decide alone
ROUNDING = 16 * np.finfo(np.float64).eps  # of a log-likelihood, as a share of the counts in it
TINY = np.finfo(np.float64).tiny
ENOUGH_ROWS = 10  # rows that a component should expect to have
NEAREST = 0.01  # of its distance to the edge of the possible values a parameter keeps in an extrapolation


class Statistics(NamedTuple):
    """What one pass over the rows leaves: log-likelihood and log-prior of the parameters that made it, and moments."""

    log_likelihood: float
    log_prior: float
    counts: np.ndarray  # (K,) sums of r
    sums: np.ndarray  # (K, C) sums of r t(x)
    row_terms: float | None = None  # the part of the log-likelihood that no parameter is in
    observed: np.ndarray | None = None  # (K, C) sums of r over rows in which t(x) is not missing, if it is in any

    def completed(self, means: np.ndarray) -> "Statistics":
        """Those where means (K, C) are what is expected in the place of what is missing."""
        if self.observed is None:
            return self
        sums = self.sums + (self.counts[:, None] - self.observed) * means
        return self._replace(sums=sums, observed=None)

    @property
    def weight(self) -> float:
        return float(self.counts.sum())

    @property
    def lower_bound(self) -> float:
        """Mean log-likelihood per unit weight, with its share of the log-prior: what EM climbs."""
        return (self.log_likelihood + self.log_prior) / self.weight


def check_that_rows_are_possible(log_likelihood: float, weight: float) -> None:
    """Raise ValueError if some are not."""
    if not log_likelihood > IMPOSSIBLE * max(weight, 1.0):
        raise ValueError(
            "Some rows are impossible under every component: they have values of probability zero. Set pseudo_count to "
            "a positive number, or choose another start."
        )


class Pass(NamedTuple):
    """What a kernel adds up: see `Statistics`."""

    counts: np.ndarray
    sums: np.ndarray
    row_terms: float
    observed: np.ndarray | None = None


M = TypeVar("M", bound="DiscreteMixtureModel")


def beside_sums(counts: np.ndarray) -> np.ndarray:
    """Counts (K,), or (K, C) where statistics are missing in some rows, as a divisor of sums (K, C)."""
    return counts[:, None] if counts.ndim == 1 else counts


@dataclass(frozen=True)
class DiscreteMixtureModel(LikelihoodModel):
    """The parameters of sum_k w_k p(x | k); immutable, an M-step returns new ones.

    A family has sufficient statistics t(x) of C numbers; its parameters are their means.

    Attributes
    ----------
    weights : ndarray of shape (K,)
        An empty component has weight zero.
    means : ndarray of shape (K, C)
        E[t(x) | k].
    pseudo_count : float
        Strength of the prior that keeps parameters off zero; 0 is maximum likelihood.
    fit_weights : bool
        Whether an M-step changes the weights.
    row_terms : float or None
        The part of the log-likelihood that depends on the rows alone; known after the first pass.
    """

    weights: np.ndarray
    means: np.ndarray
    pseudo_count: float = 0.0
    fit_weights: bool = True
    row_terms: float | None = None

    @property
    def bound_slack(self) -> float:
        """The prior is in the bound, so nothing takes it down but rounding: x log p of counts x that are large."""
        return 0.0

    # what a family adds -----------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def _n_free_means(self) -> int:
        """Free parameters of one component."""

    @abstractmethod
    def _parameters(self, *, with_row_terms: bool) -> Any:
        """What the compiled passes read."""

    @abstractmethod
    def _unpack(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Counts (K,), sums (K, C) and row terms from what a kernel added up."""

    @abstractmethod
    def _estimate(self, counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """The means (K, C) of the greatest posterior density for positive counts (K,) or (K, C) and sums (K, C)."""

    @abstractmethod
    def expected_statistics(self, counts: np.ndarray, batch: Statistics) -> np.ndarray:
        """Sums (K, C) whose estimate, with these counts, are the means of this model: possible ones, zero for none."""

    @abstractmethod
    def _log_prior(self, counts: np.ndarray, sums: np.ndarray) -> float:
        """Logarithm of the prior density that `pseudo_count` stands for, up to a constant; it is positive here."""

    @abstractmethod
    def _scales(self) -> np.ndarray:
        """Standard deviations (K, C) of t(x), which measure steps of the means."""

    @abstractmethod
    def clipped(self, means: np.ndarray) -> np.ndarray:
        """Possible means near these, which an extrapolation from `self` has led to."""

    @abstractmethod
    def sufficient_statistics(self, rows: np.ndarray) -> np.ndarray:
        """t(x) of rows (n, D), as (n, C); NaN where it is missing."""

    @abstractmethod
    def coordinates(self, rows: np.ndarray) -> np.ndarray:
        """Rows (n, D) where Euclidean distances mean something, for k-means."""

    def residuals(self, rows: np.ndarray, k: int) -> np.ndarray:
        """t(x) of rows (n, D) less its mean in component k, in standard deviations, (n, C); 0 where it is missing."""
        deviations = self.sufficient_statistics(rows) - self.means[k]
        return np.nan_to_num(deviations, nan=0.0) / np.maximum(self._scales()[k], LEAST_SCALE)

    @abstractmethod
    def _draw(self, k: int, size: int, random_state: np.random.RandomState) -> np.ndarray:
        """Rows (size, D) of component k."""

    def check(self) -> None:
        k, _ = rows_and_columns(self.means, "means")
        check_arrays(self, weights=(k,))

    # shape ------------------------------------------------------------------------------------------------------------

    @property
    def n_parameters(self) -> int:
        """Free parameters: means, and weights unless they are fixed."""
        return self.n_alive * self._n_free_means + self.fit_weights * (self.n_alive - 1)

    @staticmethod
    def rows_per_component(n_features: int) -> int:
        return ENOUGH_ROWS

    def detached(self: M) -> M:
        """The parameters alone, for other rows."""
        return replace(self, row_terms=None)

    @property
    def _log_weights(self) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(self.weights)

    @cached_property
    def kernel_parameters(self) -> Any:
        return self._parameters(with_row_terms=True)

    def reweighted(self: M, weights: np.ndarray) -> M:
        return replace(self, weights=weights)

    def reordered(self: M, order: np.ndarray) -> M:
        return replace(self, weights=self.weights[order], means=self.means[order])

    # E-step -----------------------------------------------------------------------------------------------------------

    def e_step(self, source: Source, assignment: Assignment = SOFT) -> Statistics:
        """One fused pass: responsibilities and their sufficient statistics, nothing kept of the rows.

        Raises
        ------
        ValueError
            If a row is impossible under every component.
        """
        return self.statistics(source.total(partial(accumulated, self.pass_parameters, assignment=assignment)))

    @property
    def pass_parameters(self) -> Any:
        return self.kernel_parameters if self.row_terms is None else self._parameters(with_row_terms=False)

    @property
    def known_terms(self) -> float:
        return self.row_terms or 0.0

    def statistics(self, added: np.ndarray) -> Statistics:
        return self._statistics_of(added[:HEADER], Pass(*self._unpack(added[HEADER:])))

    def _statistics_of(self, header: np.ndarray, found: Pass) -> Statistics:
        log_likelihood = float(header[0] + header[1])
        weight = float(header[2])
        check_that_rows_are_possible(log_likelihood, weight)
        counts, sums, row_terms, observed = found
        if self.row_terms is not None:
            row_terms = self.row_terms
            log_likelihood += row_terms
        present = counts if observed is None else observed
        log_prior = float(self._log_prior(present, sums)) if self.pseudo_count else 0.0
        statistics = Statistics(log_likelihood, log_prior, counts, sums, row_terms, observed)
        if not statistics.weight or not np.isfinite(statistics.lower_bound):
            raise ValueError(
                f"The weights of the rows sum to {weight:g}, and what is summed with them leaves the range of doubles. "
                "Rescale sample_weight."
            )
        return statistics

    def log_likelihood(self, source: Source) -> tuple[float, float]:
        total, weight = self._likelihood(source)
        return total if total > IMPOSSIBLE * max(weight, 1.0) else -np.inf, weight

    def _likelihood(self, source: Source) -> tuple[float, float]:
        return super().log_likelihood(source)

    def evaluate(self, rows: np.ndarray, **outputs: np.ndarray) -> None:
        super().evaluate(rows, **outputs)
        if "log_density" in outputs:
            log_density = outputs["log_density"]
            log_density[log_density < IMPOSSIBLE] = -np.inf

    def sample(self, n_samples: int, random_state: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n, D) and their components (n,), component after component."""
        sizes = random_state.multinomial(n_samples, self.weights)
        rows = [self._draw(k, size, random_state) for k, size in enumerate(sizes)]
        return np.concatenate(rows), np.repeat(np.arange(self.n_components), sizes)

    # M-step -----------------------------------------------------------------------------------------------------------

    def m_step(self: M, statistics: Statistics) -> M:
        """The parameters that maximise the expected complete log-likelihood plus the log-prior.

        A component without rows keeps its place and its means with weight zero.
        """
        empty = statistics.counts <= EMPTY * statistics.weight
        counts = np.where(empty, 1.0, statistics.counts)
        with np.errstate(over="ignore", invalid="ignore"):  # the E-step finds it out
            if statistics.observed is None:
                means = np.where(empty[:, None], self.means, self._estimate(counts, statistics.sums))
            else:
                never = statistics.observed <= EMPTY * statistics.weight
                observed = np.where(never, 1.0, statistics.observed)
                means = np.where(never, self.means, self._estimate(observed, statistics.sums))
        weights = self.weights
        if self.fit_weights:
            weights = np.where(empty, 0.0, statistics.counts)
            weights = weights / weights.sum()
        return replace(self, weights=weights, means=means, row_terms=statistics.row_terms)

    def stepwise(self: M, statistics: Statistics, rate: float) -> M:
        """The M-step of a stream of which this model has seen all but a batch, the share `rate` of its memory.

        The memory holds as many rows as make the batch that share; what the model stands for are its weights and
        means, without the prior.
        """
        statistics = statistics.completed(self.means)
        past = (1.0 - rate) * statistics.weight / rate * self.weights
        sums = self.expected_statistics(past, statistics) + statistics.sums
        counts = past + statistics.counts
        return self.detached().m_step(statistics._replace(counts=counts, sums=sums, row_terms=None))

    # coordinates ------------------------------------------------------------------------------------------------------

    def flatten(self, reference: "DiscreteMixtureModel") -> np.ndarray:
        """Moments about `reference` in units of its standard deviations: w and w (mean - reference), over sqrt(w).

        EM images may be combined linearly here; the norm of a small step is its length in the Fisher metric of the
        complete data.
        """
        alive = reference.weights > 0
        deviations = (self.means - reference.means)[alive] / reference._scales()[alive]
        columns = np.hstack([np.ones((len(deviations), 1)), deviations])
        return (self.weights[alive] / np.sqrt(reference.weights[alive]))[:, None] * columns

    def unflatten(self: M, coordinates: np.ndarray) -> M | None:
        """The model at these coordinates about this one; None if a weight is not positive there.

        Means that leave the possible values are held just inside: at an optimum on the edge, where EM converges
        slowest, every long step would be refused otherwise.
        """
        alive = self.weights > 0
        if not (coordinates[:, 0] > 0).all():
            return None
        weights, means = self.weights, self.means.copy()
        if self.fit_weights:
            weights = np.zeros_like(weights)
            weights[alive] = coordinates[:, 0] * np.sqrt(self.weights[alive])
            weights = weights / weights.sum()
        means[alive] += self._scales()[alive] * coordinates[:, 1:] / coordinates[:, :1]
        return replace(self, weights=weights, means=np.where(alive[:, None], self.clipped(means), self.means))
