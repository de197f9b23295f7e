"""Out of a poor basin: merge two components that explain the same rows, split one that explains its rows badly.

EM cannot move a component across the data. On a sample small enough to try, a component is given to where it is missed
(Ueda, Nakano, Ghahramani and Hinton 2000); a trial is kept only if a few EM iterations bring it above the present
bound.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastem.engine.loop import Fit
from fastem.search.seeding import Seeds
from fastem.search.space import SearchSpace

LEAST_GAIN = 1e-3  # nats per row that make a trial worth keeping


def split_and_merge(
    fit: Fit,
    space: SearchSpace,
    seeds: Seeds,
    random_state: np.random.RandomState,
    run: Callable[[Any, float], Fit],
) -> Fit:
    """Improve a fit of the seeds by moves of a component.

    `run` fits them from a new start as `fit` was, or gives up if a bound is out of reach.
    """
    failures, n_rows = 0, len(seeds.rows)
    moves = space.moves(seeds, random_state)
    untried = moves(fit.model)
    for _ in range(space.max_trials):
        start = next(untried, None)
        if start is None or failures == space.max_failures:
            break
        trial = run(start, fit.lower_bounds[-1] + LEAST_GAIN)
        if space.merit(trial, n_rows) > space.merit(fit, n_rows) + LEAST_GAIN:
            fit, failures, untried = trial, 0, moves(trial.model)
        else:
            failures += 1
    return fit
