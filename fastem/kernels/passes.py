"""The passes over a block of rows: fused (responsibilities and statistics in one sweep) and scoring.

Rows go to tiles by their global index, neighbouring tiles to stripes and stripes to a fixed number of lanes in turn.
Each lane adds up its own statistics and the lanes are added in order: neither the number of threads nor the way in
which rows arrive changes a bit of the result.
"""

import numpy as np
from numba import prange

from fastem.kernels.assignments import HARD, NO_MOMENTS, STOCHASTIC, assign_sampled, assign_to_the_best
from fastem.kernels.compilation import address_of, call_at, inlined, jitted, parallel
from fastem.kernels.tiles import load_tile, new_tile, normalise, nowhere, panel_rows, square_responsibilities

__all__ = [
    "HEADER",
    "STRIPE",
    "accumulate",
    "fused_lanes",
    "fused_pass",
    "log_joint",
    "score_lane",
    "scoring_pass",
    "square_responsibilities",
    "stripes_of",
    "tiles_of",
]

STRIPE = 4  # tiles, so that a small block needs few lanes
HEADER = 8  # doubles before the moments in a lane's statistics: log-likelihood, its compensation, weight, unused


def log_joint(parameters, n_panels, tile):
    """Half log w_k p(x | k) of the rows of a tile into `tile.scores`, its maximum into `tile.top`.

    Chosen when compiling, by the type of `parameters`: see `numba.extending.overload` in the modules of the families.
    """
    raise NotImplementedError


def accumulate(parameters, n_panels, tile, statistics):
    """Add the moments of a tile, weighted with its responsibilities, to `statistics`. Chosen as `log_joint` is."""
    raise NotImplementedError


@inlined
def stripes_of(lane, n_lanes, first_tile, n_tiles):
    """The stripes of a lane in a block of `n_tiles` that starts with global tile `first_tile`."""
    first = first_tile // STRIPE
    return range(first + (lane - first) % n_lanes, (first_tile + n_tiles - 1) // STRIPE + 1, n_lanes)


@inlined
def tiles_of(stripe, first_tile, n_tiles):
    """Tiles of the block that belong to a stripe, counted from its first."""
    begin = stripe * STRIPE - first_tile
    return range(max(begin, 0), min(begin + STRIPE, n_tiles))


@jitted
def fused_lanes(rows, weights, parameters, capacity, auxiliary, first_tile, kind, key, begin, end, statistics):
    """The share of lanes begin, ..., end - 1 of `fused_pass`, in the calling thread."""
    n_lanes, n_features = statistics.shape[0], parameters.origin.size
    tile = new_tile(capacity, n_features, parameters.constants.size, auxiliary, parameters.constants, parameters.origin)
    n_tiles = (rows.count + capacity - 1) // capacity
    for lane in range(begin, end):
        total = statistics[lane]
        for stripe in stripes_of(lane, n_lanes, first_tile, n_tiles):
            for t in tiles_of(stripe, first_tile, n_tiles):
                count = min(capacity, rows.count - t * capacity)
                n_panels = load_tile(rows, t * capacity, count, weights, parameters.origin, tile)
                log_joint(parameters, n_panels, tile)
                respond(n_panels, parameters.constants.size, tile, kind, key, (first_tile + t) * capacity)
                add_compensated(total, tile.totals[0])
                total[2] += tile.totals[1]
                if kind != NO_MOMENTS:
                    accumulate(parameters, n_panels, tile, total[HEADER:])


@inlined
def respond(n_panels, n_components, tile, kind, key, first_row):
    """Half log-joints into what `accumulate` makes responsibilities of, and the log-likelihood of the tile."""
    if kind == HARD:
        assign_to_the_best(n_panels, n_components, tile.scores, tile.top, tile.weights, tile.root, tile.totals)
        return
    normalise(
        n_panels,
        n_components,
        tile.scores,
        tile.top,
        tile.weights,
        tile.root,
        tile.log_density,
        tile.totals,
    )
    if kind == STOCHASTIC:
        assign_sampled(n_panels, n_components, tile.scores, tile.weights, tile.root, key, first_row)


@inlined
def add_compensated(total, value):
    """Neumaier's sum in total[0] with its rounding errors in total[1]: the log-likelihood decides when to stop."""
    new = total[0] + value
    if abs(total[0]) >= abs(value):
        total[1] += (total[0] - new) + value
    else:
        total[1] += (value - new) + total[0]
    total[0] = new


@parallel
def _fused_pass(address, rows, weights, parameters, capacity, auxiliary, first_tile, kind, key, statistics):
    failures = 0
    for i in prange(statistics.shape[0]):
        lane = np.int64(i)
        block = rows, weights, parameters, capacity, auxiliary, first_tile, kind, key, lane, lane + 1, statistics
        failures += call_at(address, block)
    if failures:
        raise MemoryError


def fused_pass(rows, weights, parameters, capacity, auxiliary, first_tile, kind, key, statistics):
    """Add the statistics of a block that starts with global tile `first_tile` to `statistics` (lanes, HEADER + size).

    `weights` is (count,) or empty for ones; all tiles but the last of a pass are full. `kind` and `key` are those of
    an `assignments.Assignment`.
    """
    block = rows, weights, parameters, capacity, auxiliary, first_tile, kind, key
    _fused_pass(address_of(fused_lanes, (*block, 0, 1, statistics)), *block, statistics)


# scoring --------------------------------------------------------------------------------------------------------------


@jitted
def score_lane(rows, parameters, capacity, auxiliary, lane, n_lanes, log_density, labels, responsibilities):
    """The share of one of `n_lanes` lanes of `scoring_pass`; lane 0 of 1 is the whole of it, in the calling thread."""
    n_components = parameters.constants.size
    tile = new_tile(capacity, parameters.origin.size, n_components, auxiliary, parameters.constants, parameters.origin)
    panel = panel_rows(tile.panels)
    n_tiles = (rows.count + capacity - 1) // capacity
    for t in range(lane, n_tiles, n_lanes):
        first = t * capacity
        count = min(capacity, rows.count - first)
        n_panels = load_tile(rows, first, count, np.empty(0), parameters.origin, tile)
        log_joint(parameters, n_panels, tile)
        if labels.size:
            _write_labels(tile, n_components, labels[first : first + count])
        if log_density.size or responsibilities.size:
            normalise(
                n_panels,
                n_components,
                tile.scores,
                tile.top,
                tile.weights,
                tile.root,
                tile.log_density,
                tile.totals,
            )
        if log_density.size:
            for b in range(count):
                log_density[first + b] = tile.log_density[b]
        if responsibilities.size:
            for b in range(count):
                at = b // panel * n_components * panel + b % panel
                # Out of the range of every component, none is more probable than another.
                out_of_range = tile.top[b] == nowhere(tile.top)
                for k in range(n_components):
                    share = (np.float64(tile.scores[at + k * panel]) * tile.root[b]) ** 2
                    responsibilities[first + b, k] = 1.0 / n_components if out_of_range else share


@inlined
def _write_labels(tile, n_components, labels):
    """The first component that attains the maximum, as `argmax` would have it."""
    panel = panel_rows(tile.panels)
    for b in range(labels.size):
        labels[b] = 0
        at = b // panel * n_components * panel + b % panel
        for k in range(n_components - 1, -1, -1):
            if tile.scores[at + k * panel] == tile.top[b]:
                labels[b] = k


@parallel
def _scoring_pass(address, rows, parameters, capacity, auxiliary, n_lanes, log_density, labels, responsibilities):
    failures = 0
    for i in prange(n_lanes):
        lane = np.int64(i)
        block = rows, parameters, capacity, auxiliary, lane, n_lanes, log_density, labels, responsibilities
        failures += call_at(address, block)
    if failures:
        raise MemoryError


def scoring_pass(rows, parameters, capacity, auxiliary, n_lanes, log_density, labels, responsibilities):
    """Write log p(x) (count,), the most probable component (count,) and responsibilities (count, K).

    Each of them may be empty: then it is not computed.
    """
    block, outputs = (rows, parameters, capacity, auxiliary), (log_density, labels, responsibilities)
    _scoring_pass(address_of(score_lane, (*block, 0, n_lanes, *outputs)), *block, n_lanes, *outputs)
