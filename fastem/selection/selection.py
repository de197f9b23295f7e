"""`select`: try numbers of components and structures of covariance, keep the best model by a criterion."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any, Literal

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import check_random_state

from fastem.estimators.annotations import CovarianceType, Data, Seed
from fastem.estimators.base_mixture import BaseMixture
from fastem.estimators.gaussian_mixture import GaussianMixture
from fastem.estimators.validation import validated_source
from fastem.selection.progress import followed
from fastem.selection.race import SAMPLE_MEMORY, on_all_rows, on_samples, sample_sizes
from fastem.selection.trials import CRITERIA, Candidate, Kind, Trial, Trials, held_out
from fastem.sources import Source

LARGEST_SEED = 2**31 - 1
MOST_ITERATIONS = 1_000
CV_ROWS = 50_000  # that are fitted and held out
STRUCTURES = ("full", "tied", "diag", "spherical")


@dataclass(frozen=True)
class Selection:
    """What `select` has found.

    Attributes
    ----------
    best_estimator_ : estimator
        Fitted to all rows, to within a nat of its optimum.
    results_ : Trials
        A `Trial` for each model, the best first; `results_.to_frame()` makes a pandas DataFrame of them.
    criterion : str
    """

    best_estimator_: Any
    results_: Trials
    criterion: str

    def plot(self, ax: Any = None, *, criterion: str | None = None) -> Any:
        """Draw a criterion over the number of components, a line for each structure.

        Parameters
        ----------
        ax : Axes, default=None
        criterion : {'bic', 'aic', 'icl', 'cv'}, default=None
            That of the selection by default.

        Returns
        -------
        display : SelectionDisplay
        """
        from fastem.plotting import SelectionDisplay

        criterion = criterion or self.criterion
        numbers = sorted({trial.n_components for trial in self.results_})
        values = {trial.model: np.full(len(numbers), np.nan) for trial in self.results_}
        for trial in self.results_:
            values[trial.model][numbers.index(trial.n_components)] = getattr(trial, criterion)
        return SelectionDisplay(numbers, values, criterion.upper()).plot(ax)


def select(
    X: Data,
    n_components: int | Iterable[int] = range(1, 10),
    *,
    covariance_type: Sequence[CovarianceType] | CovarianceType | None = None,
    criterion: Literal["bic", "aic", "icl", "cv"] = "bic",
    estimator: BaseMixture | None = None,
    sample_weight: ArrayLike | None = None,
    n_init: int = 1,
    n_jobs: int | None = None,
    random_state: Seed = None,
    verbose: int = 0,
) -> Selection:
    """Fit models with several numbers of components and structures of covariance, and keep the best.

    Where there are many rows, the models race on growing random samples, each from its fit of the sample before, and
    only those whose criterion cannot be told from the best there go on to all rows.

    Parameters
    ----------
    X : array-like, path or other source of shape (n_samples, n_features)
    n_components : iterable of int, default=range(1, 10)
    covariance_type : sequence of str, default=None
        Structures to try, for estimators that have them; by default 'full', 'tied', 'diag' and 'spherical'.
    criterion : {'bic', 'aic', 'icl', 'cv'}, default='bic'
        -2 log L plus p log N (Schwarz 1978), plus 2 p (Akaike 1974), plus what BIC has and -2 sum log max_k r_k, which
        asks for clusters that lie apart (Biernacki, Celeux and Govaert 2000); or -2 log L of rows that were held out of
        five folds, of at most 50,000 rows.
    estimator : mixture, default=None
        Any of fastem's mixtures, whose other parameters are kept; a `GaussianMixture` by default.
    sample_weight : array-like of shape (n_samples,), default=None
    n_init : int, default=1
        Starts of each model; the best counts.
    n_jobs : int, default=None
        Processes that fit models side by side, as in scikit-learn.
    random_state : int, RandomState instance or None, default=None
    verbose : int, default=0
        1 says on stderr what goes on, on a terminal with a bar (``fastem[cli]``).

    Returns
    -------
    selection : Selection

    Raises
    ------
    TypeError
        If the estimator is no mixture of fastem's, or has no such criterion.
    ValueError
        If a setting is invalid, or every model failed.

    Examples
    --------
    >>> import numpy as np
    >>> from fastem import select
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(size=(100, 1)), rng.normal(10, 1, size=(100, 1))])
    >>> select(X, range(1, 4), covariance_type="full", random_state=0).best_estimator_.n_components
    2
    """
    template = _checked_template(GaussianMixture() if estimator is None else estimator, criterion)
    kinds = _kinds(template, n_components, covariance_type)
    seed = check_random_state(random_state).randint(LARGEST_SEED)
    source = validated_source(
        clone(template), X, sample_weight, reset=True, seed=seed, nan_refusal=template._nan_refusal()
    )
    run = _Run(X, sample_weight, source, criterion, n_jobs, verbose)
    starts = [_start(kind, template, n_init, seed) for kind in kinds]
    found = run.cross_validated(starts) if criterion == "cv" else run.raced(starts)
    best, *others = sorted(found, key=run.value)
    if best.estimator is None:
        raise ValueError(f"Every model failed; the first: {found[0].trial.error}")
    best = run.finished(best)
    kept = ("n_components", "covariance_type", "n_init", "random_state")
    own = {name: value for name, value in template.get_params(deep=False).items() if name not in kept}
    best.estimator.set_params(**own, random_state=random_state)
    return Selection(best.estimator, Trials([best.trial, *(other.trial for other in others)]), criterion)


@dataclass(frozen=True)
class _Run:
    """One call of `select`."""

    X: Any
    sample_weight: Any
    source: Source
    criterion: str
    n_jobs: int | None
    verbose: int

    def value(self, candidate: Candidate) -> tuple[bool, float]:
        """What candidates are sorted by: models of all rows, then those that fell behind, then those that failed."""
        value = getattr(candidate.trial, self.criterion)
        behind = candidate.estimator is None or candidate.trial.n_rows < self.source.n_rows
        return behind and self.criterion != "cv", np.inf if np.isnan(value) else value

    def raced(self, starts: list[Candidate]) -> list[Candidate]:
        """All models, those of the best on samples after a fit of all rows."""
        source, running = self.source, starts
        behind: list[Candidate] = []
        sizes = sample_sizes(source.n_rows, source.n_features)
        if sizes:
            sample = source.sample(sizes[-1])
            running, behind = on_samples(starts, sample, sizes, source.n_candidates, self.criterion, self._each)
        on_all = partial(on_all_rows, X=self.X, sample_weight=self.sample_weight, n_rows=source.n_rows)
        return self._each(on_all, running) + behind

    def cross_validated(self, starts: list[Candidate]) -> list[Candidate]:
        """All models with the log-likelihood of rows that were held out, not fitted to all rows."""
        sample = self.source.sample(min(CV_ROWS, SAMPLE_MEMORY // (8 * self.source.n_features)))
        return self._each(partial(held_out, sample=sample, n_rows=self.source.n_candidates), starts)

    def finished(self, best: Candidate) -> Candidate:
        """The best model after a fit of all rows."""
        n_rows = self.source.n_rows
        return best if best.trial.n_rows == n_rows else on_all_rows(best, self.X, self.sample_weight, n_rows)

    def _each(self, function: Callable[[Candidate], Candidate], candidates: Iterable[Candidate]) -> list[Candidate]:
        candidates = list(candidates)
        running = Parallel(n_jobs=self.n_jobs, return_as="generator")(delayed(function)(each) for each in candidates)
        found = list(followed(running, len(candidates)) if self.verbose else running)
        if self.verbose and found:
            best = min(found, key=self.value).trial
            said = f"{best.model}, {best.n_components} components, {self.criterion} {getattr(best, self.criterion):.6g}"
            print(f"{len(found)} models on {best.n_rows or 'folds of'} rows, the best: {said}", file=sys.stderr)
        return found


def _checked_template(estimator: Any, criterion: str) -> Any:
    if not isinstance(estimator, BaseMixture):
        raise TypeError(f"estimator must be one of fastem's mixtures, got {type(estimator).__name__}.")
    if criterion not in (*CRITERIA, "cv"):
        raise ValueError(f"criterion must be one of {', '.join((*CRITERIA, 'cv'))}, got {criterion!r}.")
    if criterion != "cv" and not hasattr(estimator, "bic"):
        raise TypeError(f"A {type(estimator).__name__} has no {criterion}: choose criterion='cv'.")
    if getattr(estimator, "checkpoint", None) is not None:
        raise ValueError("checkpoint is for one fit; select makes many.")
    return estimator


def _kinds(estimator: Any, n_components: Any, covariance_type: Sequence[str] | str | None) -> list[Kind]:
    numbers = list(n_components) if isinstance(n_components, Iterable) else [n_components]
    if not numbers or not all(isinstance(k, Integral) and int(k) >= 1 for k in numbers):
        raise ValueError(f"n_components must hold positive integers, got {numbers}.")
    has_structures = "covariance_type" in estimator.get_params(deep=False)
    if covariance_type is not None and not has_structures:
        raise ValueError(f"A {type(estimator).__name__} has no covariance_type.")
    names = STRUCTURES if covariance_type is None else covariance_type
    structures = [names] if isinstance(names, str) else list(names)
    return [Kind(int(k), structure) for structure in (structures if has_structures else [None]) for k in numbers]


def _start(kind: Kind, template: Any, n_init: int, seed: int) -> Candidate:
    """Not fitted yet. Every fit goes on from the one before, accelerated, until little is left to the optimum."""
    known = template.get_params(deep=False)
    settings = {
        "n_init": n_init,
        "random_state": seed,
        "warm_start": True,
        "max_iter": max(known["max_iter"], MOST_ITERATIONS),
    }
    if known.get("e_step", "soft") == "soft" and known.get("learning_method", "batch") == "batch":
        settings |= {"stopping": "gap"} | ({"acceleration": "squarem"} if known.get("acceleration") == "auto" else {})
    name = kind.covariance_type or type(template).__name__
    return Candidate(Trial(name, kind.n_components), kind.of(template, **settings))
