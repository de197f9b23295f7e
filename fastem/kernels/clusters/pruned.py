"""Nearest centres without meeting all of them: what is left out is proved to be farther than what was found.

Rows come in tiles that lie together (`kd_order`). For a tile and a centre a lower bound of the least distance between
them is kept; from pass to pass it shrinks by what the centre has moved, since no distance changes by more (Elkan 2003,
for tiles in the place of rows). A centre is skipped when its bound exceeds the greatest distance of a row of the tile
to its nearest centre. The others are met with the arithmetic of `nearest.assign`, in the same order: labels are those
of the dense pass to the last bit, ties included.

Distances are kept in two bytes, in units of `Clock.unit`, rounded to the safe side. The moves of a centre are added up
in its clock; a bound is stored with what its clock showed then, so that only those are written again that were met.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from fastem.kernels.clusters.nearest import (
    LEAST,
    center_stride,
    load_integers,
    new_hard_tile,
    splat_integer,
    store_integers,
)
from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.tiles import aligned_doubles, load_listed
from fastem.kernels.vectors.blocks import BLOCK
from fastem.kernels.vectors.simd import (
    BLOCK_VECTORS,
    I32,
    I64,
    PANEL,
    PANEL_VECTORS,
    WIDTH,
    Vectors,
    vectorised,
)

CODES = 32  # a vector of bounds
MOST = 65_534  # the greatest bound: greater ones are as good
NEVER = 65_535  # in the place of centres that fill up the last vector
UNSEEN = -1  # the worst distance of a tile that no pass has met
LITTLE = 16  # a move that is less than this part of the limit is not worth finding out whether it matters
UP, DOWN = 1.0 + 1e-12, 1.0 - 1e-12  # more than what a few roundings change
# Squared distances from products of numbers below M err by less than this times (D + 2) M^2, and so does what the
# winner's may exceed another's by.
SLACK = 32 * 2.0**-53


class Clock(NamedTuple):
    """How far the centres have moved; numbers of `unit`."""

    unit: float
    square: float  # the greatest |c|^2
    exact: np.ndarray  # (K,) all moves
    shown: np.ndarray  # (padded K,) uint16, the same rounded up
    last: np.ndarray  # (padded K,) uint16, the last move rounded up
    greatest: int  # of these
    columns: np.ndarray  # (D * padded K) the centres, feature after feature


class Bounds(NamedTuple):
    """What is known of the tiles of some rows that begin a block."""

    order: np.ndarray  # (n,) uint16, as `kd_order` gives it
    lower: np.ndarray  # (tiles * padded K) uint16
    worst: np.ndarray  # (tiles,) int32, the greatest distance of a row to its nearest centre
    block: int  # rows that are ordered together
    size: int  # rows of a tile


@jitted
def pruned_tiles(rows, parameters, clock, bounds, labels, met, begin, end):
    """Labels (n,) of the rows of the tiles of shares begin, ..., end - 1 of `met`, which counts the pairs they meet."""
    size, n_features, n_clusters = bounds.size, parameters.origin.size, parameters.constants.size
    n_tiles, n_shares, n_codes, n_panels = bounds.worst.size, met.size, clock.shown.size, size // PANEL
    tile, mean = new_hard_tile(size, n_features), np.empty(n_features)
    listed, least = np.empty(n_codes, np.int64), aligned_doubles(n_codes * WIDTH)
    for share in range(begin, end):
        for t in range(share * n_tiles // n_shares, (share + 1) * n_tiles // n_shares):
            first = t * size
            count = min(size, bounds.order.size - first)
            base = first // bounds.block * bounds.block
            load_listed(rows, base, bounds.order, first, count, n_panels, parameters.origin, tile)
            _half_squares(n_panels, n_features, tile)
            slack = SLACK * (n_features + 2) * max(clock.square, 2.0 * tile.inertia[0])
            lower, limit = bounds.lower[t * n_codes : (t + 1) * n_codes], np.int64(bounds.worst[t])
            if limit == UNSEEN:
                listed[0] = _first_bounds(clock, n_clusters, n_panels, tile, mean, slack, lower, least)
                assign_listed(parameters, listed, 1, n_panels, tile, least)
                limit = _worst(n_panels, tile, slack, clock.unit)
                met[share] += size
            elif clock.greatest <= limit // LITTLE:
                limit += clock.greatest
            else:
                limit += _greatest_move(lower, clock.shown, clock.last, min(limit, MOST))
            n_listed = _list_near(lower, clock.shown, min(limit, MOST), listed)
            assign_listed(parameters, listed, n_listed, n_panels, tile, least)
            _store_bounds(lower, clock, listed, n_listed, least, slack)
            bounds.worst[t] = _worst(n_panels, tile, slack, clock.unit)
            for row in range(count):
                labels[base + np.int64(bounds.order[first + row])] = tile.labels[row]
            met[share] += n_listed * size


@inlined
def _worst(n_panels, tile, slack, unit):
    """The greatest distance of a row to the nearest centre that was met, and the slack, in units, rounded up."""
    _greatest_half_square(n_panels, tile)
    worst = np.ceil(np.sqrt(max(2.0 * (tile.inertia[0] + slack), 0.0)) / unit * UP)
    return np.int64(worst) if worst < MOST else MOST


@inlined
def _store_bounds(lower, clock, listed, n_listed, least, slack):
    """The bounds of the centres that were met, rounded down."""
    for i in range(n_listed):
        k, half = listed[i], least[i * WIDTH]
        for lane in range(1, WIDTH):
            half = min(half, least[i * WIDTH + lane])
        distance = np.sqrt(max(2.0 * half - slack, 0.0)) / clock.unit
        lower[k] = np.int64(min((distance + clock.exact[k]) * DOWN, MOST))


@inlined
def _first_bounds(clock, n_clusters, n_panels, tile, mean, slack, lower, squares):
    """Bounds from the ball around the mean of a tile; returns the centre nearest to the mean."""
    n_codes = clock.shown.size
    radius = np.sqrt(_mean_and_square(n_panels, tile, mean)) / clock.unit * UP + np.sqrt(slack) / clock.unit
    _squares_to_all(clock.columns, n_codes, mean, squares)
    nearest = 0
    for k in range(n_clusters):
        if squares[k] < squares[nearest]:
            nearest = k
        distance = np.sqrt(squares[k]) / clock.unit * DOWN - radius
        lower[k] = np.int64(min(max((distance + clock.exact[k]) * DOWN, 0.0), MOST))
    for k in range(n_clusters, n_codes):
        lower[k] = NEVER
    return nearest


@inlined
def _mean_and_square(n_panels, tile, mean):
    """The mean of the rows; returns the greatest square of a distance from there."""
    n_features, greatest = mean.size, 0.0
    for j in range(n_features):
        mean[j] = 0.0
        for row in range(n_panels * PANEL):
            mean[j] += tile.panels[(row // PANEL * n_features + j) * PANEL + row % PANEL]
        mean[j] /= n_panels * PANEL
    for row in range(n_panels * PANEL):
        square = 0.0
        for j in range(n_features):
            deviation = tile.panels[(row // PANEL * n_features + j) * PANEL + row % PANEL] - mean[j]
            square += deviation * deviation
        greatest = max(greatest, square)
    return greatest


# distances ------------------------------------------------------------------------------------------------------------


@vectorised
def _squares_to_all(v, columns, n_columns, mean, squares):
    """squares[k] = |c_k - mean|^2, from the centres feature after feature."""
    b = v.builder

    def vector(i):
        k = b.mul(i, v.index(WIDTH))

        def feature(j, total):
            deviation = v.subtract(v.load(columns, b.add(b.mul(j, n_columns), k)), v.broadcast(mean, j))
            return (v.fma(deviation, deviation, total),)

        v.store(v.loop(v.size(mean), [v.constant(0.0)], feature)[0], squares, k)
        return ()

    v.loop(b.sdiv(n_columns, v.index(WIDTH)), (), vector)


@vectorised
def _half_squares(v, n_panels, n_features, tile):
    """distances = |x|^2 / 2 of every row, `inertia` the greatest."""
    b = v.builder

    def rows_block(offset, rows, *greatest):
        x = v.at(tile.panels, offset)

        def feature(j, *totals):
            vectors = v.load_all(v.at(x, b.mul(j, v.index(PANEL))), BLOCK_VECTORS)
            return [v.fma(vector, vector, total) for vector, total in zip(vectors, totals, strict=True)]

        halves = [
            v.multiply(total, v.constant(0.5))
            for total in v.loop(n_features, [v.constant(0.0)] * BLOCK_VECTORS, feature)
        ]
        for c, half in enumerate(halves):
            v.store(half, v.at(tile.distances, rows), c * WIDTH)
        return [v.maximum(a, half) for a, half in zip(greatest, halves, strict=True)]

    greatest = v.panels(n_panels, n_features, [v.constant(0.0)] * BLOCK_VECTORS, rows_block)
    _store_greatest(v, greatest, tile)


@vectorised
def _greatest_half_square(v, n_panels, tile):
    """inertia = the greatest |x|^2 / 2 less the score of the winner."""
    b = v.builder

    def panel(i, *greatest):
        row = b.mul(i, v.index(PANEL))
        halves, tops = (v.load_all(v.at(numbers, row), PANEL_VECTORS) for numbers in (tile.distances, tile.top))
        differences = [v.subtract(half, top) for half, top in zip(halves, tops, strict=True)]
        return [v.maximum(difference, a) for difference, a in zip(differences, greatest, strict=True)]

    _store_greatest(v, v.loop(n_panels, [v.constant(LEAST)] * PANEL_VECTORS, panel), tile)


def _store_greatest(v: Vectors, vectors: list[ir.Value], tile) -> None:
    """inertia = the greatest number of some vectors."""
    greatest = vectors[0]
    for vector in vectors[1:]:
        greatest = v.maximum(vector, greatest)
    for distance in (4, 2, 1):
        other = v.shuffle(greatest, greatest, [lane ^ distance for lane in range(WIDTH)])
        greatest = v.maximum(other, greatest)
    v.builder.store(v.builder.extract_element(greatest, v.index(0)), tile.inertia)


@vectorised
def assign_listed(v, p, listed, n_listed, n_panels, tile, least):
    """What `nearest.assign` does, for the centres with `n_listed` rising numbers; `distances` are half squares of rows.

    least[i] (eight parts) = the least |x|^2 / 2 less the score of centre listed[i].
    """
    b, n_features, stride = v.builder, v.size(p.origin), center_stride(v, p)

    def clear(i):
        v.store(v.constant(-LEAST), least, b.mul(i, v.index(WIDTH)))
        return ()

    v.loop(n_listed, (), clear)

    def rows_block(offset, rows):
        x = v.at(tile.panels, offset)
        places = [b.add(rows, v.index(c * WIDTH)) for c in range(BLOCK_VECTORS)]
        for place in places:
            v.store(v.constant(LEAST), tile.top, place)
            store_integers(v, v.integers(0), tile.labels, place)

        def clusters(first, count):
            members = [b.load(v.at(listed, b.add(first, v.index(r)))) for r in range(count)]
            starts = [b.mul(member, stride) for member in members]

            def feature(j, *scores):
                vectors = v.load_all(v.at(x, b.mul(j, v.index(PANEL))), BLOCK_VECTORS)
                entries = [v.broadcast(p.centers, b.add(start, j)) for start in starts]
                pairs = [(entry, vector) for entry in entries for vector in vectors]
                return [v.fma(entry, vector, s) for (entry, vector), s in zip(pairs, scores, strict=True)]

            begin = [v.broadcast(p.constants, member) for member in members]
            scores = v.loop(n_features, [value for value in begin for _ in places], feature)
            halves = [v.load(tile.distances, place) for place in places]
            for r in range(count):
                where = b.mul(b.add(first, v.index(r)), v.index(WIDTH))
                smallest = v.load(least, where)
                for c in range(BLOCK_VECTORS):
                    half = v.subtract(halves[c], scores[r * BLOCK_VECTORS + c])
                    smallest = b.select(b.fcmp_ordered("<", half, smallest), half, smallest)
                v.store(smallest, least, where)
            for c, place in enumerate(places):
                greatest, label = v.load(tile.top, place), load_integers(v, tile.labels, place)
                for r, member in enumerate(members):
                    score = scores[r * BLOCK_VECTORS + c]
                    wins = b.fcmp_ordered(">", score, greatest)
                    greatest = b.select(wins, score, greatest)
                    label = b.select(wins, splat_integer(v, member), label)
                v.store(greatest, tile.top, place)
                store_integers(v, label, tile.labels, place)

        v.blocks(n_listed, BLOCK, clusters)
        return ()

    v.panels(n_panels, n_features, (), rows_block)


# codes ----------------------------------------------------------------------------------------------------------------

_VECTOR = ir.VectorType(ir.IntType(16), CODES)


def _load_codes(v: Vectors, pointer: ir.Value, i: ir.Value) -> ir.Value:
    at = v.at(pointer, v.builder.mul(i, v.index(CODES)))
    return v.builder.load(v.builder.bitcast(at, _VECTOR.as_pointer()), align=2)


def _near(v: Vectors, lower, shown, limit, i) -> ir.Value:
    """A vector of bits: whose bounds, less the moves of their centres, do not exceed the limit."""
    b = v.builder
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = b.insert_element(undefined, b.trunc(limit, ir.IntType(16)), ir.Constant(I32, 0))
    limits = v.shuffle(first, undefined, [0] * CODES)
    kind = ir.FunctionType(_VECTOR, [_VECTOR, _VECTOR])
    add = cgutils.get_or_insert_function(b.module, kind, f"llvm.uadd.sat.v{CODES}i16")
    return b.icmp_unsigned("<=", _load_codes(v, lower, i), b.call(add, [_load_codes(v, shown, i), limits]))


@vectorised
def _greatest_move(v, lower, shown, last, limit):
    """The greatest last move of the centres within the limit."""
    b, v = v.builder, v.doubles
    zeros = ir.Constant(_VECTOR, None)

    def vector(i, greatest):
        move = b.select(_near(v, lower, shown, limit, i), _load_codes(v, last, i), zeros)
        return (b.select(b.icmp_unsigned(">", move, greatest), move, greatest),)

    (greatest,) = v.loop(b.sdiv(v.size(shown), v.index(CODES)), (zeros,), vector)
    for distance in (16, 8, 4, 2, 1):
        other = v.shuffle(greatest, greatest, [lane ^ distance for lane in range(CODES)])
        greatest = b.select(b.icmp_unsigned(">", other, greatest), other, greatest)
    return b.zext(b.extract_element(greatest, ir.Constant(I32, 0)), I64)


@vectorised
def _list_near(v, lower, shown, limit, listed):
    """The numbers of the centres within the limit, rising, into `listed`; returns how many."""
    b, v = v.builder, v.doubles

    def vector(i, found):
        bits = b.bitcast(_near(v, lower, shown, limit, i), ir.IntType(CODES))
        first = b.mul(i, v.index(CODES))

        def centre(_, bits, found):
            lane = b.zext(b.cttz(bits, ir.Constant(ir.IntType(1), 1)), I64)
            b.store(b.add(first, lane), v.at(listed, found))
            return b.and_(bits, b.sub(bits, ir.Constant(bits.type, 1))), b.add(found, v.index(1))

        return (v.loop(b.zext(b.ctpop(bits), I64), (bits, found), centre)[1],)

    (found,) = v.loop(b.sdiv(v.size(shown), v.index(CODES)), (v.index(0),), vector)
    return found
