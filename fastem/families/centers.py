"""The centres of k-means as the engine sees them: parameters, E-step, M-step."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastem.families.cached import cached_property
from fastem.families.checks import check_arrays, rows_and_columns
from fastem.kernels.clusters import kmeans as kernel
from fastem.kernels.clusters.history import History
from fastem.kernels.passes import HEADER
from fastem.sources import Block, Source
from fastem.sources.source import LocalSource

PIECE = 2**18  # rows whose distances are held at once when a cluster is empty


class ClusterStatistics(NamedTuple):
    """What one pass over the rows leaves: the inertia of the centres that made it, weights and sums of the clusters."""

    inertia: float
    counts: np.ndarray
    sums: np.ndarray  # of w (x - origin)
    strays: np.ndarray | None = None  # rows for the empty clusters, where they are wanted

    @property
    def weight(self) -> float:
        return float(self.counts.sum())

    @property
    def lower_bound(self) -> float:
        """Minus the inertia per unit weight."""
        return -self.inertia / self.weight


@dataclass(frozen=True)
class Refilling:
    """The E-step of k-means in the EM loop: it looks for rows that empty clusters can begin again with.

    What it remembers of the rows makes passes faster and nothing else: it is not kept with a fit.
    """

    monotone: ClassVar[bool] = True
    history: History = field(default_factory=History, init=False, compare=False, repr=False)

    def arguments(self, iteration: int) -> tuple[Any, ...]:
        return True, self.history


@dataclass(frozen=True)
class Centers:
    """Cluster centres; immutable, an M-step returns new ones.

    Attributes
    ----------
    means : ndarray of shape (K, D)
    origin : ndarray of shape (D,)
        Rows are moved here to be computed with: somewhere amid the data, the same as long as the centres move.
    shares : ndarray of shape (K,) or None
        Of the clusters in the rows of a stream.
    moved : float
        Sum of the squared moves of the M-step that led here.
    counts : ndarray of shape (K,) or None
        Weights of the clusters, where a pass has found them for these very centres.
    inertia : float
        With them.
    """

    means: np.ndarray
    origin: np.ndarray
    shares: np.ndarray | None = None
    moved: float = np.inf
    counts: np.ndarray | None = None
    inertia: float = np.nan

    repairs: ClassVar[tuple] = ()
    bound_slack: ClassVar[float] = np.inf  # sums round, and nothing is decided by the bound

    def reordered(self, order: np.ndarray) -> "Centers":
        """The same centres in this order."""
        parts = {name: getattr(self, name) for name in ("means", "shares", "counts")}
        return replace(self, **{name: part[order] for name, part in parts.items() if part is not None})

    @classmethod
    def of(cls, means: np.ndarray) -> "Centers":
        means = np.ascontiguousarray(means, dtype=np.float64)
        return cls(means, means.mean(axis=0))

    @property
    def n_components(self) -> int:
        return len(self.means)

    @property
    def n_features(self) -> int:
        return self.means.shape[1]

    def check(self) -> None:
        """Raise ValueError if the arrays of centres from a file do not go together."""
        k, d = rows_and_columns(self.means, "means")
        check_arrays(self, origin=(d,), shares=None if self.shares is None else (k,))
        check_arrays(self, means=(k, d), counts=None if self.counts is None else (k,))

    @cached_property
    def kernel_parameters(self) -> kernel.KMeansParameters:
        return kernel.KMeansParameters.of(self.origin, self.means)

    def e_step(self, source: Source, refill: bool = False, history: History | None = None) -> ClusterStatistics:
        """Assign every row to its nearest centre and add up the clusters.

        With `refill`, a further pass finds rows far from their centres if clusters are empty. With the `history` of
        other centres of the same rows, which goes on, the pass takes less time.
        """
        add_up = partial(kernel.accumulated, self.kernel_parameters)
        if history is not None and isinstance(source, LocalSource):
            add_up = partial(history.accumulated, self.kernel_parameters, n_rows=source.n_rows)
        total = source.total(add_up)
        counts, sums = kernel.KMeansParameters.unpack(total[HEADER:], *self.means.shape)
        statistics = ClusterStatistics(float(total[0] + total[1]), counts, sums)
        n_empty = int(np.count_nonzero(statistics.counts == 0)) if refill else 0
        return statistics._replace(strays=self.farthest(source, n_empty)) if n_empty else statistics

    def m_step(self, statistics: ClusterStatistics) -> "Centers":
        """The means of the clusters. An empty one moves to a stray, or stays where it is if there is none."""
        filled = statistics.counts > 0
        means = self.means.copy()
        means[filled] = self.origin + statistics.sums[filled] / statistics.counts[filled, None]
        if statistics.strays is not None:
            means[np.flatnonzero(~filled)[: len(statistics.strays)]] = statistics.strays
        # Sums are made in a fixed order: centres whose clusters did not change move by exactly nothing.
        moved = float(((means - self.means) ** 2).sum())
        known = (None, np.nan) if moved else (statistics.counts, statistics.inertia)
        return replace(self, means=means, moved=moved, counts=known[0], inertia=known[1])

    def measured(self, source: Source) -> "Centers":
        """The same with `counts` and `inertia`."""
        if self.counts is not None:
            return self
        statistics = self.e_step(source)
        return replace(self, counts=statistics.counts, inertia=statistics.inertia)

    def stepwise(self, statistics: ClusterStatistics, rate: float) -> "Centers":
        """The centres of a stream of which these have seen all but a batch, the share `rate` of its memory."""
        past = (1.0 - rate) * (np.zeros(len(self.means)) if self.shares is None else self.shares)
        share = rate / statistics.weight
        counts = past + share * statistics.counts
        sums = past[:, None] * (self.means - self.origin) + share * statistics.sums
        moved = self.m_step(statistics._replace(counts=counts, sums=sums))
        return replace(moved, shares=counts / counts.sum(), counts=None, inertia=np.nan)

    def assign(self, rows: np.ndarray, **outputs: np.ndarray) -> None:
        """Write `labels` (n,) int32 and squared `distances` (n,) to the nearest centre: whichever is given."""
        kernel.nearest_block(self.kernel_parameters, rows, **outputs)

    def distances(self, rows: np.ndarray, table: np.ndarray) -> None:
        """Write the Euclidean distances to all centres, (n, K)."""
        kernel.distance_table(self.kernel_parameters, rows, table)

    def farthest(self, source: Source, size: int) -> np.ndarray:
        """Up to `size` rows of positive weight that are farthest from their centres, the farthest first.

        Their distances differ, so that copies of one row do not take several clusters.
        """
        distances, rows = zip(*source.gather(partial(self.farthest_of, size=size)), strict=True)
        merged, order = np.unique(-np.concatenate(distances), return_index=True)
        return np.concatenate(rows)[order[:size]][merged[:size] < 0]

    def farthest_of(self, blocks: Iterable[Block], size: int) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances and rows of the farthest of some blocks, the farthest first."""
        distances, rows = np.empty(0), np.empty((0, self.means.shape[1]))
        for piece in _pieces(blocks):
            new = np.empty(len(piece.rows))
            self.assign(piece.rows, distances=new)
            if piece.weights is not None:
                new[piece.weights == 0] = 0.0
            _, chosen = np.unique(-new, return_index=True)
            chosen = chosen[:size]
            merged, order = np.unique(-np.concatenate([distances, new[chosen]]), return_index=True)
            distances, order = -merged[:size], order[:size]
            rows = np.concatenate([rows, piece.rows[chosen]])[order]
        return distances, rows


def _pieces(blocks: Iterable[Block]) -> Iterator[Block]:
    for rows, weights in blocks:
        for first in range(0, len(rows), PIECE):
            part = slice(first, first + PIECE)
            yield Block(rows[part], None if weights is None else weights[part])
