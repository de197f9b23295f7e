"""What a k-means fit remembers of the rows from pass to pass, so that the next one can leave out most centres.

It changes nothing but the time that a pass takes: labels are those of the dense pass. Whether it is worth it is decided
by counts of the pairs that were met, so that it does not depend on the machine.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastem.kernels.accumulation import Blocks, check_width, in_whole_tiles, summed
from fastem.kernels.clusters.kd_order import LEAF, block_rows, kd_order
from fastem.kernels.clusters.kmeans import NOTHING, nearest_block, nearest_lanes
from fastem.kernels.clusters.nearest import KMeansParameters
from fastem.kernels.clusters.pruned import CODES, UNSEEN, UP, Bounds, Clock, pruned_tiles
from fastem.kernels.threads import run
from fastem.kernels.tiles import Rows

MEMORY = 2**25  # bytes for all rows
LARGEST_TILE = 1024  # rows: as the memory asks
PIECE = 2**18  # rows whose labels are kept at a time
SHARES = 64  # of a piece, for threads
LEAST_WORK = 3_000  # clusters * (features + 4): a row that takes less is not worth ordering
MOST_FEATURES = 24  # where rows have more, those of a tile are hardly closer to each other than to others
EASY_FEATURES = 4  # up to so many, tiles are small whatever the data
PROBE = 16  # the share of the rows on which it is tried else
TRIAL = 3  # passes after which it is decided
MOST_MET = 0.5  # of the pairs: beyond, a dense pass is faster
MOST_MET_BY_PART = 0.7  # the same for a part of the rows, whose tiles are larger than those of all will be
UNITS = 4096  # of distances in the spread of the rows
FRESH = UNITS // 4  # mean move after which old bounds are worth less than new ones
LATE = 4 * UNITS  # what a clock can show


class History:
    """Order of the rows, bounds of their distances to the centres, and where these were in the last pass.

    It belongs to the rows of one source and a number of clusters. After a pass that was not finished it begins again.

    Attributes
    ----------
    share_met : float
        Of the pairs of a row and a centre, those that the last pass has met, among the rows that are remembered.
    """

    def __init__(self) -> None:
        self.share_met = 1.0
        self._useless = False
        self._n_known = self._n_passes = 0  # rows that are remembered, and passes since these were chosen
        self._pending = False
        self._centers: Any = None

    def accumulated(self, parameters: KMeansParameters, blocks: Blocks, n_rows: int) -> np.ndarray:
        """What `kmeans.accumulated` gives of all `n_rows` rows."""
        if not self._worth_it(n_rows, parameters.constants.size, parameters.origin.size):
            return summed(nearest_lanes, parameters, blocks, NOTHING)
        return summed(nearest_lanes, parameters, self._labelled(parameters, blocks), NOTHING)

    def _worth_it(self, n_rows: int, n_clusters: int, n_features: int) -> bool:
        enough = n_clusters * (n_features + 4) >= LEAST_WORK and n_features <= MOST_FEATURES
        if enough and not self._useless and not self._n_known:
            self._remember(n_rows if n_features <= EASY_FEATURES else n_rows // PROBE, n_clusters)
        return enough and not self._useless

    def _remember(self, n_rows: int, n_clusters: int) -> None:
        """Begin with the first `n_rows` rows, in tiles as large as the memory asks."""
        n_codes, size = -(-n_clusters // CODES) * CODES, LEAF
        while size < LARGEST_TILE and _bytes(n_rows, n_codes, size) > MEMORY:
            size *= 2
        if n_rows < LEAF or _bytes(n_rows, n_codes, size) > MEMORY:
            self._forget()
            return
        n_tiles = -(-n_rows // size)
        self._n_known, self._size, self._n_passes = n_rows, size, 0
        self._order, self._worst = np.empty(n_rows, np.uint16), np.full(n_tiles, UNSEEN, np.int32)
        self._lower, self._moved = np.empty((n_tiles, n_codes), np.uint16), np.zeros(n_clusters)

    def _forget(self) -> None:
        self._useless, self._order, self._lower = True, None, None

    # a pass -----------------------------------------------------------------------------------------------------------

    def _labelled(self, parameters: KMeansParameters, blocks: Blocks) -> Iterator[Any]:
        """All rows with their labels, piece by piece in the same memory."""
        begin, met, labels = 0, 0, np.empty(PIECE, dtype=np.int32)
        clock: Any = None
        for rows, weights in in_whole_tiles(blocks, block_rows(parameters.origin.size)):
            check_width(rows, parameters.origin.size)
            clock = self._clock(parameters, rows) if clock is None else clock
            for first in range(0, len(rows), PIECE):
                part = slice(first, first + PIECE)
                met += self._label(parameters, clock, rows[part], begin + first, labels)
                yield rows[part], None if weights is None else weights[part], labels[: len(rows[part])]
            begin += len(rows)
        self.share_met = met / (self._n_known * parameters.constants.size)
        self._judge(begin, parameters.constants.size)

    def _clock(self, parameters: KMeansParameters, rows: np.ndarray) -> Clock:
        """The moves of the centres up to this pass."""
        n_clusters, n_features, n_codes = parameters.constants.size, parameters.origin.size, self._lower.shape[1]
        if not self._n_passes:
            some = rows[: block_rows(n_features)]
            some = some[:: max(1, len(some) // UNITS)].astype(np.float64) - parameters.origin
            self._spread = float(np.sqrt(np.einsum("nd,nd->", some, some) / len(some))) or 1.0
        unit = self._spread / UNITS
        centers = parameters.centers.reshape(n_clusters, -1)[:, :n_features]
        moves = np.zeros(n_clusters)
        if self._centers is not None:
            moves = np.sqrt(np.square(centers - self._centers).sum(axis=1)) / unit * UP
        self._moved = self._moved + moves
        if self._pending or moves.mean() > FRESH or self._moved.max() > LATE:
            self._worst[:], self._moved = UNSEEN, np.zeros(n_clusters)
        self._centers, self._pending = centers, True
        shown, last, columns = (
            np.zeros(n_codes, np.uint16),
            np.zeros(n_codes, np.uint16),
            np.zeros((n_features, n_codes)),
        )
        shown[:n_clusters] = np.ceil(self._moved * UP)
        last[:n_clusters] = np.minimum(np.ceil(moves), LATE)
        columns[:, :n_clusters] = centers.T
        square = float(-2.0 * parameters.constants.min())
        return Clock(unit, square, self._moved, shown, last, int(last.max()), columns.ravel())

    def _label(self, parameters, clock: Clock, rows: np.ndarray, begin: int, labels: np.ndarray) -> int:
        """Write the labels of a piece whose first row is number `begin` of all; how many pairs were met for it."""
        known = rows[: max(self._n_known - begin, 0)]
        if len(known) < len(rows):
            nearest_block(parameters, rows[len(known) :], labels=labels[len(known) : len(rows)])
        if not len(known):
            return 0
        order = self._order[begin : begin + len(known)]
        tiles = slice(begin // self._size, -(-(begin + len(known)) // self._size))
        if not self._n_passes:
            order[:] = kd_order(known, parameters.origin, np.full(parameters.origin.size, 1.0 / self._spread))
        block, met = block_rows(parameters.origin.size), np.zeros(SHARES, dtype=np.int64)
        bounds = Bounds(order, self._lower[tiles].ravel(), self._worst[tiles], block, self._size)
        arguments = Rows.of(known, LEAF), parameters, clock, bounds, labels, met
        run(pruned_tiles, arguments, SHARES, known.size * parameters.constants.size)
        return int(met.sum())

    def _judge(self, n_rows: int, n_clusters: int) -> None:
        """Whether to go on, and with all rows, after a pass."""
        self._pending = False
        self._n_passes += 1
        most = MOST_MET if self._n_known == n_rows else MOST_MET_BY_PART
        if self._n_passes >= TRIAL and self.share_met > most:
            self._forget()
        elif self._n_passes == TRIAL and self._n_known < n_rows:
            self._remember(n_rows, n_clusters)


def _bytes(n_rows: int, n_codes: int, size: int) -> int:
    """Memory for tiles of `size` rows."""
    return 2 * n_rows + -(-n_rows // size) * (2 * n_codes + 4)
