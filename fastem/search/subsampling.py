"""EM on growing random subsamples: most passes on few rows, the last ones on all.

A fit of n rows lies p / (2 n) nats per row below the optimum of the population (p free parameters), so a level need
not be solved better than a small part of that.
"""

from typing import TypeVar

import numpy as np

from fastem.engine.loop import Fit, run_em
from fastem.engine.stopping import Gain
from fastem.families.model import LikelihoodModel
from fastem.sources import Block
from fastem.sources.arrays import ArraySource

FACTOR = 4  # rows of a level over those of the one before
ERROR_SHARE = 0.01  # gain of a pass, as a share of p / n, at which a level is done
MAX_PASSES = 20


M = TypeVar("M", bound=LikelihoodModel)


def level_sizes(first: int, last: int) -> list[int]:
    """Rows of the levels: from `first` in steps of FACTOR up to `last`."""
    sizes = [first]
    while sizes[-1] * FACTOR <= last:
        sizes.append(sizes[-1] * FACTOR)
    return sizes


def run_level(model: M, sample: Block, size: int, max_iter: int = MAX_PASSES, previous: float = -np.inf) -> Fit[M]:
    """EM on the first `size` rows of a sample in random order, stopped well before its statistical error.

    Raises
    ------
    KeyboardInterrupt
        Wherever Ctrl-C comes: the best so far is the start of something else.
    """
    rows, weights = sample
    part = ArraySource(rows[:size], None if weights is None else weights[:size])
    part.remember_passes()
    tol = ERROR_SHARE * model.n_parameters / size
    fit = run_em(Fit(model.detached(), Gain(tol), previous=previous), part, max_iter=max_iter)
    if fit.interrupted:
        raise KeyboardInterrupt
    return fit


def grow(model: M, sample: Block, first: int) -> M:
    """Fit nested prefixes of a sample in random order, each from the result of the one before.

    A level that can't carry the model, or takes a component below what it can carry, leaves no trace.
    """
    for size in level_sizes(first, len(sample.rows)):
        if model.enough_rows(size):
            found = run_level(model, sample, size).model
            if found.enough_rows(size):
                model = found
    return model
