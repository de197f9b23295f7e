"""The centres of k-means as the engine sees them: parameters, E-step, M-step."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from fastem.families.cached import cached_property
from fastem.kernels.clusters import kmeans as kernel
from fastem.kernels.passes import HEADER
from fastem.sources import Block, Source

PIECE = 2**18  # rows whose distances are held at once when a cluster is empty


class ClusterStatistics(NamedTuple):
    """What one pass over the rows leaves: the inertia of the centres that made it, weights and sums of the clusters."""

    inertia: float
    counts: np.ndarray
    sums: np.ndarray  # of w (x - origin)

    @property
    def weight(self) -> float:
        return float(self.counts.sum())

    @property
    def lower_bound(self) -> float:
        """Minus the inertia per unit weight."""
        return -self.inertia / self.weight


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
    """

    means: np.ndarray
    origin: np.ndarray
    shares: np.ndarray | None = None
    repairs = ()

    @classmethod
    def of(cls, means: np.ndarray) -> "Centers":
        return cls(means, means.mean(axis=0))

    @cached_property
    def kernel_parameters(self) -> kernel.KMeansParameters:
        return kernel.KMeansParameters.of(self.origin, self.means)

    def e_step(self, source: Source) -> ClusterStatistics:
        """Assign every row to its nearest centre and add up the clusters; nothing is kept of the rows."""
        total = source.total(partial(kernel.accumulated, self.kernel_parameters))
        return ClusterStatistics(float(total[0] + total[1]), *kernel.unpack(total[HEADER:], *self.means.shape))

    def m_step(self, statistics: ClusterStatistics) -> "Centers":
        """The means of the clusters. An empty one stays where it is."""
        filled = statistics.counts > 0
        means = self.means.copy()
        means[filled] = self.origin + statistics.sums[filled] / statistics.counts[filled, None]
        return replace(self, means=means)

    def stepwise(self, statistics: ClusterStatistics, rate: float) -> "Centers":
        """The centres of a stream of which these have seen all but a batch, the share `rate` of its memory."""
        past = (1.0 - rate) * (np.zeros(len(self.means)) if self.shares is None else self.shares)
        share = rate / statistics.weight
        counts = past + share * statistics.counts
        sums = past[:, None] * (self.means - self.origin) + share * statistics.sums
        moved = self.m_step(statistics._replace(counts=counts, sums=sums))
        return replace(moved, shares=counts / counts.sum())

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
