"""Out of a poor basin: merge two components that explain the same rows, split one that explains its rows badly.

EM cannot move a component across the data. On a sample small enough to try, a component is given to where it is missed
(Ueda, Nakano, Ghahramani and Hinton 2000); a trial is kept only if a few EM iterations bring it above the present
bound.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from fastem.engine import seeding
from fastem.engine.em import Fit, run_em
from fastem.families.covariances import Moments
from fastem.families.gaussian import GaussianMixtureModel
from fastem.partitions import model_of_partition
from fastem.sources import Block
from fastem.sources.arrays import ArraySource

LEAST_GAIN = 1e-3  # nats per row that make a trial worth keeping
MAX_TRIALS = 8
MAX_FAILURES = 2  # in a row
OVERLAP_ROWS = 2_000  # rows that tell which components overlap
LOCAL_ITERATIONS = 4  # of k-means and EM, to split a component
SUSPECTS = 8  # components, the least Gaussian ones, whose split is tried out
SPLIT_ROWS = 1_000  # of a component, that tell whether it is two
SAME_MISFIT = 0.25  # relative change of a misfit up to which the gain of a split is taken to be the same
SMALLEST = 8  # rows a parameter of the mean that a component must have to be split


def split_and_merge(
    fit: Fit[GaussianMixtureModel],
    rows: np.ndarray,
    weights: np.ndarray,
    random_state: np.random.RandomState,
    run: Callable[[GaussianMixtureModel, float], Fit[GaussianMixtureModel]],
) -> Fit[GaussianMixtureModel]:
    """Improve a fit of `rows` by moves of a component.

    `run` fits them from a new start as `fit` was, or gives up if a bound is out of reach.
    """
    failures = 0
    known: dict[int, _Known] = {}
    moves = _moves(fit.model, rows, weights, random_state, known)
    for _ in range(MAX_TRIALS):
        move = next(moves, None)
        if move is None or failures == MAX_FAILURES:
            break
        trial = run(move.start, fit.lower_bounds[-1] + LEAST_GAIN)
        if trial.model.healthy and trial.lower_bounds[-1] > fit.lower_bounds[-1] + LEAST_GAIN:
            fit, failures = trial, 0
            for k in move.components:
                known.pop(k, None)
            moves = _moves(fit.model, rows, weights, random_state, known)
        else:
            failures += 1
    return fit


class _Known(NamedTuple):
    """What is remembered of a component from move to move."""

    misfit: float
    gain: float  # of its split, in nats

    def holds(self, misfit: float) -> bool:
        return abs(misfit - self.misfit) <= SAME_MISFIT * self.misfit


class _Move(NamedTuple):
    start: GaussianMixtureModel
    components: tuple[int, int, int]  # merged into, moved, split


def _moves(model, rows, weights, random_state, known: dict[int, _Known]) -> Iterator[_Move]:
    """Starts that differ by one move, the most promising first; a split of a component still `known` is not tried."""
    labels = np.empty(len(rows), dtype=np.int64)
    model.score(rows, labels=labels)
    misfits = _misfits(model, rows, labels)
    suspects = [int(k) for k in np.argsort(-misfits, kind="stable")[:SUSPECTS]]
    halves = {}

    def split(k):
        halves[k], gain = _split(model, rows, weights, labels == k, random_state)
        known[k] = _Known(misfits[k], gain)

    for k in suspects:
        if k not in known or not known[k].holds(misfits[k]):
            split(k)
    merges = _overlapping_pairs(model, rows[:OVERLAP_ROWS])
    for k in sorted(suspects, key=lambda k: -known[k].gain):
        pair = next(((i, j) for i, j in merges if k not in (i, j)), None)
        if pair is None or not np.isfinite(known[k].gain):
            return
        merges.remove(pair)
        if k not in halves:
            split(k)
        moved = labels.copy()
        moved[labels == pair[1]] = pair[0]
        moved[np.flatnonzero(labels == k)[halves[k] == 1]] = pair[1]
        parts = moved, model.n_components, model.reg_covar
        start = model_of_partition(model.structure, lambda: [Block(rows, weights)], *parts, shrink=True)
        yield _Move(start, (*pair, k))


def _misfits(model, rows, labels) -> np.ndarray:
    """How little the rows of each component look Gaussian (K,): rows times the excess of Mardia's kurtosis.

    The fourth moment of the Mahalanobis distance over the square of the second is (D + 2) / D for a Gaussian, less for
    rows in two heaps, more for heavy tails.
    """
    whiteners = model.structure.expand(model.whiteners, *model.means.shape)
    expected = (model.n_features + 2) / model.n_features
    misfits = np.zeros(model.n_components)
    for k in range(model.n_components):
        x = rows[labels == k]
        if len(x):
            squares = (np.einsum("ij,nj->ni", whiteners[k], x - model.means[k]) ** 2).sum(axis=1)
            misfits[k] = len(x) * abs((squares**2).mean() / max(squares.mean() ** 2, np.finfo(float).tiny) - expected)
    return misfits


def _split(model, rows, weights, mine, random_state) -> tuple[np.ndarray, float]:
    """Two halves of the rows of one component (n,), and what two components explain better than one, in nats."""
    x, w = rows[mine], weights[mine]
    few = x[:SPLIT_ROWS], w[:SPLIT_ROWS]
    if len(x) < SMALLEST * (model.n_features + 1):
        return np.zeros(len(x), dtype=np.int64), -np.inf
    centred = few[0] - few[0].mean(axis=0)
    deviations = centred.std(axis=0)
    standardised = centred / np.where(deviations > 0, deviations, 1.0)
    partition = seeding.kmeans(standardised, few[1], 2, random_state, LOCAL_ITERATIONS)

    two = model_of_partition(model.structure, lambda: [Block(*few)], partition, 2, model.reg_covar, shrink=True)
    fit = run_em(two, ArraySource(*few), tol=0.0, max_iter=LOCAL_ITERATIONS)
    halves = np.empty(len(x), dtype=np.int64)
    fit.model.score(x, labels=halves)
    return halves, (fit.lower_bounds[-1] - _best_of_one(model, *few)) * w.sum()


def _best_of_one(model, x, w) -> float:
    """The greatest mean log-density that one component can give to rows: that with their mean and covariance."""
    structure, total, nothing = model.structure, w.sum(), np.zeros((1, model.n_features))
    scatter = structure.scatter_about(x - w @ x / total, w)
    moments = Moments(np.array([total]), nothing, scatter if structure.shared else np.array([scatter]))
    raw = structure.estimate(moments, moments.counts, nothing, nothing)
    regular = structure.widen(raw, structure.mask(1, True), np.full(model.n_features, model.reg_covar))
    whitener, singular = structure.whiten(regular)
    if singular.any():
        return np.inf
    log_det = -2 * np.log(structure.diagonals(whitener, 1, model.n_features)).sum()
    return -0.5 * (log_det + model.n_features * (np.log(2 * np.pi) + 1))


def _overlapping_pairs(model, rows) -> list[tuple[int, int]]:
    """Pairs of components by the cosine of their responsibilities, the most alike first."""
    responsibilities = np.empty((len(rows), model.n_components))
    model.score(rows, responsibilities=responsibilities)
    products = np.einsum("ni,nj->ij", responsibilities, responsibilities)
    norms = np.sqrt(np.diagonal(products)) + np.finfo(float).tiny
    i, j = np.triu_indices(model.n_components, 1)
    order = np.argsort(-(products / np.outer(norms, norms))[i, j], kind="stable")
    return list(zip(i[order].tolist(), j[order].tolist(), strict=True))
