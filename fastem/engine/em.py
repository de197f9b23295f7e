"""The EM loop. It knows no family: it runs whatever has an E-step and an M-step.

EM is coordinate ascent on a lower bound of the log-likelihood: an exact E-step lifts the bound to the likelihood, the
M-step raises both. The bound can therefore not fall, and a fall that rounding does not explain is reported.
"""

import warnings
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from fastem.engine.acceleration import accelerator
from fastem.engine.stopping import RULES
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


M = TypeVar("M", bound="Model")


class Model(Protocol):
    """Parameters that can be improved."""

    def e_step(self, source: Source) -> Statistics: ...

    def m_step(self: "M", statistics) -> "M": ...

    @property
    def bound_slack(self) -> float:
        """How far the M-step that made this model may have taken the bound down (regularisation, repairs), in nats."""
        ...


class Fit(NamedTuple, Generic[M]):
    """The end of an EM run.

    Attributes
    ----------
    model : Model
        The parameters after the last M-step.
    lower_bounds : list of float
        The bound before each M-step.
    converged : bool
    n_iter : int
        Passes over the source.
    """

    model: M
    lower_bounds: list[float]
    converged: bool
    n_iter: int


def run_em(
    model: M,
    source: Source,
    *,
    tol: float,
    max_iter: int,
    stopping: str = "gain",
    acceleration: str | None = None,
    after_iteration: Callable[[int, M, float], None] = lambda iteration, model, change: None,
    previous: float = -np.inf,
) -> Fit[M]:
    """Alternate E- and M-steps until `tol` is reached.

    Parameters
    ----------
    model : Model
        The start.
    source : Source
    tol : float
        See `fastem.engine.stopping`; in units of the bound, nats per unit weight.
    max_iter : int
        Greatest number of iterations; each is one pass over the source.
    stopping : {'gain', 'gap'}
        Whether `tol` bounds the gain of a step or the estimated distance to the optimum.
    acceleration : {'squarem', 'auto'} or None
        See `fastem.engine.acceleration`; it begins once plain EM has settled in a basin.
    after_iteration : callable
        Called with the number of the iteration (from 1), the new model and the change of the bound.
    previous : float
        The bound of an earlier run that `model` continues.

    Returns
    -------
    Fit
        Its `lower_bounds` never fall; extrapolations that were refused are not among them but count as iterations.

    Warns
    -----
    LowerBoundWarning
        If the bound falls by more than rounding and `model.bound_slack`.
    """
    stop, accelerate = RULES[stopping](tol), accelerator(acceleration)
    bounds: list[float] = []
    proposal: M | None = None
    for iteration in range(1, max_iter + 1):
        current = model if proposal is None else proposal
        statistics = current.e_step(source)
        bound = statistics.lower_bound
        change, plain = bound - previous, proposal is None
        if plain and bounds and not change >= -ROUNDING * max(1.0, abs(bound)):
            _report_fall(iteration, change, model.bound_slack)
        elif not plain and not change >= 0:
            accelerate.refused()
            stop.restart()
            proposal = None
            continue
        model = current.m_step(statistics)
        bounds.append(bound)
        previous = bound
        after_iteration(iteration, model, change)
        if plain and stop(change):
            return Fit(model, bounds, True, iteration)
        proposal = accelerate.propose(current, model, change, plain=plain)
    return Fit(model, bounds, False, max_iter)


def _report_fall(iteration: int, change: float, slack: float) -> None:
    if change < -slack * (1 + 1e-6) - ROUNDING or np.isnan(change):
        warnings.warn(
            f"The lower bound changed by {change:.3g} at iteration {iteration}: EM cannot lower it. This is a defect "
            "of the model's E- or M-step; if it is one of fastem's models, please report it with the data.",
            LowerBoundWarning,
            stacklevel=3,
        )
