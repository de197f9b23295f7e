"""SQUAREM: extrapolation along two EM steps.

Two successive steps r = u1 - u0 and (u2 - u1) = r + v tell how fast EM contracts. The extrapolated point
u0 + 2 a r + a^2 v with a = |r| / |v| (a = 1 is u2 itself) leaps over the steps in between (Varadhan and Roland 2008,
scheme S3). Its E-step gives the bound there for nothing, so a cycle is two passes; a point whose bound is below the
last one is refused and plain EM goes on from u2.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

BURNT_IN = 1e-3  # gain of a step, in nats, below which the basin is settled and EM may be accelerated
SLOW = 0.5  # ratio of successive gains above which it pays
# Longest step. Cautious limits that grow and shrink with success cost up to five times as many passes on slow problems:
# a step too long is refused, which wastes one pass, while a step too short wastes all those that it could have leapt.
LONGEST = 256.0


class Flat(Protocol):
    """A model that can be moved along straight lines."""

    def flatten(self, reference: Any) -> np.ndarray:
        """Coordinates in which EM images may be combined; their Euclidean norm measures a step at `reference`."""
        ...

    def unflatten(self, coordinates: np.ndarray) -> Any:
        """The model at these coordinates about this one as the reference, None if there is none.

        It must keep what every model keeps, to the last digit: weights that sum to one. Extrapolation multiplies what
        is left of them by the square of the length of the step.
        """
        ...


@dataclass
class Squarem:
    """Watches the steps of EM and proposes where to go instead.

    Parameters
    ----------
    patient : bool
        Wait until EM is slow, not only until it has settled in a basin.
    unit : float
        What the bound counts as a nat: the rows, where it is that of all of them.
    active : bool
        Whether that has been so.
    before : Model or None
        The one before the last plain step.
    last_change : float
        Of the bound.
    """

    patient: bool
    unit: float = 1.0
    active: bool = False
    before: Any = None
    last_change: float = np.inf

    def propose(self, model: Any, image: Any, change: float, *, plain: bool) -> Any:
        """A proposal, or None, after the step from `model` to its `image`.

        `change` is the change of the bound that led to `model`, `plain` tells that it was an EM step.
        """
        before, self.before = self.before, model
        if not self.active:
            slow = abs(change) > SLOW * abs(self.last_change)
            self.active = abs(change) < BURNT_IN * self.unit and (slow or not self.patient)
            self.last_change = change
        if before is None or not plain or not self.active:
            return None
        u0, u1, u2 = (m.flatten(model) for m in (before, model, image))
        step, curvature = u1 - u0, (u2 - u1) - (u1 - u0)
        length = float(np.linalg.norm(step) / max(np.linalg.norm(curvature), np.finfo(float).tiny))
        length = min(length, LONGEST)
        while length > 1.01:
            proposal = model.unflatten(u0 + 2 * length * step + length**2 * curvature)
            if proposal is not None:
                return proposal
            length = (length + 1) / 2
        return None

    def refused(self) -> None:
        """The bound at the proposal was below the last one: plain EM goes on from the image."""
        self.before = None


def accelerator(name: str | None, unit: float = 1.0) -> Squarem | None:
    """The acceleration called 'squarem', 'auto' (SQUAREM where EM is slow) or None."""
    return None if name is None else Squarem(patient=name == "auto", unit=unit)
