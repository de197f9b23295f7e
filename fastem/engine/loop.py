"""The EM loop. It knows no family: it runs whatever has an E-step and an M-step.

EM is coordinate ascent on a lower bound of the log-likelihood: an exact E-step lifts the bound to the likelihood, the
M-step raises both. The bound can therefore not fall, and a fall that rounding does not explain is reported.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from fastem.engine.acceleration import Squarem
from fastem.engine.e_steps import EStep, Soft
from fastem.engine.stepwise import Schedule, take_steps
from fastem.engine.stopping import StoppingRule
from fastem.registry import warn
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
    """Parameters that can be improved; with `fastem.engine.acceleration.Flat` faster."""

    def e_step(self, source: Source, *arguments: Any) -> Any:
        """The statistics of all rows; the arguments are those of the E-step that the loop is run with."""
        ...

    def m_step(self: "M", statistics) -> "M": ...

    @property
    def bound_slack(self) -> float:
        """How far the M-step that made this model may have taken the bound down (regularisation, repairs), in nats."""
        ...

    @property
    def repairs(self) -> tuple:
        """The components that the M-step which made this model had to repair."""
        ...


@dataclass
class Fit(Generic[M]):
    """An EM run: how it goes, and how far it has come. It can be kept and continued between any two iterations.

    Attributes
    ----------
    model : Model
        The parameters after the last M-step.
    stop : StoppingRule
    accelerate : Squarem or None
    e_step : EStep
    schedule : Schedule or None
        That of stepwise EM, whose iterations are epochs; None for an M-step per pass.
    previous : float
        The bound before the last M-step; at first that of an earlier run which `model` continues.
    proposal : Model or None
        The parameters of the next E-step, if not `model`.
    lower_bounds : list of float
        The bound before each M-step. Those of extrapolations that were refused are not among them.
    n_iter : int
        Passes over the source.
    converged, interrupted : bool
        Whether the stopping rule or Ctrl-C ended it.
    repaired : dict of component to int
        The components that were repaired, and the first iteration when they were.
    best : Model or None
        The visited parameters that are kept of a random chain, and `merit`: that nothing had to be repaired, the bound.
    seen : float
        Weight of the rows of all epochs.
    n_steps : int
        Batches of all epochs.
    """

    model: M
    stop: StoppingRule
    accelerate: Squarem | None = None
    e_step: EStep = field(default_factory=Soft)
    schedule: Schedule | None = None
    previous: float = -np.inf
    proposal: M | None = None
    lower_bounds: list[float] = field(default_factory=list)
    n_iter: int = 0
    converged: bool = False
    interrupted: bool = False
    repaired: dict[Any, int] = field(default_factory=dict)
    best: M | None = None
    merit: tuple[bool, float] = (False, -np.inf)
    seen: float = 0.0
    n_steps: int = 0

    @property
    def kept(self) -> M:
        """The model to keep: the last, or the best of a chain."""
        return self.model if self.best is None else self.best

    @property
    def lower_bound(self) -> float:
        """That of the model to keep, or of the one before it."""
        if self.best is not None:
            return self.merit[1]
        return self.lower_bounds[-1] if self.lower_bounds else -np.inf


def run_em(
    fit: Fit[M],
    source: Source,
    *,
    max_iter: int,
    after_iteration: Callable[[Fit[M], float], Any] | None = None,
    keep: Callable[[Fit[M]], None] | None = None,
) -> Fit[M]:
    """Alternate E- and M-steps until the stopping rule has enough.

    Parameters
    ----------
    fit : Fit
        The start and how to go on from it, or a run that was kept; it is changed.
    source : Source
    max_iter : int
        Greatest number of iterations; each is one pass over the source.
    after_iteration : callable or None
        Called with the fit and the change of the bound. If it returns true, the run ends.
    keep : callable or None
        Called with the fit after every iteration that does not end the run.

    Returns
    -------
    fit : Fit
        The same.

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
    try:
        while fit.n_iter < max_iter and not fit.converged:
            current: Any = fit.model if fit.proposal is None else fit.proposal
            if fit.schedule is None:
                statistics = current.e_step(source, *fit.e_step.arguments(fit.n_iter))
            else:
                how = fit.schedule, fit.e_step
                statistics = take_steps(current, source.blocks(), *how, seen=fit.seen, n_steps=fit.n_steps)
            change = _advance(fit, current, statistics)
            if change is not None and after_iteration is not None and after_iteration(fit, change):
                break
            if keep is not None and not fit.converged:
                keep(fit)
    except KeyboardInterrupt:
        if keep is not None or not fit.lower_bounds:
            raise
        fit.interrupted, fit.converged = True, False
    return fit


def _advance(fit: Fit, current: Any, statistics: Any) -> float | None:
    """Go on from what a pass at `current` has found; the change of the bound, None if an extrapolation was refused."""
    bound = statistics.lower_bound
    change = bound - fit.previous
    plain, proposal = fit.proposal is None, None
    if fit.schedule is not None:  # nothing keeps the mean of batches from falling
        model = statistics.model
        fit.seen, fit.n_steps = fit.seen + statistics.weight, fit.n_steps + statistics.n_steps
    elif not plain and not change >= 0:
        fit.accelerate.refused()  # type: ignore[union-attr]
        fit.stop.restart()
        fit.proposal, fit.n_iter = None, fit.n_iter + 1
        return None
    else:
        if not fit.e_step.monotone:
            _remember(fit, bound)
        elif plain and fit.lower_bounds and not change >= -ROUNDING * max(1.0, abs(bound)):
            _report_fall(fit.n_iter + 1, change, fit.model.bound_slack)
        model = current.m_step(statistics)
    finished = plain and fit.stop(change, model)
    if fit.accelerate is not None and not finished:
        proposal = fit.accelerate.propose(current, model, change, plain=plain)
    fit.lower_bounds.append(bound)
    fit.model, fit.proposal, fit.previous = model, proposal, bound
    fit.n_iter, fit.converged = fit.n_iter + 1, bool(finished)
    if model.repairs:
        fit.repaired = dict.fromkeys(model.repairs, fit.n_iter) | fit.repaired
    return change


def _remember(fit: Fit, bound: float) -> None:
    """The present model of a chain, if none was better; one with a collapsed component is the worse."""
    merit = not fit.model.repairs, bound
    if merit > fit.merit:
        fit.best, fit.merit = fit.model, merit


def _report_fall(iteration: int, change: float, slack: float) -> None:
    if change < -slack * (1 + 1e-6) - ROUNDING or np.isnan(change):
        warn(
            f"The lower bound changed by {change:.3g} at iteration {iteration}: EM cannot lower it. This is a defect "
            "of the model's E- or M-step; if it is one of fastem's models, please report it with the data.",
            LowerBoundWarning,
        )
