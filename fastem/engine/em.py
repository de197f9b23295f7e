"""The EM loop. It knows no family: it runs whatever has an E-step and an M-step.

EM is coordinate ascent on a lower bound of the log-likelihood: an exact E-step lifts the bound to the likelihood, the
M-step raises both. The bound can therefore not fall, and a fall that rounding does not explain is reported.
"""

import warnings
from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from fastem.sources import Source

ROUNDING = 1e-10  # relative size of a fall of the lower bound that is no defect


class LowerBoundWarning(RuntimeWarning):
    """The lower bound fell by more than rounding explains: a defect of the model's E- or M-step."""


class Statistics(Protocol):
    """What an E-step leaves of the data."""

    @property
    def lower_bound(self) -> float:
        """The bound per unit weight at the parameters of the E-step."""
        ...


class Model(Protocol):
    """Parameters that can be improved."""

    def e_step(self, blocks: Iterable) -> Statistics: ...

    def m_step(self, statistics) -> "Model": ...

    @property
    def bound_slack(self) -> float:
        """How far the M-step that made this model may have taken the bound down (regularisation, repairs), in nats."""
        ...


M = TypeVar("M", bound=Model)


class Fit(NamedTuple, Generic[M]):
    """The end of an EM run.

    Attributes
    ----------
    model : Model
        The parameters after the last M-step.
    lower_bounds : list of float
        The bound before each M-step.
    converged : bool
    """

    model: M
    lower_bounds: list[float]
    converged: bool


def run_em(
    model: M,
    source: Source,
    *,
    tol: float,
    max_iter: int,
    after_iteration: Callable[[int, M, float], None] = lambda iteration, model, change: None,
    previous: float = -np.inf,
) -> Fit[M]:
    """Alternate E- and M-steps until the bound gains less than `tol` per unit weight.

    Parameters
    ----------
    model : Model
        The start.
    source : Source
    tol : float
        Stop when the absolute change of the bound between two E-steps is below it.
    max_iter : int
        Greatest number of iterations; each is one pass over the source.
    after_iteration : callable
        Called with the number of the iteration (from 1), the new model and the change of the bound.
    previous : float
        The bound of an earlier run that `model` continues.

    Warns
    -----
    LowerBoundWarning
        If the bound falls by more than rounding and `model.bound_slack`.
    """
    bounds: list[float] = []
    for iteration in range(1, max_iter + 1):
        statistics = model.e_step(source.blocks())
        bound = statistics.lower_bound
        change = bound - previous
        if not change >= -ROUNDING * max(1.0, abs(bound)) and iteration > 1:
            _report_fall(iteration, change, model.bound_slack)
        model = model.m_step(statistics)
        bounds.append(bound)
        previous = bound
        after_iteration(iteration, model, change)
        if abs(change) < tol:
            return Fit(model, bounds, True)
    return Fit(model, bounds, False)


def _report_fall(iteration: int, change: float, slack: float) -> None:
    if change < -slack * (1 + 1e-6) - ROUNDING or np.isnan(change):
        warnings.warn(
            f"The lower bound changed by {change:.3g} at iteration {iteration}: EM cannot lower it. This is a defect; "
            "please report it with the data.",
            LowerBoundWarning,
            stacklevel=3,
        )
