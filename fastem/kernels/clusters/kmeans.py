"""The pass of k-means over a block of rows: nearest centres, sums of their clusters, inertia.

Hard assignments with one shared spherical variance: a row meets every centre once and its own twice. Tiles and lanes
are those of `fastem.kernels.passes`, with the same promise: neither threads nor blocks change a bit of the result.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numba import prange

from fastem.kernels.accumulation import MAX_LANES, Accumulation, Threads, check_width, tile_rows
from fastem.kernels.clusters.nearest import add_to_clusters, assign, distances_to_all, measure, padded
from fastem.kernels.compilation import address_of, call_at, jitted, parallel
from fastem.kernels.passes import HEADER, STRIPE, add_compensated, stripes_of, tiles_of
from fastem.kernels.tiles import Rows, aligned_doubles, load_tile
from fastem.kernels.vectors.blocks import counts_size
from fastem.kernels.vectors.simd import PANEL


class KMeansParameters(NamedTuple):
    """Centres as the kernel reads them; `of` makes them."""

    origin: np.ndarray  # (D,) subtracted from every row on loading
    centers: np.ndarray  # (K * padded D) about the origin
    constants: np.ndarray  # (K,) -|c|^2 / 2

    @classmethod
    def of(cls, origin, centers):
        """From centres (K, D); an origin amid the data keeps the digits of x.c - |c|^2 / 2."""
        centred = centers - origin
        table = np.zeros((len(centers), padded(origin.size)))
        table[:, : origin.size] = centred
        return cls(origin, table.ravel(), -0.5 * np.einsum("kd,kd->k", centred, centred))


class HardTile(NamedTuple):
    """The working memory of one lane, for some rows; the first three fields are those that `load_tile` fills."""

    panels: np.ndarray
    weights: np.ndarray
    top: np.ndarray  # scores of the winners
    labels: np.ndarray
    distances: np.ndarray  # squared
    inertia: np.ndarray  # (1,)


@jitted
def _new_tile(capacity, n_features):
    return HardTile(
        aligned_doubles(capacity * n_features),
        aligned_doubles(capacity),
        aligned_doubles(capacity),
        np.empty(capacity, np.int64),
        aligned_doubles(capacity),
        np.empty(1),
    )


def auxiliary_size(capacity: int, n_clusters: int, n_features: int) -> int:
    return 0


def statistics_size(n_clusters: int, n_features: int) -> int:
    """Doubles of the counts and sums of one lane."""
    return counts_size(n_clusters) + n_clusters * padded(n_features)


def unpack(statistics: np.ndarray, n_clusters: int, n_features: int):
    """Counts (K,) and sums of w (x - origin) (K, D)."""
    counts, sums = np.split(statistics, [counts_size(n_clusters)])
    return counts[:n_clusters], sums.reshape(n_clusters, -1)[:, :n_features]


@jitted
def _lane(rows, weights, parameters, capacity, first_tile, with_sums, lane, statistics, labels, distances):
    """One lane's share of a block that starts with global tile `first_tile`."""
    n_lanes, n_features, n_clusters = statistics.shape[0], parameters.origin.size, parameters.constants.size
    tile = _new_tile(capacity, n_features)
    total = statistics[lane]
    n_tiles = (rows.count + capacity - 1) // capacity
    for stripe in stripes_of(lane, n_lanes, first_tile, n_tiles):
        for t in tiles_of(stripe, first_tile, n_tiles):
            first = t * capacity
            count = min(capacity, rows.count - first)
            n_panels = load_tile(rows, first, count, weights, parameters.origin, tile)
            assign(
                tile.panels,
                n_panels,
                n_features,
                n_clusters,
                parameters.centers,
                parameters.constants,
                tile.top,
                tile.labels,
            )
            if with_sums:
                _add_tile(parameters, n_panels, tile, total)
            elif distances.size:
                measure(tile.panels, n_panels, n_features, parameters.centers, tile.labels, tile.distances)
            if labels.size:
                for row in range(count):
                    labels[first + row] = tile.labels[row]
            if distances.size:
                for row in range(count):
                    distances[first + row] = tile.distances[row]


@jitted
def _add_tile(parameters, n_panels, tile, total):
    counts = total[HEADER:]
    add_to_clusters(
        tile.panels,
        n_panels,
        parameters.origin.size,
        parameters.centers,
        tile.labels,
        tile.distances,
        tile.weights,
        tile.inertia,
        counts,
        counts[padded(parameters.constants.size) :],
    )
    add_compensated(total, tile.inertia[0])


@jitted
def nearest_lanes(
    rows, weights, parameters, capacity, first_tile, with_sums, begin, end, statistics, labels, distances
):
    """The share of lanes begin, ..., end - 1 of `nearest_pass`, in the calling thread."""
    for lane in range(begin, end):
        _lane(rows, weights, parameters, capacity, first_tile, with_sums, lane, statistics, labels, distances)


@parallel
def _nearest_pass(address, rows, weights, parameters, capacity, first_tile, with_sums, statistics, labels, distances):
    failures = 0
    for i in prange(statistics.shape[0]):
        lane = np.int64(i)
        block = rows, weights, parameters, capacity, first_tile, with_sums
        failures += call_at(address, (*block, lane, lane + 1, statistics, labels, distances))
    if failures:
        raise MemoryError


def nearest_pass(rows, weights, parameters, capacity, first_tile, with_sums, statistics, labels, distances):
    """Write the cluster (count,) and the squared distance to its centre (count,); add to `statistics` if `with_sums`.

    `labels` and `distances` may be empty: then they are not kept. `statistics` is (lanes, HEADER + statistics_size) and
    begins with the inertia and its compensation; `weights` is (count,) or empty for ones.
    """
    block, results = (rows, weights, parameters, capacity, first_tile, with_sums), (statistics, labels, distances)
    _nearest_pass(address_of(nearest_lanes, (*block, 0, 1, *results)), *block, *results)


@jitted
def table_lane(rows, parameters, capacity, lane, n_lanes, table):
    """The share of one of `n_lanes` lanes of `table_pass`; lane 0 of 1 is the whole of it, in the calling thread."""
    n_features, n_clusters = parameters.origin.size, parameters.constants.size
    tile, distances = _new_tile(capacity, n_features), aligned_doubles(capacity * n_clusters)
    for first in range(lane * capacity, rows.count, n_lanes * capacity):
        count = min(capacity, rows.count - first)
        n_panels = load_tile(rows, first, count, np.empty(0), parameters.origin, tile)
        distances_to_all(tile.panels, n_panels, n_features, n_clusters, parameters.centers, distances, tile.top)
        for b in range(count):
            at = b // PANEL * n_clusters * PANEL + b % PANEL
            for k in range(n_clusters):
                table[first + b, k] = distances[at + k * PANEL]


@parallel
def _table_pass(address, rows, parameters, capacity, n_lanes, table):
    failures = 0
    for i in prange(n_lanes):
        failures += call_at(address, (rows, parameters, capacity, np.int64(i), n_lanes, table))
    if failures:
        raise MemoryError


def table_pass(rows, parameters, capacity, n_lanes, table):
    """Write the Euclidean distances of all rows to all centres, (count, K)."""
    address = address_of(table_lane, (rows, parameters, capacity, 0, n_lanes, table))
    _table_pass(address, rows, parameters, capacity, n_lanes, table)


# blocks of rows -------------------------------------------------------------------------------------------------------

NO_LABELS, NO_DISTANCES = np.empty(0, dtype=np.int32), np.empty(0)


Share = tuple[Rows, np.ndarray, KMeansParameters, int, int, bool]  # what `nearest_pass` takes before its results


def _run_nearest(parallel: bool, block: Share, lanes: np.ndarray, labels: np.ndarray, distances: np.ndarray) -> None:
    if parallel:
        nearest_pass(*block, lanes, labels, distances)
    else:
        nearest_lanes(*block, 0, len(lanes), lanes, labels, distances)


class ClusterAccumulation(Accumulation):
    """Inertia, counts and sums of the clusters."""

    def _run(self, rows: Rows, weights: np.ndarray, parallel: bool) -> None:
        block = rows, weights, self.parameters, self.capacity, self.n_tiles, True
        _run_nearest(parallel, block, self.lanes, NO_LABELS, NO_DISTANCES)


def accumulated(parameters: KMeansParameters, blocks: Iterable[tuple[np.ndarray, np.ndarray | None]]) -> np.ndarray:
    """The statistics of a pass over `blocks`; those of parts of the rows add up."""
    return ClusterAccumulation(parameters).consume(blocks)


def nearest_block(
    parameters: KMeansParameters,
    rows: np.ndarray,
    *,
    labels: np.ndarray = NO_LABELS,
    distances: np.ndarray = NO_DISTANCES,
) -> None:
    """Write the nearest cluster (n,) int32 and the squared distance to it (n,) of the rows of a block."""
    capacity = tile_rows(parameters.constants.size)
    lanes = np.empty((min(MAX_LANES, -(-len(rows) // (STRIPE * capacity))), 0))
    check_width(rows, parameters.origin.size)
    with Threads(len(rows) * parameters.constants.size * parameters.origin.size) as threaded:
        block = Rows.of(rows), np.empty(0), parameters, capacity, 0, False
        _run_nearest(threaded, block, lanes, labels, distances)


def distance_table(parameters: KMeansParameters, rows: np.ndarray, table: np.ndarray) -> None:
    """Write the Euclidean distances of the rows of a block to all centres, (n, K)."""
    n_clusters, n_features = parameters.constants.size, parameters.origin.size
    capacity = tile_rows(n_clusters)
    check_width(rows, n_features)
    with Threads(len(rows) * n_clusters * n_features) as threaded:
        if threaded:
            table_pass(Rows.of(rows), parameters, capacity, MAX_LANES, table)
        else:
            table_lane(Rows.of(rows), parameters, capacity, 0, 1, table)
