"""Out of a poor basin: merge two components that explain the same rows, split one that explains its rows badly.

EM cannot move a component across the data. On a sample small enough to try, a component is given to where it is missed
(Ueda, Nakano, Ghahramani and Hinton 2000); a trial is kept only if a few EM iterations bring it above the present
bound.
"""

from collections.abc import Callable, Iterator

import numpy as np

from fastem.engine import seeding
from fastem.engine.em import Fit, run_em
from fastem.families.gaussian import GaussianMixtureModel
from fastem.partitions import model_of_partition
from fastem.sources import Block
from fastem.sources.arrays import ArraySource

LEAST_GAIN = 1e-3  # nats per row that make a trial worth keeping
MAX_TRIALS = 8
MAX_FAILURES = 2  # in a row
OVERLAP_ROWS = 2_000  # rows that tell which components overlap
LOCAL_ITERATIONS = 4


def split_and_merge(
    fit: Fit[GaussianMixtureModel],
    rows: np.ndarray,
    weights: np.ndarray,
    random_state: np.random.RandomState,
    run: Callable[[GaussianMixtureModel], Fit[GaussianMixtureModel]],
) -> Fit[GaussianMixtureModel]:
    """Improve a fit of `rows` by moves of a component; `run` fits them from a new start as `fit` was."""
    failures = 0
    moves = _moves(fit.model, rows, weights, random_state)
    for _ in range(MAX_TRIALS):
        start = next(moves, None)
        if start is None or failures == MAX_FAILURES:
            break
        trial = run(start)
        healthy = not (trial.model.repairs or trial.model.supported_by_regularisation().any())
        if healthy and trial.lower_bounds[-1] > fit.lower_bounds[-1] + LEAST_GAIN:
            fit, failures = trial, 0
            moves = _moves(fit.model, rows, weights, random_state)
        else:
            failures += 1
    return fit


def _moves(model, rows, weights, random_state) -> Iterator[GaussianMixtureModel]:
    """Starts that differ by one move, the most promising first."""
    labels = np.empty(len(rows), dtype=np.int64)
    model.score(rows, labels=labels)
    halves, gains = zip(
        *(_split(model, rows, weights, labels == k, random_state) for k in range(model.n_components)), strict=True
    )
    merges = _overlapping_pairs(model, rows[:OVERLAP_ROWS])
    for k in np.argsort(-np.array(gains), kind="stable"):
        pair = next(((i, j) for i, j in merges if k not in (i, j)), None)
        if pair is None or not np.isfinite(gains[k]) or gains[k] <= 0:
            return
        merges.remove(pair)
        moved = labels.copy()
        moved[labels == pair[1]] = pair[0]
        moved[np.flatnonzero(labels == k)[halves[k] == 1]] = pair[1]
        parts = moved, model.n_components, model.reg_covar
        yield model_of_partition(model.structure, lambda: [Block(rows, weights)], *parts, shrink=True)


def _split(model, rows, weights, mine, random_state) -> tuple[np.ndarray, float]:
    """Two halves of the rows of one component, and what two components explain better than one, in nats."""
    x, w = rows[mine], weights[mine]
    if len(x) < 8 * (model.n_features + 1):
        return np.zeros(len(x), dtype=np.int64), -np.inf
    deviations = x.std(axis=0)
    standardised = (x - x.mean(axis=0)) / np.where(deviations > 0, deviations, 1.0)
    halves = seeding.kmeans(standardised, w, 2, random_state, LOCAL_ITERATIONS)
    bounds = []
    for partition, n_components in ((np.zeros_like(halves), 1), (halves, 2)):
        start = model_of_partition(
            model.structure, lambda: [Block(x, w)], partition, n_components, model.reg_covar, shrink=True
        )
        found = run_em(start, ArraySource(x, w), tol=0.0, max_iter=1 if n_components == 1 else LOCAL_ITERATIONS)
        bounds.append(found.lower_bounds[-1])
    found.model.score(x, labels=halves)
    return halves, (bounds[1] - bounds[0]) * w.sum()


def _overlapping_pairs(model, rows) -> list[tuple[int, int]]:
    """Pairs of components by the cosine of their responsibilities, the most alike first."""
    responsibilities = np.empty((len(rows), model.n_components))
    model.score(rows, responsibilities=responsibilities)
    products = np.einsum("ni,nj->ij", responsibilities, responsibilities)
    norms = np.sqrt(np.diagonal(products)) + np.finfo(float).tiny
    i, j = np.triu_indices(model.n_components, 1)
    order = np.argsort(-(products / np.outer(norms, norms))[i, j], kind="stable")
    return list(zip(i[order].tolist(), j[order].tolist(), strict=True))
