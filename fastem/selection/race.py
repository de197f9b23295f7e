"""A race of models: on growing samples, those that fall behind by more than the sample's error are left there.

The mean log-likelihood of n rows at parameters fitted to them is p / (2 n) above that of the best parameters for the
population (p of them), so that of N rows is about p / (2 n) - p / (2 N) less. Two models are told apart by the
differences of the log-densities of their rows: their spread over sqrt(n) is the error of the difference of the means.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fastem.selection.trials import CRITERIA, Candidate, fitted
from fastem.sources import Block

FIRST, FACTOR = 2_500, 4  # rows of the first sample, and of a sample over those of the one before
SAMPLE_MEMORY = 2**26  # bytes of the rows of the largest sample
DOUBT = 4.0  # standard errors by which a model that is left behind must be worse
ROWS_PER_PARAMETER = 5  # of a sample on which a model may be left behind: the expansion above is of the first order
GAP = 0.5  # nats, of all rows, that may be left to the optimum of each model

Each = Callable[[Callable[[Candidate], Candidate], Iterable[Candidate]], list[Candidate]]


def sample_sizes(n_rows: int, n_features: int) -> list[int]:
    """Rows of the samples that come before all `n_rows`, none if these are few."""
    most = min(n_rows // FACTOR, SAMPLE_MEMORY // (8 * n_features))
    sizes: list[int] = []
    while (size := FIRST * FACTOR ** len(sizes)) <= most:
        sizes.append(size)
    return sizes


def on_samples(
    candidates: list[Candidate], sample: Block, sizes: list[int], n_rows: int, criterion: str, each: Each
) -> tuple[list[Candidate], list[Candidate]]:
    """Those that go on to all rows, each from its fit of the last sample, and those that fell behind or failed."""
    running, behind = candidates, []
    for size in sizes:
        part = Block(sample.rows[:size], None if sample.weights is None else sample.weights[:size])
        found = each(partial(on_sample, part=part, n_rows=n_rows), running)
        behind += [candidate for candidate in found if candidate.estimator is None]
        found = [candidate for candidate in found if candidate.estimator is not None]
        if not found:
            return [], behind
        best = min(found, key=lambda candidate: getattr(candidate.trial, criterion))
        ahead = [_keeps_up(candidate, best, n_rows, criterion) for candidate in found]
        running = [candidate for candidate, keeps_up in zip(found, ahead, strict=True) if keeps_up]
        behind += [candidate for candidate, keeps_up in zip(found, ahead, strict=True) if not keeps_up]
    return running, behind


def on_sample(candidate: Candidate, part: Block, n_rows: int) -> Candidate:
    """The candidate after a fit of a sample, its criteria what those of all `n_rows` rows can be expected to be."""
    size = len(part.rows)
    found = fitted(candidate, part.rows, part.weights, GAP / size, n_rows=size)
    if found.estimator is None:
        return found
    log_densities = found.estimator.score_samples(part.rows)
    n_parameters = found.trial.n_parameters
    optimism = 0.5 * n_parameters * (1.0 / size - 1.0 / n_rows)
    total = n_rows * (np.average(log_densities, weights=part.weights) - optimism)
    entropy = found.estimator.icl(part.rows, part.weights) - found.estimator.bic(part.rows, part.weights)
    values = criteria(total, n_parameters, n_rows, entropy * n_rows / size)
    trial = replace(found.trial, log_likelihood=total, **values)
    return Candidate(trial, found.estimator, log_densities)


def on_all_rows(candidate: Candidate, X: Any, sample_weight: Any, n_rows: int) -> Candidate:
    """The candidate after a fit of all rows, with their criteria."""
    found = fitted(candidate, X, sample_weight, GAP / n_rows, n_rows=n_rows)
    if found.estimator is None or not hasattr(found.estimator, "bic"):
        return found
    values: dict[str, Any] = {
        name: float(getattr(found.estimator, name)(X, sample_weight=sample_weight)) for name in CRITERIA
    }
    log_likelihood = found.trial.n_parameters - 0.5 * values["aic"]
    return Candidate(replace(found.trial, log_likelihood=log_likelihood, **values), found.estimator)


def criteria(log_likelihood: float, n_parameters: int, weight: float, entropy: float) -> dict[str, Any]:
    """BIC, AIC and ICL from their parts: -2 log L, p log N or 2 p, and for ICL what uncertain rows cost."""
    bic = -2.0 * log_likelihood + n_parameters * np.log(weight)
    return {"bic": float(bic), "aic": float(-2.0 * log_likelihood + 2.0 * n_parameters), "icl": float(bic + entropy)}


def _keeps_up(candidate: Candidate, best: Candidate, n_rows: int, criterion: str) -> bool:
    assert candidate.log_densities is not None
    assert best.log_densities is not None
    differences = candidate.log_densities - best.log_densities
    if len(differences) < ROWS_PER_PARAMETER * max(candidate.trial.n_parameters, best.trial.n_parameters):
        return True
    error = 2.0 * n_rows * differences.std() / np.sqrt(len(differences))
    return bool(getattr(candidate.trial, criterion) <= getattr(best.trial, criterion) + DOUBT * error)
