"""A fit from several starts, the best of which counts, that a checkpoint can continue."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from fastem.storage.checkpoint import Checkpoint

O = TypeVar("O")  # noqa: E741 (an outcome)


@dataclass
class Record:
    """How far a fit has come.

    Attributes
    ----------
    random_state : tuple
        The state of the generator when the fit began.
    finished : int
        Starts that have been run.
    best : outcome or None
        Of the best of them.
    loop : state or None
        That of the loop in the present start.
    """

    random_state: tuple
    finished: int = 0
    best: Any = None
    loop: Any = None


def resumed(checkpoint: Checkpoint | None, random_state: np.random.RandomState) -> tuple[Record, np.random.RandomState]:
    """The record to go on from, and the generator as it was when the fit began."""
    generator = np.random.RandomState()

    def restore(record: Record) -> None:
        if not 0 <= record.random_state[2] <= len(record.random_state[1]):  # it would read beyond its numbers
            raise ValueError("no state of a random generator")
        generator.set_state(record.random_state)

    found = None if checkpoint is None else checkpoint.state(Record, restore)
    if found is None:
        return Record(tuple(random_state.get_state())), random_state
    return found, generator


def run_starts(
    record: Record,
    n_starts: int,
    next_start: Callable[[int], Any],
    run: Callable[[Any, int, Any, Callable[[Any], None] | None], O],
    merit: Callable[[O], Any],
    checkpoint: Checkpoint | None = None,
) -> O:
    """Run what has not been run yet; return the first of the best outcomes.

    Parameters
    ----------
    record : Record
    n_starts : int
    next_start : callable
        Makes the start with this number; they draw random numbers one after another.
    run : callable
        Takes a start, its number, the state of the loop to continue or None, and what to call with the state after
        every pass or None; returns the outcome. If the outcome is `interrupted` no start follows.
    merit : callable
        Of an outcome, greater for a better one.
    checkpoint : Checkpoint or None
    """

    def keep(loop: Any) -> None:
        record.loop = loop
        assert checkpoint is not None
        checkpoint.keep(record)

    try:
        if checkpoint is not None and record.finished < n_starts:
            checkpoint.keep(record, now=True)  # before the work: it tells whether the file can be written
        for number in range(n_starts if record.finished < n_starts else 0):
            continued = record.loop is not None and number == n_starts - 1
            start = None if continued else next_start(number)
            if number < record.finished:
                continue
            outcome = run(start, number, record.loop, None if checkpoint is None else keep)
            better = record.best is None or merit(outcome) > merit(record.best)
            record.best, record.loop = outcome if better else record.best, None
            record.finished = number + 1
            if checkpoint is not None:
                checkpoint.keep(record, now=True)
            if getattr(outcome, "interrupted", False):
                break
    except KeyboardInterrupt:
        if checkpoint is not None:
            checkpoint.flush()
        raise
    return record.best
