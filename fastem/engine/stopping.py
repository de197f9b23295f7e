"""When to stop: by the gain of the last step, by the distance to the optimum, or when the parameters rest."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

MEMORY = 3  # ratios of successive gains that the rate of convergence is the median of
SLOWEST = 0.9999
PATIENCE = 20  # steps of a random chain


class StoppingRule(Protocol):
    """Told the change of the bound that led to every plain EM step, and the model it made, says when it is enough."""

    def __call__(self, change: float, model: Any) -> bool: ...

    def restart(self) -> None:
        """Gains before this moment say nothing of the rate after it."""
        ...


@dataclass
class Gain:
    """Stop when a step changes the bound by less than `tol`: scikit-learn's rule."""

    tol: float

    def __call__(self, change: float, model: Any) -> bool:
        return abs(change) < self.tol

    def restart(self) -> None:
        pass


@dataclass
class Gap:
    """Stop when the bound is estimated to lie within `tol` of its limit.

    EM converges linearly: gains d, rho d, rho^2 d, ... are still to come, d rho / (1 - rho) in all (Aitken's delta
    squared). On a plateau rho is near one and a small gain does not stop the fit.
    """

    tol: float
    gains: list[float] = field(default_factory=list)

    def __call__(self, change: float, model: Any) -> bool:
        if not np.isfinite(change):
            return False
        self.gains.append(abs(change))
        if self.gains[-1] == 0.0:
            return self.tol > 0
        gains = np.array(self.gains[-MEMORY - 1 :])
        if len(gains) < 3:
            return False
        rate = min(float(np.median(gains[1:] / gains[:-1])), SLOWEST)
        return gains[-1] * rate / (1.0 - rate) < self.tol

    def restart(self) -> None:
        self.gains.clear()


@dataclass
class Patience:
    """Stop when the greatest bound of a chain has not risen by more than `tol` for PATIENCE steps."""

    tol: float
    current: float = 0.0  # bounds about the first one
    best: float = 0.0
    waited: int = 0

    def __call__(self, change: float, model: Any) -> bool:
        if np.isfinite(change):
            self.current += change
        rise = self.current - self.best
        self.waited = 0 if rise > self.tol else self.waited + 1
        self.best = max(self.best, self.current) if rise > self.tol else self.best
        return self.waited >= PATIENCE

    def restart(self) -> None:
        self.waited = 0


@dataclass
class Rest:
    """Stop when a step has moved the parameters by a squared distance of `tol` or less; models know their `moved`."""

    tol: float

    def __call__(self, change: float, model: Any) -> bool:
        return model.moved <= self.tol

    def restart(self) -> None:
        pass


RULES: dict[str, Callable[[float], StoppingRule]] = {"gain": Gain, "gap": Gap, "patience": Patience}
