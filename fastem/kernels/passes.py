"""The passes over a block of rows: fused (responsibilities and statistics in one sweep) and scoring.

Rows go to tiles by their global index, neighbouring tiles to stripes and stripes to a fixed number of lanes in turn.
Each lane adds up its own statistics and the lanes are added in order: neither the number of threads nor the way in
which rows arrive changes a bit of the result.

A kernel is a NamedTuple of what the passes read of a mixture, with the methods of `Kernel`; those that are compiled
are found by its type, when a pass is compiled for it.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numba import types
from numba.extending import overload_method

from fastem.kernels.assignments import (
    HARD,
    NO_MOMENTS,
    STOCHASTIC,
    assign_sampled,
    assign_to_the_best,
    draw,
    keep_to_labels,
)
from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.pruning import first_list, keep_bounds, new_room, second_list
from fastem.kernels.tiles import (
    ALL_SHARES,
    NEGLIGIBLE,
    load_ordered_tile,
    load_tile,
    new_tile,
    normalise,
    nowhere,
    panel_rows,
)

STRIPE = 4  # tiles, so that a small block needs few lanes
# Doubles before the moments in a lane's statistics: log-likelihood, its compensation, weight, how often a component was
# evaluated for a tile, unused.
HEADER = 8


class Kernel(Protocol):
    """What the passes want of a NamedTuple: copy `families/spherical.py` to make another.

    Attributes
    ----------
    origin : ndarray of shape (D,)
        Subtracted from every row on loading; always float64.
    constants : ndarray of shape (K,)
        In the type that is computed with.
    """

    origin: np.ndarray
    constants: np.ndarray

    def statistics_size(self) -> int:
        """Doubles of the moments that a lane adds up."""
        ...

    def auxiliary_size(self, capacity: int) -> int:
        """Numbers that a tile of `capacity` rows keeps between scores and moments."""
        ...

    def log_joint(self, n_panels: int, tile: Any) -> None:
        """Half log w_k p(x | k) of the rows of a tile into `tile.scores`, its maximum into `tile.top`. Compiled."""
        ...

    def accumulate(self, n_panels: int, tile: Any, statistics: np.ndarray) -> None:
        """Add the moments of a tile, weighted with its responsibilities, to `statistics`. Compiled."""
        ...


@overload_method(types.BaseNamedTuple, "log_joint")
def _log_joint(self, n_panels, tile):
    return getattr(self.instance_class, "log_joint", None)


@overload_method(types.BaseNamedTuple, "set_aside")
def _set_aside(self, n_panels, tile):
    """Take from the responsibilities what belongs to no component: nothing, but in `families/noise.py`."""
    return getattr(self.instance_class, "set_aside", _nothing)


def _nothing(self, n_panels, tile):
    pass


@overload_method(types.BaseNamedTuple, "accumulate")
def _accumulate(self, n_panels, tile, statistics):
    return getattr(self.instance_class, "accumulate", None)


# the fused pass -------------------------------------------------------------------------------------------------------


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
def fused_lanes(rows, parameters, auxiliary, assignment, statistics, begin, end):
    """Add the share of lanes begin, ..., end - 1 in a block to `statistics` (lanes, HEADER + size).

    `rows` are `tiles.Rows`, `parameters` those of a kernel, `assignment` is an `assignments.Assignment`. All tiles but
    the last of a pass are full.
    """
    n_components, capacity = parameters.constants.size, rows.capacity
    tile = new_tile(capacity, auxiliary, parameters)
    n_tiles = (rows.count + capacity - 1) // capacity
    for lane in range(begin, end):
        total = statistics[lane]
        for stripe in stripes_of(lane, statistics.shape[0], rows.first_tile, n_tiles):
            for t in tiles_of(stripe, rows.first_tile, n_tiles):
                count = min(capacity, rows.count - t * capacity)
                n_panels = load_tile(rows, t * capacity, count, parameters.origin, tile)
                parameters.log_joint(n_panels, tile)
                if rows.labels.size:
                    keep_to_labels(rows.labels, t * capacity, count, n_components, tile)
                respond(parameters, n_panels, tile, assignment, (rows.first_tile + t) * capacity)
                add_compensated(total, tile.totals[0])
                total[2] += tile.totals[1]
                if assignment.kind != NO_MOMENTS:
                    parameters.accumulate(n_panels, tile, total[HEADER:])


@jitted
def pruned_lanes(rows, parameters, auxiliary, assignment, bounds, statistics, begin, end):
    """The same for rows in an order and a kernel that is `pruning.Prunable`; `bounds` are `pruning.Bounds`.

    An entry of its own: it takes three times as long to compile, and only passes with many components want it.
    """
    tile = new_tile(rows.capacity, auxiliary, parameters)
    room = new_room(parameters.constants.size, bounds, statistics.shape[1] - HEADER)
    n_tiles = (rows.count + rows.capacity - 1) // rows.capacity
    for lane in range(begin, end):
        for stripe in stripes_of(lane, statistics.shape[0], rows.first_tile, n_tiles):
            for t in tiles_of(stripe, rows.first_tile, n_tiles):
                add_pruned(rows, t, parameters, tile, assignment, bounds, room, statistics[lane])


@jitted
def add_pruned(rows, t, parameters, tile, assignment, bounds, room, total):
    """Add tile t without the components that have no share in it."""
    n_components, n_features, place = parameters.constants.size, parameters.origin.size, rows.first_tile + t
    first, known = t * rows.capacity, place < bounds.low.size
    n_panels = load_ordered_tile(rows, first, min(rows.capacity, rows.count - first), parameters.origin, tile)
    n_listed, least = first_list(place, n_panels, n_components, n_features, tile.panels, bounds, room)
    n_evaluated = 0
    while n_evaluated < n_listed:
        part = parameters.chosen(room.ids[:n_listed])
        part.log_joint(n_panels, tile)
        n_evaluated = n_listed
        if known:
            n_listed, least = second_list(n_listed, least, n_panels, n_components, tile.top, bounds.rounding, room)
    if known:
        keep_bounds(place, n_panels, n_evaluated, tile.scores, bounds, room)
        total[3] += n_evaluated
    respond(part, n_panels, tile, assignment, place * rows.capacity)
    add_compensated(total, tile.totals[0])
    total[2] += tile.totals[1]
    if assignment.kind != NO_MOMENTS:
        some = n_evaluated < n_components
        part.accumulate(n_panels, tile, room.sums if some else total[HEADER:])
        if some:
            parameters.give_back(room.ids[:n_evaluated], room.sums, total[HEADER:])


@inlined
def respond(parameters, n_panels, tile, assignment, first_row):
    """Half log-joints into what `accumulate` makes responsibilities of, and the log-likelihood of the tile."""
    n_components = parameters.constants.size
    if assignment.kind == HARD:
        assign_to_the_best(n_panels, n_components, tile)
        return
    normalise(n_panels, n_components, tile, NEGLIGIBLE)
    parameters.set_aside(n_panels, tile)
    if assignment.kind == STOCHASTIC:
        draw(assignment.key, first_row, tile.uniform)
        assign_sampled(n_panels, n_components, tile)


@inlined
def add_compensated(total, value):
    """Neumaier's sum in total[0] with its rounding errors in total[1]: the log-likelihood decides when to stop."""
    new = total[0] + value
    if abs(total[0]) >= abs(value):
        total[1] += (total[0] - new) + value
    else:
        total[1] += (value - new) + total[0]
    total[0] = new


# scoring --------------------------------------------------------------------------------------------------------------


class Scores(NamedTuple):
    """What is wanted of the rows of a block; what is empty is not computed."""

    log_density: np.ndarray  # (count,) log p(x)
    labels: np.ndarray  # (count,) the most probable component
    responsibilities: np.ndarray  # (count, K)


@jitted
def score_lanes(rows, parameters, auxiliary, scores, n_lanes, begin, end):
    """The share of lanes begin, ..., end - 1 of `n_lanes` in what is wanted of a block; 0, ..., n_lanes - 1 is all."""
    n_components, capacity = parameters.constants.size, rows.capacity
    tile = new_tile(capacity, auxiliary, parameters)
    n_tiles = (rows.count + capacity - 1) // capacity
    for t in range(begin * n_tiles // n_lanes, end * n_tiles // n_lanes):
        first = t * capacity
        count = min(capacity, rows.count - first)
        n_panels = load_tile(rows, first, count, parameters.origin, tile)
        parameters.log_joint(n_panels, tile)
        if scores.labels.size:
            _write_labels(tile, n_components, scores.labels[first : first + count])
        if scores.log_density.size or scores.responsibilities.size:
            normalise(n_panels, n_components, tile, ALL_SHARES)
            parameters.set_aside(n_panels, tile)
        if scores.log_density.size:
            for b in range(count):
                scores.log_density[first + b] = tile.log_density[b]
        if scores.responsibilities.size:
            _write_responsibilities(tile, n_components, scores.responsibilities[first : first + count])


@inlined
def _write_labels(tile, n_components, labels):
    """The first component that attains the maximum, as `argmax` would have it; -1 if what attains it is none."""
    panel = panel_rows(tile.panels)
    for b in range(labels.size):
        labels[b] = 0 if tile.top[b] == nowhere(tile.top) else -1
        at = b // panel * n_components * panel + b % panel
        for k in range(n_components - 1, -1, -1):
            if tile.scores[at + k * panel] == tile.top[b]:
                labels[b] = k


@inlined
def _write_responsibilities(tile, n_components, responsibilities):
    panel = panel_rows(tile.panels)
    for b in range(responsibilities.shape[0]):
        at = b // panel * n_components * panel + b % panel
        # Out of the range of every component, none is more probable than another.
        out_of_range = tile.top[b] == nowhere(tile.top)
        for k in range(n_components):
            share = (np.float64(tile.scores[at + k * panel]) * tile.root[b]) ** 2
            responsibilities[b, k] = 1.0 / n_components if out_of_range else share
