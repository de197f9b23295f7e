"""A tile: the rows that are worked on at once, so few that everything about them stays in the cache.

On loading, the rows are moved to the origin of the parameters (so that data far from zero lose nothing), converted and
transposed: a *panel* holds 32 rows (64 floats), feature after feature, and vectors run across rows. Whatever has one
number a row and component (scores, responsibilities) is stored in the same way, component after component.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.vectors import elementary
from fastem.kernels.vectors.simd import F32, F64, PANEL, PANEL_VECTORS, WIDTH, Vectors, vectorised

NOWHERE, NOWHERE_SINGLE = -1e300, -1e30  # see `nowhere`
TILE_MEMORY = 2**19  # bytes for the scores of a tile: they stay in the second-level cache
ALL_SHARES = -np.inf  # a floor for `normalise` that leaves out nothing
# Another: no sum of ordinary size sees a responsibility of 2^-54. Sums and moments leave it out, and a pass may leave
# out components that have no more in any row.
NEGLIGIBLE = -27.0 * np.log(2.0)
LEAST_TOTAL = 1e-30  # of squared exponentials: it is one or more, or zero for a row out of the range of all components


ONES = np.empty(0)  # weights, in the place of ones
AS_THEY_LIE = np.empty(0, dtype=np.uint16)  # in the place of an order
ORDERED = 65_536  # rows of a block with an order of its own
UNKNOWN = np.empty(0, dtype=np.int32)  # labels, where none is known


class Rows(NamedTuple):
    """Where a block of rows lies in memory: any strides, float32 or float64, one compiled kernel for all.

    The caller keeps the memory alive.
    """

    address: int
    count: int
    row_stride: int  # bytes
    column_stride: int  # bytes
    itemsize: int  # 4 or 8
    weights: np.ndarray  # (count,) or empty for ones
    capacity: int  # rows of a tile
    first_tile: int  # of all rows: where the block begins
    labels: np.ndarray  # (count,) int32, -1 where the component of a row is not known, or empty
    order: np.ndarray  # uint16: which of ORDERED rows is the i-th, for the first so many rows, or empty

    @classmethod
    def of(
        cls,
        array: np.ndarray,
        capacity: int,
        weights: np.ndarray | None = None,
        first_tile: int = 0,
        labels: np.ndarray = UNKNOWN,
        order: np.ndarray = AS_THEY_LIE,
    ) -> "Rows":
        """Describe a two-dimensional float32 or float64 array in native byte order, and what is known of its rows."""
        weights = ONES if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
        address = array.__array_interface__["data"][0]  # `array.ctypes` takes ten times as long
        down, across = array.strides
        known = weights, capacity, first_tile, labels, order
        return cls(address, len(array), down, across, array.itemsize, *known)


class Tile(NamedTuple):
    """The working memory of one lane, for `capacity` rows; every array is 1-D and starts on a cache line.

    The arithmetic is that of `panels`, float64 or float32; `weights`, `log_density`, `totals`, `numbers` and
    `noise` are always float64.
    """

    panels: np.ndarray  # (capacity * D) the rows about the origin
    scores: np.ndarray  # (capacity * K) half log-joints, then their exponentials, then responsibilities
    auxiliary: np.ndarray  # what a family keeps between scores and moments
    top: np.ndarray  # (capacity) the greatest score of a row
    weights: np.ndarray  # (capacity) sample weights, zero where the tile has no row
    root: np.ndarray  # (capacity) sqrt(weight / sum of squared exponentials): turns an exponential into sqrt(w r)
    log_density: np.ndarray  # (capacity)
    totals: np.ndarray  # (8) sum of weights * log_density, sum of weights, zeros
    uniform: np.ndarray  # (capacity) the draws of stochastic assignments
    numbers: np.ndarray  # (capacity) rows that are listed: integers in the place of doubles
    noise: np.ndarray  # (capacity) log-density of what is no component, if there is such a thing


@cache
def tile_rows(n_components: int) -> int:
    """Rows of a tile: a function of the model alone, since the order of all sums depends on it.

    Never fewer than a panel of floats has, twice as many as one of doubles: a panel is written whole.
    """
    rows = 256
    while rows > 2 * PANEL and rows * n_components * 8 > TILE_MEMORY:
        rows //= 2
    return rows


@jitted
def aligned(size, like):
    """An uninitialised array of the type of `like` on a 64-byte boundary: a vector across two cache lines is slow."""
    per_line = 64 // like.itemsize
    array = np.empty(size + per_line, like.dtype)
    first = (-array.ctypes.data // like.itemsize) % per_line
    return array[first : first + size]


@inlined
def aligned_doubles(size):
    return aligned(size, np.empty(0))


@inlined
def panel_rows(array):
    """Rows of a panel of this type."""
    return 256 // array.itemsize


@inlined
def nowhere(array):
    """Below every log-density that can occur; not -inf, so that differences stay numbers."""
    return NOWHERE if array.itemsize == 8 else NOWHERE_SINGLE


@jitted
def new_tile(capacity, auxiliary, parameters):
    """A tile for `parameters` of a kernel, in whose type it computes."""
    real, double = parameters.constants, parameters.origin
    return Tile(
        aligned(capacity * parameters.origin.size, real),
        aligned(capacity * parameters.constants.size, real),
        aligned(auxiliary, real),
        aligned(capacity, real),
        aligned(capacity, double),
        aligned(capacity, real),
        aligned(capacity, double),
        aligned(np.int64(WIDTH), double),  # a literal would compile `aligned` once more
        aligned(capacity, real),
        aligned(capacity, double),
        aligned(capacity, double),
    )


# loading --------------------------------------------------------------------------------------------------------------


def _pointer(v: Vectors, address: ir.Value, bytes_: ir.Value, kind: ir.Type) -> ir.Value:
    return v.builder.inttoptr(v.builder.add(address, bytes_), kind.as_pointer())


def _doubles(v: Vectors, address, offset, count: int, kind: ir.Type) -> ir.Value:
    """`count` neighbouring numbers as the first lanes of a vector of doubles; the other lanes are undefined."""
    vector = ir.VectorType(kind, count)
    loaded = v.builder.load(_pointer(v, address, offset, vector), align=4)
    if kind == F32:
        loaded = v.builder.fpext(loaded, ir.VectorType(F64, count))
    if count == WIDTH:
        return loaded
    return v.shuffle(loaded, ir.Constant(loaded.type, ir.Undefined), [min(lane, count) for lane in range(WIDTH)])


def transposed(v: Vectors, rows: list[ir.Value], count: int) -> list[ir.Value]:
    """The first `count` columns of eight row vectors, by three rounds of pairwise interleaving."""
    for distance in (4, 2, 1):
        next_rows: list[ir.Value] = [None] * WIDTH
        for r in range(WIDTH):
            if r & distance:
                continue
            a, b = rows[r], rows[r + distance]
            low = [x if not x & distance else x - distance + WIDTH for x in range(WIDTH)]
            high = [x + distance if not x & distance else x + WIDTH for x in range(WIDTH)]
            next_rows[r], next_rows[r + distance] = v.shuffle(a, b, low), v.shuffle(a, b, high)
        rows = next_rows
    return rows[:count]


def _narrow(v: Vectors, panels: ir.Value) -> tuple[Vectors, int]:
    """What writes eight numbers of the type of `panels`, and how many such groups a panel has."""
    real = panels.type.pointee
    return Vectors(v.builder, real), Vectors(v.builder, real).panel // WIDTH


def _store_group(v: Vectors, target: Vectors, values: ir.Value, pointer: ir.Value, offset: ir.Value) -> None:
    """Eight doubles to `pointer[offset:]`, rounded if need be."""
    group = ir.VectorType(target.real, WIDTH)
    rounded = values if target.real == F64 else v.builder.fptrunc(values, group)
    v.builder.store(rounded, v.builder.bitcast(v.at(pointer, offset), group.as_pointer()), align=4)


def _load_row_major(v: Vectors, row_address, n_groups, origin, panels, kind: ir.Type) -> None:
    """Groups of eight rows, each in one piece: row r of group g lies at ``row_address(g, r)``."""
    b, size, n_features = v.builder, 4 if kind == F32 else 8, v.size(origin)
    narrow, groups = _narrow(v, panels)

    def group(g):
        addresses = [row_address(g, r) for r in range(WIDTH)]
        panel, part = b.sdiv(g, v.index(groups)), b.srem(g, v.index(groups))
        start = b.add(b.mul(b.mul(panel, n_features), v.index(narrow.panel)), b.mul(part, v.index(WIDTH)))
        target = v.at(panels, start)

        def columns(j, count):
            offset = b.mul(j, v.index(size))
            rows = [_doubles(v, address, offset, count, kind) for address in addresses]
            for c, column in enumerate(transposed(v, rows, count)):
                feature = b.add(j, v.index(c))
                centred = v.subtract(column, v.broadcast(origin, feature))
                _store_group(v, narrow, centred, target, b.mul(feature, v.index(narrow.panel)))

        v.halving_blocks(n_features, WIDTH, columns)
        return ()

    v.loop(n_groups, (), group)


def _load_column_major(v: Vectors, columns, n_groups, origin, panels, kind: ir.Type) -> None:
    """Groups of eight rows whose columns lie in one piece each; `columns`: where the first begins, and the stride."""
    address, column_stride = columns
    b, size, n_features = v.builder, 4 if kind == F32 else 8, v.size(origin)
    narrow, groups = _narrow(v, panels)

    def feature(j):
        base = b.add(address, b.mul(j, column_stride))
        shift = v.broadcast(origin, j)

        def group(g):
            values = _doubles(v, base, b.mul(g, v.index(WIDTH * size)), WIDTH, kind)
            panel, part = b.sdiv(g, v.index(groups)), b.srem(g, v.index(groups))
            row = b.add(b.mul(panel, n_features), j)
            target = b.add(b.mul(row, v.index(narrow.panel)), b.mul(part, v.index(WIDTH)))
            _store_group(v, narrow, v.subtract(values, shift), panels, target)
            return ()

        v.loop(n_groups, (), group)
        return ()

    v.loop(n_features, (), feature)


@vectorised
def _load_groups(v, rows, address, n_groups, origin, tile):
    """Eight rows at a time from rows or columns that lie in one piece; returns how many groups were loaded."""
    b, v = v.builder, v.doubles
    loaded = cgutils.alloca_once_value(b, v.index(0))

    def row_address(g, r):
        return b.add(address, b.mul(b.add(b.mul(g, v.index(WIDTH)), v.index(r)), rows.row_stride))

    for kind, size in ((F64, 8), (F32, 4)):
        fits = b.icmp_signed("==", rows.itemsize, v.index(size))
        for load, where, other in (
            (_load_row_major, row_address, rows.column_stride),
            (_load_column_major, (address, rows.column_stride), rows.row_stride),
        ):
            contiguous = b.and_(fits, b.icmp_signed("==", other, v.index(size)))
            todo = b.and_(contiguous, b.icmp_signed("==", b.load(loaded), v.index(0)))
            with b.if_then(todo):
                load(v, where, n_groups, origin, tile.panels, kind)
                b.store(n_groups, loaded)
    return b.load(loaded)


@vectorised
def _load_listed_groups(v, rows, address, numbers, at, count, n_groups, origin, tile):
    """Eight rows at a time that lie in one piece each, as `load_listed` has it; returns how many groups were loaded."""
    b, v = v.builder, v.doubles
    loaded = cgutils.alloca_once_value(b, v.index(0))
    last = b.sub(count, v.index(1))

    def row_address(g, r):
        i = b.add(b.mul(g, v.index(WIDTH)), v.index(r))
        i = b.select(b.icmp_signed("<", i, last), i, last)
        number = b.zext(b.load(v.at(numbers, b.add(at, i))), v.integer)
        return b.add(address, b.mul(number, rows.row_stride))

    for kind, size in ((F64, 8), (F32, 4)):
        fits = b.icmp_signed("==", rows.itemsize, v.index(size))
        with b.if_then(b.and_(fits, b.icmp_signed("==", rows.column_stride, v.index(size)))):
            _load_row_major(v, row_address, n_groups, origin, tile.panels, kind)
            b.store(n_groups, loaded)
    return b.load(loaded)


@vectorised
def _load_double(v, address, itemsize, target, offset):
    """target[offset] = the number at `address`."""
    b = v.builder
    with b.if_else(b.icmp_signed("==", itemsize, v.index(8))) as (double, single):
        with double:
            b.store(b.load(_pointer(v, address, v.index(0), F64), align=1), v.at(target, offset))
        with single:
            value = b.fpext(b.load(_pointer(v, address, v.index(0), F32), align=1), F64)
            b.store(value, v.at(target, offset))


@vectorised
def fill(v, array, count, value):
    """array[:count] = value, for a multiple of a vector."""
    b = v.builder
    vector = v.splat(value if value.type == v.real else b.fptrunc(value, v.real))

    def store(i):
        v.store(vector, array, b.mul(i, v.index(v.width)))
        return ()

    v.loop(b.sdiv(count, v.index(v.width)), (), store)


@jitted
def load_listed(rows, first, numbers, at, count, n_panels, origin, tile):
    """Rows first + numbers[at], ..., first + numbers[at + count - 1] into panels; the last one fills what is left.

    `numbers` are unsigned. Neither `tile.weights` nor `tile.top` mean anything afterwards.
    """
    n_features, panel = origin.size, panel_rows(tile.panels)
    address = rows.address + first * rows.row_stride
    groups = _load_listed_groups(rows, address, numbers, at, count, n_panels * panel // WIDTH, origin, tile)
    for b in range(groups * WIDTH, n_panels * panel):
        row = address + np.int64(numbers[at + min(b, count - 1)]) * rows.row_stride
        for j in range(n_features):
            _load_double(row + j * rows.column_stride, rows.itemsize, tile.weights, 0)
            tile.panels[(b // panel * n_features + j) * panel + b % panel] = tile.weights[0] - origin[j]


@jitted
def load_tile(rows, first, count, origin, tile):
    """Rows first, ..., first + count - 1 into panels, the last filled up with zeros; returns the number of panels."""
    n_features, panel = origin.size, panel_rows(tile.panels)
    n_panels = (count + panel - 1) // panel
    address = rows.address + first * rows.row_stride
    groups = _load_groups(rows, address, count // WIDTH, origin, tile)
    for b in range(groups * WIDTH, count):
        for j in range(n_features):
            number = address + b * rows.row_stride + j * rows.column_stride
            _load_double(number, rows.itemsize, tile.weights, 0)
            tile.panels[(b // panel * n_features + j) * panel + b % panel] = tile.weights[0] - origin[j]
    fill(tile.top, n_panels * panel, nowhere(tile.top))
    fill(tile.weights, n_panels * panel, 1.0)
    # Loops, not slices: assigning to a slice makes Numba compile two seconds' worth of error messages.
    for b in range(count if rows.weights.size else 0):
        tile.weights[b] = rows.weights[first + b]
    _clear_absent(rows, count, n_panels * panel, n_features, tile)
    return n_panels


@jitted
def load_ordered_tile(rows, first, count, origin, tile):
    """The same in their order, which all rows of a tile have or none."""
    if first >= rows.order.size:
        return load_tile(rows, first, count, origin, tile)
    panel, begin = panel_rows(tile.panels), first - first % ORDERED
    n_panels = (count + panel - 1) // panel
    load_listed(rows, begin, rows.order, first, count, n_panels, origin, tile)
    fill(tile.top, n_panels * panel, nowhere(tile.top))
    fill(tile.weights, n_panels * panel, 1.0)
    for b in range(count if rows.weights.size else 0):
        tile.weights[b] = rows.weights[begin + rows.order[first + b]]
    _clear_absent(rows, count, n_panels * panel, origin.size, tile)
    return n_panels


@inlined
def _clear_absent(rows, count, n_places, n_features, tile):
    """Weights and features of places without a row, or whose row has no weight: zero times an overflow would be NaN."""
    panel = panel_rows(tile.panels)
    for b in range(count, n_places):
        tile.weights[b] = 0.0
    for b in range(0 if rows.weights.size else count, n_places):
        if tile.weights[b] == 0.0:
            for j in range(n_features):
                tile.panels[(b // panel * n_features + j) * panel + b % panel] = 0.0


# responsibilities -----------------------------------------------------------------------------------------------------


@vectorised
def normalise(v, n_panels, n_components, tile, floor):
    """Half log-joints h_k into exp(h_k - top), whose squares over their sum are the responsibilities.

    Half, because the square root of a responsibility is what the second moments want on either side, and this way it
    costs neither a square root nor a second exponential. It is zero where h_k - top is not above `floor`.
    """
    b, d, lanes = v.builder, v.doubles, range(PANEL_VECTORS)
    floor = elementary.exp_floor(v, floor)

    def panel(p, likelihood, mass):
        row = b.mul(p, v.index(v.panel))
        first = v.at(tile.scores, b.mul(row, n_components))
        greatest = v.load_all(v.at(tile.top, row), PANEL_VECTORS)

        def component(k, *totals):
            score = v.at(first, b.mul(k, v.index(v.panel)))
            exponentials = [
                elementary.exp(v, v.subtract(h, greatest[c]), floor)
                for c, h in enumerate(v.load_all(score, PANEL_VECTORS))
            ]
            for c in lanes:
                v.store(exponentials[c], score, c * v.width)
            return [v.fma(e, e, total) for e, total in zip(exponentials, totals, strict=True)]

        totals = v.loop(n_components, [v.constant(0.0)] * PANEL_VECTORS, component)
        for c in lanes:
            roots = []
            for half, pair in enumerate(zip(v.to_doubles(totals[c]), v.to_doubles(greatest[c]), strict=True)):
                at = b.add(row, v.index(c * v.width + half * WIDTH))
                total, weight = d.maximum(pair[0], d.constant(LEAST_TOTAL)), d.load(tile.weights, at)
                density = d.fma(pair[1], d.constant(2.0), elementary.log(d, total))
                d.store(density, tile.log_density, at)
                roots.append(d.sqrt(d.divide(weight, total)))
                likelihood, mass = d.fma(weight, density, likelihood), d.add(mass, weight)
            v.store(v.from_doubles(roots), v.at(tile.root, row), c * v.width)
        return likelihood, mass

    (packed,) = d.sums(v.loop(n_panels, [d.constant(0.0)] * 2, panel))
    d.store(packed, tile.totals)


def square_responsibilities(v: Vectors, p, n_panels: ir.Value, tile) -> None:
    """Exponentials into weighted responsibilities w r = (e root)^2, in place."""
    b, n_components = v.builder, v.size(p.constants)

    def panel(i):
        row = b.mul(i, v.index(v.panel))
        first = v.at(tile.scores, b.mul(row, n_components))
        roots = v.load_all(v.at(tile.root, row), PANEL_VECTORS)

        def component(k):
            score = v.at(first, b.mul(k, v.index(v.panel)))
            for c, e in enumerate(v.load_all(score, PANEL_VECTORS)):
                s = v.multiply(e, roots[c])
                v.store(v.multiply(s, s), score, c * v.width)
            return ()

        v.loop(n_components, (), component)
        return ()

    v.loop(n_panels, (), panel)
