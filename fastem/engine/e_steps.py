"""E-steps other than the exact one: models whose rows are given to one component each.

EM's lower bound L(q, theta) = sum_n E_q log p(x_n, z_n | theta) + H(q_n) may be raised with any family of q. Of those
that put all mass on one component, the best is the arg max (classification EM); a draw from the posterior (stochastic
EM) makes a Markov chain that can leave a poor basin.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastem.kernels.assignments import BEST, Assignment
from fastem.sources import Source


@dataclass(frozen=True)
class Classification:
    """Classification EM (Celeux and Govaert 1992): rows go to their most probable component, the first on ties.

    The bound is the classification log-likelihood, sum_n w_n max_k log w_k p(x_n | k) per unit weight: H(q) is zero. It
    never falls, and there are finitely many partitions.
    """

    model: Any

    def e_step(self, source: Source) -> Any:
        return self.model.e_step(source, BEST)

    def m_step(self, statistics: Any) -> "Classification":
        return replace(self, model=self.model.m_step(statistics))

    def stepwise(self, statistics: Any, rate: float) -> "Classification":
        return replace(self, model=self.model.stepwise(statistics, rate))

    @property
    def bound_slack(self) -> float:
        return self.model.bound_slack

    @property
    def repairs(self) -> tuple:
        return self.model.repairs

    @property
    def result(self) -> Any:
        """The model to keep."""
        return self.model


@dataclass(frozen=True)
class Stochastic:
    """Stochastic EM (Celeux and Diebolt 1985): the component of each row is drawn from its posterior.

    A row is drawn once, whatever its weight. The bound is the log-likelihood, of a chain that rises and falls; what is
    kept is the visited model where it was greatest, of those without a collapsed component if there are any.

    Attributes
    ----------
    model : Model
        Where the chain is.
    seed : int
    iteration : int
    best : Model or None
    merit : tuple of bool and float
        Of `best`: that nothing had collapsed, and the bound.
    """

    model: Any
    seed: int
    iteration: int = 0
    best: Any = None
    merit: tuple[bool, float] = (False, -np.inf)
    bound_slack: float = np.inf

    def e_step(self, source: Source) -> Any:
        return self.model.e_step(source, Assignment.sampled(self.seed, self.iteration))

    def m_step(self, statistics: Any) -> "Stochastic":
        following = replace(self, model=self.model.m_step(statistics), iteration=self.iteration + 1)
        merit = not self.model.repairs, statistics.lower_bound
        return replace(following, best=self.model, merit=merit) if merit > self.merit else following

    def stepwise(self, statistics: Any, rate: float) -> "Stochastic":
        return replace(self, model=self.model.stepwise(statistics, rate), iteration=self.iteration + 1)

    @property
    def repairs(self) -> tuple:
        return self.model.repairs

    @property
    def result(self) -> Any:
        """The model to keep."""
        return self.model if self.best is None else self.best


E_STEPS: dict[str, Callable[[Any, int], Any]] = {
    "soft": lambda model, seed: model,
    "hard": lambda model, seed: Classification(model),
    "stochastic": Stochastic,
}


def with_e_step(name: str, model: Any, seed: int) -> Any:
    """The model as the EM loop runs it with an E-step that is 'soft', 'hard' or 'stochastic', drawn with `seed`."""
    return E_STEPS[name](model, seed)
