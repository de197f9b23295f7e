"""The scikit-learn face of the Gaussian mixture."""

from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastem.estimators import missing_values
from fastem.estimators.annotations import CovarianceType
from fastem.estimators.attributes import GaussianAttributes
from fastem.estimators.elliptical import EllipticalMixin
from fastem.estimators.exchange import TwinMixin
from fastem.estimators.gaussian_distribution import GaussianDistributionMixin
from fastem.estimators.likelihood_mixture import LikelihoodMixture
from fastem.estimators.missing_values import MissingValuesMixin
from fastem.estimators.mixture_problem import LikelihoodProblem
from fastem.estimators.noise import OF_NOISE, NoiseMixin
from fastem.estimators.scikit_learn import Interval, StrOptions
from fastem.families.covariances import STRUCTURES
from fastem.families.gaussian import GaussianMixtureModel
from fastem.search.gaussian import GaussianSpace
from fastem.search.initial_values import checked_array, gaussian_values
from fastem.search.partitions import blank_gaussian
from fastem.search.search import Search
from fastem.sources import Source


@dataclass(eq=False, repr=False, kw_only=True)
class GaussianMixture(
    GaussianAttributes,
    NoiseMixin,
    MissingValuesMixin,
    GaussianDistributionMixin,
    EllipticalMixin,
    TwinMixin,
    LikelihoodMixture,
):
    """Gaussian mixture fitted by Expectation-Maximization; a drop-in for `sklearn.mixture.GaussianMixture`.

    The density is sum_k w_k N(x | mu_k, Sigma_k). Each iteration is one fused pass over the rows: responsibilities
    r_nk = w_k N(x_n | mu_k, Sigma_k) / sum_l w_l N(x_n | mu_l, Sigma_l) and their sufficient statistics, with no array
    of n_samples x n_components; then N_k = sum_n r_nk, mu_k = sum_n r_nk x_n / N_k,
    Sigma_k = sum_n r_nk (x_n - mu_k)(x_n - mu_k)^T / N_k + reg_covar I and w_k = N_k / N (Dempster, Laird and Rubin
    1977).

    Parameters
    ----------
    n_components : int, default=1
        Number of components K.
    covariance_type : {'full', 'tied', 'diag', 'spherical'} or one of mclust's names, default='full'
        One matrix per component, one for all, one variance per component and feature, one per component. The other
        names say whether volumes, shapes and orientations of the components are equal (E), variable (V) or those of
        the identity (I): 'EII', 'VII', 'EEI', 'VEI', 'EVI', 'VVI', 'EEE', 'VEE', 'EVE', 'VVE', 'EEV', 'VEV', 'EVV',
        'VVV' (Celeux and Govaert 1995). 'VVV' is 'full', 'VVI' 'diag', 'VII' 'spherical', 'EEE' 'tied' with an entry
        for each component in the attributes.
    tol : float, default=1e-3
        Stop when the mean log-likelihood per unit weight changes by less.
    reg_covar : float, default=1e-6
        Added to all variances in every M-step.
    max_iter : int, default=100
        Greatest number of iterations, each one pass over the rows. 0 keeps the start.
    n_init : int, default=1
        Number of starts; the best lower bound wins.
    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}, array-like or callable, default='kmeans'
        How to start. 'kmeans': greedy k-means++ and Lloyd on standardised rows; 'k-means++': the same without Lloyd;
        'random_from_data': nearest of K random rows; 'random': random responsibilities. All of them look at a bounded
        random sample of the rows. Or responsibilities (n_samples, K) or integer labels (n_samples,) of all rows, or a
        function of (rows, K, RandomState) that returns either for the sample of rows it is given.
    weights_init : array-like of shape (n_components,), default=None
        Weights to start with instead.
    means_init : array-like of shape (n_components, n_features), default=None
        Means to start with instead.
    precisions_init : array-like, default=None
        Inverse covariances to start with instead, shaped like `precisions_`.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts and of `sample`.
    warm_start : bool, default=False
        Continue from the last fit.
    verbose : int, default=0
        1 prints starts and iterations, 2 also times and changes.
    verbose_interval : int, default=10
        Iterations between two prints.
    subsampling : bool or 'auto', default='auto'
        'auto' begins with several short runs on a random sample, keeps the best and continues on growing samples
        before it turns to all rows; it does so whenever the start is left to fastem, and grows when there are many
        times more rows than the first sample has. True grows for any number of rows. False is the textbook path: one
        start, all rows in every pass. The convergence is that of all rows in each case.
    acceleration : {'auto', 'squarem'} or None, default='auto'
        SQUAREM extrapolation (Varadhan and Roland 2008) once the gain per iteration is below 1e-3. 'auto' uses it only
        while EM converges slowly, and never after an explicit start, from which the iterations are those of
        scikit-learn. The likelihood does not fall in either case.
    stopping : {'gain', 'gap'}, default='gain'
        What `tol` bounds: the change of the mean log-likelihood in one iteration, as in scikit-learn, or its estimated
        distance to the optimum (Aitken), so that a plateau does not look like convergence.
    arithmetic : {'float64', 'float32'}, default='float64'
        Precision of log-densities and responsibilities, whatever the dtype of X. float32 is nearly twice as fast: the
        log-likelihood is right to 1e-5 of itself, means to 1e-5 of a standard deviation wherever the data lie.
    e_step : {'soft', 'hard', 'stochastic'}, default='soft'
        'soft' is EM. 'hard' is classification EM (Celeux and Govaert 1992): every row belongs to its most probable
        component alone, the first on ties; what rises is the classification log-likelihood
        sum_n w_n max_k log w_k p(x_n | k), to a local maximum in finitely many iterations. 'stochastic' is stochastic
        EM (Celeux and Diebolt 1985): the component of each row is drawn from its posterior, once however large its
        weight; the chain can leave a poor basin. Its visited parameters of greatest log-likelihood are kept, of those
        without a collapsed component if there are any; it has converged when this maximum has not risen by more than
        `tol` in 20 iterations. All three begin where 'soft' would.
    learning_method : {'batch', 'online'}, default='batch'
        'batch' is EM: each iteration a pass, then an M-step. 'online' is stepwise EM: an M-step after every
        `batch_size` rows; an iteration is an epoch, `tol` compares the mean bounds of epochs. Online, rows must come in
        random order. `partial_fit` is always online.
    batch_size : int, default=1024
        Rows of a step online.
    learning_decay : float, default=0.7
        Exponent kappa of the share (tau + t)^-kappa of the t-th batch in the statistics. In (0.5, 1] a stationary
        stream converges; the less, the faster a drifting one is followed.
    learning_offset : float, default=10.0
        tau, which slows the first steps down.
    noise : {'uniform'}, float or None, default=None
        Noise beside the components: a density 1 / V everywhere, with V the volume of the box of the rows or the number
        given (Banfield and Raftery 1993). Its weight, 0.1 at first, is learned; `predict` says -1 of its rows.
    missing : {'error', 'em'}, default='error'
        What NaN is: an error, or with 'em' a number that is missing at random. Then the likelihood is that of the
        numbers that are there, the E-step takes what is expected of the others (Ghahramani and Jordan 1994), and rows
        without any number count for nothing. `impute` fills them in.
    checkpoint : path, default=None
        A file that the whole state of the fit is written to, in one step, after every `checkpoint_every` passes and
        when Ctrl-C interrupts it. The same call finds it, goes on from there and ends with the same bits. Other data
        or other settings are refused.
    checkpoint_every : int, default=1
        Passes between two writes.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        A component that lost all its rows has weight zero.
    means_ : ndarray of shape (n_components, n_features)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        Full (K, D, D), tied (D, D), diag (K, D), spherical (K,); of mclust's names EII and VII (K,), the others that
        end with I (K, D), the rest (K, D, D). precisions_ = precisions_cholesky_ times its transpose.
    noise_weight_, noise_log_volume_ : float
    noise_box_ : ndarray of shape (2, n_features)
        With `noise`: its weight, which makes the sum of `weights_` one, log V, and the least and greatest values of the
        features, between which `sample` draws it.
    converged_ : bool
    n_iter_ : int
        Iterations of the best start over all rows, one pass each.
    lower_bound_ : float
        Mean log-likelihood per unit weight before the last M-step, as in scikit-learn; with e_step='hard' the
        classification log-likelihood, with 'stochastic' that of the parameters that were kept.
    lower_bounds_ : list of float
        The bound before each M-step.
    lower_bounds_of_starts_ : list of list of float
        Those of each of the `n_init` starts.
    log_likelihood_ : float
        Mean log-likelihood per unit weight at the parameters returned.
    n_samples_seen_ : float
        Weight of all rows that the parameters have learned from; online, that of all epochs.
    n_passes_ : int
        How often all rows were read, for every purpose.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        If `X` has string column names.

    Examples
    --------
    >>> import numpy as np
    >>> from fastem import GaussianMixture
    >>> X = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> mixture = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> np.sort(mixture.means_[:, 0]).round(3)
    array([ 1., 10.])
    """

    covariance_type: CovarianceType = "full"
    reg_covar: float = 1e-6
    weights_init: ArrayLike | None = None
    means_init: ArrayLike | None = None
    precisions_init: ArrayLike | None = None
    arithmetic: Literal["float64", "float32"] = "float64"
    noise: Literal["uniform"] | float | None = None

    _lasting = ("n_components", "covariance_type", "noise")
    _read_with = ("covariance_type", "noise")
    _block_options = ("covariance_type", "reg_covar")
    _twin = ("sklearn.mixture", "GaussianMixture")
    _components_class: ClassVar[type] = GaussianMixtureModel
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **LikelihoodMixture._parameter_constraints,
        "covariance_type": [StrOptions(set(STRUCTURES))],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "arithmetic": [StrOptions({"float64", "float32"})],
        **missing_values.CONSTRAINTS,
        **OF_NOISE,
    }

    # what the family adds ---------------------------------------------------------------------------------------------

    def _problem(self) -> LikelihoodProblem:
        given = [part is not None for part in (self.weights_init, self.means_init, self.precisions_init)]
        return LikelihoodProblem(
            self,
            search=self._search,
            given=any(given),
            complete=all(given),
            rows_per_component=GaussianMixtureModel.rows_per_component,
        )

    def _search(self, source: Source, random_state: np.random.RandomState) -> Search:
        structure, shape = STRUCTURES[self.covariance_type], (self.n_components, source.n_features)
        gaussian = GaussianSpace(blank_gaussian(structure, *shape, self.reg_covar, self.arithmetic))
        space = self._space_with_noise(gaussian, source)
        given = gaussian_values(structure, shape, self.weights_init, self.means_init, self.precisions_init)
        return Search(space, source, self.init_params, self.subsampling, random_state, given)

    def _components(self) -> GaussianMixtureModel:
        self._check_readable()
        structure, means = STRUCTURES[self.covariance_type], np.ascontiguousarray(self.means_, dtype=np.float64)
        cholesky = checked_array(self.precisions_cholesky_, structure.shown_shape(*means.shape), "precisions_cholesky_")
        weights = checked_array(self.weights_, means.shape[:1], "weights_")
        # C order whatever has happened to the attributes since the fit: other strides are other bits in BLAS.
        whiteners = np.ascontiguousarray(structure.cholesky(structure.of_shown(cholesky)))
        # A mixture put together by hand has, as in scikit-learn, no need of covariances.
        known = hasattr(self, "covariances_")
        covariances = structure.of_shown(self.covariances_) if known else structure.covariances(whiteners)
        return GaussianMixtureModel(structure, weights, means, covariances, whiteners, self.reg_covar, self.arithmetic)

    def _keep_components(self, model: GaussianMixtureModel) -> None:
        self.weights_, self.means_ = model.weights, model.means
        structure, whiteners = model.structure, model.whiteners
        self.covariances_ = structure.shown(model.covariances, model.n_components)
        self.precisions_cholesky_ = structure.shown(structure.cholesky(whiteners), model.n_components)
        self.precisions_ = structure.shown(structure.precisions(whiteners), model.n_components)
