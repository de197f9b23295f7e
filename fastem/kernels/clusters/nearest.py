"""The nearest of some centres: what k-means does to the panels of a tile or of a whole sample.

|x - c|^2 / 2 = |x|^2 / 2 - (x.c - |c|^2 / 2): the winner has the greatest x.c - |c|^2 / 2, one fused multiply-add a
feature. What is reported, distances and inertia, comes from differences: the expansion would leave them no digits.

Centres and sums are stored padded with zeros to whole vectors a cluster, so that a row meets its cluster in vectors.
"""

from llvmlite import ir
from numba.core import cgutils
from numba.extending import register_jitable

from fastem.kernels.compilation import inlined
from fastem.kernels.tiles import NOWHERE, transposed
from fastem.kernels.vectors.blocks import BLOCK, score_by_squares
from fastem.kernels.vectors.simd import (
    BLOCK_VECTORS,
    F64,
    I32,
    I64,
    INTEGERS,
    PANEL,
    PANEL_VECTORS,
    WIDTH,
    Vectors,
    vectorised,
)


@register_jitable
def padded(n_features: int) -> int:
    """Doubles that a centre takes."""
    return (n_features + WIDTH - 1) // WIDTH * WIDTH


def _padded(v: Vectors, n_features: ir.Value) -> ir.Value:
    b = v.builder
    return b.mul(b.sdiv(b.add(n_features, v.index(WIDTH - 1)), v.index(WIDTH)), v.index(WIDTH))


@inlined
def half_squares(centers, n_features, constants):
    """constants_k = -|c_k|^2 / 2."""
    stride = padded(n_features)
    for k in range(constants.size):
        total = 0.0
        for j in range(k * stride, k * stride + n_features):
            total += centers[j] * centers[j]
        constants[k] = -0.5 * total


# assignment -----------------------------------------------------------------------------------------------------------


@vectorised
def assign(v, panels, n_panels, n_features, n_clusters, centers, constants, top, labels):
    """labels = the first k with the greatest x.c_k + constants_k for every row, `top` = that value."""
    b, stride = v.builder, _padded(v, n_features)

    def rows_block(offset, rows):
        x = v.at(panels, offset)
        places = [b.add(rows, v.index(c * WIDTH)) for c in range(BLOCK_VECTORS)]
        for place in places:
            v.store(v.constant(NOWHERE), top, place)
            _store_integers(v, v.integers(0), labels, place)

        def clusters(first, count):
            starts = [b.mul(b.add(first, v.index(r)), stride) for r in range(count)]

            def feature(j, *scores):
                vectors = v.load_all(v.at(x, b.mul(j, v.index(PANEL))), BLOCK_VECTORS)
                entries = [v.broadcast(centers, b.add(start, j)) for start in starts]
                pairs = [(entry, vector) for entry in entries for vector in vectors]
                return [v.fma(entry, vector, s) for (entry, vector), s in zip(pairs, scores, strict=True)]

            begin = [v.broadcast(constants, b.add(first, v.index(r))) for r in range(count)]
            scores = v.loop(n_features, [value for value in begin for _ in places], feature)
            for c, place in enumerate(places):
                greatest, label = v.load(top, place), _load_integers(v, labels, place)
                for r in range(count):
                    score = scores[r * BLOCK_VECTORS + c]
                    wins = b.fcmp_ordered(">", score, greatest)
                    greatest = b.select(wins, score, greatest)
                    label = b.select(wins, _splat_integer(v, b.add(first, v.index(r))), label)
                v.store(greatest, top, place)
                _store_integers(v, label, labels, place)

        v.blocks(n_clusters, BLOCK, clusters)
        return ()

    v.panels(n_panels, n_features, (), rows_block)


def _load_integers(v: Vectors, pointer: ir.Value, offset: ir.Value) -> ir.Value:
    return v.builder.load(v.builder.bitcast(v.at(pointer, offset), INTEGERS.as_pointer()), align=8)


def _store_integers(v: Vectors, value: ir.Value, pointer: ir.Value, offset: ir.Value) -> None:
    v.builder.store(value, v.builder.bitcast(v.at(pointer, offset), INTEGERS.as_pointer()), align=8)


def _splat_integer(v: Vectors, scalar: ir.Value) -> ir.Value:
    undefined = ir.Constant(INTEGERS, ir.Undefined)
    first = v.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return v.shuffle(first, undefined, [0] * WIDTH)


# update ---------------------------------------------------------------------------------------------------------------


@vectorised
def add_to_clusters(v, panels, n_panels, n_features, centers, labels, distances, weights, inertia, counts, sums):
    """Add the weighted rows to `counts` (K,) and `sums` (K * padded) of their clusters, and squared distances.

    `distances` of every row is written, `inertia` (1,) becomes the sum of weights times distances.
    """
    b, stride = v.builder, _padded(v, n_features)

    def visit(row, members):
        factors = [b.load(v.at(weights, b.add(row, v.index(r)))) for r in range(WIDTH)]
        for label, weight in zip(members, factors, strict=True):
            count = v.at(counts, label)
            b.store(b.fadd(b.load(count), weight), count)

        def add(r, j, x):
            target = v.at(sums, b.add(b.mul(members[r], stride), j))
            v.store(v.fma(v.splat(factors[r]), x, v.load(target)), target)

        return add

    _measure(v, panels, n_panels, n_features, centers, labels, distances, visit)

    def vector(i, total):
        row = b.mul(i, v.index(WIDTH))
        return (v.fma(v.load(weights, row), v.load(distances, row), total),)

    (total,) = v.loop(b.mul(n_panels, v.index(PANEL_VECTORS)), (v.constant(0.0),), vector)
    b.store(b.extract_element(v.sums([total])[0], ir.Constant(I64, 0)), inertia)


@vectorised
def measure(v, panels, n_panels, n_features, centers, labels, distances):
    """distances = squared distance of every row to the centre of its label."""
    _measure(v, panels, n_panels, n_features, centers, labels, distances, lambda row, members: lambda r, j, x: None)


def _measure(v: Vectors, panels, n_panels, n_features, centers, labels, distances, visit) -> None:
    """Write squared distances; ``visit(row, labels)(r, j, x)`` sees features j, ..., j + 7 of row + r as a vector."""
    b, stride = v.builder, _padded(v, n_features)
    # Features beyond the last are read from here: one body serves every number of features.
    zeros = b.bitcast(cgutils.alloca_once_value(b, v.constant(0.0)), F64.as_pointer())

    def group(g):
        row = b.mul(g, v.index(WIDTH))
        panel, part = b.sdiv(g, v.index(PANEL_VECTORS)), b.srem(g, v.index(PANEL_VECTORS))
        start = b.add(b.mul(b.mul(panel, n_features), v.index(PANEL)), b.mul(part, v.index(WIDTH)))
        members = [b.load(v.at(labels, b.add(row, v.index(r)))) for r in range(WIDTH)]
        own = [v.at(centers, b.mul(label, stride)) for label in members]
        use = visit(row, members)

        def features(i, *squares):
            j = b.mul(i, v.index(WIDTH))
            columns = []
            for c in range(WIDTH):
                feature = b.add(j, v.index(c))
                column = v.at(panels, b.add(start, b.mul(feature, v.index(PANEL))))
                exists = b.icmp_signed("<", feature, n_features)
                columns.append(v.load(b.select(exists, column, zeros)))
            result = []
            for r, x in enumerate(transposed(v, columns, WIDTH)):
                deviation = v.subtract(x, v.load(own[r], j))
                result.append(v.fma(deviation, deviation, squares[r]))
                use(r, j, x)
            return result

        squares = v.loop(b.sdiv(stride, v.index(WIDTH)), [v.constant(0.0)] * WIDTH, features)
        v.store(v.sums(squares)[0], distances, row)
        return ()

    v.loop(b.mul(n_panels, v.index(PANEL_VECTORS)), (), group)


# all distances --------------------------------------------------------------------------------------------------------


@vectorised
def distances_to_all(v, panels, n_panels, n_features, n_clusters, centers, table, top):
    """Euclidean distances of every row to every centre, stored as scores are; `top` is overwritten."""
    b, stride = v.builder, _padded(v, n_features)

    def deviation(k, j):
        entry = v.broadcast(centers, b.add(b.mul(k, stride), j))
        return lambda x: v.subtract(x, entry)

    def distance(_k, square, _where):
        return v.sqrt(square)

    score_by_squares(v, panels, n_panels, n_features, n_clusters, table, top, deviation, distance)
