"""Passes that leave out components without a share in a tile, and give the bits of those that leave out nothing.

Where rows lie together in a tile, most components of many are too far for a responsibility that `tiles.normalise`
keeps. Of each tile and component a pass keeps a lower bound m of the least Mahalanobis distance of a row. When
parameters go from (mu, L) to (mu', L'), with Sigma^-1 = L^T L,

    |L' (x - mu')| >= smin(L' L^-1) |L (x - mu)| - |L' (mu' - mu)|,

so m moves to max(0, smin m - |L' (mu' - mu)|), and no half log-joint is above that at the mean less m^2 / 4. Components
for which this is negligible beside the least top that the rows had in the last pass are not evaluated at first. The
tops of some components are no greater than those of all: what is negligible beside the tops found need not be
evaluated, and all else is.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numba import types
from numba.extending import overload_method

from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.tiles import NEGLIGIBLE
from fastem.kernels.vectors.bounds import (
    COLUMNS,
    GREATEST_CODE,
    SAFE,
    STEPS,
    copy_chosen,
    find_highest,
    find_low,
    find_reach,
    list_from,
    move_bounds,
)

MARGIN = 1e-3  # half nats: more than scores of ordinary size are rounded by
FALL = 0.5  # half nats that the least top of a tile may fall in a step without a second look


class Prunable(Protocol):
    """What a `passes.Kernel` adds so that its passes can be pruned."""

    def moved(self, before: Any) -> tuple[np.ndarray, np.ndarray]:
        """smin(L' L^-1) (K,) and |L' (mu' - mu)| (K,) since the parameters `before`."""
        ...

    def rounding(self) -> tuple[np.ndarray, np.ndarray]:
        """a (K,) and b (K,): scores find |L (x - mu)| to a |x_j - origin_j| + b, for the greatest of the features j."""
        ...

    def chosen(self, ids: np.ndarray) -> Any:
        """The parameters of these components alone. Compiled."""
        ...

    def give_back(self, ids: np.ndarray, part: np.ndarray, statistics: np.ndarray) -> None:
        """Move what these components alone have added up to `statistics`. Compiled."""
        ...


@overload_method(types.BaseNamedTuple, "chosen")
def _chosen(self, ids):
    return getattr(self.instance_class, "chosen", None)


@overload_method(types.BaseNamedTuple, "give_back")
def _give_back(self, ids, part, statistics):
    return getattr(self.instance_class, "give_back", None)


class Bounds(NamedTuple):
    """What is known of tiles before a pass looks at them; K is rounded up to whole vectors."""

    codes: np.ndarray  # (tiles * K) uint16: the bounds m
    low: np.ndarray  # (tiles,) the least top of the rows
    known: bool  # that is so, at parameters from which smin(L' L^-1) and |L' (mu' - mu)| lead to the present ones
    # (COLUMNS * K) half log-joints at the means, NaN where there is no component; smin(L' L^-1); |L' (mu' - mu)|; what
    # a distance may be rounded by for each unit of the greatest |x_j - origin_j|, and besides.
    table: np.ndarray
    rounding: float  # of scores, relative


NOTHING = Bounds(np.empty(0, dtype=np.uint16), np.empty(0), False, np.empty(0), 0.0)


class Room(NamedTuple):
    """Working memory of a lane for what is found out about a tile."""

    ids: np.ndarray  # (K,) of components to be evaluated
    highest: np.ndarray  # (K,) what half log-joints do not exceed
    extremes: np.ndarray  # (2,) the greatest |x_j - origin_j|, the least top
    sums: np.ndarray  # moments of these components


# compiled -------------------------------------------------------------------------------------------------------------
# Arrays are handed on by themselves where few of a tuple are needed: a call counts references to all arrays that it is
# given, in memory that threads share.


@jitted
def new_room(n_components, bounds, size):
    highest = np.empty(bounds.table.size // COLUMNS)
    return Room(np.empty(n_components, np.int64), highest, np.empty(2), np.zeros(size if bounds.known else 0))


@jitted
def list_all(n_components, ids):
    for k in range(n_components):
        ids[k] = k
    return n_components, -np.inf


@jitted
def first_list(place, n_panels, n_components, n_features, panels, bounds, room):
    """The components of a tile to begin with: how many, and a half log-joint that others do not reach."""
    if place < bounds.low.size:
        find_reach(n_panels, n_features, panels, room)
    if place >= bounds.low.size or not bounds.known:
        return list_all(n_components, room.ids)
    stride = room.highest.size
    move_bounds(bounds.codes[place * stride : (place + 1) * stride], bounds, room)
    return list_beside(bounds.low[place] - FALL, n_components, bounds.rounding, room)


@jitted
def second_list(n_listed, least, n_panels, n_components, top, rounding, room):
    """The list again, or a longer one if some of the others might have a share beside the tops that were found."""
    find_low(n_panels, top, room)
    if visible(room.extremes[1], rounding) < least:
        return list_beside(room.extremes[1], n_components, rounding, room)
    return n_listed, least


@jitted
def list_beside(low, n_components, rounding, room):
    """The components that may have a share in a row whose top is `low` or more."""
    least = visible(low, rounding)
    n_listed = list_from(least, room)
    if n_listed == 0 or n_listed > n_components - n_components // 8:
        return list_all(n_components, room.ids)
    return n_listed, least


@inlined
def visible(low, rounding):
    """The half log-joint below which a component has no share beside `low`."""
    return low + NEGLIGIBLE - MARGIN - rounding * abs(low)


@jitted
def keep_bounds(place, n_panels, n_listed, scores, bounds, room):
    """Remember what the scores of a tile say of the components that were evaluated."""
    ids, highest, codes, table, rounding = room.ids, room.highest, bounds.codes, bounds.table, bounds.rounding
    reach, stride = room.extremes[0], highest.size
    bounds.low[place] = room.extremes[1]
    find_highest(n_panels, n_listed, scores, room)
    for i in range(n_listed):
        k, greatest = ids[i], highest[i]
        at_mean, slope, error = table[k], table[3 * stride + k], table[4 * stride + k]
        square = 4.0 * (at_mean - greatest - rounding * (abs(at_mean) + abs(greatest)))
        bound = 0.0
        if square > 0.0:
            bound = max(0.0, np.sqrt(square) * SAFE - slope * reach - error)
        codes[place * stride + k] = np.uint16(min(bound * STEPS, GREATEST_CODE))


# what families need for it --------------------------------------------------------------------------------------------


@jitted
def taken(array, n_components, ids):
    """What some components have of an array (K * n,)."""
    width = array.size // n_components
    part = np.empty(ids.size * width, array.dtype)
    copy_chosen(array, width, ids, part)
    return part
