"""Moves of the components of a Gaussian mixture.

Those that are least Gaussian are split in two; those that are responsible for the same rows become one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from fastem.families.covariances import Moments
from fastem.families.gaussian import GaussianMixtureModel, Statistics
from fastem.search import seeding
from fastem.search.partitions import blank_gaussian, model_of_partition
from fastem.search.seeding import Seeds
from fastem.sources.arrays import ArraySource

OVERLAP_ROWS = 2_000  # rows that tell which components overlap
LOCAL_ITERATIONS = 4  # of k-means, to split a component
SUSPECTS = 5  # components, the least Gaussian ones, whose split is tried out
SPLIT_ROWS = 1_000  # of a component, that tell whether it is two
SAME_MISFIT = 0.25  # relative change of a misfit up to which the gain of a split is taken to be the same
SMALLEST = 8  # rows a parameter of the mean that a component must have to be split


class _Split(NamedTuple):
    """What is remembered of a component from move to move."""

    misfit: float
    halves: GaussianMixtureModel | None  # None if it has too few rows
    gain: float  # of the split, in nats per row

    def holds(self, misfit: float) -> bool:
        return abs(misfit - self.misfit) <= SAME_MISFIT * self.misfit


@dataclass
class GaussianMoves:
    """Starts that differ from a model by one move, the most promising first.

    What is known of splits is kept from call to call: a model is that of the call before, or what the last start that
    was given became.
    """

    seeds: Seeds
    random_state: np.random.RandomState
    _known: dict[int, _Split] = field(default_factory=dict)
    _moved: tuple[int, ...] = ()  # components of the last start: merged into, moved, split

    def __call__(self, model: GaussianMixtureModel) -> Iterator[GaussianMixtureModel]:
        for k in self._moved:
            self._known.pop(k, None)
        rows = model.completed(self.seeds.rows) if np.isnan(self.seeds.rows).any() else self.seeds.rows
        labels = np.empty(len(rows), dtype=np.int64)
        model.evaluate(rows, labels=labels)
        misfits = _misfits(model, rows, labels)
        suspects = [int(k) for k in np.argsort(-misfits, kind="stable")[:SUSPECTS]]
        for k in suspects:
            if k not in self._known or not self._known[k].holds(misfits[k]):
                self._known[k] = self._tried(model, rows, np.flatnonzero(labels == k)[:SPLIT_ROWS], misfits[k])
        merges = _overlapping_pairs(model, rows[:OVERLAP_ROWS])
        for k in sorted(suspects, key=lambda k: -self._known[k].gain * model.weights[k]):
            pair = next(((i, j) for i, j in merges if k not in (i, j)), None)
            halves = self._known[k].halves
            if pair is None or halves is None:
                return
            merges.remove(pair)
            self._moved = *pair, k
            yield moved(model, pair, k, halves)

    def _tried(self, model: GaussianMixtureModel, rows: np.ndarray, mine: np.ndarray, misfit: float) -> _Split:
        return _Split(misfit, *_split(model, rows[mine], self.seeds.weights[mine], self.random_state))


def moved(model, pair, k, halves) -> GaussianMixtureModel:
    """Component k becomes its two halves, the pair becomes one: it keeps mass, mean and second moment."""
    structure, (i, j) = model.structure, pair
    weights, means, second = model.weights.copy(), model.means.copy(), model.expected_second_moments
    both = weights[[i, j]]
    means[i] = both @ means[[i, j]] / max(both.sum(), np.finfo(float).tiny)
    if not structure.shared:  # the scatter of all rows stays what it is
        second[i] += second[j] + structure.scatter_about(model.means[[i, j]] - means[i], both)
        second[[k, j]] = model.weights[k] * halves.expected_second_moments
    weights[i] = both.sum()
    weights[[k, j]], means[[k, j]] = model.weights[k] * halves.weights, halves.means
    moments = Moments(weights, np.zeros_like(means), second)
    return replace(model.detached(), weights=weights, means=means).m_step(Statistics(np.nan, moments))


def _misfits(model, rows, labels) -> np.ndarray:
    """How little the rows of each component look Gaussian (K,): rows times the excess of Mardia's kurtosis.

    The fourth moment of the Mahalanobis distance over the square of the second is (D + 2) / D for a Gaussian, less for
    rows in two heaps, more for heavy tails.
    """
    whiteners = model.structure.as_matrices(model.whiteners, *model.means.shape)
    expected = (model.n_features + 2) / model.n_features
    misfits = np.zeros(model.n_components)
    for k in range(model.n_components):
        x = rows[labels == k]
        if len(x):
            squares = (np.einsum("ij,nj->ni", whiteners[k], x - model.means[k]) ** 2).sum(axis=1)
            misfits[k] = len(x) * abs((squares**2).mean() / max(squares.mean() ** 2, np.finfo(float).tiny) - expected)
    return misfits


def _split(model, rows, weights, random_state) -> tuple[GaussianMixtureModel | None, float]:
    """The two halves of rows of one component, and what they explain better than one, in nats per row."""
    if len(rows) < SMALLEST * (model.n_features + 1):
        return None, -np.inf
    partition = seeding.kmeans(seeding.standardised(rows, weights), weights, 2, random_state, LOCAL_ITERATIONS)
    source = ArraySource(rows, weights)
    blank = blank_gaussian(model.structure, 2, model.n_features, model.reg_covar)
    two = model_of_partition(blank, source.blocks, partition, shrink=True)
    statistics = two.e_step(source)
    return two.m_step(statistics), statistics.lower_bound - _best_of_one(model, rows, weights)


def _best_of_one(model, x, w) -> float:
    """The greatest mean log-density that one component can give to rows: that with their mean and covariance."""
    structure, total, nothing = model.structure, w.sum(), np.zeros((1, model.n_features))
    scatter = structure.scatter_about(x - w @ x / total, w)
    moments = Moments(np.array([total]), nothing, scatter if structure.shared else np.array([scatter]))
    raw = structure.estimate(moments, moments.counts, nothing, nothing)
    regular = structure.widen(raw, np.full(model.n_features, model.reg_covar))
    whitener, singular = structure.whiten(structure.constrained(regular, np.ones(1), regular))
    if singular.any():
        return np.inf
    log_det = -2 * np.log(structure.diagonals(whitener, 1, model.n_features)).sum()
    return -0.5 * (log_det + model.n_features * (np.log(2 * np.pi) + 1))


def _overlapping_pairs(model, rows) -> list[tuple[int, int]]:
    """Pairs of components by the cosine of their responsibilities, the most alike first."""
    responsibilities = np.empty((len(rows), model.n_components))
    model.evaluate(rows, responsibilities=responsibilities)
    products = np.einsum("ni,nj->ij", responsibilities, responsibilities)
    norms = np.sqrt(np.diagonal(products)) + np.finfo(float).tiny
    i, j = np.triu_indices(model.n_components, 1)
    order = np.argsort(-(products / np.outer(norms, norms))[i, j], kind="stable")
    return list(zip(i[order].tolist(), j[order].tolist(), strict=True))
