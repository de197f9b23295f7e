"""What an estimator states of a fit: all in which one fit differs from another."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastem.engine.loop import Fit
from fastem.families.covariances import STRUCTURES
from fastem.sources import Source

LARGEST_SEED = 2**31 - 1


class Report:
    """What a fit says of its runs while they go on: nothing."""

    def begin(self, number: int) -> None: ...

    def iteration(self, fit: Fit, change: float) -> None: ...

    def end(self, number: int, fit: Fit) -> None: ...


@dataclass(frozen=True)
class Problem(ABC):
    """What there is to be fitted, as an estimator states it.

    Attributes
    ----------
    estimator : estimator
        Its parameters say how.
    """

    estimator: Any

    @property
    @abstractmethod
    def init(self) -> Any:
        """How to start, as the user has it: a name, an array, a function."""

    @property
    @abstractmethod
    def n_starts(self) -> int: ...

    @property
    def min_rows(self) -> int:
        return 1

    def with_labels(self, source: Source, labels: Any) -> Source:
        """The source with the known components of its rows."""
        raise ValueError(f"{type(self.estimator).__name__} takes no labels of rows: use a mixture.")

    @abstractmethod
    def variant(self, source: Source, random_state: np.random.RandomState, number: int) -> dict[str, Any]:
        """How EM is run, as arguments of `Fit`."""

    def check(self, fit: Fit, source: Source) -> None:
        """Raise ValueError if a run from a file cannot be one of this problem: what it holds reaches compiled code."""
        own, start = self.estimator, fit.model
        for model in filter(None, (start, fit.proposal, fit.best, getattr(fit.accelerate, "before", None))):
            if type(model) is not own._model_class:
                raise ValueError(f"it is of a {type(model).__name__}")
            model.check()
            structure = getattr(model, "structure", None)
            if structure is not None and type(structure) is not type(STRUCTURES[own.covariance_type]):
                raise ValueError(f"it has covariances of the structure {structure.name}")
            if model.n_features != source.n_features or model.n_components != start.n_components:
                raise ValueError(f"it is of {model.n_components} components and {model.n_features} features")
        new = Fit(start, **self.variant(source, np.random.RandomState(0), 0))
        kinds = [(type(run.stop), type(run.accelerate), type(run.e_step), run.schedule) for run in (fit, new)]
        if kinds[0] != kinds[1] or min(fit.n_iter, fit.n_steps, fit.seen) < 0:
            raise ValueError("it is of another kind of fit")

    @abstractmethod
    def runs(self, source: Source, random_state: np.random.RandomState) -> Callable[[int], Fit]:
        """What makes the run with a number, from a new start each time."""

    def finish(self, fit: Fit, source: Source) -> None:
        """Find what is wanted of a run that has ended, but the loop has not found."""
        return

    def merit(self, fit: Fit, source: Source) -> Any:
        """Greater for a better run over a source."""
        return fit.lower_bound

    @abstractmethod
    def show(self, estimator: Any, fit: Fit) -> None:
        """The parameters of a run as attributes of the estimator, or of a copy that callbacks look at."""

    @abstractmethod
    def keep(self, fit: Fit, source: Source) -> None:
        """The best run as fitted attributes."""

    def keep_starts(self, lower_bounds: list[list[float]]) -> None:
        """Keep the bounds of every start, if the estimator has them."""
        return

    def keep_precision(self, source: Source) -> None:
        """Give means of rows in single precision in single precision, as scikit-learn does; all else stays double."""
        for name in ("means_", "cluster_centers_"):
            if source.single and hasattr(self.estimator, name):
                setattr(self.estimator, name, getattr(self.estimator, name).astype(np.float32))

    @abstractmethod
    def messages(self, fit: Fit, source: Source) -> list[str]:
        """What the user must know of the best run."""

    def report(self) -> Report | None:
        """What `verbose` asks for."""
        return None
