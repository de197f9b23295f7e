"""The scikit-learn face that all mixtures share."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import DensityMixin
from sklearn.utils import check_random_state, estimator_html_repr
from sklearn.utils.validation import check_is_fitted

from fastem.estimators import fitting
from fastem.estimators.annotations import Data, Doubles, Labels, Reals, Seed, Start
from fastem.estimators.attributes import MixtureAttributes
from fastem.estimators.callbacks import CallbackSupportMixin, with_callbacks
from fastem.estimators.mixture_problem import MixtureProblem
from fastem.estimators.parameters import Estimator
from fastem.estimators.row_results import Write, check_method, in_blocks, of_all
from fastem.estimators.scikit_learn import Interval, StrOptions, fit_context
from fastem.estimators.summary import Summary, summary_of
from fastem.estimators.validation import validated_source
from fastem.search.seeding import METHODS
from fastem.sources import Source

Method: TypeAlias = Literal["predict", "predict_proba", "score_samples"]


@dataclass(eq=False, repr=False)
class BaseMixture(MixtureAttributes, CallbackSupportMixin, DensityMixin, Estimator, ABC):
    """Fitting, and what a fitted mixture says of rows.

    A family adds its parameters, its problem, and the two ways between its attributes and its model.
    """

    n_components: int = 1
    _: KW_ONLY
    tol: float = 1e-3
    max_iter: int = 100
    n_init: int = 1
    init_params: Start = "kmeans"
    random_state: Seed = None
    warm_start: bool = False
    verbose: int = 0
    verbose_interval: int = 10
    subsampling: bool | Literal["auto"] = "auto"
    acceleration: Literal["auto", "squarem"] | None = "auto"
    stopping: Literal["gain", "gap"] = "gain"
    checkpoint: str | PathLike[str] | None = None
    checkpoint_every: int = 1

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(METHODS)), "array-like", callable],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
        "subsampling": ["boolean", StrOptions({"auto"})],
        "acceleration": [StrOptions({"auto", "squarem"}), None],
        "stopping": [StrOptions({"gain", "gap"})],
        **fitting.CONSTRAINTS,
    }

    # what a family adds -----------------------------------------------------------------------------------------------

    @abstractmethod
    def _problem(self) -> MixtureProblem:
        """What the parameters say of a fit."""

    @abstractmethod
    def _model(self) -> Any:
        """The fitted attributes as a model: they are the one place that holds the parameters."""

    @abstractmethod
    def _keep_model(self, model: Any) -> None:
        """The parameters of a model as fitted attributes."""

    # fitting ----------------------------------------------------------------------------------------------------------

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Data,
        y: object = None,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | str | None = None,
    ) -> Self:
        """Estimate the parameters.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
            An array of any memory layout; float32, float64 and memory maps are read in place. Paths of .npy, .csv,
            Parquet, Zarr and HDF5 files, `Table`, `ArrayFile`, `Chunks` and pyarrow tables are read anew in every pass.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative; an integer weight counts as that many equal rows.
        labels : array-like of shape (n_samples,) or str, default=None
            The components of rows where they are known, whole numbers from 0 to `n_components` - 1, else -1; or the
            name of the column of `X`, a table or a file of one, that holds them and is no feature. Such a row has the
            responsibility one of its component, and log w_k p(x | k) counts as its log-likelihood in `lower_bound_`
            and `log_likelihood_`. Component k of the fitted mixture is label k.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If X, the weights, the labels or the start are invalid, or the likelihood is unbounded (for Gaussians: a
            constant feature with ``reg_covar=0``).

        Warns
        -----
        ConvergenceWarning
            If `max_iter` or Ctrl-C ended the fit, or a component collapsed or lost all its rows. After Ctrl-C the
            parameters are the best so far; with a `checkpoint`, KeyboardInterrupt is raised when it is written.
        """
        return fitting.fit(self._problem(), X, y, sample_weight, labels)

    def _changes(self) -> list[str]:
        changes, fitted = super()._changes(), len(getattr(self, "weights_", range(self.n_components)))
        if not changes and fitted != self.n_components:  # attributes that were set by hand
            changes.append(f"n_components={self.n_components}, not {fitted}")
        return changes

    def _source(self, X: Any, sample_weight: Any = None, **options: Any) -> Source:
        return validated_source(self, X, sample_weight, **{"nan_refusal": self._nan_refusal(), **options})

    def _nan_refusal(self) -> str | None:
        """What to say of NaN; None where it is a number that is missing."""
        return ""

    def fit_predict(
        self,
        X: Data,
        y: object = None,
        sample_weight: ArrayLike | None = None,
        labels: ArrayLike | str | None = None,
    ) -> Labels:
        """Estimate the parameters, then return the most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
        labels : array-like of shape (n_samples,), default=None
            As in `fit`; a row is predicted to be where it is most probable, whatever its label.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        return self.fit(X, y, sample_weight=sample_weight, labels=labels).predict(X)

    def summary(self) -> Summary:
        """What the fit has found, at a glance.

        Returns
        -------
        summary : Summary
            ``print(mixture.summary())`` shows it as text, a notebook as a table.
        """
        return summary_of(self)

    def _html_repr(self) -> str:
        """scikit-learn's picture of an estimator in a notebook, and the components once there are some."""
        fitted = summary_of(self)._repr_html_() if self.__sklearn_is_fitted__() else ""
        return estimator_html_repr(self) + fitted

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
        evaluate = model.evaluate_with_gaps if self._nan_refusal() is None else model.evaluate
        return lambda rows, part: evaluate(rows, **{name: part}), columns, dtype

    def in_blocks(self, X: Data, method: Method = "predict") -> Iterator[NDArray[Any]]:
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

    def predict(self, X: Data, *, out: NDArray[Any] | None = None) -> Labels:
        """The most probable component of each row; -1 where it is the noise that `noise` adds.

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

    def predict_proba(self, X: Data, *, out: NDArray[Any] | None = None) -> Reals:
        """The responsibilities of the components for each row.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
        out : ndarray of shape (n_samples, n_components), float64 or float32, default=None
            Where to write them, a memory map perhaps; after an error its content is undefined.

        Returns
        -------
        responsibilities : ndarray of shape (n_samples, n_components)
            Rows sum to one; with `noise`, to one less its share.
        """
        results = self._results("predict_proba")
        return of_all(self._source(X), *results, out)

    def score_samples(self, X: Data, *, out: NDArray[Any] | None = None) -> Reals:
        """Log-density of each row, in nats.

        Parameters
        ----------
        X : array-like, path or other source of shape (n_samples, n_features)
        out : ndarray of shape (n_samples,), float64 or float32, default=None
            Where to write them, a memory map perhaps; after an error its content is undefined.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        results = self._results("score_samples")
        return of_all(self._source(X), *results, out)

    def score(self, X: Data, y: object = None, sample_weight: ArrayLike | None = None) -> float:
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
        check_is_fitted(self)
        total, weight = self._model().log_likelihood(self._source(X, sample_weight))
        return total / weight

    def sample(self, n_samples: int = 1) -> tuple[Doubles, Labels]:
        """Draw rows from the mixture, component after component.

        Parameters
        ----------
        n_samples : int, default=1

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
        y : ndarray of shape (n_samples,)
            The component of each row; -1 of noise.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"Invalid value for 'n_samples': {n_samples}. The sampling requires at least one sample.")
        random_state = check_random_state(self.random_state)
        return self._model().sample(n_samples, random_state)
