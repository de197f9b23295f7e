"""The scikit-learn face of the Gaussian mixture."""

import warnings
from numbers import Integral, Real
from time import perf_counter

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from fastem.engine.em import Fit, run_em
from fastem.engine.stopping import RULES
from fastem.families.covariances import STRUCTURES
from fastem.families.gaussian import GaussianMixtureModel
from fastem.sources import Source
from fastem.starts import METHODS, Starts, checked_array
from fastem.validation import validated_source


class GaussianMixture(DensityMixin, BaseEstimator):
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
    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        One matrix per component, one for all, one variance per component and feature, one per component.
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

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        A component that lost all its rows has weight zero.
    means_ : ndarray of shape (n_components, n_features)
    covariances_, precisions_, precisions_cholesky_ : ndarray
        Full (K, D, D), tied (D, D), diag (K, D), spherical (K,); precisions_ = precisions_cholesky_ times its
        transpose.
    converged_ : bool
    n_iter_ : int
        Iterations of the best start over all rows, one pass each.
    lower_bound_ : float
        Mean log-likelihood per unit weight before the last M-step, as in scikit-learn.
    lower_bounds_ : list of float
        The same for all iterations.
    log_likelihood_ : float
        Mean log-likelihood per unit weight at the parameters returned.
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

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(STRUCTURES))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(METHODS)), "array-like", callable],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
        "subsampling": ["boolean", StrOptions({"auto"})],
        "acceleration": [StrOptions({"auto", "squarem"}), None],
        "stopping": [StrOptions(set(RULES))],
        "arithmetic": [StrOptions({"float64", "float32"})],
    }

    def __init__(
        self,
        n_components=1,
        *,
        covariance_type="full",
        tol=1e-3,
        reg_covar=1e-6,
        max_iter=100,
        n_init=1,
        init_params="kmeans",
        weights_init=None,
        means_init=None,
        precisions_init=None,
        random_state=None,
        warm_start=False,
        verbose=0,
        verbose_interval=10,
        subsampling="auto",
        acceleration="auto",
        stopping="gain",
        arithmetic="float64",
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.subsampling = subsampling
        self.acceleration = acceleration
        self.stopping = stopping
        self.arithmetic = arithmetic

    # fitting ----------------------------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Estimate the parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Any memory layout; float32, float64 and memory maps are read in place.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative; an integer weight counts as that many equal rows.

        Returns
        -------
        self : GaussianMixture

        Raises
        ------
        ValueError
            If X, the weights or the start are invalid, or the likelihood is unbounded (a constant feature with
            ``reg_covar=0``).

        Warns
        -----
        ConvergenceWarning
            If `max_iter` ended the fit, or a component collapsed or lost all its rows.
        """
        source, n_rows = validated_source(self, X, sample_weight, reset=True, ensure_min_samples=2)
        if n_rows < self.n_components:
            weighted = "" if sample_weight is None else " with a positive weight"
            raise ValueError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, "
                f"n_samples = {n_rows}{weighted}"
            )
        continued = self.warm_start and hasattr(self, "converged_")
        random_state = check_random_state(self.random_state)
        if continued:
            fits = [self._run(source, self._model(), 0, previous=self.lower_bound_)]
        else:
            starts = self._starts(source, random_state)
            fits = [self._run(source, starts.next(), n) for n in range(self.n_init)]
        best, progress = max(fits, key=lambda pair: pair[0].lower_bounds[-1:])
        self._keep(best, source)
        self._warn(best, progress.repaired)
        return self

    def _starts(self, source: Source, random_state) -> Starts:
        return Starts(
            STRUCTURES[self.covariance_type],
            source,
            self.n_components,
            self.init_params,
            self.subsampling,
            random_state,
            self.reg_covar,
            self.weights_init,
            self.means_init,
            self.precisions_init,
            self.arithmetic,
        )

    def _run(self, source: Source, model: GaussianMixtureModel, number: int, previous: float = -np.inf):
        progress = _Progress(self.verbose, self.verbose_interval, number)
        fit = run_em(
            model,
            source,
            tol=self.tol,
            max_iter=self.max_iter,
            stopping=self.stopping,
            acceleration=None if self.acceleration == "auto" and self._start_is_given() else self.acceleration,
            after_iteration=progress,
            previous=previous,
        )
        progress.end(fit)
        return fit, progress

    def _start_is_given(self) -> bool:
        """Whether the user has chosen where to start, in part or in whole."""
        explicit = self.weights_init, self.means_init, self.precisions_init
        partition = not isinstance(self.init_params, str) and not callable(self.init_params)
        return self.warm_start or partition or any(part is not None for part in explicit)

    def _keep(self, fit: Fit[GaussianMixtureModel], source: Source) -> None:
        model, structure = fit.model, fit.model.structure
        self.weights_, self.means_, self.covariances_ = model.weights, model.means, model.covariances
        self.precisions_cholesky_ = structure.cholesky(model.whiteners)
        self.precisions_ = structure.precisions(model.whiteners)
        self.converged_ = fit.converged
        self.n_iter_ = fit.n_iter
        self.lower_bounds_ = fit.lower_bounds
        self.lower_bound_ = fit.lower_bounds[-1] if fit.lower_bounds else -np.inf
        total, weight = model.log_likelihood(source.blocks())
        self.log_likelihood_ = total / weight

    def _warn(self, fit: Fit[GaussianMixtureModel], repaired: dict) -> None:
        def warn(message):
            warnings.warn(message, ConvergenceWarning, stacklevel=3)

        if not fit.converged and self.max_iter > 0:
            warn(
                f"The fit did not converge in max_iter={self.max_iter} iterations. Increase max_iter or tol, or try "
                "another start."
            )
        for component, iteration in repaired.items():
            who = "The tied covariance" if component is None else f"The covariance of component {component}"
            warn(
                f"{who} became singular at iteration {iteration}: its rows are fewer than the features need, equal or "
                "linearly dependent. It was widened to a millionth of the variance of the data. Use fewer components, "
                "or a larger reg_covar."
            )
        retired = np.flatnonzero(fit.model.weights == 0).tolist()
        if retired:
            warn(
                f"Components {retired} lost all their rows and were dropped: their weight is zero. Use fewer "
                "components."
            )
        supported = np.flatnonzero(fit.model.supported_by_regularisation()).tolist()
        if supported:
            who = "The tied covariance has" if fit.model.structure.shared else f"Components {supported} have"
            warn(
                f"{who} no variance of its own in some direction (equal rows, a constant feature, or a scale far below "
                f"reg_covar={self.reg_covar:g}): there the variance is reg_covar. Use fewer components, or another "
                "reg_covar."
            )

    def fit_predict(self, X, y=None, sample_weight=None):
        """Estimate the parameters, then return the most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        return self.fit(X, y, sample_weight=sample_weight).predict(X)

    # what a fitted mixture says of rows -------------------------------------------------------------------------------

    def _model(self) -> GaussianMixtureModel:
        """The fitted attributes as a model: they are the one place that holds the parameters."""
        structure, means = STRUCTURES[self.covariance_type], np.ascontiguousarray(self.means_, dtype=np.float64)
        cholesky = checked_array(self.precisions_cholesky_, structure.shape(*means.shape), "precisions_cholesky_")
        weights = checked_array(self.weights_, means.shape[:1], "weights_")
        # C order whatever has happened to the attributes since the fit: other strides are other bits in BLAS.
        whiteners = np.ascontiguousarray(structure.cholesky(cholesky))
        # A mixture put together by hand has, as in scikit-learn, no need of covariances.
        covariances = self.covariances_ if hasattr(self, "covariances_") else structure.covariances(whiteners)
        return GaussianMixtureModel(structure, weights, means, covariances, whiteners, self.reg_covar, self.arithmetic)

    def _scored(self, X, name: str, columns: tuple[int, ...] = (), dtype=np.float64) -> np.ndarray:
        check_is_fitted(self)
        (source, _), model = validated_source(self, X), self._model()
        out = np.empty((source.n_rows, *columns), dtype=dtype)
        first = 0
        for block in source.blocks():
            part = out[first : first + len(block.rows)]
            model.score(block.rows, **{name: part})
            first += len(part)
        return out

    def predict(self, X):
        """The most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,), int64
        """
        return self._scored(X, "labels", dtype=np.int64)

    def predict_proba(self, X):
        """The responsibilities of the components for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        responsibilities : ndarray of shape (n_samples, n_components)
            Rows sum to one.
        """
        check_is_fitted(self)
        return self._scored(X, "responsibilities", self.weights_.shape)

    def score_samples(self, X):
        """Log-density of each row, in nats.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        return self._scored(X, "log_density")

    def _log_likelihood(self, X, sample_weight) -> tuple[float, float]:
        check_is_fitted(self)
        source, _ = validated_source(self, X, sample_weight)
        return self._model().log_likelihood(source.blocks())

    def score(self, X, y=None, sample_weight=None):
        """Mean log-likelihood per unit weight, in nats.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
        """
        total, weight = self._log_likelihood(X, sample_weight)
        return total / weight

    def bic(self, X, sample_weight=None):
        """Bayesian information criterion, -2 log L + p log N with N the sum of the weights; lower is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        bic : float
        """
        total, weight = self._log_likelihood(X, sample_weight)
        return -2.0 * total + self._model().n_parameters * np.log(weight)

    def aic(self, X, sample_weight=None):
        """Akaike information criterion, -2 log L + 2 p; lower is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        aic : float
        """
        total, _ = self._log_likelihood(X, sample_weight)
        return -2.0 * total + 2.0 * self._model().n_parameters

    def sample(self, n_samples=1):
        """Draw rows from the mixture, component after component.

        Parameters
        ----------
        n_samples : int, default=1

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
        y : ndarray of shape (n_samples,)
            The component of each row.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples}. The sampling requires at least one sample.")
        random_state = check_random_state(self.random_state)
        return self._model().sample(n_samples, random_state)


class _Progress:
    """Prints what `verbose` asks for and remembers when a covariance had to be widened."""

    def __init__(self, verbose: int, interval: int, start: int):
        self.verbose, self.interval = verbose, interval
        self.repaired: dict[int | None, int] = {}
        self.begun = self.last = perf_counter()
        if verbose:
            print(f"Initialization {start}")

    def __call__(self, iteration: int, model: GaussianMixtureModel, change: float) -> None:
        for component in model.repairs:
            self.repaired.setdefault(component, iteration)
        if self.verbose and iteration % self.interval == 0:
            now = perf_counter()
            details = f"\t time lapse {now - self.last:.5f}s\t ll change {change:.5f}" if self.verbose > 1 else ""
            print(f"  Iteration {iteration}{details}")
            self.last = now

    def end(self, fit: Fit) -> None:
        if self.verbose:
            lapse = perf_counter() - self.begun
            bound = fit.lower_bounds[-1] if fit.lower_bounds else -np.inf
            details = f" time lapse {lapse:.5f}s\t lower bound {bound:.5f}." if self.verbose > 1 else ""
            print(f"Initialization {'converged' if fit.converged else 'did not converge'}.{details}")
