"""A mixture of Student's t distributions as the engine sees it: parameters, E-step, M-step."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, gammaln

from fastem.families.cached import cached_property
from fastem.families.checks import check_arrays
from fastem.families.covariances import Moments
from fastem.families.ellipses import Ellipses
from fastem.families.gaussian import EMPTY, GaussianMixtureModel, check_that_rows_are_in_range
from fastem.families.gaussian import Statistics as GaussianStatistics
from fastem.families.model import LikelihoodModel
from fastem.kernels import passes
from fastem.kernels.accumulation import accumulated
from fastem.kernels.assignments import SOFT, Assignment
from fastem.kernels.families.student import StudentParameters
from fastem.sources import Source

LEAST, GREATEST = 1e-2, 1e6  # degrees of freedom


class Statistics(NamedTuple):
    """What one pass over the rows leaves.

    Attributes
    ----------
    log_likelihood : float
    counts : ndarray of shape (K,)
        N_k, sums of weighted responsibilities r.
    latent : ndarray of shape (K,)
        Sums of r E[log u - u].
    moments : Moments
        Those of a Gaussian mixture whose responsibilities are r E[u].
    """

    log_likelihood: float
    counts: np.ndarray
    latent: np.ndarray
    moments: Moments

    @property
    def weight(self) -> float:
        return float(self.counts.sum())

    @property
    def lower_bound(self) -> float:
        """Mean log-likelihood per unit weight: the E-step is exact."""
        return self.log_likelihood / self.weight


@dataclass(frozen=True)
class StudentTMixtureModel(LikelihoodModel):
    """The parameters theta of sum_k w_k t(x | mu_k, Sigma_k, nu_k); immutable, an M-step returns a new one.

    Attributes
    ----------
    gaussian : GaussianMixtureModel
        Weights, means, and the scales Sigma_k as its covariances: the mixture given that all latent precisions are one.
    degrees_of_freedom : ndarray of shape (K,)
        nu_k, between LEAST and GREATEST.
    freedom : {'free', 'shared', 'fixed'}
        How they are estimated: one a component, one for all, not at all.
    """

    gaussian: GaussianMixtureModel
    degrees_of_freedom: np.ndarray
    freedom: str = "free"

    @property
    def weights(self) -> np.ndarray:
        return self.gaussian.weights

    @property
    def means(self) -> np.ndarray:
        return self.gaussian.means

    @property
    def scales(self) -> np.ndarray:
        return self.gaussian.covariances

    @property
    def structure(self):
        return self.gaussian.structure

    @property
    def n_features(self) -> int:
        return self.gaussian.n_features

    def check(self) -> None:
        self.gaussian.check()
        check_arrays(self, degrees_of_freedom=self.weights.shape)

    @property
    def n_parameters(self) -> int:
        """Free parameters: weights, means, scales, degrees of freedom."""
        return self.gaussian.n_parameters + {"free": self.n_alive, "shared": 1, "fixed": 0}[self.freedom]

    @property
    def repairs(self) -> tuple[int | None, ...]:
        return self.gaussian.repairs

    def handicap(self, n_rows: int) -> float:
        return self.gaussian.handicap(n_rows)

    @property
    def bound_slack(self) -> float:
        """That of the scales: the M-step of the degrees of freedom takes nothing from the bound."""
        return self.gaussian.bound_slack

    @staticmethod
    def rows_per_component(n_features: int) -> int:
        return GaussianMixtureModel.rows_per_component(n_features)

    def supported_by_regularisation(self) -> np.ndarray:
        return self.gaussian.supported_by_regularisation()

    def remarks(self) -> list[str]:
        return self.gaussian.remarks()

    @cached_property
    def kernel_parameters(self) -> Any:
        """What the compiled passes read."""
        nu = self.degrees_of_freedom
        return StudentParameters.of(self.gaussian.kernel_parameters, nu, log_peak_ratio(nu, self.n_features))

    def reweighted(self, weights: np.ndarray) -> "StudentTMixtureModel":
        return replace(self, gaussian=self.gaussian.reweighted(weights))

    def residuals(self, rows: np.ndarray, k: int) -> np.ndarray:
        """In units of the scales, which have more rows beyond them than deviations."""
        return self.gaussian.residuals(rows, k)

    def reordered(self, order: np.ndarray) -> "StudentTMixtureModel":
        gaussian = self.gaussian.reordered(order)
        return replace(self, gaussian=gaussian, degrees_of_freedom=self.degrees_of_freedom[order])

    # E-step -----------------------------------------------------------------------------------------------------------

    def e_step(self, source: Source, assignment: Assignment = SOFT) -> Statistics:
        """One fused pass: responsibilities, expected precisions and their sufficient statistics.

        E[u] = (nu + D)/(nu + d2) and E[log u] = log E[u] + psi((nu + D)/2) - log((nu + D)/2).
        """
        sums = source.total(partial(accumulated, self.kernel_parameters, assignment=assignment))
        statistics = self.statistics(sums)
        check_that_rows_are_in_range(statistics.counts, sums[2])
        return statistics

    def statistics(self, sums: np.ndarray) -> Statistics:
        counts, logs, packed = StudentParameters.unpack(sums[passes.HEADER :], self.n_components)
        moments, _ = self.structure.moments(packed, self.gaussian.origin, self.means, None)
        half = 0.5 * (self.degrees_of_freedom + self.n_features)
        log_u = counts * (np.log1p(self.n_features / self.degrees_of_freedom) + digamma(half) - np.log(half)) - logs
        return Statistics(float(sums[0] + sums[1]), counts, log_u - moments.counts, moments)

    def sample(self, n_samples: int, random_state: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n, D) and their components (n,), component after component."""
        rows, labels = self.gaussian.sample(n_samples, random_state)
        nu = self.degrees_of_freedom[labels]
        precisions = random_state.chisquare(nu) / nu
        return self.means[labels] + (rows - self.means[labels]) / np.sqrt(precisions)[:, None], labels

    def ellipses(self) -> Ellipses:
        """The components as ellipsoids."""
        return replace(self.gaussian.ellipses(), degrees_of_freedom=self.degrees_of_freedom)

    # M-step -----------------------------------------------------------------------------------------------------------

    def m_step(self, statistics: Statistics) -> "StudentTMixtureModel":
        """The parameters that maximise the expected complete log-likelihood (Peel and McLachlan 2000).

        mu_k = sum r u x / sum r u, Sigma_k = sum r u (x - mu_k)(x - mu_k)^T / N_k, then `reg_covar` and the repairs of
        a Gaussian mixture; nu_k solves 1 + log(nu/2) - psi(nu/2) + sum r E[log u - u] / N_k = 0.
        """
        gaussian = self._gaussian_of(statistics.counts, statistics.moments)
        alive = gaussian.weights > 0
        latent = statistics.latent[alive] / statistics.counts[alive]
        return replace(self, gaussian=gaussian, degrees_of_freedom=self._degrees_of_freedom(alive, latent, gaussian))

    def _gaussian_of(self, counts: np.ndarray, moments: Moments) -> GaussianMixtureModel:
        structure, total = self.structure, counts.sum()
        empty = counts <= EMPTY * total
        if not (np.isfinite(moments.second).all() and (moments.counts[~empty] > 0).all()):
            raise ValueError(
                "The rows of a component lie too far from it, or their squares overflow. Rescale the features, remove "
                "outliers, or choose another start."
            )
        masses = np.where(empty, 1.0, moments.counts)  # sums of r u
        shifts = np.where(empty[:, None], 0.0, moments.first / masses[:, None])
        means = self.means + shifts
        shares = np.where(empty, 0.0, moments.counts) / moments.counts.sum()
        scales = structure.estimate(moments, masses, shifts, means - shares @ means)
        if structure.shared:
            scales = scales * (moments.counts.sum() / total)
        else:
            ratio = np.where(empty, 1.0, masses / np.where(empty, 1.0, counts))
            scales = scales * ratio.reshape(-1, *[1] * (scales.ndim - 1))
        # The same as moments about the new means, for the Gaussian's M-step to regularise and repair.
        second = total * structure.expected(np.where(empty, 0.0, counts) / total, means, scales)
        about_new = Moments(counts, np.zeros_like(means), second)
        return replace(self.gaussian, means=means).m_step(GaussianStatistics(np.nan, about_new))

    def _degrees_of_freedom(self, alive, latent, gaussian) -> np.ndarray:
        """nu (K,) from the mean E[log u - u] of the components that have rows."""
        if self.freedom == "fixed":
            return self.degrees_of_freedom
        if self.freedom == "shared":
            return np.full(self.n_components, solved(gaussian.weights[alive] @ latent))
        found = self.degrees_of_freedom.copy()
        found[alive] = [solved(value) for value in latent]
        return found

    def stepwise(self, statistics: Statistics, rate: float) -> "StudentTMixtureModel":
        """The M-step of a stream of which this model has seen all but a batch, the share `rate` of its memory.

        What the model expects of its own rows, per unit weight: N_k = w_k, E[u] = 1, no first moments, w_k Sigma_k
        without `reg_covar`, and w_k (psi(nu_k/2) - log(nu_k/2) - 1).
        """
        own, structure, moments = self.gaussian, self.structure, statistics.moments
        past, share, half = 1.0 - rate, rate / statistics.weight, 0.5 * self.degrees_of_freedom
        second = past * own.expected_second_moments + share * moments.second
        if structure.shared:  # scatters about two means
            mass = moments.counts.sum()
            mean = (moments.counts @ self.means + moments.first.sum(axis=0)) / mass
            apart = past * share * mass / (past + share * mass)
            second = second + apart * np.outer(mean - own.origin, mean - own.origin)
        blended = Moments(past * self.weights + share * moments.counts, share * moments.first, second)
        latent = past * self.weights * (digamma(half) - np.log(half) - 1.0) + share * statistics.latent
        counts = past * self.weights + share * statistics.counts
        return self.m_step(Statistics(statistics.log_likelihood, counts, latent, blended))

    # coordinates ------------------------------------------------------------------------------------------------------

    def flatten(self, reference: "StudentTMixtureModel") -> np.ndarray:
        """One vector: weights, means and scales in the coordinates of `reference`, logs of the degrees of freedom.

        Per component with weight w, standardised mean d and scale C: w / sqrt(w'), sqrt(w') d, sqrt(w'/2) (C - I) and
        sqrt(w') log nu, with w' the weight of the reference.
        """
        base, alive = reference.gaussian, reference.weights > 0
        roots = np.sqrt(base.weights[alive])[:, None]
        whiteners = base.whiteners if self.structure.shared else base.whiteners[alive]
        standard = self.structure.to_standard((self.means - base.means)[alive], whiteners)
        structure, scales, whiteners = reference._scales_of_components(alive, self.scales)
        second = structure.second_moments(scales, np.zeros((len(scales), self.n_features)), whiteners)
        parts = (
            self.weights[alive, None] / roots,
            roots * standard,
            (np.ones((1, 1)) if self.structure.shared else roots) * second / np.sqrt(2),
            roots * np.log(self.degrees_of_freedom[alive, None]),
        )
        return np.concatenate([part.ravel() for part in parts])

    def unflatten(self, coordinates: np.ndarray) -> "StudentTMixtureModel | None":
        """The model at these coordinates about this one; None if a weight or a scale is not positive there."""
        base, alive = self.gaussian, self.weights > 0
        roots = np.sqrt(base.weights[alive])[:, None]
        n_alive, n_features = len(roots), self.n_features
        first, last = n_alive * (1 + n_features), len(coordinates) - n_alive
        shares, standard, second, logs = np.split(coordinates, [n_alive, first, last])
        if not (shares > 0).all():
            return None
        weights, means, scales = np.zeros_like(base.weights), base.means.copy(), base.covariances.copy()
        weights[alive] = shares * roots[:, 0]
        weights /= weights.sum()
        whiteners = base.whiteners if self.structure.shared else base.whiteners[alive]
        means[alive] += self.structure.from_standard(standard.reshape(n_alive, n_features) / roots, whiteners)
        structure, own, whiteners = self._scales_of_components(alive, base.covariances)
        second = np.sqrt(2) * second.reshape(len(own), -1)
        if not self.structure.shared:
            second = second / roots
        subset = replace(base, covariances=own, whiteners=whiteners)
        found = structure.covariances_of(second, np.zeros((len(own), n_features)), subset, weights, means)
        scales[... if self.structure.shared else alive] = (
            found.reshape(scales.shape) if self.structure.shared else found
        )
        scales = self.structure.constrained(scales, weights, base.covariances)
        whiteners, singular = self.structure.whiten(scales)
        if singular.any():
            return None
        gaussian = replace(base, weights=weights, means=means, covariances=scales, whiteners=whiteners, repairs=())
        return replace(self, gaussian=gaussian, degrees_of_freedom=self._moved_degrees(alive, logs / roots[:, 0]))

    def _scales_of_components(self, alive, scales):
        """A structure of one matrix or number a component, scales and whiteners in it; a tied scale is the only one."""
        if self.structure.shared:
            unshared = self.structure.unshared
            shape = unshared.shape(1, self.n_features)
            return unshared, scales.reshape(shape), self.gaussian.whiteners.reshape(shape)
        return self.structure, scales[alive], self.gaussian.whiteners[alive]

    def _moved_degrees(self, alive: np.ndarray, logs: np.ndarray) -> np.ndarray:
        if self.freedom == "fixed":
            return self.degrees_of_freedom
        moved = np.exp(np.clip(logs, np.log(LEAST), np.log(GREATEST)))
        found = self.degrees_of_freedom.copy()
        found[alive] = moved
        return np.full_like(found, moved[0]) if self.freedom == "shared" else found


# degrees of freedom ---------------------------------------------------------------------------------------------------


def log_peak_ratio(degrees_of_freedom: np.ndarray, n_features: int) -> np.ndarray:
    """Log of t over the Gaussian of the same scale at the mean: log Gamma(a + b) - log Gamma(a) - b log a (K,).

    a = nu/2, b = D/2. By Stirling's series where a is large: the difference of the logarithms would have no digit left.
    """
    a, b = 0.5 * np.asarray(degrees_of_freedom, dtype=np.float64), 0.5 * n_features

    def correction(z):
        return (1 / 12 - (1 / 360 - 1 / (1260 * z**2)) / z**2) / z

    by_series = (a + b - 0.5) * np.log1p(b / a) - b + correction(a + b) - correction(a)
    return np.where(a > 50, by_series, gammaln(a + b) - gammaln(a) - b * np.log(a))


def solved(latent: float) -> float:
    """The nu between LEAST and GREATEST that solves, or is nearest to, 1 + log(nu/2) - psi(nu/2) + latent = 0.

    The left side falls with nu: beyond the ends of the interval the end is the maximum.
    """

    def slope(log_nu: float) -> float:
        half = 0.5 * np.exp(log_nu)
        return float(1.0 + np.log(half) - digamma(half) + latent)

    least, greatest = np.log(LEAST), np.log(GREATEST)
    if slope(least) <= 0:
        return LEAST
    if slope(greatest) >= 0:
        return GREATEST
    return float(np.exp(brentq(slope, least, greatest, xtol=1e-13, rtol=1e-14)))
