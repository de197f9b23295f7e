"""The pass of k-means over a block of rows: nearest centres, sums of their clusters, inertia.

Hard assignments with one shared spherical variance: a row meets every centre once and its own twice. Tiles and lanes
are those of `fastem.kernels.passes`, with the same promise: neither threads nor blocks change a bit of the result.
"""

from typing import NamedTuple

import numpy as np

from fastem.kernels.accumulation import MAX_LANES, Blocks, check_width, summed
from fastem.kernels.clusters.nearest import (
    KMeansParameters,
    add_to_clusters,
    assign,
    distances_to_all,
    measure,
    new_hard_tile,
)
from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.passes import HEADER, STRIPE, add_compensated, stripes_of, tiles_of
from fastem.kernels.threads import run
from fastem.kernels.tiles import Rows, aligned_doubles, load_tile, tile_rows
from fastem.kernels.vectors.simd import PANEL

__all__ = ["KMeansParameters", "accumulated", "distance_table", "nearest_block"]


class Nearest(NamedTuple):
    """What is wanted of the rows of a block; what is empty is not kept."""

    labels: np.ndarray  # (count,) int32, the cluster
    distances: np.ndarray  # (count,) squared, to its centre


NOTHING = Nearest(np.empty(0, dtype=np.int32), np.empty(0))


@jitted
def nearest_lanes(rows, parameters, nearest, statistics, begin, end):
    """The share of lanes begin, ..., end - 1 in a block: what is wanted of its rows, and the sums of the clusters.

    `statistics` is (lanes, HEADER + size) and begins with the inertia and its compensation, or (lanes, 0). Rows with
    labels have been assigned already.
    """
    capacity = rows.capacity
    tile = new_hard_tile(capacity, parameters.origin.size)
    n_tiles = (rows.count + capacity - 1) // capacity
    for lane in range(begin, end):
        for stripe in stripes_of(lane, statistics.shape[0], rows.first_tile, n_tiles):
            for t in tiles_of(stripe, rows.first_tile, n_tiles):
                first = t * capacity
                count = min(capacity, rows.count - first)
                n_panels = load_tile(rows, first, count, parameters.origin, tile)
                if rows.labels.size:
                    _read_labels(rows.labels, first, count, n_panels, tile)
                else:
                    assign(parameters, n_panels, tile)
                if statistics.shape[1]:
                    _add_tile(parameters, n_panels, tile, statistics[lane])
                elif nearest.distances.size:
                    measure(parameters, n_panels, tile)
                if nearest.labels.size:
                    for row in range(count):
                        nearest.labels[first + row] = tile.labels[row]
                if nearest.distances.size:
                    for row in range(count):
                        nearest.distances[first + row] = tile.distances[row]


@inlined
def _read_labels(labels, first, count, n_panels, tile):
    for row in range(count):
        tile.labels[row] = labels[first + row]
    for row in range(count, n_panels * PANEL):
        tile.labels[row] = 0


@jitted
def _add_tile(parameters, n_panels, tile, total):
    add_to_clusters(parameters, n_panels, tile, total[HEADER:])
    add_compensated(total, tile.inertia[0])


@jitted
def table_lanes(rows, parameters, table, n_lanes, begin, end):
    """The share of lanes begin, ..., end - 1 of `n_lanes` in the distances of all rows to all centres, (count, K)."""
    n_clusters, capacity = parameters.constants.size, rows.capacity
    tile, distances = new_hard_tile(capacity, parameters.origin.size), aligned_doubles(capacity * n_clusters)
    n_tiles = (rows.count + capacity - 1) // capacity
    for t in range(begin * n_tiles // n_lanes, end * n_tiles // n_lanes):
        first = t * capacity
        count = min(capacity, rows.count - first)
        n_panels = load_tile(rows, first, count, parameters.origin, tile)
        distances_to_all(parameters, n_panels, tile, distances)
        for b in range(count):
            at = b // PANEL * n_clusters * PANEL + b % PANEL
            for k in range(n_clusters):
                table[first + b, k] = distances[at + k * PANEL]


# blocks of rows -------------------------------------------------------------------------------------------------------


def accumulated(parameters: KMeansParameters, blocks: Blocks) -> np.ndarray:
    """The statistics of a pass over `blocks`; those of parts of the rows add up."""
    return summed(nearest_lanes, parameters, blocks, NOTHING)


def nearest_block(
    parameters: KMeansParameters,
    rows: np.ndarray,
    *,
    labels: np.ndarray = NOTHING.labels,
    distances: np.ndarray = NOTHING.distances,
) -> None:
    """Write the nearest cluster (n,) int32 and the squared distance to it (n,) of the rows of a block."""
    check_width(rows, parameters.origin.size)
    capacity = tile_rows(parameters.constants.size)
    no_sums = np.empty((min(MAX_LANES, -(-len(rows) // (STRIPE * capacity))), 0))
    arguments = Rows.of(rows, capacity), parameters, Nearest(labels, distances), no_sums
    run(nearest_lanes, arguments, len(no_sums), rows.size * parameters.constants.size)


def distance_table(parameters: KMeansParameters, rows: np.ndarray, table: np.ndarray) -> None:
    """Write the Euclidean distances of the rows of a block to all centres, (n, K)."""
    check_width(rows, parameters.origin.size)
    arguments = Rows.of(rows, tile_rows(parameters.constants.size)), parameters, table, MAX_LANES
    run(table_lanes, arguments, MAX_LANES, rows.size * parameters.constants.size)
