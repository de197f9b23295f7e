"""What the mixtures of discrete distributions share as estimators."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from fastem.estimators.base_mixture import BaseMixture
from fastem.estimators.validation import Domain
from fastem.families.discrete import ENOUGH_ROWS, DiscreteMixtureModel
from fastem.search.discrete import METHODS, DiscreteStarts
from fastem.search.gaussian import checked_array, checked_weights
from fastem.sources import Source


class DiscreteMixture(BaseMixture):
    """A mixture of discrete distributions.

    A family adds its name of the parameters, its models, and what numbers it can have.
    """

    _parameter_constraints: dict = {
        **BaseMixture._parameter_constraints,
        "init_params": [StrOptions(set(METHODS)), "array-like", callable],
        "weights_init": ["array-like", None],
        "fit_weights": ["boolean"],
        "pseudo_count": [Interval(Real, 0.0, None, closed="left")],
    }
    _means_init: ClassVar[str] = "probabilities_init"
    _check_rows: ClassVar[Callable[..., None]]  # what numbers the family can have

    def __init__(
        self,
        n_components,
        tol,
        max_iter,
        n_init,
        init_params,
        weights_init,
        fit_weights,
        pseudo_count,
        random_state,
        warm_start,
        verbose,
        verbose_interval,
        subsampling,
        acceleration,
        stopping,
        e_step,
        learning_method,
        batch_size,
        learning_decay,
        learning_offset,
        checkpoint,
        checkpoint_every,
    ):
        self.n_components = n_components
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.fit_weights = fit_weights
        self.pseudo_count = pseudo_count
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.subsampling = subsampling
        self.acceleration = acceleration
        self.stopping = stopping
        self.e_step = e_step
        self.learning_method = learning_method
        self.batch_size = batch_size
        self.learning_decay = learning_decay
        self.learning_offset = learning_offset
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    # what a family adds -----------------------------------------------------------------------------------------------

    @abstractmethod
    def _model_with(self, weights: np.ndarray, means: Any) -> DiscreteMixtureModel:
        """A model of this family with these weights and parameters, laid out as the fitted attribute is."""

    @abstractmethod
    def _blank(self, weights: np.ndarray, source: Source) -> DiscreteMixtureModel:
        """A model for these rows with any possible means."""

    @abstractmethod
    def _checked_means(self, values: Any, name: str, blank: DiscreteMixtureModel) -> np.ndarray:
        """Parameters laid out as the fitted attribute is, as a model has them."""

    # what they share --------------------------------------------------------------------------------------------------

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.categorical = True  # whole numbers; scikit-learn has no tag for counts
        return tags

    def _domain(self) -> Domain:
        return partial(type(self)._check_rows, type(self).__name__)

    def _options(self) -> dict[str, Any]:
        return {"pseudo_count": float(self.pseudo_count), "fit_weights": self.fit_weights}

    def _starts(self, source: Source, random_state: np.random.RandomState) -> DiscreteStarts:
        uniform = np.full(self.n_components, 1.0 / self.n_components)
        weights = None if self.weights_init is None else checked_weights(self.weights_init, self.n_components)
        if weights is None and not self.fit_weights:
            weights = uniform
        blank = replace(self._blank(uniform if weights is None else weights, source), **self._options())
        means = getattr(self, self._means_init)
        if means is not None:
            means = self._checked_means(means, self._means_init, blank)
        return DiscreteStarts(blank, source, self.init_params, self.subsampling, random_state, weights, means)

    def _start_is_given(self) -> bool:
        partition = not isinstance(self.init_params, str) and not callable(self.init_params)
        return partition or self.weights_init is not None or getattr(self, self._means_init) is not None

    def _start_is_complete(self) -> bool:
        weights = self.weights_init is not None or not self.fit_weights
        return weights and getattr(self, self._means_init) is not None

    def _rows_to_begin(self, n_features: int) -> int:
        return ENOUGH_ROWS * self.n_components

    def _model(self) -> DiscreteMixtureModel:
        weights = checked_array(self.weights_, np.shape(self.weights_), "weights_")
        return replace(self._model_with(weights, getattr(self, self._fitted_means)), **self._options())

    @property
    def _fitted_means(self) -> str:
        return self._means_init.removesuffix("init")

    def _keep_model(self, model: DiscreteMixtureModel) -> None:
        self.weights_ = model.weights
        setattr(self, self._fitted_means, model.means)
