"""What the search asks a family."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from fastem.engine.loop import Fit
from fastem.search import seeding
from fastem.search.seeding import Seeds
from fastem.sources import Source

M = TypeVar("M")


class SearchSpace(ABC, Generic[M]):
    """The models of a family that a search can reach: from a partition, by moves, and which of them is best.

    Parameters
    ----------
    blank : model
        With the shape and the options of those that are wanted.

    Attributes
    ----------
    same_basin : float
        Nats per row between short runs that have ended in the same basin; NaN if no two of them count as one.
    short_run, first_look : int
        EM iterations that tell a good basin from a bad one, and those of them that tell a hopeless one.
    max_trials, max_failures : int
        Moves that are tried, and failures in a row after which no more are.
    parameters : frozenset of str
        The fields of a model that users can give.
    """

    same_basin: ClassVar[float] = 1e-3
    short_run: ClassVar[int] = 15
    first_look: ClassVar[int] = 5
    max_trials: ClassVar[int] = 0
    max_failures: ClassVar[int] = 0
    parameters: ClassVar[frozenset[str]] = frozenset({"weights", "means"})

    def __init__(self, blank: M):
        self.blank: Any = blank

    @property
    def n_components(self) -> int:
        return self.blank.n_components

    @property
    @abstractmethod
    def n_seeding_parameters(self) -> int:
        """Parameters that the rows which starts are made of should outnumber."""

    @abstractmethod
    def of_seeds(self, seeds: Seeds, partition: np.ndarray, *, clustered: bool) -> M:
        """The model of a partition of the seeds; `clustered` if the rows of a part lie together."""

    @abstractmethod
    def of_rows(self, source: Source, partition: np.ndarray) -> Any:
        """The start that a partition of all rows makes."""

    @abstractmethod
    def coordinates(self, seeds: Seeds) -> np.ndarray:
        """The seeds (n, D) where Euclidean distances mean something."""

    @abstractmethod
    def attempts(self, seeds: Seeds) -> Iterator[tuple[str, np.ndarray]]:
        """How the partitions are made that short runs begin with: methods and the coordinates that they look at."""

    def starts(self, seeds: Seeds, random_state: np.random.RandomState) -> Iterator[M]:
        """Models that short runs begin with; only one if there is no choice: the first two k-means agree."""
        drawn: list[np.ndarray] = []
        for method, coordinates in self.attempts(seeds):
            drawn.append(seeding.partition(method, coordinates, seeds.weights, self.n_components, random_state))
            if len(drawn) == 2 and method == "kmeans" and seeding.same_partition(drawn[0], drawn[1], self.n_components):
                return
            yield self.of_seeds(seeds, drawn[-1], clustered=True)

    def moves(self, seeds: Seeds, random_state: np.random.RandomState) -> Callable[[M], Iterator[M]]:
        """A function of a model that gives starts which differ from it by a move, the most promising first."""
        return lambda model: iter(())

    def merit(self, fit: Fit, n_rows: int) -> float:
        """What is compared between short runs on so many rows, greater for a better one."""
        return fit.lower_bounds[-1] - fit.model.handicap(n_rows)

    def released(self, model: M) -> M:
        """The best of the short runs, without what held it while a basin was looked for."""
        return model

    @abstractmethod
    def start_of(self, model: M, source: Source) -> Any:
        """The start that a model which was found on the sample makes."""

    def with_values(self, start: Any, given: Mapping[str, np.ndarray]) -> Any:
        """A start with the parameters that the user has given."""
        return replace(start, **given) if given else start
