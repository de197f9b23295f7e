"""A Gaussian mixture as the engine sees it: parameters, E-step, M-step."""

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from fastem.families import incomplete
from fastem.families.cached import cached_property
from fastem.families.checks import check_arrays, rows_and_columns
from fastem.families.covariances import EPSILON, TINY, CovarianceStructure, Moments, Scatter
from fastem.families.ellipses import Ellipses
from fastem.families.incomplete import Components
from fastem.families.model import FEW_ROWS, LikelihoodModel, sums_over
from fastem.kernels import passes
from fastem.kernels.accumulation import in_single_precision
from fastem.kernels.assignments import LIKELIHOOD, SOFT, Assignment
from fastem.kernels.draws import draw_rows
from fastem.sources import Source

EMPTY = 1e-13  # share of the rows below which a component has no row to itself: its sums are rounding
LOST = 1e-6  # share of the weight that may be lost to rows whose densities underflow
OVERFLOW = "The squares of some features overflow. Rescale the features or remove outliers."
LEAST_WEIGHT = 1e-300  # of all rows: shares of it lose their digits
SMALL = 1e-130  # a number whose deviations, as far as it has the digits for them, have squares that underflow
SUPPORTED = 40.0  # nats a feature that a start is the worse for each variance that is `reg_covar` alone
LACKING = 100.0  # nats, for each row that a component has too few
SPIKE = 10_000.0  # nats, for each component of FEW_ROWS
FLOOR = 1e-6  # variance given to a collapsed component, as a share of the variance of the data


class Statistics(NamedTuple):
    """What one pass over the rows leaves: the log-likelihood of the parameters that made it, and moments.

    Where every row is given to its most probable component, the log-likelihood is that of the classification.
    """

    log_likelihood: float
    moments: Moments
    scatter: Scatter | None = None

    @property
    def weight(self) -> float:
        return float(self.moments.counts.sum())

    @property
    def lower_bound(self) -> float:
        """Mean log-likelihood per unit weight: after an exact E-step the bound touches the likelihood."""
        return self.log_likelihood / float(self.moments.counts.sum())


def check_that_rows_are_in_range(counts: np.ndarray, weight: float) -> None:
    """Raise ValueError if more than rounding of the weight has found no component, given sums of responsibilities."""
    if weight < LEAST_WEIGHT:
        raise ValueError(f"The weights of the rows sum to {weight:g}: multiply sample_weight by a large number.")
    if not counts.sum() > (1 - LOST) * weight:
        raise ValueError(
            "The densities of some rows underflow: they lie too far from every component. Rescale the features, "
            "remove outliers, or choose another start."
        )


@dataclass(frozen=True)
class GaussianMixtureModel(LikelihoodModel):
    """The parameters theta of sum_k w_k N(x | mu_k, Sigma_k); immutable, an M-step returns a new one.

    Attributes
    ----------
    structure : CovarianceStructure
    weights : ndarray of shape (K,)
        An empty component has weight zero.
    means : ndarray of shape (K, D)
    covariances, whiteners : ndarray
        See `fastem.families.covariances`.
    reg_covar : float
        Added to the variances in every M-step, as in scikit-learn.
    arithmetic : {'float64', 'float32'}
        Of log-densities and of the sums within a tile; sums across tiles are always float64.
    scatter : Scatter or None
        Known after the first pass of a tied mixture.
    repairs : tuple of int or None
        The components whose singular covariance the last M-step had to widen; None stands for the tied covariance.
    penalty_gain : float
        What the last M-step of a structure that constrains won by `reg_covar`, in nats per unit weight.
    """

    structure: CovarianceStructure
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    whiteners: np.ndarray
    reg_covar: float = 0.0
    arithmetic: str = "float64"
    scatter: Scatter | None = None
    repairs: tuple[int | None, ...] = ()
    penalty_gain: float = 0.0

    @property
    def n_features(self) -> int:
        return self.means.shape[1]

    def check(self) -> None:
        k, d = rows_and_columns(self.means, "means")
        shape = self.structure.shape(k, d)
        check_arrays(self, weights=(k,), covariances=shape, whiteners=shape)
        if self.scatter is not None:
            check_arrays(self.scatter, centre=(d,), matrix=(d, d))

    @property
    def n_parameters(self) -> int:
        """Free parameters: weights, means, covariances."""
        alive = self.n_alive
        return self.structure.n_parameters(alive, self.n_features) + alive * self.n_features + alive - 1

    @staticmethod
    def rows_per_component(n_features: int) -> int:
        """Twice those that a covariance needs."""
        return 2 * (n_features + 1)

    def handicap(self, n_rows: int) -> float:
        """What variances that are `reg_covar` alone win by it, and rows that a component lacks, over the rows.

        A variance may be nothing by chance in some rows a feature; what more rows win by it is evidence. D + 3 rows
        count as enough for D features, in every structure. What no model could avoid (a constant feature) all have in
        common.
        """
        counts = self.weights * n_rows
        lacking = np.floor(np.maximum(0.0, self.n_features + 3 - counts)).sum() + len(self.repairs)
        supported = self.n_features * self._supported().sum()
        return float(SUPPORTED * supported + LACKING * lacking + SPIKE * (counts < FEW_ROWS).sum()) / n_rows

    def detached(self) -> "GaussianMixtureModel":
        """The parameters alone, for other rows."""
        return self if self.scatter is None else replace(self, scatter=None)

    @cached_property
    def origin(self) -> np.ndarray:
        """The mean of the mixture, after an M-step that of the data: rows are moved here to be computed with."""
        return self.weights @ self.means

    @cached_property
    def kernel_parameters(self):
        return self._as_kernels_read()

    def _as_kernels_read(self):
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        own = self.origin, log_weights, self.means, self.whiteners, self.scatter
        parameters = self.structure.kernel_parameters(*own)
        return in_single_precision(parameters) if self.arithmetic == "float32" else parameters

    def reweighted(self, weights: np.ndarray) -> "GaussianMixtureModel":
        return replace(self, weights=weights)

    def residuals(self, rows: np.ndarray, k: int) -> np.ndarray:
        whitener = self.structure.as_matrices(self.whiteners, *self.means.shape)[k]
        return np.einsum("ij,nj->ni", whitener, rows - self.means[k])

    def reordered(self, order: np.ndarray) -> "GaussianMixtureModel":
        alone = () if self.structure.shared else ("covariances", "whiteners")
        parts = {name: getattr(self, name)[order] for name in ("weights", "means", *alone)}
        repairs = tuple(k if k is None else int(np.flatnonzero(order == k)[0]) for k in self.repairs)
        return replace(self, repairs=repairs, **parts)

    # E-step -----------------------------------------------------------------------------------------------------------

    def e_step(self, source: Source, assignment: Assignment = SOFT) -> Statistics:
        """One fused pass: responsibilities and their sufficient statistics, nothing kept of the rows."""
        if source.gaps:
            return self._expected(source, assignment)
        # Not kept: a model is rarely met by a second pass.
        sums = sums_over(source, self._as_kernels_read(), assignment)
        statistics = self.statistics(sums)
        check_that_rows_are_in_range(statistics.moments.counts, sums[2])
        return statistics

    def statistics(self, sums: np.ndarray) -> Statistics:
        moments, scatter = self.structure.moments(sums[passes.HEADER :], self.origin, self.means, self.scatter)
        return Statistics(float(sums[0] + sums[1]), moments, scatter)

    def _expected(self, source: Source, assignment: Assignment) -> Statistics:
        """The same of rows of which numbers are missing: the moments are expected ones."""
        structure, unknown = self.structure, self.detached()
        complete, others = unknown._sums_with_gaps(source, assignment)
        sums = self._components.matrices.unpack(others[passes.HEADER :], self.n_components)
        found = structure.of_matrix_moments(Moments(*sums), self.means)
        if complete[2] > 0:
            ordinary, _ = structure.moments(complete[passes.HEADER :], self.origin, self.means, None)
            found = structure.joined(ordinary, found, self.means) if others[2] > 0 else ordinary
        check_that_rows_are_in_range(found.counts, complete[2] + others[2])
        return Statistics(float(complete[0] + complete[1] + others[0] + others[1]), found)

    def _sums_with_gaps(self, source: Source, assignment: Assignment) -> tuple[np.ndarray, np.ndarray]:
        """What a pass adds up of the complete rows and of the others."""
        parameters = self._as_kernels_read()
        add_up = partial(incomplete.sums_with_gaps, parameters, self._components, assignment=assignment)
        sums = source.total(add_up)
        complete, others = np.split(sums, [passes.HEADER + parameters.statistics_size()])
        return complete, others

    @cached_property
    def _components(self) -> Components:
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        covariances = self.structure.as_matrices(self.covariances, *self.means.shape)
        return Components(log_weights, self.means, covariances, self.arithmetic)

    def log_likelihood(self, source: Source) -> tuple[float, float]:
        if not source.gaps:
            return super().log_likelihood(source)
        complete, others = self._sums_with_gaps(source, LIKELIHOOD)
        return float(complete[0] + complete[1] + others[0] + others[1]), float(complete[2] + others[2])

    def evaluate_with_gaps(self, rows: np.ndarray, **outputs: np.ndarray) -> None:
        incomplete.evaluate(self._components, self.evaluate, rows, **outputs)

    def completed(self, rows: np.ndarray) -> np.ndarray:
        """Rows (n, D) with the conditional means of the numbers that are missing."""
        return incomplete.completed(self._components, rows)

    def drawn(self, rows: np.ndarray, random_state: np.random.RandomState) -> np.ndarray:
        """Rows (n, D) with draws from the conditional distribution of the numbers that are missing."""
        shares = np.empty((len(rows), self.n_components))
        self.evaluate_with_gaps(rows, responsibilities=shares)
        return incomplete.drawn(self._components, shares, rows, random_state)

    def sample(self, n_samples: int, random_state: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n, D) and their components (n,), component after component."""
        counts = random_state.multinomial(n_samples, self.weights)
        key = np.uint64(random_state.randint(2**64, dtype=np.uint64))
        factors = self.structure.factors(self.whiteners, self.n_features)
        return draw_rows(key, counts, self.means, factors), np.repeat(np.arange(self.n_components), counts)

    def ellipses(self) -> Ellipses:
        """The components as ellipsoids."""
        scales = self.structure.as_matrices(self.covariances, *self.means.shape)
        return Ellipses(self.weights, self.means, scales, np.full(self.n_components, np.inf))

    # M-step -----------------------------------------------------------------------------------------------------------

    def m_step(self, statistics: Statistics) -> "GaussianMixtureModel":
        """The parameters that maximise the expected complete log-likelihood, then `reg_covar`.

        mu_k = mu_k' + M_k / N_k, Sigma_k = S_k / N_k - (M_k / N_k)(M_k / N_k)^T with the moments about the old mean
        mu_k', of the structure. A component without rows keeps its place with weight zero; a singular covariance is
        widened to FLOOR times the variances of the data.

        Raises
        ------
        ValueError
            If nothing can be widened: a feature is constant and `reg_covar` is zero.
        """
        moments, structure = statistics.moments, self.structure
        total = float(moments.counts.sum())
        empty = moments.counts <= EMPTY * total
        counts = np.where(empty, 1.0, moments.counts)
        shifts = np.where(empty[:, None], 0.0, moments.first / counts[:, None])
        means = self.means + shifts
        weights = np.where(empty, 0.0, moments.counts / total)
        weights = weights / weights.sum()
        centre = weights @ means
        centred = means - centre
        with np.errstate(over="ignore", invalid="ignore"):
            raw = structure.estimate(moments, counts, shifts, centred)
        if not (np.isfinite(moments.second).all() and np.isfinite(raw).all()):
            raise ValueError(OVERFLOW)
        own = structure.widen(raw, np.full(means.shape[1], self.reg_covar))
        if not structure.shared:
            own[empty] = self.covariances[empty]
        covariances = structure.constrained(own, weights, self.covariances) if structure.constrains else own
        whiteners, singular = structure.whiten(covariances)
        # What a feature keeps when those before it are known must be more than rounding leaves.
        kept = structure.diagonals(whiteners, *means.shape) ** -2.0
        unresolved = np.any(kept <= structure.resolution(means, centred), axis=1)
        singular |= unresolved[: len(singular)]
        repairs: list[int | None] = []
        if singular.any():
            variances = weights @ (structure.variances(raw, *means.shape) + centred**2)
            own = self._widened(own, singular, variances)
            covariances = structure.constrained(own, weights, self.covariances)
            whiteners, _ = structure.whiten(covariances)
            repairs = [None] if structure.shared else [int(k) for k in np.flatnonzero(singular)]
        model = GaussianMixtureModel(
            structure=structure,
            weights=weights,
            means=means,
            covariances=covariances,
            whiteners=whiteners,
            reg_covar=self.reg_covar,
            arithmetic=self.arithmetic,
            scatter=statistics.scatter,
            repairs=tuple(repairs),
            penalty_gain=self._penalty_gain(weights, whiteners) if structure.constrains else 0.0,
        )
        vars(model)["origin"] = centre  # it need not be computed a second time
        return model

    def _penalty_gain(self, weights: np.ndarray, whiteners: np.ndarray) -> float:
        """How far -reg_covar / 2 sum_k w_k tr(Sigma_k^-1) has risen: the M-step raises its sum with the likelihood."""
        before, after = (self.structure.precision_eigenvalues(each).sum(axis=1) for each in (self.whiteners, whiteners))
        return max(0.0, 0.5 * self.reg_covar * float(weights @ (before - after)))

    @property
    def expected_second_moments(self) -> np.ndarray:
        """`Moments.second` that rows of this mixture have per unit weight, without `reg_covar`."""
        raw = self.structure.widen(self.covariances, np.full(self.n_features, -self.reg_covar))
        return self.structure.expected(self.weights, self.means, raw)

    def stepwise(self, statistics: Statistics, rate: float) -> "GaussianMixtureModel":
        """The M-step of a stream of which this model has seen all but a batch, the share `rate` of its memory.

        What the model stands for are its own moments about its means, without `reg_covar`: N_k = w_k, no first ones,
        w_k Sigma_k. A tied scatter is about the mean of the rows: those of model and batch join as groups do (Chan,
        Golub and LeVeque 1983).
        """
        moments, structure, past = statistics.moments, self.structure, 1.0 - rate
        share = rate / statistics.weight
        counts = past * self.weights + share * moments.counts
        second = past * self.expected_second_moments + share * moments.second
        if structure.shared:
            mean = (moments.counts @ self.means + moments.first.sum(axis=0)) / statistics.weight
            second = second + past * rate * np.outer(mean - self.origin, mean - self.origin)
        blended = Moments(counts, share * moments.first, second)
        return self.detached().m_step(Statistics(statistics.log_likelihood, blended))

    def _widened(self, covariances: np.ndarray, singular: np.ndarray, variances: np.ndarray) -> np.ndarray:
        reach = np.abs(self.means).max(axis=0)
        constant = variances <= np.maximum((8 * EPSILON * reach) ** 2, TINY)
        if self.structure.unbounded(constant & (reach > 0) & (reach < SMALL)):
            columns = ", ".join(map(str, np.flatnonzero(constant)))
            raise ValueError(
                f"Feature {columns} is so small, below {SMALL:g}, that squares of it underflow. Multiply it by a large "
                "number."
            )
        if self.structure.unbounded(constant):
            columns = ", ".join(map(str, np.flatnonzero(constant)))
            raise ValueError(
                f"The likelihood is unbounded: feature {columns} is constant and reg_covar={self.reg_covar:g} gives it "
                "no variance. Set reg_covar to a positive number of the order of a negligible variance, or drop the "
                "feature."
            )
        return self.structure.widen(covariances, FLOOR * variances, singular)

    # coordinates ------------------------------------------------------------------------------------------------------

    def flatten(self, reference: "GaussianMixtureModel") -> np.ndarray:
        """Moments in the coordinates in which every component of `reference` is standard normal.

        For component k with weight w, standardised mean d and covariance C: w, w d and w (C + d d^T - I), over the
        square root of the reference's weight (twice that weight for the last). EM images may be combined linearly
        here: total mean and scatter stay what they are. The norm of a small step is its length in the Fisher metric of
        the complete data.
        """
        alive, structure = reference.weights > 0, self.structure
        whiteners = reference._alive_whiteners(alive)
        standard = structure.to_standard((self.means - reference.means)[alive], whiteners)
        covariances = self.covariances if structure.shared else self.covariances[alive]
        second = structure.second_moments(covariances, standard, whiteners)
        columns = np.hstack([np.ones((len(standard), 1)), standard, second / np.sqrt(2)])
        return (self.weights[alive] / np.sqrt(reference.weights[alive]))[:, None] * columns

    def unflatten(self, coordinates: np.ndarray) -> "GaussianMixtureModel | None":
        """The model at these coordinates about this one; None if a weight or a covariance is not positive there."""
        alive, structure = self.weights > 0, self.structure
        roots = np.sqrt(self.weights[alive])
        if not (coordinates[:, 0] > 0).all():
            return None
        weights, means, covariances = np.zeros_like(self.weights), self.means.copy(), self.covariances.copy()
        weights[alive] = coordinates[:, 0] * roots
        weights /= weights.sum()
        moments = coordinates[:, 1:] / coordinates[:, :1]
        standard, second = np.split(moments, [self.n_features], axis=1)
        means[alive] += structure.from_standard(standard, self._alive_whiteners(alive))
        reference = self if structure.shared else self._component_subset(alive)
        found = structure.covariances_of(np.sqrt(2) * second, standard, reference, weights, means)
        covariances[... if structure.shared else alive] = found
        covariances = structure.constrained(covariances, weights, self.covariances)
        whiteners, singular = structure.whiten(covariances)
        if singular.any():
            return None
        return replace(self, weights=weights, means=means, covariances=covariances, whiteners=whiteners, repairs=())

    def _component_subset(self, chosen: np.ndarray) -> "GaussianMixtureModel":
        parts = {name: getattr(self, name)[chosen] for name in ("weights", "means", "covariances", "whiteners")}
        return replace(self, **parts)

    def _alive_whiteners(self, alive: np.ndarray) -> np.ndarray:
        return self.whiteners if self.structure.shared else self.whiteners[alive]

    # diagnostics ------------------------------------------------------------------------------------------------------

    @property
    def bound_slack(self) -> float:
        """How far adding `reg_covar` and rounding can take the mean log-likelihood below its last value, in nats.

        Sigma + eps I falls short of the maximum of the expected log-likelihood by
        sum_k w_k / 2 sum_j (-log(1 - eps l_kj) - eps l_kj) over the eigenvalues l_kj of its inverse; a structure that
        constrains loses no more than the penalty gains. After a repair nothing is promised.
        """
        if self.repairs:
            return np.inf
        rounding = self._rounding
        if not self.reg_covar or self.structure.constrains:
            return rounding + self.penalty_gain
        share = self.reg_covar * self.structure.precision_eigenvalues(self.whiteners)
        share = np.minimum(share, 1.0)
        with np.errstate(divide="ignore"):
            loss = (-np.log1p(-share) - share).mean(axis=1) * self.n_features
        weights = self.weights if len(loss) == self.n_components else np.ones(1)
        return float(0.5 * (weights[weights > 0] @ loss[weights > 0])) + rounding

    @property
    def _rounding(self) -> float:
        """How much rounding may take from a mean log-likelihood when features nearly determine each other.

        The error of L (x - mu) counts in the first order; those of mean and covariance, which are near a maximum of the
        bound, in the second. A tied covariance is a difference: its error is relative to the scatter of everything.
        """
        alive, shared = self.weights > 0, self.structure.shared
        squares = self.structure.as_matrices(self.whiteners, *self.means.shape)[alive] ** 2
        means, variances = self.means[alive], self.structure.variances(self.covariances, *self.means.shape)[alive]
        total = variances + (means - self.origin) ** 2

        def condition(scales):
            return np.einsum("kij,kj->k", squares, scales).max()

        of_covariance = condition(total if shared else variances)
        unit = np.finfo(self.arithmetic).eps
        first = 16 * unit * np.sqrt(condition(total))
        return float(first + EPSILON**2 * condition(means**2) + (4 * unit * of_covariance) ** 2)

    def _supported(self) -> np.ndarray:
        """In which directions covariances would be singular without `reg_covar`, mask of shape (K or 1, D)."""
        mask = self.reg_covar * self.structure.precision_eigenvalues(self.whiteners) > 0.999
        return mask & (self.weights > 0)[:, None] if len(mask) == self.n_components else mask

    def supported_by_regularisation(self) -> np.ndarray:
        """Which covariances would be singular without `reg_covar`, mask of shape (K,) or (1,) if tied."""
        return np.asarray(self._supported().any(axis=1))

    def remarks(self) -> list[str]:
        """A message if covariances stand on `reg_covar` alone."""
        supported = np.flatnonzero(self.supported_by_regularisation()).tolist()
        if not supported:
            return []
        who = "The tied covariance has" if self.structure.shared else f"Components {supported} have"
        return [
            f"{who} no variance of its own in some direction (equal rows, a constant feature, or a scale far below "
            f"reg_covar={self.reg_covar:g}): there the variance is reg_covar. Use fewer components, or another "
            "reg_covar."
        ]
