"""What the mixtures of discrete distributions share as estimators."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastem.estimators.likelihood_mixture import LikelihoodMixture
from fastem.estimators.mixture_problem import LikelihoodProblem
from fastem.estimators.scikit_learn import Interval
from fastem.estimators.validation import Domain
from fastem.families.discrete import DiscreteMixtureModel
from fastem.search.discrete import DiscreteSpace
from fastem.search.initial_values import checked_array, checked_weights
from fastem.search.search import Search
from fastem.sources import Source


@dataclass(eq=False, repr=False, kw_only=True)
class DiscreteMixture(LikelihoodMixture):
    """A mixture of discrete distributions.

    A family adds its name of the parameters, its models, and what numbers it can have.
    """

    weights_init: ArrayLike | None = None
    fit_weights: bool = True
    pseudo_count: float = 1e-10

    _lasting: ClassVar[tuple[str, ...]] = ("n_components", "fit_weights")
    _block_options: ClassVar[tuple[str, ...]] = ("pseudo_count",)
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **LikelihoodMixture._parameter_constraints,
        "weights_init": ["array-like", None],
        "fit_weights": ["boolean"],
        "pseudo_count": [Interval(Real, 0.0, None, closed="left")],
    }
    _means_init: ClassVar[str] = "probabilities_init"
    _check_rows: ClassVar[Callable[..., None]]  # what numbers the family can have

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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.input_tags.categorical = True  # whole numbers; scikit-learn has no tag for counts
        return tags

    def _domain(self) -> Domain:
        """What to check in every row, besides that it is finite."""
        return partial(type(self)._check_rows, type(self).__name__)

    def _domain_of_block(self) -> Domain | None:
        return self._domain()

    def _source(self, X: Any, sample_weight: Any = None, **options: Any) -> Source:
        return super()._source(X, sample_weight, **{"domain": self._domain(), **options})

    def _options(self) -> dict[str, Any]:
        return {"pseudo_count": float(self.pseudo_count), "fit_weights": self.fit_weights}

    def _problem(self) -> LikelihoodProblem:
        weights, means = self.weights_init is not None, getattr(self, self._means_init) is not None
        return LikelihoodProblem(
            self,
            search=self._search,
            given=weights or means,
            complete=(weights or not self.fit_weights) and means,
            rows_per_component=DiscreteMixtureModel.rows_per_component,
        )

    def _search(self, source: Source, random_state: np.random.RandomState) -> Search:
        uniform = np.full(self.n_components, 1.0 / self.n_components)
        weights = None if self.weights_init is None else checked_weights(self.weights_init, self.n_components)
        if weights is None and not self.fit_weights:
            weights = uniform
        blank = replace(self._blank(uniform if weights is None else weights, source), **self._options())
        means = getattr(self, self._means_init)
        if means is not None:
            means = self._checked_means(means, self._means_init, blank)
        given = {name: value for name, value in (("weights", weights), ("means", means)) if value is not None}
        return Search(DiscreteSpace(blank), source, self.init_params, self.subsampling, random_state, given)

    def _model(self) -> DiscreteMixtureModel:
        weights = checked_array(self.weights_, np.shape(self.weights_), "weights_")
        return replace(self._model_with(weights, getattr(self, self._fitted_means)), **self._options())

    @property
    def _fitted_means(self) -> str:
        return self._means_init.removesuffix("init")

    def _keep_model(self, model: DiscreteMixtureModel) -> None:
        self.weights_ = model.weights
        setattr(self, self._fitted_means, model.means)
