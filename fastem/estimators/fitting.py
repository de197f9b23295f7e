"""The one fit of all estimators: starts are run one after another, watched, kept on disk, and the best one counts."""

import os
from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastem.engine.loop import Fit, run_em
from fastem.engine.restarts import Record, remaining, resumed
from fastem.estimators.callbacks import Tasks
from fastem.estimators.generators import generator_of
from fastem.estimators.problem import LARGEST_SEED, Problem
from fastem.estimators.scikit_learn import Interval
from fastem.kernels.compilation import announce
from fastem.registry import warn
from fastem.sources import Source
from fastem.sources.labels import split_off
from fastem.storage.checkpoint import Checkpoint, described

# What the result of a fit does not depend on.
OTHERWISE = ("checkpoint", "checkpoint_every", "verbose", "verbose_interval", "warm_start")
CONSTRAINTS: dict[str, list] = {
    "checkpoint": [str, os.PathLike, None],
    "checkpoint_every": [Interval(Integral, 1, None, closed="left")],
}


def fit(problem: Problem, X: Any, y: Any, sample_weight: Any, labels: Any = None) -> Any:
    """Fit the estimator of the problem to the rows, of known components where `labels` say so, and return it."""
    own = problem.estimator
    X, labels = split_off(X, labels)
    if own.verbose:
        announce(_say_that_it_compiles)
    with generator_of(own.random_state, lent=callable(problem.init)) as generator:
        checkpoint, record, random_state = _begin(own, generator)
        seed = random_state.randint(LARGEST_SEED)
        source = own._source(X, sample_weight, reset=True, ensure_min_samples=problem.min_rows, seed=seed)
        if labels is None:
            source.remember_passes()
        else:
            source = problem.with_labels(source, labels)
        if checkpoint is not None:
            checkpoint.bind(source.fingerprint())
            checkpoint.believe(lambda: record.check(problem.n_starts, lambda fit: problem.check(fit, source)))
        begin = problem.runs(source, random_state)
        tasks = Tasks(problem, X=X, y=y, metadata={"n_samples": source.n_rows, "sample_weight": sample_weight})
        after_iteration = tasks.iteration if tasks.followed else None
        keep = None if checkpoint is None else partial(_keep, checkpoint, record)
        try:
            if checkpoint is not None and record.finished < problem.n_starts:
                checkpoint.keep(record, now=True)  # before the work: it tells whether the file can be written
            for number, run in remaining(record, problem.n_starts, begin):
                tasks.begin_start(number)
                run_em(run, source, max_iter=own.max_iter, after_iteration=after_iteration, keep=keep)
                _complete(problem.finish, run, source, checkpoint)
                tasks.end_start(number, run)
                record.add(run, partial(problem.merit, source=source))
                if checkpoint is not None:
                    checkpoint.keep(record, now=True)
                if run.interrupted:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            if checkpoint is not None:
                checkpoint.flush()
            if checkpoint is not None or record.best is None:
                raise
            record.best.interrupted = True
    best: Any = record.best
    _complete(problem.keep, best, source, checkpoint)
    problem.keep_starts(record.lower_bounds)
    tasks.end(best)
    for message in problem.messages(best, source):
        warn(message, ConvergenceWarning)
    vars(own).pop("_first_rows", None)
    own._remember_settings()
    return own


def _say_that_it_compiles() -> None:
    print("Compiling kernels, once on this machine.")


def _keep(checkpoint: Checkpoint, record: Record, run: Fit) -> None:
    record.running = run
    checkpoint.keep(record)


def _complete(step: Callable[[Fit, Source], None], run: Fit, source: Source, checkpoint: Checkpoint | None) -> None:
    """A pass that a run needs to be of use: Ctrl-C meanwhile ends the fit, but not before it."""
    try:
        step(run, source)
    except KeyboardInterrupt:
        if checkpoint is not None:  # nothing is lost
            raise
        run.interrupted = True
        step(run, source)


def _begin(estimator: Any, generator: np.random.RandomState) -> tuple[Checkpoint | None, Record, np.random.RandomState]:
    """The checkpoint, how far the fit has come, and the generator as it was when the fit began."""
    checkpoint = None
    if estimator.checkpoint is not None:
        parameters = estimator.get_params(deep=False)
        settings = {name: described(value) for name, value in parameters.items() if name not in OTHERWISE}
        settings["estimator"] = type(estimator).__name__
        checkpoint = Checkpoint(estimator.checkpoint, estimator.checkpoint_every, settings)
    return checkpoint, *resumed(checkpoint, generator)
