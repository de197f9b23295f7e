"""The EM loop. It knows no family: it runs whatever has an E-step and an M-step.

EM is coordinate ascent on a lower bound of the log-likelihood: an exact E-step lifts the bound to the likelihood, the
M-step raises both. The bound can therefore not fall, and a fall that rounding does not explain is reported.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from fastem.engine.acceleration import Squarem, Unaccelerated, accelerator
from fastem.engine.stopping import RULES, StoppingRule
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

    def e_step(self, source: Source) -> Any: ...

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
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    model: M
    lower_bounds: list[float]
    converged: bool
    n_iter: int
    interrupted: bool = False


@dataclass
class State:
    """All that the loop remembers between two iterations.

    Attributes
    ----------
    model : Model
        The parameters after the last M-step.
    previous : float
        The bound before it.
    stop : StoppingRule
    accelerate : Unaccelerated or Squarem
    proposal : Model or None
        The parameters of the next E-step, if not `model`.
    bounds : list of float
    iteration : int
        Passes so far.
    """

    model: Any
    previous: float
    stop: StoppingRule
    accelerate: Unaccelerated | Squarem
    proposal: Any = None
    bounds: list[float] = field(default_factory=list)
    iteration: int = 0

    def fit(self, *, converged: bool = False, interrupted: bool = False) -> Fit:
        return Fit(self.model, self.bounds, converged, self.iteration, interrupted)


def run_em(
    model: M,
    source: Source,
    *,
    tol: float,
    max_iter: int,
    stopping: str = "gain",
    acceleration: str | None = None,
    after_iteration: Callable[[int, Any, float, float], Any] = lambda iteration, model, bound, change: None,
    previous: float = -np.inf,
    state: State | None = None,
    keep: Callable[[State], None] | None = None,
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
    stopping : {'gain', 'gap', 'patience'}
        Whether `tol` bounds the gain of a step, the estimated distance to the optimum, or the rise of the greatest
        bound of a random chain in some steps.
    acceleration : {'squarem', 'auto'} or None
        See `fastem.engine.acceleration`; it begins once plain EM has settled in a basin.
    after_iteration : callable
        Called with the number of the iteration (from 1), the new model, the bound before it and the change of the
        bound. If it returns true, the run ends.
    previous : float
        The bound of an earlier run that `model` continues.
    state : State or None
        That of a run of the same arguments, which goes on from there.
    keep : callable or None
        Called with the state after every iteration that does not end the run.

    Returns
    -------
    Fit
        Its `lower_bounds` never fall; extrapolations that were refused are not among them but count as iterations.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C comes before the first iteration has ended, or `keep` can continue the run. Else what has been reached
        is returned.

    Warns
    -----
    LowerBoundWarning
        If the bound falls by more than rounding and `model.bound_slack`.
    """
    if state is None:
        state = State(model, previous, RULES[stopping](tol), accelerator(acceleration))
    try:
        while state.iteration < max_iter:
            finished, change = _iterate(state, source)
            stopped = change is not None and after_iteration(state.iteration, state.model, state.previous, change)
            if finished or stopped:
                return state.fit(converged=finished)
            if keep is not None:
                keep(state)
    except KeyboardInterrupt:
        if keep is not None or not state.bounds:
            raise
        return state.fit(interrupted=True)
    return state.fit()


def _iterate(state: State, source: Source) -> tuple[bool, float | None]:
    """One pass; whether it was the last, and the change of the bound, None if an extrapolation was refused."""
    plain, current = state.proposal is None, state.model if state.proposal is None else state.proposal
    statistics = current.e_step(source)
    bound = statistics.lower_bound
    change = bound - state.previous
    if not plain and not change >= 0:
        state.accelerate.refused()
        state.stop.restart()
        state.proposal, state.iteration = None, state.iteration + 1
        return False, None
    if plain and state.bounds and not change >= -ROUNDING * max(1.0, abs(bound)):
        _report_fall(state.iteration + 1, change, state.model.bound_slack)
    model = current.m_step(statistics)
    finished = plain and state.stop(change)
    proposal = None if finished else state.accelerate.propose(current, model, change, plain=plain)
    state.bounds.append(bound)
    state.model, state.proposal, state.previous, state.iteration = model, proposal, bound, state.iteration + 1
    return finished, change


def _report_fall(iteration: int, change: float, slack: float) -> None:
    if change < -slack * (1 + 1e-6) - ROUNDING or np.isnan(change):
        warnings.warn(
            f"The lower bound changed by {change:.3g} at iteration {iteration}: EM cannot lower it. This is a defect "
            "of the model's E- or M-step; if it is one of fastem's models, please report it with the data.",
            LowerBoundWarning,
            stacklevel=4,
        )
