"""The scikit-learn face of the variational Gaussian mixture."""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal, overload

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from fastem.estimators.annotations import Data, Doubles, Features
from fastem.estimators.attributes import BayesianGaussianAttributes
from fastem.estimators.base_mixture import BaseMixture
from fastem.estimators.elliptical import EllipticalMixin
from fastem.estimators.exchange import TwinMixin
from fastem.estimators.gaussian_mixture import GaussianMixture
from fastem.estimators.mixture_problem import MixtureProblem
from fastem.estimators.scikit_learn import Interval, StrOptions
from fastem.families.bayesian_gaussian import BayesianGaussianMixtureModel, Prior
from fastem.families.covariances import STRUCTURES, CovarianceStructure, names_with
from fastem.families.covariances.structure import EPSILON, TINY
from fastem.families.gaussian import FLOOR, OVERFLOW, SMALL, GaussianMixtureModel
from fastem.search.bayesian_gaussian import BayesianGaussianSpace, expected_weight
from fastem.search.initial_values import checked_array
from fastem.search.partitions import blank_gaussian
from fastem.search.search import Search
from fastem.sources import Source


@dataclass(frozen=True)
class VariationalProblem(MixtureProblem):
    """The fit of a mixture whose bound is that of all rows."""

    def unit(self, source: Source) -> float:
        return float(source.n_candidates)


@dataclass(eq=False, repr=False, kw_only=True)
class BayesianGaussianMixture(BayesianGaussianAttributes, EllipticalMixin, TwinMixin, BaseMixture):
    """Gaussian mixture with priors, fitted by variational inference; a drop-in for scikit-learn's.

    The posterior is approximated by q(Z) q(pi) prod_k q(mu_k, Lambda_k) (Bishop 2006, section 10.2; for the Dirichlet
    process Blei and Jordan 2006): the E-step is the fused pass of `GaussianMixture` with expected log-weights and
    log-densities, the M-step adds the priors. Components that the data do not need keep next to no weight.

    The bound is the evidence lower bound with all its constants, ln p(X) - KL(q || posterior), in nats: it never falls.
    scikit-learn's leaves constants out and is taken after the M-step; at convergence the two differ by
    -N D/2 ln 2 pi + K (ln B(W_0, nu_0) + D/2 ln beta_0) + c, where ln B is the log of the Wishart norm without its
    factors of pi and c the log of the norm of the prior of the weights: ln C(alpha_0), or K ln gamma for a process.

    Parameters
    ----------
    n_components : int, default=1
        Number of components K, of which some may stay empty.
    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        Of q: a precision of any shape for each component, one for all, diagonal, a multiple of I.
    tol : float, default=1e-3
        Stop when the lower bound changes by less, in nats over all rows.
    reg_covar : float, default=1e-6
        Added to all variances within components in every M-step.
    max_iter : int, default=100
        Greatest number of iterations, each one pass over the rows.
    n_init : int, default=1
        Number of starts; the best lower bound wins.
    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, array-like or callable, default='kmeans'
        See `GaussianMixture`: responsibilities or labels, or how to find them.
    weight_concentration_prior_type : {'dirichlet_process', 'dirichlet_distribution'}, default='dirichlet_process'
    weight_concentration_prior : float, default=None
        gamma of the process or alpha_0 of the distribution; the less, the fewer components. None stands for 1 / K.
    mean_precision_prior : float, default=None
        beta_0; None stands for 1.
    mean_prior : array-like of shape (n_features,), default=None
        m_0; None stands for the mean of the rows.
    degrees_of_freedom_prior : float, default=None
        nu_0 > n_features - 1; None stands for n_features.
    covariance_prior : float or array-like, default=None
        W_0^-1: (D, D) for full and tied, (D,) for diag, a number for spherical. None stands for the covariance of the
        rows, its diagonal, or the mean of that.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts and of `sample`.
    warm_start : bool, default=False
        Continue from the last fit.
    verbose : int, default=0
        1 prints starts and iterations, 2 also times and changes.
    verbose_interval : int, default=10
        Iterations between two prints.
    subsampling : bool or 'auto', default='auto'
        Where to look for a start, as in `GaussianMixture`. A row of the sample counts as many as it stands for, so that
        the bounds of starts are those of all rows.
    acceleration : {'auto', 'squarem'} or None, default='auto'
        As in `GaussianMixture`, of the counts, means and covariances that make q. The bound does not fall.
    stopping : {'gain', 'gap'}, default='gain'
        What `tol` bounds: the change in one iteration, or the estimated distance to the optimum.
    arithmetic : {'float64', 'float32'}, default='float64'
        Precision of log-densities and responsibilities.
    checkpoint : path, default=None
        See `GaussianMixture`.
    checkpoint_every : int, default=1
        Passes between two writes.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Posterior means.
    means_ : ndarray of shape (n_components, n_features)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        Of the mean precisions; shaped as in `GaussianMixture`.
    weight_concentration_ : tuple of two ndarrays or ndarray, of shape (n_components,)
        Parameters of the Beta distributions of the sticks, or of the Dirichlet distribution.
    weight_concentration_prior_ : float
    mean_precision_ : ndarray of shape (n_components,)
    mean_precision_prior_ : float
    mean_prior_ : ndarray of shape (n_features,)
    degrees_of_freedom_ : ndarray of shape (n_components,), or float if tied
    degrees_of_freedom_prior_ : float
    covariance_prior_ : float or ndarray
    converged_ : bool
    n_iter_ : int
    lower_bound_ : float
        The evidence lower bound before the last M-step, in nats over all rows.
    lower_bounds_ : list of float
        The same for all iterations.
    lower_bounds_of_starts_ : list of list of float
        Those of each of the `n_init` starts.
    log_likelihood_ : float
        What `score` gives of the rows.
    n_samples_seen_ : float
        Weight of all rows.
    n_passes_ : int
        How often all rows were read, for every purpose.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        If `X` has string column names.

    Examples
    --------
    >>> import numpy as np
    >>> from fastem import BayesianGaussianMixture
    >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [4, 2], [12, 4], [10, 7]])
    >>> mixture = BayesianGaussianMixture(n_components=2, random_state=0).fit(X)
    >>> mixture.predict([[0, 0], [9, 3]]).tolist() in ([0, 1], [1, 0])
    True
    """

    n_components: int = 1
    covariance_type: Literal["full", "tied", "diag", "spherical"] = "full"
    reg_covar: float = 1e-6
    weight_concentration_prior_type: Literal["dirichlet_process", "dirichlet_distribution"] = "dirichlet_process"
    weight_concentration_prior: float | None = None
    mean_precision_prior: float | None = None
    mean_prior: ArrayLike | None = None
    degrees_of_freedom_prior: float | None = None
    covariance_prior: ArrayLike | None = None
    arithmetic: Literal["float64", "float32"] = "float64"

    _lasting = (
        "n_components",
        "covariance_type",
        "weight_concentration_prior_type",
        "weight_concentration_prior",
        "mean_precision_prior",
        "mean_prior",
        "degrees_of_freedom_prior",
        "covariance_prior",
    )
    _read_with = ("covariance_type", "weight_concentration_prior_type")
    _twin = ("sklearn.mixture", "BayesianGaussianMixture")
    _model_class: ClassVar[type] = BayesianGaussianMixtureModel
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMixture._parameter_constraints,
        "covariance_type": [StrOptions(set(names_with("bayesian")))],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "weight_concentration_prior_type": [StrOptions({"dirichlet_process", "dirichlet_distribution"})],
        "weight_concentration_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "mean_precision_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "mean_prior": [None, "array-like"],
        "degrees_of_freedom_prior": [None, Interval(Real, 0.0, None, closed="neither")],
        "covariance_prior": [None, "array-like", Interval(Real, 0.0, None, closed="neither")],
        "arithmetic": [StrOptions({"float64", "float32"})],
    }

    # the distribution -------------------------------------------------------------------------------------------------

    def to_gaussian(self) -> GaussianMixture:
        """The Gaussian mixture of the posterior means: of the weights, the means, and the inverse mean precisions.

        Returns
        -------
        mixture : GaussianMixture
            Fitted; a distribution with `marginal`, `condition` and `regress`.
        """
        check_is_fitted(self)
        shared = ("tol", "reg_covar", "max_iter", "random_state")
        return GaussianMixture.from_parameters(
            self.weights_,
            self.means_,
            self.covariances_,
            covariance_type=self.covariance_type,
            feature_names=getattr(self, "feature_names_in_", None),
            **{name: getattr(self, name) for name in shared},
        )

    def marginal(self, features: Features) -> GaussianMixture:
        """`GaussianMixture.marginal` of `to_gaussian`."""
        return self.to_gaussian().marginal(features)

    def condition(self, values: Mapping[Any, float]) -> GaussianMixture:
        """`GaussianMixture.condition` of `to_gaussian`."""
        return self.to_gaussian().condition(values)

    @overload
    def regress(self, X: Data, targets: Features, *, return_cov: Literal[False] = False) -> Doubles: ...
    @overload
    def regress(self, X: Data, targets: Features, *, return_cov: Literal[True]) -> tuple[Doubles, Doubles]: ...
    @overload
    def regress(self, X: Data, targets: Features, *, return_cov: bool) -> Doubles | tuple[Doubles, Doubles]: ...
    def regress(self, X: Data, targets: Features, *, return_cov: bool = False) -> Any:
        """`GaussianMixture.regress` of `to_gaussian`."""
        return self.to_gaussian().regress(X, targets, return_cov=return_cov)

    # what the family adds ---------------------------------------------------------------------------------------------

    @property
    def _structure(self) -> CovarianceStructure:
        return STRUCTURES[self.covariance_type]

    def _problem(self) -> MixtureProblem:
        return VariationalProblem(self, search=self._search)

    def _search(self, source: Source, random_state: np.random.RandomState) -> Search:
        shape = self.n_components, source.n_features
        gaussian = blank_gaussian(self._structure, *shape, self.reg_covar, self.arithmetic)
        blank = BayesianGaussianMixtureModel.blank(gaussian, self._prior(source))
        space = BayesianGaussianSpace(blank, gaussian, expected_weight(source))
        return Search(space, source, self.init_params, self.subsampling, random_state)

    def _prior(self, source: Source) -> Prior:
        d, structure = source.n_features, self._structure
        nu = d if self.degrees_of_freedom_prior is None else self.degrees_of_freedom_prior
        if nu <= d - 1:
            raise ValueError(
                f"The parameter 'degrees_of_freedom_prior' should be greater than {d - 1}, but got {nu:.3f}."
            )
        mean, covariance = self.mean_prior, self.covariance_prior
        if mean is None or covariance is None:
            data_mean, data_covariance = _moments_of_rows(source)
            mean = data_mean if mean is None else mean
            covariance = self._default_covariance(data_mean, data_covariance) if covariance is None else covariance
        shape = structure.of_matrices(np.eye(d)).shape
        covariance = np.asarray(covariance, dtype=np.float64)
        covariance = checked_array(covariance, shape, "covariance_prior") if shape else covariance
        if self.covariance_prior is not None:
            _check_positive(np.asarray(covariance))
        return Prior(
            self.weight_concentration_prior_type == "dirichlet_process",
            1.0 / self.n_components if self.weight_concentration_prior is None else self.weight_concentration_prior,
            1.0 if self.mean_precision_prior is None else self.mean_precision_prior,
            checked_array(mean, (d,), "mean_prior"),
            nu,
            np.asarray(covariance),
        )

    def _default_covariance(self, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """The covariance of the rows; if it is singular, as a prior must not be, with `reg_covar` and a little more.

        Linearly dependent features get a millionth of their variances, as a covariance does that collapses in EM.
        """
        structure, variances = self._structure, np.diag(covariance)
        constant = variances <= (8 * EPSILON * np.abs(mean)) ** 2
        widened = covariance + np.diag(self.reg_covar + FLOOR * np.where(constant, 0.0, variances))
        for matrix in (covariance, covariance + self.reg_covar * np.eye(len(mean)), widened):
            candidate = structure.of_matrices(matrix)
            if _is_regular(candidate, mean):
                return candidate
        if not (constant & ((mean == 0) | (np.abs(mean) > SMALL))).any():
            raise ValueError("The squares of some features underflow: multiply the features by a large number.")
        columns = ", ".join(map(str, np.flatnonzero(constant)))
        raise ValueError(
            f"Feature {columns} is constant, so that the covariance of the rows is no prior, and "
            f"reg_covar={self.reg_covar:g} gives it no variance. Set reg_covar or covariance_prior, or drop it."
        )

    def _model(self) -> BayesianGaussianMixtureModel:
        self._check_readable()
        structure, means = self._structure, np.ascontiguousarray(self.means_, dtype=np.float64)
        covariance_prior = np.asarray(self.covariance_prior_)
        prior = Prior(
            self.weight_concentration_prior_type == "dirichlet_process",
            self.weight_concentration_prior_,
            self.mean_precision_prior_,
            self.mean_prior_,
            self.degrees_of_freedom_prior_,
            covariance_prior,
        )
        return BayesianGaussianMixtureModel(
            structure,
            prior,
            np.asarray(self.weight_concentration_),
            self.mean_precision_,
            means,
            np.broadcast_to(self.degrees_of_freedom_, len(means)),
            self.covariances_,
            np.ascontiguousarray(structure.cholesky(self.precisions_cholesky_)),
            self.reg_covar,
            self.arithmetic,
        )

    def _keep_model(self, model: BayesianGaussianMixtureModel) -> None:
        structure, prior = model.structure, model.prior
        self.weights_, self.means_, self.covariances_ = model.weights, model.means, model.covariances
        self.precisions_cholesky_ = structure.cholesky(model.whiteners)
        self.precisions_ = structure.precisions(model.whiteners)
        self.weight_concentration_ = tuple(model.concentration) if prior.process else model.concentration
        self.mean_precision_ = model.mean_precision
        self.degrees_of_freedom_ = model.degrees_of_freedom[0] if structure.shared else model.degrees_of_freedom
        self.weight_concentration_prior_ = prior.concentration
        self.mean_precision_prior_, self.mean_prior_ = prior.mean_precision, prior.mean
        self.degrees_of_freedom_prior_ = prior.degrees_of_freedom
        self.covariance_prior_ = prior.covariance if prior.covariance.ndim else float(prior.covariance)


def _moments_of_rows(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and unbiased covariance (D, D) of all rows, in one pass."""
    full, d = STRUCTURES["full"], source.n_features
    rows, weights = source.sample(1_000)
    centre = np.average(rows, axis=0, weights=weights)
    with np.errstate(over="ignore", invalid="ignore"):
        deviations = rows.std(axis=0)
    if not np.isfinite(deviations).all():
        raise ValueError(OVERFLOW)
    whitener = np.diag(1.0 / np.where(deviations > 0, deviations, 1.0))[None]
    moments = GaussianMixtureModel(full, np.ones(1), centre[None], whitener, whitener).e_step(source).moments
    if not np.isfinite(moments.second).all():
        raise ValueError(OVERFLOW)
    total, shift = moments.counts[0], moments.first[0] / moments.counts[0]
    covariance = moments.second[0] / total - np.outer(shift, shift)
    return centre + shift, covariance.reshape(d, d) * total / max(total - 1.0, np.finfo(float).tiny)


def _is_regular(covariance: np.ndarray, mean: np.ndarray) -> bool:
    """Whether a covariance as a prior has it, (D, D), (D,) or (), is positive-definite beyond rounding."""
    variances = np.diag(covariance) if covariance.ndim == 2 else covariance
    rounding = (8 * EPSILON * (np.abs(mean).max() if covariance.ndim == 0 else np.abs(mean))) ** 2
    if not (np.isfinite(covariance).all() and (variances > np.maximum(rounding, TINY)).all()):
        return False
    scales = np.sqrt(variances)
    correlations = covariance / np.outer(scales, scales) if covariance.ndim == 2 else np.eye(1)
    return bool(np.linalg.eigvalsh(correlations)[0] > 64 * EPSILON * len(correlations))


def _check_positive(covariance: np.ndarray) -> None:
    positive = bool((covariance > 0).all())
    if covariance.ndim == 2:
        symmetric = np.allclose(covariance, covariance.T)
        positive = symmetric and bool((np.linalg.eigvalsh(covariance) > 0).all())
    if not positive:
        raise ValueError("The parameter 'covariance_prior' should be symmetric, positive-definite.")
