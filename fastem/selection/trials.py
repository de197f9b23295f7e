"""The models that are tried, and what is known of each."""

import time
import warnings
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from fastem.sources import Block

CRITERIA = (
    "bic",
    "aic",
    "icl",
)  # of the rows that a model was fitted to; all in the sense of -2 log L, lower is better
N_FOLDS = 5


class Kind(NamedTuple):
    """A model to try."""

    n_components: int
    covariance_type: str | None  # None for families that have none

    def of(self, estimator: Any, **settings: Any) -> Any:
        """A copy of the estimator of this kind, not fitted."""
        structure = {} if self.covariance_type is None else {"covariance_type": self.covariance_type}
        return clone(estimator).set_params(n_components=self.n_components, **structure, **settings)


@dataclass(frozen=True)
class Trial:
    """What is known of a model.

    Attributes
    ----------
    model : str
        The structure of its covariances, or the name of its family.
    n_components : int
    bic, aic, icl, cv : float
        -2 log L and what each adds to it, for all rows; lower is better. 'cv' is -2 log L of rows that were held out.
        NaN where it was not asked for, or the model failed.
    log_likelihood : float
        Of all rows, in nats.
    n_parameters : int
    n_rows : int
        That it was fitted to: fewer than all if it fell behind on a sample. Then the values are estimates.
    seconds : float
    converged : bool
    warning, error : str
        What the fit had to say; empty if nothing.
    """

    model: str
    n_components: int
    bic: float = np.nan
    aic: float = np.nan
    icl: float = np.nan
    cv: float = np.nan
    log_likelihood: float = np.nan
    n_parameters: int = 0
    n_rows: int = 0
    seconds: float = 0.0
    converged: bool = False
    warning: str = ""
    error: str = ""


class Trials(tuple[Trial, ...]):
    """All trials, the best first."""

    def to_frame(self) -> Any:
        """As a pandas DataFrame, a row for each model; ImportError without pandas."""
        import pandas as pd

        return pd.DataFrame([vars(trial) for trial in self], columns=[field.name for field in fields(Trial)])

    def __repr__(self) -> str:
        header = f"{'model':>10} {'K':>4} {'bic':>14} {'aic':>14} {'icl':>14} {'cv':>14} {'rows':>10}  remarks"
        lines = [
            f"{t.model:>10} {t.n_components:>4} {t.bic:>14.2f} {t.aic:>14.2f} {t.icl:>14.2f} {t.cv:>14.2f} "
            f"{t.n_rows:>10}  {t.error or t.warning}".rstrip()
            for t in self
        ]
        return "\n".join([header, *lines])


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model in the race: its trial so far, and the estimator, None if it failed."""

    trial: Trial
    estimator: Any
    log_densities: np.ndarray | None = None  # of the rows of a sample, to compare with others


def fitted(candidate: Candidate, X: Any, sample_weight: Any, tol: float, *, n_rows: int) -> Candidate:
    """The candidate after a fit of `n_rows` rows, which goes on from the one before; a failure is part of its trial."""
    estimator, started = candidate.estimator.set_params(tol=tol), time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator.fit(X, sample_weight=sample_weight)
        except (ValueError, np.linalg.LinAlgError) as error:
            return failed(candidate, error)
    trial = replace(
        candidate.trial,
        n_rows=n_rows,
        n_parameters=getattr(estimator, "n_parameters_", 0),
        seconds=candidate.trial.seconds + time.perf_counter() - started,
        converged=estimator.converged_,
        warning="; ".join(dict.fromkeys(str(warning.message) for warning in caught)),
    )
    return Candidate(trial, estimator)


def failed(candidate: Candidate, error: Exception) -> Candidate:
    """The candidate without an estimator, and what went wrong."""
    return Candidate(replace(candidate.trial, error=f"{type(error).__name__}: {error}"), None)


def held_out(candidate: Candidate, sample: Block, n_rows: int) -> Candidate:
    """The candidate with -2 log L of `n_rows` rows, by rows of a sample that are held out of one of N_FOLDS fits."""
    rows, weights = sample.rows, np.ones(len(sample.rows)) if sample.weights is None else sample.weights
    started, total = time.perf_counter(), 0.0
    folds = np.arange(len(rows)) % N_FOLDS  # the sample is in random order
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for fold in range(N_FOLDS):
                mine = folds == fold
                model = clone(candidate.estimator).fit(rows[~mine], sample_weight=weights[~mine])
                total += weights[mine].sum() * model.score(rows[mine], sample_weight=weights[mine])
        except (ValueError, np.linalg.LinAlgError) as error:
            return failed(candidate, error)
    trial = replace(
        candidate.trial,
        cv=-2.0 * n_rows * total / weights.sum(),
        seconds=time.perf_counter() - started,
        warning="; ".join(dict.fromkeys(str(warning.message) for warning in caught)),
    )
    return Candidate(trial, candidate.estimator)
