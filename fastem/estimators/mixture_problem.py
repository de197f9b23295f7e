"""The fit of a mixture: its runs, what is kept of the best one, and what users are told."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from fastem.engine.acceleration import accelerator
from fastem.engine.e_steps import E_STEPS, EStep
from fastem.engine.loop import Fit
from fastem.engine.stopping import RULES
from fastem.estimators.partial_fit import schedule
from fastem.estimators.problem import LARGEST_SEED, Problem, Report
from fastem.families.model import FEW_ROWS, falling
from fastem.registry import warn
from fastem.sources import Source
from fastem.sources.labels import LabelledSource, labelled


class Starts(Protocol):
    """An endless supply of first models."""

    def next(self) -> Any: ...


@dataclass(frozen=True)
class MixtureProblem(Problem):
    """The fit of a mixture.

    Attributes
    ----------
    search : callable
        Takes a source and a RandomState, returns the starts.
    """

    search: Callable[[Source, np.random.RandomState], Starts]

    @property
    def continued(self) -> bool:
        """Whether the fit goes on from fitted attributes, which are those of the present settings."""
        return self._warm and not self.estimator._changes()

    @property
    def _warm(self) -> bool:
        return self.estimator.warm_start and hasattr(self.estimator, "converged_")

    @property
    def init(self) -> Any:
        return self.estimator.init_params

    @property
    def n_starts(self) -> int:
        return 1 if self.continued else self.estimator.n_init

    @property
    def min_rows(self) -> int:
        return 2

    def with_labels(self, source: Source, labels: Any) -> Source:
        return labelled(source, labels, self.estimator.n_components)

    def runs(self, source: Source, random_state: np.random.RandomState) -> Callable[[int], Fit]:
        own = self.estimator
        if self._warm and own.checkpoint is not None:
            raise ValueError("warm_start=True begins with fitted parameters: a checkpoint could not tell which.")
        self._check_size(source)
        if self._warm and not self.continued:
            warn(f"The fit begins anew in spite of warm_start=True: {', '.join(own._changes())} as in the last one.")
        if self.continued and source.n_features != own._model().n_features:
            raise ValueError(
                f"X has {source.n_features} features, the last fit had {own._model().n_features}: it cannot go on, set "
                "warm_start=False."
            )
        starts = None if self.continued else self.search(source, random_state)

        def run(number: int) -> Fit:
            start, previous = (own._model(), own.lower_bound_) if starts is None else (starts.next(), -np.inf)
            return Fit(start, **self.variant(source, random_state, number), previous=previous)

        return run

    def variant(self, source: Source, random_state: np.random.RandomState, number: int) -> dict[str, Any]:
        """How EM is run, as arguments of `Fit`."""
        return {
            "stop": RULES[self.estimator.stopping](self.estimator.tol),
            "accelerate": accelerator(self._acceleration(), self.unit(source)),
        }

    def unit(self, source: Source) -> float:
        """What the bound counts as a nat of one row."""
        return 1.0

    def _acceleration(self) -> str | None:
        own = self.estimator
        return None if own.acceleration == "auto" and self._plain else own.acceleration

    @property
    def _plain(self) -> bool:
        """Whether the start is the user's: the iterations from there are those of scikit-learn."""
        partition = not isinstance(self.init, str) and not callable(self.init)
        return self.estimator.warm_start or partition

    def _check_size(self, source: Source) -> None:
        n_components = self.estimator.n_components
        if source.n_candidates < n_components:
            weighted = "" if source.n_candidates == source.n_rows else " with a positive weight"
            raise ValueError(
                f"Expected n_samples >= n_components but got n_components = {n_components}, "
                f"n_samples = {source.n_candidates}{weighted}"
            )

    # the outcome ------------------------------------------------------------------------------------------------------

    def show(self, estimator: Any, fit: Fit) -> None:
        estimator._keep_model(fit.kept)
        estimator.lower_bound_ = fit.lower_bound

    @property
    def unguided(self) -> bool:
        """Whether the start is left to fastem: then users can mean nothing by the order of the components."""
        return isinstance(self.estimator.init_params, str) and not self.continued

    def keep(self, fit: Fit, source: Source) -> None:
        own = self.estimator
        if self.unguided and fit.kept.exchangeable and not isinstance(source, LabelledSource):
            _put_in_order(fit)
        self.show(own, fit)
        self.keep_precision(source)
        own.converged_, own.n_iter_, own.lower_bounds_ = fit.converged, fit.n_iter, fit.lower_bounds
        model = own._model() if source.single else fit.kept  # with its means rounded
        total, weight = model.log_likelihood(source)
        own.log_likelihood_ = total / weight
        own.n_samples_seen_ = weight if fit.schedule is None else fit.seen
        own.n_passes_ = source.n_passes

    def keep_starts(self, lower_bounds: list[list[float]]) -> None:
        self.estimator.lower_bounds_of_starts_ = lower_bounds

    def messages(self, fit: Fit, source: Source) -> list[str]:
        messages, max_iter = [], self.estimator.max_iter
        if fit.interrupted:
            messages.append(
                f"The fit was interrupted after iteration {fit.n_iter}: the parameters are the best so far."
            )
        elif not fit.converged and max_iter > 0:
            messages.append(
                f"The fit did not converge in max_iter={max_iter} iterations. Increase max_iter or tol, or try "
                "another start."
            )
        for component, iteration in fit.repaired.items():
            who = "The tied covariance" if component is None else f"The covariance of component {component}"
            messages.append(
                f"{who} became singular at iteration {iteration}: its rows are fewer than the features need, equal or "
                "linearly dependent. It was widened to a millionth of the variance of the data. Use fewer components, "
                "or a larger reg_covar."
            )
        empty = np.flatnonzero(fit.kept.weights == 0).tolist()
        if empty:
            messages.append(
                f"Components {empty} lost all their rows and were dropped: their weight is zero. Use fewer components."
            )
        return messages + fit.kept.remarks()

    def report(self) -> Report | None:
        verbose = self.estimator.verbose
        return MixtureReport(verbose, self.estimator.verbose_interval) if verbose else None


@dataclass(frozen=True)
class LikelihoodProblem(MixtureProblem):
    """The fit of a mixture by EM, with all that EM can be varied in.

    Attributes
    ----------
    given : bool
        Whether users have chosen parameters to start with, in part or in whole.
    complete : bool
        In whole: then a start takes no rows.
    rows_per_component : callable
        Rows that a component needs, given the number of features.
    """

    given: bool
    complete: bool
    rows_per_component: Callable[[int], int]

    def variant(self, source: Source, random_state: np.random.RandomState, number: int) -> dict[str, Any]:
        own = self.estimator
        return {
            "stop": RULES[self._stopping()](own.tol),
            "accelerate": accelerator(self._acceleration()),
            "e_step": self.e_step(random_state, number),
            "schedule": schedule(self, source.n_features) if own.learning_method == "online" else None,
        }

    def with_labels(self, source: Source, labels: Any) -> Source:
        if self.estimator.learning_method == "online":
            raise ValueError("labels are for learning_method='batch'; steps of batches do not take them.")
        return super().with_labels(source, labels)

    def _stopping(self) -> str:
        if self.estimator.e_step != "stochastic":
            return self.estimator.stopping
        if self.estimator.stopping == "gap":
            raise ValueError("stopping='gap' needs an optimum that is approached; e_step='stochastic' has none.")
        return "patience"

    def e_step(self, random_state: np.random.RandomState, number: int) -> EStep:
        drawn = self.estimator.e_step == "stochastic"
        return E_STEPS[self.estimator.e_step](random_state.randint(LARGEST_SEED) + number if drawn else 0)

    def _acceleration(self) -> str | None:
        own = self.estimator
        online = own.learning_method == "online"
        if online and own.acceleration == "squarem":
            raise ValueError("acceleration='squarem' extrapolates EM; learning_method='online' is not EM.")
        if own.e_step != "soft" and own.acceleration == "squarem":
            raise ValueError(
                f"acceleration='squarem' extrapolates smooth steps; those of e_step={own.e_step!r} are not."
            )
        return super()._acceleration()

    @property
    def _plain(self) -> bool:
        own = self.estimator
        return super()._plain or self.given or own.learning_method == "online" or own.e_step != "soft"

    def merit(self, fit: Fit, source: Source) -> float:
        """The bound, but for what it owes to components that stand on next to nothing."""
        return fit.lower_bound - fit.kept.handicap(source.n_candidates)

    def messages(self, fit: Fit, source: Source) -> list[str]:
        messages, weights = super().messages(fit, source), fit.kept.weights
        few = np.flatnonzero((weights > 0) & (weights * source.n_candidates < FEW_ROWS)).tolist()
        if few:
            messages.append(
                f"Components {few} have the rows of one or two, outliers perhaps. Look at these rows, use fewer "
                "components, or, for measurements, a StudentTMixture, which outliers do not move."
            )
        return messages

    @property
    def unguided(self) -> bool:
        return super().unguided and not self.given

    # streams ----------------------------------------------------------------------------------------------------------

    @property
    def start_is_complete(self) -> bool:
        return self.complete

    def rows_to_begin(self, n_features: int) -> int:
        return self.estimator.n_components * self.rows_per_component(n_features)

    def first_model(self, source: Source, random_state: np.random.RandomState) -> Any:
        return self.search(source, random_state).next()


def _put_in_order(fit: Fit) -> None:
    """The components of a run that has ended by falling weight."""
    order = falling(fit.kept.weights, fit.kept.means)
    places = {int(k): place for place, k in enumerate(order)}
    if fit.best is None:
        fit.model = fit.model.reordered(order)
    else:
        fit.best = fit.best.reordered(order)
    fit.repaired = {places.get(component): iteration for component, iteration in fit.repaired.items()}


class MixtureReport(Report):
    """Starts and iterations on the screen, as scikit-learn's mixtures print them."""

    def __init__(self, verbose: int, interval: int):
        self.verbose, self.interval = verbose, interval

    def begin(self, number: int) -> None:
        self.first = self.last = perf_counter()
        print(f"Initialization {number}")

    def iteration(self, fit: Fit, change: float) -> None:
        if fit.n_iter % self.interval == 0:
            now = perf_counter()
            details = f"\t time lapse {now - self.last:.5f}s\t ll change {change:.5f}" if self.verbose > 1 else ""
            print(f"  Iteration {fit.n_iter}{details}")
            self.last = now

    def end(self, number: int, fit: Fit) -> None:
        lapse = perf_counter() - self.first
        bound = fit.lower_bounds[-1] if fit.lower_bounds else -np.inf
        details = f" time lapse {lapse:.5f}s\t lower bound {bound:.5f}." if self.verbose > 1 else ""
        print(f"Initialization {'converged' if fit.converged else 'did not converge'}.{details}")
