"""What a mixture model must be able to do: the contract of the families with the engine, the search and the estimators.

A model is the parameters and nothing of the rows; it is immutable, a step returns a new one. A family writes what is
abstract here; what its numbers mean to users is the business of its estimator.
"""

from abc import ABC, abstractmethod
from functools import partial
from typing import Any, TypeVar

import numpy as np

from fastem.kernels.accumulation import accumulated, evaluate_block
from fastem.kernels.assignments import LIKELIHOOD, SOFT, Assignment
from fastem.sources import Source

FEW_ROWS = 2.5  # expected rows up to which a component is no cluster

M = TypeVar("M", bound="MixtureModel")
L = TypeVar("L", bound="LikelihoodModel")


def falling(weights: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The order (K,) of components by falling weight, equal ones by their means (K, n)."""
    return np.lexsort((*means.T[::-1], -weights))


def sums_over(source: Source, parameters: Any, assignment: Assignment) -> np.ndarray:
    """What the pass of a kernel adds up over the rows; a source that remembers its passes spares it work."""
    memory = source.memory if source.memory is not None and source.memory.serves(parameters) else None
    return source.total(partial(accumulated, parameters, assignment=assignment, memory=memory))


class MixtureModel(ABC):
    """A finite mixture: sum_k w_k p(x | k)."""

    # what it is -------------------------------------------------------------------------------------------------------

    weights: Any  # ndarray of shape (K,), an attribute or a property; an empty component has weight zero
    means: Any  # ndarray of shape (K, C), likewise: where the components are

    @property
    def n_components(self) -> int:
        return len(self.weights)

    @property
    @abstractmethod
    def n_features(self) -> int: ...

    @property
    @abstractmethod
    def kernel_parameters(self) -> Any:
        """What the compiled passes read."""

    @abstractmethod
    def check(self) -> None:
        """Raise ValueError if the arrays of a model from a file do not go together."""

    @abstractmethod
    def reordered(self: M, order: np.ndarray) -> M:
        """The same mixture with its components in this order."""

    exchangeable: Any = True  # whether that is the same model, too

    # steps ------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def e_step(self, source: Source, assignment: Assignment = SOFT) -> Any:
        """One pass over the rows: the statistics of the M-step, their `weight` and the `lower_bound` per unit of it."""

    @abstractmethod
    def m_step(self: M, statistics: Any) -> M:
        """The parameters that maximise the bound, given statistics."""

    # rows -------------------------------------------------------------------------------------------------------------

    def log_likelihood(self, source: Source) -> tuple[float, float]:
        """Sum of w log p(x) over the rows, and the sum of the weights w; half the work of an E-step."""
        sums = sums_over(source, self.kernel_parameters, LIKELIHOOD)
        return float(sums[0] + sums[1]), float(sums[2])

    def evaluate(self, rows: np.ndarray, **outputs: np.ndarray) -> None:
        """Write `log_density` log p(x) (n,), most probable `labels` (n,), `responsibilities` (n, K): those given."""
        evaluate_block(self.kernel_parameters, rows, **outputs)

    def evaluate_with_gaps(self, rows: np.ndarray, **outputs: np.ndarray) -> None:
        """The same of rows where NaN is a number that is missing.

        Only of families whose estimators have the parameter `missing`; of others the rows are complete.
        """
        self.evaluate(rows, **outputs)

    @abstractmethod
    def sample(self, n_samples: int, random_state: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Rows (n, D) and their components (n,), component after component."""

    # health -----------------------------------------------------------------------------------------------------------

    repairs: Any = ()  # tuple of int or None: what the last M-step had to mend, None for what components share

    @property
    @abstractmethod
    def bound_slack(self) -> float:
        """How far the M-step that made this model may have taken the bound down (regularisation, rounding), in nats."""

    def remarks(self) -> list[str]:
        """What the user of a fit must know besides components without rows and repairs."""
        return []


class LikelihoodModel(MixtureModel):
    """A mixture whose parameters are estimates: those that give rows the greatest likelihood, or posterior density."""

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """Free parameters; components of weight zero have none."""

    @property
    def n_alive(self) -> int:
        """Components of positive weight."""
        return int(np.count_nonzero(self.weights))

    @property
    def pass_parameters(self) -> Any:
        """What the pass of an E-step reads: what is known of the rows need not be added up again."""
        return self.kernel_parameters

    @abstractmethod
    def statistics(self, sums: np.ndarray) -> Any:
        """What a pass has added up (HEADER + size,), as the M-step takes it."""

    known_terms: Any = 0.0  # the part of the log-likelihood that such a pass leaves out

    @abstractmethod
    def reweighted(self: L, weights: np.ndarray) -> L:
        """The same components with other weights (K,)."""

    @abstractmethod
    def residuals(self, rows: np.ndarray, k: int) -> np.ndarray:
        """Deviations of rows (n, D) from component k, (n, C): of its own rows their covariance is the identity."""

    @abstractmethod
    def stepwise(self: L, statistics: Any, rate: float) -> L:
        """The M-step of a stream of which this model has seen all but a batch, the share `rate` of its memory.

        The parameters stand for (1 - rate) of the statistics, those of the batch for the rest.
        """

    # health -----------------------------------------------------------------------------------------------------------

    @staticmethod
    @abstractmethod
    def rows_per_component(n_features: int) -> int:
        """Rows that a component needs for estimates worth the name."""

    def enough_rows(self, n_rows: int) -> bool:
        """Whether each component can expect the rows it needs of so many, and stands by itself."""
        needed = self.rows_per_component(self.n_features)
        return bool(self.weights[self.weights > 0].min() * n_rows >= needed) and not self.repairs

    def handicap(self, n_rows: int) -> float:
        """What the bound of so many rows owes to components that stand on next to nothing, in nats per unit weight.

        It is taken off before starts are compared: a spike on a few rows is no better for its likelihood.
        """
        return 0.0

    def detached(self: L) -> L:
        """The parameters alone, without anything remembered of the rows."""
        return self

    # coordinates ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def flatten(self: L, reference: L) -> np.ndarray:
        """Coordinates in which EM images may be combined; their Euclidean norm measures a step at `reference`."""

    @abstractmethod
    def unflatten(self: L, coordinates: np.ndarray) -> L | None:
        """The model at these coordinates about this one; None if there is none."""
