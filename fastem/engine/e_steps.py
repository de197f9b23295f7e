"""What an E-step makes of the posterior probabilities of the components: keeps them, or gives a row to one component.

EM's lower bound L(q, theta) = sum_n E_q log p(x_n, z_n | theta) + H(q_n) may be raised with any family of q. Of those
that put all mass on one component, the best is the arg max (classification EM); a draw from the posterior (stochastic
EM) makes a Markov chain that can leave a poor basin.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from fastem.kernels.assignments import BEST, Assignment


class EStep(Protocol):
    """A kind of E-step."""

    monotone: ClassVar[bool]
    """Whether the bound never falls. Where it does, the best of the visited models is kept."""

    def arguments(self, iteration: int) -> tuple[Any, ...]:
        """What the E-step of a model is told, besides the rows, when so many M-steps have been made."""
        ...


@dataclass(frozen=True)
class Soft:
    """The exact posterior: EM."""

    monotone: ClassVar[bool] = True

    def arguments(self, iteration: int) -> tuple[Any, ...]:
        return ()


@dataclass(frozen=True)
class Hard:
    """Classification EM (Celeux and Govaert 1992): rows go to their most probable component, the first on ties.

    The bound is the classification log-likelihood, sum_n w_n max_k log w_k p(x_n | k) per unit weight: H(q) is zero. It
    never falls, and there are finitely many partitions.
    """

    monotone: ClassVar[bool] = True

    def arguments(self, iteration: int) -> tuple[Any, ...]:
        return (BEST,)


@dataclass(frozen=True)
class Stochastic:
    """Stochastic EM (Celeux and Diebolt 1985): the component of each row is drawn from its posterior.

    A row is drawn once, whatever its weight. The bound is the log-likelihood, of a chain that rises and falls; what is
    kept is the visited model where it was greatest, of those without a collapsed component if there are any.
    """

    seed: int
    monotone: ClassVar[bool] = False

    def arguments(self, iteration: int) -> tuple[Any, ...]:
        return (Assignment.sampled(self.seed, iteration),)


E_STEPS: dict[str, Callable[[int], EStep]] = {
    "soft": lambda seed: Soft(),
    "hard": lambda seed: Hard(),
    "stochastic": Stochastic,
}
