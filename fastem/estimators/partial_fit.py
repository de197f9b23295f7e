"""Learning from streams: `partial_fit`, and `learning_method="online"` of `fit`."""

from abc import abstractmethod
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from fastem.engine.e_steps import Classification, Stochastic
from fastem.engine.stepwise import Online, Schedule, take_steps
from fastem.sources import Block, Source
from fastem.sources.arrays import ArraySource

LARGEST_SEED = 2**31 - 1
OF_A_FIT = ("lower_bounds_", "log_likelihood_", "labels_", "inertia_")  # attributes that a further batch outdates


class OnlineMixin:
    """Stepwise EM for estimators whose models have `stepwise`.

    An estimator adds its parameters and attributes by `_source`, `_first_model`, `_model` and `_keep_model`.
    """

    _online_constraints: dict = {
        "learning_method": [StrOptions({"batch", "online"})],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_decay": [Interval(Real, 0.0, 1.0, closed="both")],
        "learning_offset": [Interval(Real, 1.0, None, closed="left")],
    }

    learning_method: str
    batch_size: int
    learning_decay: float
    learning_offset: float
    random_state: Any
    n_samples_seen_: float
    _first_rows: list[Block]

    @abstractmethod
    def _source(self, X: Any, sample_weight: Any = None, **options: Any) -> Source: ...

    @abstractmethod
    def _first_model(self, source: Source, random_state: np.random.RandomState) -> Any:
        """Where a stream begins, from its first rows."""

    @abstractmethod
    def _start_is_complete(self) -> bool:
        """Whether the user has given a first model: then it takes no rows."""

    @abstractmethod
    def _rows_to_begin(self, n_features: int) -> int:
        """Rows of positive weight from which a first model can be estimated; a start counts as so many."""

    @abstractmethod
    def _model(self) -> Any: ...

    @abstractmethod
    def _keep_model(self, model: Any) -> None: ...

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Learn from more rows of a stream: a step of stepwise EM for each `batch_size` of them.

        The statistics of the past are mixed with those of a batch, s <- (1 - rho) s + rho s_batch with
        rho = (learning_offset + t)^-learning_decay for the t-th batch, or its share in all rows so far where that is
        more, and the M-step is taken of them (Cappe and Moulines 2009). Of a smaller batch, one row even, each row has
        its part of rho. The first rows are kept until there are enough for a first model: until then the estimator is
        not fitted. After `fit`, the stream goes on from its result.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            In the order of the stream, which should be random but for what is to be followed.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : estimator
            With its parameters after the last step, `n_samples_seen_` and `lower_bound_`, the mean of the batches of
            this call, each before its step.
        """
        started = hasattr(self, "n_samples_seen_")
        waiting = [] if started else getattr(self, "_first_rows", [])
        random_state = check_random_state(self.random_state)
        seed = 0 if started else random_state.randint(LARGEST_SEED)
        source = self._source(X, sample_weight, reset=not started and not waiting, seed=seed)
        if started:
            model, seen = self._model(), self.n_samples_seen_
        else:
            needed = 1 if self._start_is_complete() else self._rows_to_begin(source.n_features)
            if waiting or source.n_candidates < needed:
                source = _in_memory([*waiting, *source.blocks()], seed)
            if source.n_candidates < needed:
                self._first_rows = list(source.blocks())
                return self
            model, seen = self._first_model(source, random_state), 0.0
        model = self._with_e_step(model, random_state, getattr(self, "n_iter_", 0))
        model, bound, weight = take_steps(model, source.blocks(), self._schedule(source.n_features), seen)
        self._first_rows = []
        self._forget_the_fit()
        self._keep_model(learned(model))
        self.converged_, self.n_samples_seen_ = False, seen + weight
        self.n_iter_ = getattr(self, "n_iter_", 0) + 1
        self.lower_bound_ = bound if weight else getattr(self, "lower_bound_", np.nan)
        return self

    def _schedule(self, n_features: int) -> Schedule:
        prior = float(self._rows_to_begin(n_features))
        return Schedule(self.learning_decay, self.learning_offset, self.batch_size, prior)

    def _with_e_step(self, model: Any, random_state: np.random.RandomState, number: int) -> Any:
        """The model with the E-step that its steps take; `number` tells calls with the same random state apart."""
        return model

    def _for_learning(self, model: Any, n_features: int) -> Any:
        """The model as the EM loop of `fit` runs it."""
        return Online(model, self._schedule(n_features)) if self.learning_method == "online" else model

    def _forget_the_fit(self) -> None:
        for name in OF_A_FIT:
            vars(self).pop(name, None)


def learned(model: Any) -> Any:
    """The parameters of a model of the EM loop."""
    model = model.model if isinstance(model, Online) else model
    return model.result if isinstance(model, Classification | Stochastic) else model


def _in_memory(blocks: list[Block], seed: int) -> ArraySource:
    rows = np.concatenate([np.asarray(block.rows, dtype=np.float64) for block in blocks])
    weights = [np.ones(len(block.rows)) if block.weights is None else block.weights for block in blocks]
    return ArraySource(rows, np.concatenate(weights), seed)
