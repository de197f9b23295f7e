"""A fit from several starts, the best of which counts, that a checkpoint can continue."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastem.engine.loop import Fit
from fastem.storage.checkpoint import Checkpoint


@dataclass
class Record:
    """How far a fit has come.

    Attributes
    ----------
    random_state : tuple or None
        The state of the generator when the fit began, if there is a checkpoint.
    finished : int
        Starts that have been run.
    best : Fit or None
        Of the best of them.
    running : Fit or None
        The present one.
    lower_bounds : list of list of float
        The bounds of each start that has been run.
    """

    random_state: tuple | None = None
    finished: int = 0
    best: Fit | None = None
    running: Fit | None = None
    lower_bounds: list[list[float]] = field(default_factory=list)

    def check(self, n_starts: int, check: Callable[[Fit], None]) -> None:
        """Raise ValueError if a record from a file cannot be one of so many starts, or `check` raises it of a run."""
        sound = 0 <= self.finished <= n_starts and self.finished == len(self.lower_bounds)
        if not sound or (self.best is None) != (self.finished == 0):
            raise ValueError(f"it says that {self.finished} starts have been run")
        for fit in filter(None, (self.best, self.running)):
            check(fit)

    def add(self, fit: Fit, merit: Callable[[Fit], Any]) -> None:
        """A start has been run; the first of equal merits counts."""
        if self.best is None or merit(fit) > merit(self.best):
            self.best = fit
        self.running, self.finished = None, self.finished + 1
        self.lower_bounds.append(list(fit.lower_bounds))


def resumed(checkpoint: Checkpoint | None, random_state: np.random.RandomState) -> tuple[Record, np.random.RandomState]:
    """The record to go on from, and the generator as it was when the fit began."""
    if checkpoint is None:
        return Record(), random_state
    generator = np.random.RandomState()

    def restore(record: Record) -> None:
        if record.random_state is None or not 0 <= record.random_state[2] <= len(record.random_state[1]):
            raise ValueError("no state of a random generator")  # it would read beyond its numbers
        generator.set_state(record.random_state)

    found = checkpoint.state(Record, restore)
    if found is None:
        return Record(tuple(random_state.get_state())), random_state
    return found, generator


def remaining(record: Record, n_starts: int, begin: Callable[[int], Fit]) -> Iterator[tuple[int, Fit]]:
    """The runs that are not finished yet, with their numbers.

    `begin` makes the run with a number from a new start. Starts draw random numbers one after another: those that are
    finished are made again for those after them.
    """
    for number in range(n_starts if record.finished < n_starts else 0):
        at_last = record.running is not None and number == n_starts - 1
        fit = None if at_last else begin(number)
        if number >= record.finished:
            yield number, record.running or fit  # type: ignore[misc]
