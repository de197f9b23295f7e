"""Where EM of a discrete mixture begins: explicit parameters, a partition of the rows, or a search on a sample."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from fastem.engine.loop import Fit
from fastem.families.cached import cached_property
from fastem.families.discrete import DiscreteMixtureModel, Statistics
from fastem.search import seeding
from fastem.search.discrete_moves import split_and_merge
from fastem.search.partitions import checked_partition
from fastem.search.subsampling import FACTOR, grow, run_level
from fastem.sources import Block, Source

SAMPLE_MEMORY = 2**24  # bytes that the sample may take
LLOYD_ITERATIONS = 10
SHORT_RUNS = 8  # from different starts, at most
SHORT_RUN = 20  # EM iterations that tell a good basin from a bad one
FIRST_LOOK = 8  # of them, that tell a hopeless one
SAME_BASIN = 1e-3  # nats per row between short runs into the same basin
SEARCH_PSEUDO_COUNT = 1e-3  # at least, on the sample: a value that it does not have may be among the other rows
PIECE = 4096  # rows whose statistics are held at once
METHODS = ("kmeans", "k-means++", "random", "random_from_data")

M = TypeVar("M", bound=DiscreteMixtureModel)


@dataclass
class DiscreteStarts(Generic[M]):
    """An endless supply of first models for one data set.

    Parameters
    ----------
    blank : DiscreteMixtureModel
        A model with the shape and the options of those that are wanted.
    source : Source
    init_params : one of METHODS, callable or array-like
    subsampling : bool or 'auto'
    random_state : RandomState
    weights, means : ndarray or None
        Replace what was found.
    """

    blank: M
    source: Source
    init_params: Any
    subsampling: bool | str
    random_state: np.random.RandomState
    weights: np.ndarray | None = None
    means: np.ndarray | None = None

    def next(self) -> M:
        """The next start."""
        given = self.weights is not None, self.means is not None
        found = self.blank if all(given) else self._find(searching=not any(given))
        weights = found.weights if self.weights is None else self.weights
        means = found.means if self.means is None else self.means
        return replace(found, weights=weights, means=means, pseudo_count=self.blank.pseudo_count)

    def _find(self, *, searching: bool) -> M:
        if not isinstance(self.init_params, str) and not callable(self.init_params):
            partition = checked_partition(self.init_params, self.source.n_rows, self.blank.n_components)
            return self._model_of(self.source.blocks(), partition)
        if searching and self.subsampling and self.init_params == "kmeans" and self.blank.n_components > 1:
            model = self._best_of_short_runs()
        else:
            model = self._model_of([Block(*self._seeds)], self._partition(self.init_params))
        growing = searching and (self.subsampling is True or (self.subsampling == "auto" and self._many_rows))
        return grow(model, self._sample, self._first_level).detached() if growing else model.detached()

    # the sample -------------------------------------------------------------------------------------------------------

    @cached_property
    def _seeding_rows(self) -> int:
        """Rows that are enough to find a basin: some thousands, 256 a component, four a parameter, as memory allows."""
        wanted = max(10_000, 256 * self.blank.n_components, 4 * self.blank.n_parameters)
        return max(min(wanted, SAMPLE_MEMORY // (8 * self.blank.means.shape[1])), 8 * self.blank.n_components)

    @property
    def _many_rows(self) -> bool:
        return self.source.n_rows >= 2 * FACTOR * self._seeding_rows

    @property
    def _first_level(self) -> int:
        return self._seeding_rows if self._many_rows else max(1, len(self._sample.rows) // FACTOR**2)

    @cached_property
    def _sample(self) -> Block:
        """Rows in random order, in memory."""
        size = self._seeding_rows
        if self._many_rows:
            size = max(size, min(SAMPLE_MEMORY // (8 * self.blank.n_features), self.source.n_rows // FACTOR))
        return self.source.sample(size)

    @cached_property
    def _seeds(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows that starts are made of, with weights of mean one."""
        rows, weights = self._sample
        rows = rows[: self._seeding_rows]
        return rows, np.ones(len(rows)) if weights is None else weights[: len(rows)] / weights[: len(rows)].mean()

    # searching --------------------------------------------------------------------------------------------------------

    def _best_of_short_runs(self) -> M:
        """The best of several starts after a few EM iterations each on the seeds.

        k-means and random rows in turn: each finds basins that the other misses. When the best basin has been found
        twice, moves of single components refine it.
        """
        best: Fit[M] | None = None
        seeds = [Block(*self._seeds)]
        for run in range(SHORT_RUNS):
            method = "random_from_data" if run % 2 else "kmeans"
            model = self._model_of(seeds, self._partition(method))
            fit = self._short_run(model, -np.inf if best is None else best.lower_bounds[-1] - SAME_BASIN)
            found_again = best is not None and abs(fit.lower_bounds[-1] - best.lower_bounds[-1]) < SAME_BASIN
            best = fit if best is None or fit.lower_bounds[-1] > best.lower_bounds[-1] else best
            if found_again:
                break
        assert best is not None
        if 2 < self.blank.n_components <= 64:  # a move takes three components
            best = split_and_merge(best, *self._seeds, lambda shares: self._model_of(seeds, shares), self._short_run)
        return best.model

    def _short_run(self, model: M, to_beat: float) -> Fit[M]:
        """A few EM iterations; fewer if `to_beat` is out of reach at the present gain."""
        seeds, size = Block(*self._seeds), len(self._seeds[0])
        look = run_level(model, seeds, size, FIRST_LOOK)
        gain = look.lower_bounds[-1] - look.lower_bounds[-2] if len(look.lower_bounds) > 1 else np.inf
        left = SHORT_RUN - look.n_iter
        if look.converged or look.lower_bounds[-1] + left * gain < to_beat:
            return look
        return run_level(look.model, seeds, size, left, previous=look.lower_bounds[-1])

    def _partition(self, method: Any) -> np.ndarray:
        """Labels or responsibilities of the seeds."""
        rows, weights = self._seeds
        n_components = self.blank.n_components
        if callable(method):
            return checked_partition(method(rows, n_components, self.random_state), len(rows), n_components)
        if method == "random":
            partition = self.random_state.uniform(size=(len(rows), n_components))
            return partition / partition.sum(axis=1, keepdims=True)
        coordinates = self._coordinates
        if method == "kmeans":
            return seeding.kmeans(coordinates, weights, n_components, self.random_state, LLOYD_ITERATIONS)
        if method == "k-means++":
            indices = seeding.kmeans_plusplus(coordinates, weights, n_components, self.random_state)
        else:
            indices = self.random_state.choice(len(rows), size=n_components, replace=False)
        return seeding.lloyd(coordinates, weights, coordinates[indices], 0)[1]

    @cached_property
    def _coordinates(self) -> np.ndarray:
        return np.ascontiguousarray(self.blank.coordinates(self._seeds[0]))

    def _model_of(self, blocks: Iterable[Block], partition: np.ndarray) -> M:
        """The M-step of a partition, with one row of the mean of the data more in every component: zeros would stay."""
        counts: Any = 0.0
        sums: Any = 0.0
        for rows, weights, part in _pieces(blocks, partition):
            shares = part if part.ndim == 2 else part[:, None] == np.arange(self.blank.n_components)
            shares = weights[:, None] * shares
            counts = counts + shares.sum(axis=0)
            sums = sums + np.einsum("nk,nc->kc", shares, self.blank.sufficient_statistics(rows))
        pseudo_count = max(self.blank.pseudo_count, SEARCH_PSEUDO_COUNT)
        borrowed = sums.sum(axis=0) / counts.sum()
        statistics = Statistics(np.nan, np.nan, counts + 1.0, sums + borrowed)
        return replace(self.blank, pseudo_count=pseudo_count).m_step(statistics)


def _pieces(blocks: Iterable[Block], partition: np.ndarray):
    """Rows, weights and what the partition says of them, a few thousand rows at a time."""
    begun = 0
    for rows, weights in blocks:
        for first in range(0, len(rows), PIECE):
            piece = rows[first : first + PIECE].astype(np.float64, copy=False)
            own = np.ones(len(piece)) if weights is None else weights[first : first + len(piece)]
            yield piece, own, partition[begun + first : begun + first + len(piece)]
        begun += len(rows)
