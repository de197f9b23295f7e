"""What all estimators do so that a long fit can be followed, interrupted and continued."""

import os
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from fastem.engine.restarts import Record, resumed
from fastem.estimators.callbacks import CallbackSupportMixin
from fastem.storage.checkpoint import Checkpoint, described

# What the result of a fit does not depend on.
OTHERWISE = ("checkpoint", "checkpoint_every", "verbose", "verbose_interval", "warm_start")


class LongFitMixin(CallbackSupportMixin):
    """`checkpoint` and `checkpoint_every`, and scikit-learn's callbacks."""

    _long_fit_constraints: dict = {
        "checkpoint": [str, os.PathLike, None],
        "checkpoint_every": [Interval(Integral, 1, None, closed="left")],
    }

    checkpoint: Any
    checkpoint_every: int
    random_state: Any

    def _begin(self) -> tuple[Checkpoint | None, Record, np.random.RandomState]:
        """The checkpoint, how far the fit has come, and the generator as it was when the fit began."""
        checkpoint = None
        if self.checkpoint is not None:
            parameters = self.get_params(deep=False)
            settings = {name: described(value) for name, value in parameters.items() if name not in OTHERWISE}
            settings["estimator"] = type(self).__name__
            checkpoint = Checkpoint(self.checkpoint, self.checkpoint_every, settings)
        return checkpoint, *resumed(checkpoint, check_random_state(self.random_state))
