"""The random numbers of a fit."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

_of_thread = threading.local()


@contextmanager
def generator_of(random_state: Any, *, lent: bool) -> Iterator[np.random.RandomState]:
    """scikit-learn's `check_random_state` for the time of a fit.

    A new generator takes as long as an iteration of a few hundred rows, seeding an old one a hundredth of that: those
    that an integer has seeded are used again, unless they are `lent` to a function of the user's, who may keep them.
    """
    if lent or not isinstance(random_state, Integral):
        yield check_random_state(random_state)
        return
    idle = vars(_of_thread).setdefault("idle", [])
    generator = idle.pop() if idle else np.random.RandomState()
    generator.seed(int(random_state))
    try:
        yield generator
    finally:
        idle.append(generator)
