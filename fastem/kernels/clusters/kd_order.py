"""Rows in the order of a kd-tree: those of a tile lie close together, so that what is far from one is far from all.

The order is that of blocks of a fixed number of rows by global index, so that files, chunks and arrays agree on it, and
a function of the numbers alone: a block is split where its rows spread most, at the median, until a tile is left.
"""

import numpy as np
from llvmlite import ir

from fastem.kernels.accumulation import check_width
from fastem.kernels.clusters.nearest import new_hard_tile
from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.threads import run
from fastem.kernels.tiles import Rows, load_tile
from fastem.kernels.vectors.simd import F32, I32, I64, PANEL, WIDTH, Vectors, padded, vectorised

padded_inline = inlined(padded)
LEAF = 64  # rows of a tile in this order: two panels of doubles, one of floats
MOST_ROWS = 65_536  # of a block: positions fit in two bytes
COPY_MEMORY = 2**23  # bytes of the copy of a block, in single precision, that is looked at again and again
DEPTH = 2 * 16  # segments that wait, at most two a level
KEYS, GREATEST, LEAST = 2 * WIDTH, 2**31 - 1, -(2**31)  # a vector of int32, and their range
FAR = np.float32(1e15)  # units of the spread: no square of these overflows
WORK_PER_ROW = 64  # in the units of `threads.run`: a row takes as long as so many meetings with a component


def block_rows(n_features: int) -> int:
    """Rows of a block that is ordered by itself: a power of two, fewer where rows are long."""
    rows = MOST_ROWS
    while rows > 16 * LEAF and rows * n_features * 4 > COPY_MEMORY:
        rows //= 2
    return rows


def kd_order(rows: np.ndarray, origin: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The order of a kd-tree in each block of `block_rows` rows.

    A segment is split along the feature of greatest variance (the first of equal ones) at the multiple of 64 nearest
    to its middle, by value and then by index, until at most 64 rows are left. All this happens in single precision;
    rows that share a tile keep their order.

    Parameters
    ----------
    rows : ndarray of shape (n, D)
        float32 or float64 in native byte order, finite, any strides. The first is the first of a block.
    origin : ndarray of shape (D,)
    scales : ndarray of shape (D,)
        Coordinates are (x - origin) * scales: about one in size, so a scale is one over the spread of a feature, or
        zero where it has none.

    Returns
    -------
    order : ndarray of shape (n,), uint16
        Positions within the block: row ``first + order[first + i]`` is the i-th of the block that begins at `first`.

    Notes
    -----
    Bentley, Communications of the ACM 18 (1975) 509-517; splits at medians: Friedman, Bentley and Finkel, ACM
    Transactions on Mathematical Software 3 (1977) 209-226.
    """
    check_width(rows, origin.size)
    order, size = np.empty(len(rows), dtype=np.uint16), block_rows(origin.size)
    arguments = Rows.of(rows, LEAF), origin, scales, size, order
    run(order_blocks, arguments, -(-len(rows) // size), rows.size * WORK_PER_ROW)
    return order


@jitted
def order_blocks(rows, origin, scales, size, order, begin, end):
    """Blocks begin, ..., end - 1 of `size` rows each."""
    stride, capacity = padded_inline(origin.size), min(size, rows.count)
    tile = new_hard_tile(LEAF, origin.size)
    points = np.zeros(capacity * stride, np.float32)
    numbers, others = np.empty(capacity, np.uint16), np.empty(capacity, np.uint16)
    keys, waiting = np.empty(capacity + KEYS, np.int32), np.empty(2 * DEPTH, np.int64)
    sums = np.empty(2 * stride)
    for block in range(begin, end):
        first = block * size
        count = min(size, rows.count - first)
        _load_points(rows, first, count, origin, scales, tile, points)
        for i in range(count):
            numbers[i] = i
        waiting[0], waiting[1], n_waiting = 0, count, 2
        while n_waiting:
            low, high = waiting[n_waiting - 2], waiting[n_waiting - 1]
            n_waiting -= 2
            if high - low > LEAF:
                middle = low + ((high - low) // 2 + LEAF // 2) // LEAF * LEAF
                feature = _widest(points, stride, numbers[low:high], sums)
                _split(points[feature:], stride, numbers[low:high], middle - low, keys, others)
                waiting[n_waiting], waiting[n_waiting + 1] = low, middle
                waiting[n_waiting + 2], waiting[n_waiting + 3] = middle, high
                n_waiting += 4
        for i in range(count):
            order[first + i] = numbers[i]


@inlined
def _load_points(rows, first, count, origin, scales, tile, points):
    """Scaled coordinates of the rows of a block, row after row, padded with zeros to whole vectors."""
    n_features, stride = origin.size, padded_inline(origin.size)
    for begin in range(0, count, LEAF):
        loaded = min(LEAF, count - begin)
        load_tile(rows, first + begin, loaded, origin, tile)
        for row in range(loaded):
            for j in range(n_features):
                x = np.float32(tile.panels[(row // PANEL * n_features + j) * PANEL + row % PANEL] * scales[j])
                points[(begin + row) * stride + j] = min(max(x, -FAR), FAR)


@jitted
def _widest(points, stride, numbers, sums):
    """The first feature in which the rows with these numbers have the greatest variance."""
    _add_powers(points, stride, numbers, sums)
    widest, greatest = 0, -np.inf
    for j in range(stride):
        spread = sums[stride + j] - sums[j] * sums[j] / numbers.size
        if spread > greatest:
            widest, greatest = j, spread
    return widest


@vectorised
def _add_powers(v, points, stride, numbers, sums):
    """sums[:stride], sums[stride:] = the sums of x and x^2 over some rows, for every feature."""
    b, v = v.builder, v.doubles
    group = ir.VectorType(F32, WIDTH)

    def features(vector, count):
        first = b.mul(vector, v.index(WIDTH))

        def row(i, *totals):
            number = b.zext(b.load(v.at(numbers, i)), I64)
            at = v.at(points, b.add(b.mul(number, stride), first))
            single = [b.load(b.bitcast(v.at(at, c * WIDTH), group.as_pointer()), align=4) for c in range(count)]
            x = [b.fpext(part, v.vector) for part in single]
            added = [v.add(total, part) for total, part in zip(totals, x, strict=False)]
            return added + [v.fma(part, part, total) for total, part in zip(totals[count:], x, strict=True)]

        totals = v.loop(v.size(numbers), [v.constant(0.0)] * (2 * count), row)
        for c in range(count):
            v.store(totals[c], v.at(sums, first), c * WIDTH)
            v.store(totals[count + c], v.at(sums, b.add(stride, first)), c * WIDTH)

    v.halving_blocks(b.sdiv(stride, v.index(WIDTH)), 4, features)


@jitted
def _split(column, stride, numbers, n_left, keys, others):
    """Let the `n_left` rows of least value, of equal ones the first, come first; on either side rows keep their order.

    `column` begins with the first value of the feature and has one every `stride` numbers.
    """
    bits, count = column.view(np.int32), numbers.size
    for i in range(count):
        bit = bits[numbers[i] * stride]
        keys[i] = bit ^ ((bit >> 31) & GREATEST)  # in the order of the numbers
    for i in range(count, count + KEYS):
        keys[i] = GREATEST
    limit = _smallest(keys, count, n_left)
    equal = n_left - _count_up_to(keys, count, limit - 1)  # rows at the limit that go to the left
    left, right = 0, 0
    for i in range(count):
        number, key = numbers[i], keys[i]
        goes_left = (key < limit) | ((key == limit) & (equal > 0))
        equal -= key == limit
        numbers[left] = number  # where it was or before: nothing is lost
        others[right] = number
        left += goes_left
        right += not goes_left
    for i in range(right):
        numbers[left + i] = others[i]


@inlined
def _smallest(keys, count, rank):
    """The least key that `rank` keys do not exceed, by bisection."""
    least, most = np.int64(LEAST), np.int64(GREATEST)
    while least < most:
        pivot = (least + most) >> 1
        if _count_up_to(keys, count, pivot) >= rank:
            most = pivot
        else:
            least = pivot + 1
    return least


@vectorised
def _count_up_to(v, keys, count, limit):
    """How many of the first `count` keys, padded with the greatest there is, are not above the limit, which is less."""
    b, v = v.builder, Vectors(v.builder, F32)
    undefined = ir.Constant(v.integer_vector, ir.Undefined)
    first = b.insert_element(undefined, b.trunc(limit, I32), ir.Constant(I32, 0))
    limits = v.shuffle(first, undefined, [0] * KEYS)

    def vector(i, total):
        at = b.bitcast(v.at(keys, b.mul(i, v.index(KEYS))), v.integer_vector.as_pointer())
        bits = b.bitcast(b.icmp_signed("<=", b.load(at, align=4), limits), ir.IntType(KEYS))
        return (b.add(total, b.zext(b.ctpop(bits), I64)),)

    (total,) = v.loop(b.sdiv(b.add(count, v.index(KEYS - 1)), v.index(KEYS)), (v.index(0),), vector)
    return total
