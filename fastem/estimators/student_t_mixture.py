"""The scikit-learn face of the mixture of Student's t distributions."""

from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from fastem.estimators.annotations import CovarianceType, Doubles
from fastem.estimators.attributes import StudentTAttributes
from fastem.estimators.elliptical import EllipticalMixin
from fastem.estimators.likelihood_mixture import LikelihoodMixture
from fastem.estimators.mixture_problem import LikelihoodProblem
from fastem.estimators.noise import OF_NOISE, NoiseMixin
from fastem.estimators.scikit_learn import Interval, StrOptions
from fastem.estimators.student_t_distribution import StudentTDistributionMixin
from fastem.families.covariances import STRUCTURES, CovarianceStructure, names_with
from fastem.families.gaussian import GaussianMixtureModel
from fastem.families.student_t import GREATEST, LEAST, StudentTMixtureModel
from fastem.search.initial_values import checked_array, gaussian_values
from fastem.search.partitions import blank_gaussian
from fastem.search.search import Search
from fastem.search.student_t import StudentTSpace
from fastem.sources import Source

FIRST_DEGREES_OF_FREEDOM = 4.0  # tails so heavy that outliers are given to the cluster that they come from


@dataclass(eq=False, repr=False, kw_only=True)
class StudentTMixture(StudentTAttributes, NoiseMixin, StudentTDistributionMixin, EllipticalMixin, LikelihoodMixture):
    """Mixture of multivariate Student's t distributions fitted by EM: clusters that outliers do not move.

    The density is sum_k w_k t(x | mu_k, Sigma_k, nu_k). A row of component k is Gaussian with covariance Sigma_k / u,
    given a latent precision u ~ Gamma(nu_k / 2, nu_k / 2). Each iteration is one fused pass over the rows:
    responsibilities r_nk and precisions u_nk = (nu_k + D) / (nu_k + d2_nk) with d2 the squared Mahalanobis distance;
    then N_k = sum_n r_nk, mu_k = sum_n r_nk u_nk x_n / sum_n r_nk u_nk,
    Sigma_k = sum_n r_nk u_nk (x_n - mu_k)(x_n - mu_k)^T / N_k + reg_covar I, w_k = N_k / N, and nu_k solves
    1 + log(nu/2) - psi(nu/2) + sum_n r_nk E[log u_nk - u_nk] / N_k = 0 (Peel and McLachlan 2000). The log-likelihood
    never falls.

    Parameters
    ----------
    n_components : int, default=1
        Number of components K.
    covariance_type : {'full', 'tied', 'diag', 'spherical'} or one of mclust's names, default='full'
        Shape of the scales: one matrix per component, one for all, one number per component and feature, one per
        component; or a name like 'VVE', see `GaussianMixture`.
    degrees_of_freedom : {'free', 'shared'}, float or array-like of shape (n_components,), default='free'
        'free' estimates one number per component, 'shared' one for all. Numbers are kept as they are: 1 is the Cauchy
        distribution. Between 0.01 and 1e6, where the distribution is Gaussian to six digits; rows without outliers
        take an estimate towards 1e6, slowly.
    tol : float, default=1e-3
        Stop when the mean log-likelihood per unit weight changes by less. Degrees of freedom change it little: where
        they matter, take 1e-6 or less.
    reg_covar : float, default=1e-6
        Added to the diagonals of all scales in every M-step.
    max_iter : int, default=100
        Greatest number of iterations, each one pass over the rows. 0 keeps the start.
    n_init : int, default=1
        Number of starts; the best lower bound wins.
    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, array-like or callable, default='kmeans'
        How to start, as for `GaussianMixture`. The search for a start leaves out rows far from all others at first, and
        keeps the degrees of freedom it begins with.
    weights_init : array-like of shape (n_components,), default=None
        Weights to start with instead.
    means_init : array-like of shape (n_components, n_features), default=None
        Means to start with instead.
    scales_init : array-like, default=None
        Scales to start with instead, shaped like `scales_`.
    degrees_of_freedom_init : float or array-like of shape (n_components,), default=None
        Degrees of freedom to start with; None stands for 4. Only where they are estimated.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts, of stochastic EM and of `sample`.
    warm_start : bool, default=False
        Continue from the last fit.
    verbose : int, default=0
        1 prints starts and iterations, 2 also times and changes.
    verbose_interval : int, default=10
        Iterations between two prints.
    subsampling, acceleration, stopping, e_step, learning_method, batch_size, learning_decay, learning_offset, noise
        As for `GaussianMixture`. e_step='hard' and 'stochastic' give a row to one component; its latent precision is
        still expected.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        A component that lost all its rows has weight zero.
    means_ : ndarray of shape (n_components, n_features)
        Location parameters: the means where nu_k > 1.
    scales_ : ndarray
        Sigma_k: full (K, D, D), tied (D, D), diag (K, D), spherical (K,).
    degrees_of_freedom_ : ndarray of shape (n_components,)
    covariances_ : ndarray
    noise_weight_, noise_log_volume_, noise_box_
        With `noise`, as for `GaussianMixture`.
    converged_, n_iter_, lower_bound_, lower_bounds_, lower_bounds_of_starts_, log_likelihood_
    n_samples_seen_, n_passes_, n_features_in_
        As for `GaussianMixture`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        If `X` has string column names.

    Examples
    --------
    A few outliers take the means of a Gaussian mixture with them:

    >>> import numpy as np
    >>> from fastem import StudentTMixture
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> X[:10] += 1000
    >>> mixture = StudentTMixture(random_state=0).fit(X)
    >>> bool(np.abs(mixture.means_).max() < 0.2), bool(X.mean() > 10)
    (True, True)
    """

    covariance_type: CovarianceType = "full"
    degrees_of_freedom: Literal["free", "shared"] | ArrayLike = "free"
    reg_covar: float = 1e-6
    weights_init: ArrayLike | None = None
    means_init: ArrayLike | None = None
    scales_init: ArrayLike | None = None
    degrees_of_freedom_init: ArrayLike | None = None
    noise: Literal["uniform"] | float | None = None

    _lasting = ("n_components", "covariance_type", "degrees_of_freedom", "noise")
    _read_with = ("covariance_type", "noise")
    _components_class: ClassVar[type] = StudentTMixtureModel
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **LikelihoodMixture._parameter_constraints,
        "covariance_type": [StrOptions(set(names_with("student_t")))],
        "degrees_of_freedom": [
            StrOptions({"free", "shared"}),
            Interval(Real, LEAST, GREATEST, closed="both"),
            "array-like",
        ],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "scales_init": ["array-like", None],
        "degrees_of_freedom_init": [Interval(Real, LEAST, GREATEST, closed="both"), "array-like", None],
        **OF_NOISE,
    }

    @property
    def covariances_(self) -> Doubles:
        """Covariances nu/(nu - 2) Sigma of the components, NaN where nu <= 2: there is none.

        Shaped like `scales_`, for tied ones (K, D, D): degrees of freedom may differ.
        """
        check_is_fitted(self)
        nu = np.where(self.degrees_of_freedom_ > 2, self.degrees_of_freedom_, np.nan)
        structure = self._structure
        each = not structure.shared or structure.repeated
        scales = self.scales_ if each else np.broadcast_to(self.scales_, (len(nu), *self.scales_.shape))
        return scales * (nu / (nu - 2)).reshape(-1, *[1] * (scales.ndim - 1))

    # what the family adds ---------------------------------------------------------------------------------------------

    @property
    def _structure(self) -> CovarianceStructure:
        return STRUCTURES[self.covariance_type]

    def _problem(self) -> LikelihoodProblem:
        given = [part is not None for part in (self.weights_init, self.means_init, self.scales_init)]
        return LikelihoodProblem(
            self,
            search=self._search,
            given=any(given),
            complete=all(given),
            rows_per_component=StudentTMixtureModel.rows_per_component,
        )

    def _search(self, source: Source, random_state: np.random.RandomState) -> Search:
        shape = self.n_components, source.n_features
        precisions = self._precisions_init(source.n_features)
        given = gaussian_values(self._structure, shape, self.weights_init, self.means_init, precisions)
        gaussian = blank_gaussian(self._structure, *shape, self.reg_covar)
        blank = StudentTMixtureModel(gaussian, self._first_degrees_of_freedom(), self._freedom())
        space = self._space_with_noise(StudentTSpace(blank), source)
        return Search(space, source, self.init_params, self.subsampling, random_state, given)

    def _precisions_init(self, n_features: int) -> np.ndarray | None:
        if self.scales_init is None:
            return None
        structure = self._structure
        shown = checked_array(self.scales_init, structure.shown_shape(self.n_components, n_features), "scales_init")
        scales = structure.of_shown(shown)
        symmetric = not structure.correlated or np.allclose(scales, scales.swapaxes(-1, -2))
        whiteners, singular = structure.whiten(scales)
        if singular.any() or not symmetric:
            raise ValueError(
                "The parameter 'scales_init' should be positive-definite: symmetric positive-definite matrices for "
                "full and tied scales, positive numbers for diag and spherical."
            )
        if not structure.holds(shown):
            raise ValueError(f"The parameter 'scales_init' should hold {structure.name} scales.")
        return structure.shown(structure.precisions(whiteners), self.n_components)

    def _freedom(self) -> str:
        return self.degrees_of_freedom if isinstance(self.degrees_of_freedom, str) else "fixed"

    def _first_degrees_of_freedom(self) -> np.ndarray:
        first, name = self.degrees_of_freedom_init, "degrees_of_freedom_init"
        if self._freedom() == "fixed":
            if first is not None:
                raise ValueError("degrees_of_freedom_init has no use where degrees_of_freedom are given.")
            first, name = self.degrees_of_freedom, "degrees_of_freedom"
        first = FIRST_DEGREES_OF_FREEDOM if first is None else first
        if isinstance(first, Real):
            return np.full(self.n_components, float(first))
        first = checked_array(first, (self.n_components,), name)
        if not ((first >= LEAST) & (first <= GREATEST)).all():
            raise ValueError(f"The parameter {name!r} should lie between {LEAST} and {GREATEST:g}, but got {first}")
        if self._freedom() == "shared" and np.ptp(first):
            raise ValueError("degrees_of_freedom_init should be one number for degrees_of_freedom='shared'.")
        return first

    def _components(self) -> StudentTMixtureModel:
        self._check_readable()
        structure, means = self._structure, np.ascontiguousarray(self.means_, dtype=np.float64)
        scales = structure.of_shown(checked_array(self.scales_, structure.shown_shape(*means.shape), "scales_"))
        weights = checked_array(self.weights_, means.shape[:1], "weights_")
        degrees_of_freedom = checked_array(self.degrees_of_freedom_, means.shape[:1], "degrees_of_freedom_")
        whiteners, singular = structure.whiten(scales)
        if singular.any():
            raise ValueError("The scales_ are not positive-definite.")
        gaussian = GaussianMixtureModel(structure, weights, means, scales, whiteners, self.reg_covar)
        return StudentTMixtureModel(gaussian, degrees_of_freedom, self._freedom())

    def _keep_components(self, model: StudentTMixtureModel) -> None:
        self.weights_, self.means_ = model.weights, model.means
        self.scales_ = model.structure.shown(model.scales, model.n_components)
        self.degrees_of_freedom_ = model.degrees_of_freedom
