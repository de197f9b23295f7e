"""A variational Gaussian mixture as the engine sees it: q(Z) q(pi) prod_k q(mu_k, Lambda_k), E-step, M-step, evidence.

Bishop 2006, section 10.2, and Blei and Jordan 2006 for the Dirichlet process. The weights have a Dirichlet prior or are
sticks v_k ~ Beta(1, gamma); component k has a precision Lambda_k ~ Wishart(W_0, nu_0) and a mean
mu_k ~ N(m_0, (beta_0 Lambda_k)^-1). The four covariance structures restrict q, not the model: W_k is any matrix, one
for all components (nu too), diagonal, or a multiple of I. The optimum of each is what the unrestricted W_k^-1 has on
average, on its diagonal, or in the mean of that.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import betaln, digamma, gammaln, multigammaln

from fastem.families.cached import cached_property
from fastem.families.checks import check_arrays, rows_and_columns
from fastem.families.covariances import CovarianceStructure, Moments, Scatter
from fastem.families.ellipses import Ellipses
from fastem.families.gaussian import GaussianMixtureModel, check_that_rows_are_in_range
from fastem.families.model import MixtureModel, sums_over
from fastem.kernels import passes
from fastem.kernels.accumulation import in_single_precision
from fastem.kernels.assignments import SOFT, Assignment
from fastem.sources import Source


class Prior(NamedTuple):
    """What is known before the data.

    Attributes
    ----------
    process : bool
        Whether the weights are those of a Dirichlet process, else they have a Dirichlet distribution.
    concentration : float
        gamma of the sticks, or alpha_0 of each weight.
    mean_precision : float
        beta_0.
    mean : ndarray of shape (D,)
        m_0.
    degrees_of_freedom : float
        nu_0 > D - 1.
    covariance : ndarray
        W_0^-1: (D, D), for diagonal structures its diagonal (D,), for spherical ones a number ().
    """

    process: bool
    concentration: float
    mean_precision: float
    mean: np.ndarray
    degrees_of_freedom: float
    covariance: np.ndarray


class Statistics(NamedTuple):
    """What one pass over the rows leaves: the evidence lower bound of the q that made it, and moments."""

    lower_bound: float
    moments: Moments
    scatter: Scatter | None = None

    @property
    def weight(self) -> float:
        return float(self.moments.counts.sum())


@dataclass(frozen=True)
class BayesianGaussianMixtureModel(MixtureModel):
    """The factors of q besides q(Z); immutable, an M-step returns a new one.

    Attributes
    ----------
    structure : CovarianceStructure
    prior : Prior
    concentration : ndarray of shape (2, K) or (K,)
        Parameters of the Beta distributions of the sticks, or of the Dirichlet distribution.
    mean_precision : ndarray of shape (K,)
        beta_k.
    means : ndarray of shape (K, D)
        m_k.
    degrees_of_freedom : ndarray of shape (K,)
        nu_k, all equal if tied.
    covariances, whiteners : ndarray
        W_k^-1 / nu_k, the inverse of the mean precision; see `fastem.families.covariances`.
    reg_covar : float
        Added to the variances within components in every M-step, as in scikit-learn.
    arithmetic : {'float64', 'float32'}
    scatter : Scatter or None
        Known after the first pass of a tied mixture.
    """

    structure: CovarianceStructure
    prior: Prior
    concentration: np.ndarray
    mean_precision: np.ndarray
    means: np.ndarray
    degrees_of_freedom: np.ndarray
    covariances: np.ndarray
    whiteners: np.ndarray
    reg_covar: float = 0.0
    arithmetic: str = "float64"
    scatter: Scatter | None = None

    @classmethod
    def blank(cls, gaussian: GaussianMixtureModel, prior: Prior) -> "BayesianGaussianMixtureModel":
        """A model with the shape and the options of this one, of which only an M-step makes use."""
        ones = np.ones(gaussian.n_components)
        return cls(
            gaussian.structure,
            prior,
            np.ones((2, len(ones))) if prior.process else ones,
            ones,
            gaussian.means,
            ones,
            gaussian.covariances,
            gaussian.whiteners,
            gaussian.reg_covar,
            gaussian.arithmetic,
        )

    @property
    def n_components(self) -> int:
        return len(self.means)

    @property
    def n_features(self) -> int:
        return self.means.shape[1]

    def check(self) -> None:
        k, d = rows_and_columns(self.means, "means")
        shape = self.structure.shape(k, d)
        concentration = (2, k) if self.prior.process else (k,)
        check_arrays(self, concentration=concentration, mean_precision=(k,), degrees_of_freedom=(k,))
        check_arrays(self, covariances=shape, whiteners=shape)
        check_arrays(self.prior, mean=(d,), covariance=self.structure.shape(1, d)[not self.structure.shared :])
        if self.scatter is not None:
            check_arrays(self.scatter, centre=(d,), matrix=(d, d))

    @cached_property
    def weights(self) -> np.ndarray:
        """The means of the weights, (K,); those of a process without what is left of the stick."""
        if not self.prior.process:
            return self.concentration / self.concentration.sum()
        first, second = self.concentration
        left = np.concatenate([[1.0], np.cumprod(second / (first + second))[:-1]])
        weights = first / (first + second) * left
        return weights / weights.sum()

    @cached_property
    def origin(self) -> np.ndarray:
        """Rows are moved here to be computed with."""
        return self.weights @ self.means

    @cached_property
    def expected_log_weights(self) -> np.ndarray:
        """E ln pi_k, (K,)."""
        if not self.prior.process:
            return digamma(self.concentration) - digamma(self.concentration.sum())
        first, second = self.concentration
        both = digamma(first + second)
        return digamma(first) - both + np.concatenate([[0.0], np.cumsum(digamma(second) - both)[:-1]])

    @cached_property
    def _expected_log_scale(self) -> np.ndarray:
        """E ln |Lambda_k| - ln |nu_k W_k|, (K,)."""
        nu, d = self.degrees_of_freedom, self.n_features
        halves = 0.5 * (nu[:, None] - np.arange(d))
        return digamma(halves).sum(axis=1) + d * np.log(2.0) - d * np.log(nu)

    @cached_property
    def kernel_parameters(self):
        """What the compiled passes read: E ln pi_k N(x | mu_k, Lambda_k^-1) is the logarithm of a scaled Gaussian."""
        constants = self.expected_log_weights + 0.5 * (self._expected_log_scale - self.n_features / self.mean_precision)
        own = self.origin, constants, self.means, self.whiteners, self.scatter
        parameters = self.structure.kernel_parameters(*own)
        return in_single_precision(parameters) if self.arithmetic == "float32" else parameters

    @property
    def exchangeable(self) -> bool:
        """Not those of a process: every stick is broken off what those before it have left."""
        return not self.prior.process

    def reordered(self, order: np.ndarray) -> "BayesianGaussianMixtureModel":
        alone = () if self.structure.shared else ("covariances", "whiteners")
        names = "mean_precision", "means", "degrees_of_freedom", *alone
        parts = {name: getattr(self, name)[order] for name in names}
        return replace(self, concentration=self._concentration(self.counts[order]), **parts)

    # E-step -----------------------------------------------------------------------------------------------------------

    def e_step(self, source: Source, assignment: Assignment = SOFT) -> Statistics:
        """One fused pass: q(Z), its sufficient statistics and the evidence lower bound."""
        sums = sums_over(source, self.kernel_parameters, assignment)
        moments, scatter = self.structure.moments(sums[passes.HEADER :], self.origin, self.means, self.scatter)
        check_that_rows_are_in_range(moments.counts, sums[2])
        return Statistics(float(sums[0] + sums[1]) - self.divergence, moments, scatter)

    def sample(self, n_samples: int, random_state: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n, D) of the mixture with the posterior means of the parameters, and their components (n,)."""
        return self.mixture.sample(n_samples, random_state)

    @property
    def mixture(self) -> GaussianMixtureModel:
        """The Gaussian mixture with the means of the weights and means, and the inverses of the mean precisions."""
        return GaussianMixtureModel(self.structure, self.weights, self.means, self.covariances, self.whiteners)

    def ellipses(self) -> Ellipses:
        """The components of `mixture` as ellipsoids."""
        return self.mixture.ellipses()

    # M-step -----------------------------------------------------------------------------------------------------------

    def m_step(self, statistics: Statistics) -> "BayesianGaussianMixtureModel":
        """The factors that maximise the bound given q(Z), then `reg_covar`.

        With N_k, x_k and S_k the counts, means and covariances of the rows of component k: beta_k = beta_0 + N_k,
        m_k = (beta_0 m_0 + N_k x_k) / beta_k, nu_k = nu_0 + N_k and
        W_k^-1 = W_0^-1 + N_k S_k + beta_0 N_k / beta_k (x_k - m_0)(x_k - m_0)^T; for tied ones nu and W^-1 are the
        means of these.

        Raises
        ------
        ValueError
            If a covariance is singular: the prior is.
        """
        moments, structure, prior = statistics.moments, self.structure, self.prior
        filled = moments.counts > 0
        counts = np.where(filled, moments.counts, 1.0)
        shifts = np.where(filled[:, None], moments.first / counts[:, None], 0.0)
        x, n = self.means + shifts, np.where(filled, moments.counts, 0.0)
        shares = n / n.sum()
        within = structure.estimate(moments, counts, shifts, x - shares @ x)
        within = structure.widen(within, np.full(self.n_features, self.reg_covar))
        beta = prior.mean_precision + n
        pull = self._squares(x - prior.mean)
        nu = self._degrees_of_freedom(n)
        if structure.shared:
            share = n.sum() / len(n)
            inverse = prior.covariance + share * within
            inverse = inverse + prior.mean_precision / len(n) * np.tensordot(n / beta, pull, 1)
            covariances = inverse / nu[0]
        else:
            n_, beta_, nu_ = (v.reshape(-1, *[1] * (pull.ndim - 1)) for v in (n, beta, nu))
            covariances = (prior.covariance + n_ * (within + prior.mean_precision / beta_ * pull)) / nu_
        whiteners, singular = structure.whiten(covariances)
        if singular.any() or not np.isfinite(covariances).all():
            raise ValueError(
                "A covariance is singular: a feature is constant, or features are linearly dependent, and so is "
                "covariance_prior. Give a covariance_prior that is positive-definite, or drop the feature."
            )
        return replace(
            self,
            concentration=self._concentration(n),
            mean_precision=beta,
            means=(prior.mean_precision * prior.mean + n[:, None] * x) / beta[:, None],
            degrees_of_freedom=nu,
            covariances=covariances,
            whiteners=whiteners,
            scatter=statistics.scatter,
        )

    def _degrees_of_freedom(self, counts: np.ndarray) -> np.ndarray:
        shares = np.full(len(counts), counts.sum() / len(counts)) if self.structure.shared else counts
        return self.prior.degrees_of_freedom + shares

    def _squares(self, deviations: np.ndarray) -> np.ndarray:
        """d d^T of each row (K, D) as the structure has it: its diagonal, or the mean of that."""
        return np.stack([self.structure.of_matrices(np.outer(d, d)) for d in deviations])

    def _concentration(self, counts: np.ndarray) -> np.ndarray:
        if not self.prior.process:
            return self.prior.concentration + counts
        after = np.concatenate([np.cumsum(counts[::-1])[-2::-1], [0.0]])
        return np.stack([1.0 + counts, self.prior.concentration + after])

    # coordinates ------------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> np.ndarray:
        """Sums of responsibilities (K,)."""
        return self.mean_precision - self.prior.mean_precision

    @property
    def _shares(self) -> GaussianMixtureModel:
        """The mixture with the shares of the components in the rows: with the number of rows, all that q is made of."""
        return replace(self.mixture, weights=self.counts / self.counts.sum())

    def flatten(self, reference: "BayesianGaussianMixtureModel") -> np.ndarray:
        """Those of a Gaussian mixture: the natural parameters of q less those of the prior, up to a linear map."""
        return self._shares.flatten(reference._shares)

    def unflatten(self, coordinates: np.ndarray) -> "BayesianGaussianMixtureModel | None":
        """The model at these coordinates about this one; None if there is none."""
        found = self._shares.unflatten(coordinates)
        if found is None:
            return None
        counts = self.counts.sum() * found.weights
        return replace(
            self,
            concentration=self._concentration(counts),
            mean_precision=self.prior.mean_precision + counts,
            means=found.means,
            degrees_of_freedom=self._degrees_of_freedom(counts),
            covariances=found.covariances,
            whiteners=found.whiteners,
        )

    # the bound --------------------------------------------------------------------------------------------------------

    @cached_property
    def divergence(self) -> float:
        """KL(q(pi) || p(pi)) + sum_k KL(q(mu_k, Lambda_k) || p(mu_k, Lambda_k)), in nats."""
        return float(self._divergence_of_weights() + self._divergence_of_components().sum())

    def _divergence_of_weights(self) -> float:
        prior = self.prior.concentration
        if self.prior.process:  # of Beta distributions
            a, b = self.concentration
            both = digamma(a + b)
            terms = betaln(1.0, prior) - betaln(a, b)
            terms = terms + (a - 1.0) * (digamma(a) - both) + (b - prior) * (digamma(b) - both)
            return terms.sum()
        alpha, k = self.concentration, self.n_components
        norms = gammaln(alpha.sum()) - gammaln(alpha).sum() - gammaln(k * prior) + k * gammaln(prior)
        return norms + ((alpha - prior) * self.expected_log_weights).sum()

    def _divergence_of_components(self) -> np.ndarray:
        """Of Gaussian-Wishart distributions, (K,)."""
        d, prior, nu, beta = self.n_features, self.prior, self.degrees_of_freedom, self.mean_precision
        structure, shape = self.structure, self.means.shape
        nu_0 = prior.degrees_of_freedom
        log_det = 2 * np.log(structure.diagonals(self.whiteners, *shape)).sum(axis=1) - d * np.log(nu)  # ln |W_k|
        inverse_0 = as_matrix(prior.covariance, d)
        whiteners = structure.as_matrices(self.whiteners, *shape)
        traces = np.einsum("kij,jl,kil->k", whiteners, inverse_0, whiteners)  # tr(W_0^-1 nu_k W_k)
        of_wishart = (
            0.5 * nu_0 * (-np.linalg.slogdet(inverse_0)[1] - log_det)
            + 0.5 * (traces - nu * d)
            + multigammaln(0.5 * nu_0, d)
            - multigammaln(0.5 * nu, d)
            + 0.5 * (nu - nu_0) * digamma(0.5 * (nu[:, None] - np.arange(d))).sum(axis=1)
        )
        distances = (structure.to_standard(self.means - prior.mean, self.whiteners) ** 2).sum(axis=1)
        ratio = prior.mean_precision / beta
        of_means = 0.5 * (d * (ratio - 1.0 - np.log(ratio)) + prior.mean_precision * distances)
        return of_wishart + of_means

    @property
    def bound_slack(self) -> float:
        """How far adding `reg_covar` and rounding can take the bound below its last value, in nats.

        With W^-1 + n eps I in place of W^-1 it falls short of its maximum by nu_k / 2 sum_j (-log(1 - e_j) - e_j), e_j
        the eigenvalues of n eps W', n the rows that share the covariance.
        """
        n = self.degrees_of_freedom - self.prior.degrees_of_freedom
        rounding = self.mixture.bound_slack * n.sum()
        if not self.reg_covar:
            return rounding
        eigenvalues = self.structure.precision_eigenvalues(self.whiteners)
        share = np.minimum(self.reg_covar * (n / self.degrees_of_freedom)[:, None] * eigenvalues, 1.0)
        with np.errstate(divide="ignore"):
            loss = 0.5 * self.degrees_of_freedom * (-np.log1p(-share) - share).sum(axis=1)
        return float(loss.sum()) + rounding


def as_matrix(covariance: np.ndarray, n_features: int) -> np.ndarray:
    """A covariance as (D, D): a matrix, its diagonal, or a multiple of I."""
    if covariance.ndim == 2:
        return covariance
    return np.diag(np.broadcast_to(covariance, n_features))
