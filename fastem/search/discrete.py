"""How mixtures of discrete distributions are searched for."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from fastem.families.discrete import DiscreteMixtureModel, Statistics
from fastem.search import seeding
from fastem.search.discrete_moves import moves
from fastem.search.seeding import Seeds
from fastem.search.space import SearchSpace
from fastem.sources import Block, Source

SEARCH_PSEUDO_COUNT = 1e-3  # at least, on the sample: a value that it does not have may be among the other rows
PIECE = 4096  # rows whose statistics are held at once

M = TypeVar("M", bound=DiscreteMixtureModel)


class DiscreteSpace(SearchSpace[M]):
    """Mixtures of one discrete family.

    k-means and random rows in turn: each finds basins that the other misses. EM is slower at telling basins apart than
    that of Gaussians, and its passes are cheap: runs are longer and more moves are tried.
    """

    short_run, first_look = 20, 8
    max_trials = max_failures = 24

    @property
    def n_seeding_parameters(self) -> int:
        return self.blank.n_parameters

    def of_seeds(self, seeds: Seeds, partition: np.ndarray, *, clustered: bool = False) -> M:
        return self._of([Block(*seeds)], partition)

    def of_rows(self, source: Source, partition: np.ndarray) -> M:
        return self.start_of(self._of(source.blocks(), partition), source)

    def coordinates(self, seeds: Seeds) -> np.ndarray:
        coordinates = np.ascontiguousarray(self.blank.coordinates(seeds.rows))
        missing = np.isnan(coordinates)
        if missing.any():
            coordinates = np.where(missing, seeding.mean_row(coordinates, seeds.weights, missing), coordinates)
        return coordinates

    def attempts(self, seeds: Seeds) -> Iterator[tuple[str, np.ndarray]]:
        coordinates = self.coordinates(seeds)
        yield "kmeans", coordinates
        for method in ("random_from_data", *("kmeans", "random_from_data") * 3) if self.n_components > 1 else ():
            yield method, coordinates

    def moves(self, seeds: Seeds, random_state: np.random.RandomState) -> Callable[[M], Iterator[M]]:
        return lambda model: map(partial(self.of_seeds, seeds), moves(model, *seeds))

    def start_of(self, model: M, source: Source) -> M:
        return replace(model.detached(), pseudo_count=self.blank.pseudo_count)

    def _of(self, blocks: Iterable[Block], partition: np.ndarray) -> M:
        """The M-step of a partition, with one row of the mean of the data more in every component: zeros would stay."""
        counts: Any = 0.0
        sums: Any = 0.0
        lacking: Any = None  # sums of the shares of rows in which a statistic is missing
        for rows, weights, part in _pieces(blocks, partition):
            shares = part if part.ndim == 2 else part[:, None] == np.arange(self.n_components)
            shares = weights[:, None] * shares
            counts = counts + shares.sum(axis=0)
            values = self.blank.sufficient_statistics(rows)
            if (missing := np.isnan(values)).any():
                lacking = np.einsum("nk,nc->kc", shares, missing) + (0.0 if lacking is None else lacking)
                values = np.where(missing, 0.0, values)
            sums = sums + np.einsum("nk,nc->kc", shares, values)
        pseudo_count = max(self.blank.pseudo_count, SEARCH_PSEUDO_COUNT)
        if lacking is None:
            borrowed, observed = sums.sum(axis=0) / counts.sum(), None
        else:
            observed = counts[:, None] - lacking + 1.0
            borrowed = sums.sum(axis=0) / (counts.sum() - lacking.sum(axis=0))
        statistics = Statistics(np.nan, np.nan, counts + 1.0, sums + borrowed, observed=observed)
        return replace(self.blank, pseudo_count=pseudo_count).m_step(statistics)


def _pieces(blocks: Iterable[Block], partition: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows, weights and what the partition says of them, a few thousand rows at a time."""
    begun = 0
    for rows, weights in blocks:
        for first in range(0, len(rows), PIECE):
            piece = rows[first : first + PIECE].astype(np.float64, copy=False)
            own = np.ones(len(piece)) if weights is None else weights[first : first + len(piece)]
            yield piece, own, partition[begun + first : begun + first + len(piece)]
        begun += len(rows)
