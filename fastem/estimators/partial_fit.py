"""Learning from streams: `partial_fit`."""

from numbers import Integral, Real
from typing import Any, Protocol

import numpy as np
from sklearn.utils import check_random_state

from fastem.engine.e_steps import EStep
from fastem.engine.stepwise import Schedule, take_steps
from fastem.estimators.problem import LARGEST_SEED
from fastem.estimators.scikit_learn import Interval, StrOptions
from fastem.sources import Block, Source
from fastem.sources.arrays import ArraySource
from fastem.sources.tables import Table

# Attributes that a further batch outdates.
OF_A_FIT = ("lower_bounds_", "lower_bounds_of_starts_", "log_likelihood_", "labels_", "inertia_")
CONSTRAINTS: dict[str, list] = {
    "learning_method": [StrOptions({"batch", "online"})],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "learning_decay": [Interval(Real, 0.0, 1.0, closed="both")],
    "learning_offset": [Interval(Real, 1.0, None, closed="left")],
}


class StreamProblem(Protocol):
    """What an estimator states of a stream that it learns from."""

    @property
    def estimator(self) -> Any: ...

    @property
    def start_is_complete(self) -> bool:
        """Whether the user has given a first model: then it takes no rows."""
        ...

    def rows_to_begin(self, n_features: int) -> int:
        """Rows of positive weight from which a first model can be estimated; a start counts as so many."""
        ...

    def first_model(self, source: Source, random_state: np.random.RandomState) -> Any:
        """Where the stream begins, from its first rows."""
        ...

    def e_step(self, random_state: np.random.RandomState, number: int) -> EStep:
        """That of a call; `number` tells calls with the same random state apart."""
        ...


def schedule(problem: StreamProblem, n_features: int) -> Schedule:
    """That of stepwise EM, from the estimator's parameters."""
    own, prior = problem.estimator, float(problem.rows_to_begin(n_features))
    return Schedule(own.learning_decay, own.learning_offset, own.batch_size, prior)


def learn(problem: StreamProblem, X: Any, sample_weight: Any) -> Any:
    """Steps of stepwise EM of the problem's estimator, which is returned; the first rows wait until they are enough."""
    estimator = problem.estimator
    if isinstance(X, Table) and X.label is not None:
        raise ValueError(f"partial_fit takes no labels, and the table has them in column {X.label!r}: use fit.")
    started = hasattr(estimator, "n_samples_seen_")
    changes = ", ".join(estimator._changes()) if started else ""
    if changes:
        raise ValueError(
            f"{changes} as in what this {type(estimator).__name__} has learned: it cannot learn on. Fit it, or set the "
            "parameters back."
        )
    waiting = [] if started else getattr(estimator, "_first_rows", [])
    random_state = check_random_state(estimator.random_state)
    seed = 0 if started else random_state.randint(LARGEST_SEED)
    source = estimator._source(X, sample_weight, reset=not started and not waiting, seed=seed)
    if started:
        model, seen = estimator._model(), estimator.n_samples_seen_
    else:
        needed = 1 if problem.start_is_complete else problem.rows_to_begin(source.n_features)
        if waiting or source.n_candidates < needed:
            source = _in_memory([*waiting, *source.blocks()], seed)
        if source.n_candidates < needed:
            estimator._first_rows = list(source.blocks())
            return estimator
        model, seen = problem.first_model(source, random_state), 0.0
    n_iter = getattr(estimator, "n_iter_", 0)
    steps = schedule(problem, source.n_features), problem.e_step(random_state, n_iter)
    epoch = take_steps(model, source.blocks(), *steps, seen=seen, n_steps=0)
    for name in ("_first_rows", *OF_A_FIT):
        vars(estimator).pop(name, None)
    estimator._keep_model(epoch.model)
    estimator._remember_settings()
    estimator.converged_, estimator.n_samples_seen_ = False, seen + epoch.weight
    estimator.n_iter_ = n_iter + 1
    estimator.lower_bound_ = epoch.lower_bound if epoch.weight else getattr(estimator, "lower_bound_", np.nan)
    return estimator


def _in_memory(blocks: list[Block], seed: int) -> ArraySource:
    rows = np.concatenate([np.asarray(block.rows, dtype=np.float64) for block in blocks])
    weights = [np.ones(len(block.rows)) if block.weights is None else block.weights for block in blocks]
    return ArraySource(rows, np.concatenate(weights), seed)
