"""The scikit-learn face that all mixtures share."""

import warnings
from abc import ABC, abstractmethod
from numbers import Integral, Real
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from fastem.engine.e_steps import E_STEPS, Stochastic, with_e_step
from fastem.engine.loop import Fit, run_em
from fastem.engine.restarts import run_starts
from fastem.estimators.callbacks import Tasks, with_callbacks
from fastem.estimators.fitting import LongFitMixin
from fastem.estimators.partial_fit import OnlineMixin, learned
from fastem.estimators.row_results import Write, check_method, in_blocks, of_all
from fastem.estimators.validation import Domain, validated_source
from fastem.sources import Source

LARGEST_SEED = 2**31 - 1


class Starts(Protocol):
    """An endless supply of first models."""

    def next(self) -> Any: ...


class BaseMixture(OnlineMixin, LongFitMixin, DensityMixin, BaseEstimator, ABC):
    """Fitting by EM, and what a fitted mixture says of rows.

    A family adds its parameters and attributes by `_starts`, `_model` and `_keep_model`; its models are those of
    `fastem.families`.
    """

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
        "subsampling": ["boolean", StrOptions({"auto"})],
        "acceleration": [StrOptions({"auto", "squarem"}), None],
        "stopping": [StrOptions({"gain", "gap"})],
        "e_step": [StrOptions(set(E_STEPS))],
        **OnlineMixin._online_constraints,
        **LongFitMixin._long_fit_constraints,
    }

    e_step = "soft"  # of families that have no other

    # what a family adds -----------------------------------------------------------------------------------------------

    @abstractmethod
    def _starts(self, source: Source, random_state: np.random.RandomState) -> Starts:
        """First models for a data set."""

    @abstractmethod
    def _start_is_given(self) -> bool:
        """Whether the user has chosen where to start, in part or in whole."""

    @abstractmethod
    def _model(self) -> Any:
        """The fitted attributes as a model: they are the one place that holds the parameters."""

    @abstractmethod
    def _keep_model(self, model: Any) -> None:
        """The parameters of a model as fitted attributes."""

    def _warnings_of(self, model: Any) -> list[str]:
        """What the user must know of a fitted model, besides components without rows."""
        return []

    def _domain(self) -> Domain | None:
        """What to check in every row, besides that it is finite."""
        return None

    # fitting ----------------------------------------------------------------------------------------------------------

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Estimate the parameters.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
            An array of any memory layout; float32, float64 and memory maps are read in place. Paths of .npy, .csv,
            Parquet, Zarr and HDF5 files, `Table`, `ArrayFile`, `Chunks` and pyarrow tables are read anew in every pass.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative; an integer weight counts as that many equal rows.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If X, the weights or the start are invalid, or the likelihood is unbounded (for Gaussians: a constant
            feature with ``reg_covar=0``).

        Warns
        -----
        ConvergenceWarning
            If `max_iter` or Ctrl-C ended the fit, or a component collapsed or lost all its rows. After Ctrl-C the
            parameters are the best so far; with a `checkpoint`, KeyboardInterrupt is raised when it is written.
        """
        continued = self.warm_start and hasattr(self, "converged_")
        if continued and self.checkpoint is not None:
            raise ValueError("warm_start=True begins with fitted parameters: a checkpoint could not tell which.")
        checkpoint, record, random_state = self._begin()
        seed = random_state.randint(LARGEST_SEED)
        source = self._source(X, sample_weight, reset=True, ensure_min_samples=2, seed=seed)
        self._check_size(source)
        if checkpoint is not None:
            checkpoint.bind(source.fingerprint())
        starts = None if continued else self._starts(source, random_state)
        metadata = {"n_samples": source.n_rows, "sample_weight": sample_weight}
        tasks = Tasks(self, self.n_init, self.max_iter, _keep_on, X=X, y=y, metadata=metadata)

        def next_start(number: int) -> Any:
            model = self._model() if starts is None else starts.next()
            return self._with_e_step(model, random_state, number)

        def run(start: Any, number: int, loop: Any, keep: Any) -> _Outcome:
            previous = self.lower_bound_ if continued else -np.inf
            return self._run(source, start, number, tasks, loop, keep, previous)

        n_starts = 1 if continued else self.n_init
        best = run_starts(record, n_starts, next_start, run, lambda outcome: _bound(outcome.fit), checkpoint)
        self._keep(best.fit, source)
        tasks.end(best.fit.model)
        self._warn(best.fit, best.repaired)
        self._first_rows = []
        return self

    def _source(self, X, sample_weight=None, **options: Any) -> Source:
        return validated_source(self, X, sample_weight, domain=self._domain(), **options)

    def _check_size(self, source: Source) -> None:
        if source.n_candidates < self.n_components:
            weighted = "" if source.n_candidates == source.n_rows else " with a positive weight"
            raise ValueError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, "
                f"n_samples = {source.n_candidates}{weighted}"
            )

    def _run(
        self, source: Source, start: Any, number: int, tasks: Tasks, loop: Any, keep: Any, previous: float
    ) -> "_Outcome":
        state, repaired = (None, {}) if loop is None else loop
        watch = _Watch(self.verbose, self.verbose_interval, number, tasks, repaired)
        fit = run_em(
            self._for_learning(start, source.n_features),
            source,
            tol=self.tol,
            max_iter=self.max_iter,
            stopping=self._stopping(),
            acceleration=self._acceleration(),
            after_iteration=watch,
            previous=previous,
            state=state,
            keep=None if keep is None else lambda state: keep((state, watch.repaired)),
        )
        watch.end(fit)
        return _Outcome(fit, watch.repaired)

    def _acceleration(self) -> str | None:
        online = self.learning_method == "online"
        if online and self.acceleration == "squarem":
            raise ValueError("acceleration='squarem' extrapolates EM; learning_method='online' is not EM.")
        if self.e_step != "soft" and self.acceleration == "squarem":
            raise ValueError(
                f"acceleration='squarem' extrapolates smooth steps; those of e_step={self.e_step!r} are not."
            )
        plain = online or self.e_step != "soft" or self.warm_start or self._start_is_given()
        return None if self.acceleration == "auto" and plain else self.acceleration

    def _stopping(self) -> str:
        if self.e_step != "stochastic":
            return self.stopping
        if self.stopping == "gap":
            raise ValueError("stopping='gap' needs an optimum that is approached; e_step='stochastic' has none.")
        return "patience"

    def _with_e_step(self, model: Any, random_state: np.random.RandomState, number: int) -> Any:
        seed = random_state.randint(LARGEST_SEED) + number if self.e_step == "stochastic" else 0
        return with_e_step(self.e_step, model, seed)

    def _first_model(self, source: Source, random_state: np.random.RandomState) -> Any:
        return self._starts(source, random_state).next()

    def _keep(self, fit: Fit, source: Source) -> None:
        model = learned(fit.model)
        self._keep_model(model)
        self.converged_ = fit.converged
        self.n_iter_ = fit.n_iter
        self.lower_bounds_ = fit.lower_bounds
        self.lower_bound_ = _bound(fit)
        total, weight = model.log_likelihood(source)
        self.log_likelihood_ = total / weight
        self.n_samples_seen_ = fit.model.seen if self.learning_method == "online" else weight
        self.n_passes_ = source.n_passes

    def _warn(self, fit: Fit, repaired: dict[int | None, int]) -> None:
        messages = []
        if fit.interrupted:
            messages.append(
                f"The fit was interrupted after iteration {fit.n_iter}: the parameters are the best so far."
            )
        elif not fit.converged and self.max_iter > 0:
            messages.append(
                f"The fit did not converge in max_iter={self.max_iter} iterations. Increase max_iter or tol, or try "
                "another start."
            )
        for component, iteration in repaired.items():
            who = "The tied covariance" if component is None else f"The covariance of component {component}"
            messages.append(
                f"{who} became singular at iteration {iteration}: its rows are fewer than the features need, equal or "
                "linearly dependent. It was widened to a millionth of the variance of the data. Use fewer components, "
                "or a larger reg_covar."
            )
        model = learned(fit.model)
        empty = np.flatnonzero(model.weights == 0).tolist()
        if empty:
            messages.append(
                f"Components {empty} lost all their rows and were dropped: their weight is zero. Use fewer components."
            )
        for message in messages + self._warnings_of(model):
            warnings.warn(message, ConvergenceWarning, stacklevel=4)

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

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "weights_")

    def _results(self, method: str) -> tuple[Write, tuple[int, ...], Any]:
        """How to compute what a method returns for the rows of a block, and its columns and dtype."""
        check_is_fitted(self)
        name, dtype = {
            "predict": ("labels", np.int64),
            "predict_proba": ("responsibilities", np.float64),
            "score_samples": ("log_density", np.float64),
        }[method]
        model = self._model()
        columns = (model.n_components,) if method == "predict_proba" else ()
        return lambda rows, part: model.evaluate(rows, **{name: part}), columns, dtype

    def in_blocks(self, X, method="predict"):
        """What a method returns, block by block: nothing of the length of the data is ever held.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
        method : {'predict', 'predict_proba', 'score_samples'}, default='predict'

        Yields
        ------
        results : ndarray of shape (n, ...)
            Those of the next rows. How many rows a block has depends on where they come from.

        Examples
        --------
        >>> import numpy as np
        >>> from fastem import GaussianMixture
        >>> X = np.array([[1.0], [2], [10], [11]])
        >>> mixture = GaussianMixture(random_state=0).fit(X)
        >>> sum(len(labels) for labels in mixture.in_blocks(X))
        4
        """
        check_method(method, ("predict", "predict_proba", "score_samples"))
        results = self._results(method)
        return in_blocks(self._source(X), *results)

    def predict(self, X, *, out=None):
        """The most probable component of each row.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
        out : ndarray of shape (n_samples,), int64, default=None
            Where to write them, a memory map perhaps; after an error its content is undefined.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int64
        """
        results = self._results("predict")
        return of_all(self._source(X), *results, out)

    def predict_proba(self, X, *, out=None):
        """The responsibilities of the components for each row.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
        out : ndarray of shape (n_samples, n_components), float64, default=None
            Where to write them, a memory map perhaps; after an error its content is undefined.

        Returns
        -------
        responsibilities : ndarray of shape (n_samples, n_components)
            Rows sum to one.
        """
        results = self._results("predict_proba")
        return of_all(self._source(X), *results, out)

    def score_samples(self, X, *, out=None):
        """Log-density of each row, in nats.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
        out : ndarray of shape (n_samples,), float64, default=None
            Where to write them, a memory map perhaps; after an error its content is undefined.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        results = self._results("score_samples")
        return of_all(self._source(X), *results, out)

    def _log_likelihood(self, X, sample_weight) -> tuple[float, float]:
        check_is_fitted(self)
        return self._model().log_likelihood(self._source(X, sample_weight))

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


def _bound(fit: Fit) -> float:
    """The bound of a run: the last, or that of the model which is kept of a chain."""
    if isinstance(fit.model, Stochastic):
        return fit.model.merit[1]
    return fit.lower_bounds[-1] if fit.lower_bounds else -np.inf


class _Outcome(NamedTuple):
    """Of one start."""

    fit: Fit
    repaired: dict[int | None, int]  # components whose covariance was widened, and the first iteration when it was

    @property
    def interrupted(self) -> bool:
        return self.fit.interrupted


def _keep_on(estimator: Any, model: Any) -> None:
    """A model of the EM loop as the fitted attributes of an estimator."""
    estimator._keep_model(learned(model))


class _Watch:
    """Prints what `verbose` asks for, tells the callbacks, and remembers when a covariance had to be widened."""

    def __init__(self, verbose: int, interval: int, start: int, tasks: Tasks, repaired: dict[int | None, int]):
        self.verbose, self.interval, self.tasks = verbose, interval, tasks
        self.repaired = repaired
        self.first = self.last = perf_counter()
        tasks.begin_start()
        if verbose:
            print(f"Initialization {start}")

    def __call__(self, iteration: int, model: Any, bound: float, change: float) -> bool:
        for component in model.repairs:
            self.repaired.setdefault(component, iteration)
        if self.verbose and iteration % self.interval == 0:
            now = perf_counter()
            details = f"\t time lapse {now - self.last:.5f}s\t ll change {change:.5f}" if self.verbose > 1 else ""
            print(f"  Iteration {iteration}{details}")
            self.last = now
        return self.tasks.iteration(model, lower_bound_=bound)

    def end(self, fit: Fit) -> None:
        self.tasks.end_start(fit.model)
        if self.verbose:
            lapse = perf_counter() - self.first
            bound = fit.lower_bounds[-1] if fit.lower_bounds else -np.inf
            details = f" time lapse {lapse:.5f}s\t lower bound {bound:.5f}." if self.verbose > 1 else ""
            print(f"Initialization {'converged' if fit.converged else 'did not converge'}.{details}")
