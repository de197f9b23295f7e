"""The nearest of some centres: what k-means does to the panels of a tile or of a whole sample.

|x - c|^2 / 2 = |x|^2 / 2 - (x.c - |c|^2 / 2): the winner has the greatest x.c - |c|^2 / 2, one fused multiply-add a
feature. What is reported, distances and inertia, comes from differences: the expansion would leave them no digits.

Centres and sums are stored padded with zeros to whole vectors a cluster, so that a row meets its cluster in vectors.
"""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from fastem.kernels.compilation import inlined, jitted
from fastem.kernels.tiles import aligned_doubles, transposed
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
    fused,
    padded,
    vectorised,
)

LEAST = -np.finfo(np.float64).max  # below every score: those of rows whose squares just do not overflow, too


class KMeansParameters(NamedTuple):
    """Centres as the kernels read them; `of` makes them."""

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

    def statistics_size(self) -> int:
        """Doubles of the counts and sums of one lane."""
        return padded(self.constants.size) + self.centers.size

    @staticmethod
    def unpack(statistics: np.ndarray, n_clusters: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
        """Counts (K,) and sums of w (x - origin) (K, D)."""
        counts, sums = np.split(statistics, [padded(n_clusters)])
        return counts[:n_clusters], sums.reshape(n_clusters, -1)[:, :n_features]


class HardTile(NamedTuple):
    """Rows in panels and what becomes of them; `load_tile` fills the first three fields."""

    panels: np.ndarray
    weights: np.ndarray
    top: np.ndarray  # scores of the winners
    labels: np.ndarray
    distances: np.ndarray  # squared
    inertia: np.ndarray  # (1,)


@jitted
def new_hard_tile(capacity, n_features):
    return HardTile(
        aligned_doubles(capacity * n_features),
        aligned_doubles(capacity),
        aligned_doubles(capacity),
        np.empty(capacity, np.int64),
        aligned_doubles(capacity),
        np.empty(1),
    )


def center_stride(v: Vectors, p) -> ir.Value:
    """Doubles that a centre takes."""
    return v.builder.sdiv(v.size(p.centers), v.size(p.constants))


@inlined
def half_squares(parameters):
    """constants_k = -|c_k|^2 / 2."""
    centers, constants = parameters.centers, parameters.constants
    stride = centers.size // constants.size
    for k in range(constants.size):
        total = 0.0
        for j in range(k * stride, k * stride + parameters.origin.size):
            total = fused(centers[j], centers[j], total)
        constants[k] = -0.5 * total


# assignment -----------------------------------------------------------------------------------------------------------


@vectorised
def assign(v, p, n_panels, tile):
    """labels = the first k with the greatest x.c_k + constants_k for every row, `top` = that value."""
    b, n_features, stride = v.builder, v.size(p.origin), center_stride(v, p)

    def rows_block(offset, rows):
        x = v.at(tile.panels, offset)
        places = [b.add(rows, v.index(c * WIDTH)) for c in range(BLOCK_VECTORS)]
        for place in places:
            v.store(v.constant(LEAST), tile.top, place)
            store_integers(v, v.integers(0), tile.labels, place)

        def clusters(first, count):
            starts = [b.mul(b.add(first, v.index(r)), stride) for r in range(count)]

            def feature(j, *scores):
                vectors = v.load_all(v.at(x, b.mul(j, v.index(PANEL))), BLOCK_VECTORS)
                entries = [v.broadcast(p.centers, b.add(start, j)) for start in starts]
                pairs = [(entry, vector) for entry in entries for vector in vectors]
                return [v.fma(entry, vector, s) for (entry, vector), s in zip(pairs, scores, strict=True)]

            begin = [v.broadcast(p.constants, b.add(first, v.index(r))) for r in range(count)]
            scores = v.loop(n_features, [value for value in begin for _ in places], feature)
            for c, place in enumerate(places):
                greatest, label = v.load(tile.top, place), load_integers(v, tile.labels, place)
                for r in range(count):
                    score = scores[r * BLOCK_VECTORS + c]
                    wins = b.fcmp_ordered(">", score, greatest)
                    greatest = b.select(wins, score, greatest)
                    label = b.select(wins, splat_integer(v, b.add(first, v.index(r))), label)
                v.store(greatest, tile.top, place)
                store_integers(v, label, tile.labels, place)

        v.blocks(v.size(p.constants), BLOCK, clusters)
        return ()

    v.panels(n_panels, n_features, (), rows_block)


def load_integers(v: Vectors, pointer: ir.Value, offset: ir.Value) -> ir.Value:
    return v.builder.load(v.builder.bitcast(v.at(pointer, offset), INTEGERS.as_pointer()), align=8)


def store_integers(v: Vectors, value: ir.Value, pointer: ir.Value, offset: ir.Value) -> None:
    v.builder.store(value, v.builder.bitcast(v.at(pointer, offset), INTEGERS.as_pointer()), align=8)


def splat_integer(v: Vectors, scalar: ir.Value) -> ir.Value:
    undefined = ir.Constant(INTEGERS, ir.Undefined)
    first = v.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return v.shuffle(first, undefined, [0] * WIDTH)


# update ---------------------------------------------------------------------------------------------------------------


@vectorised
def add_to_clusters(v, p, n_panels, tile, statistics):
    """Add the weighted rows to the counts (padded K) and sums (K * padded D) of their clusters, and squared distances.

    `tile.distances` of every row is written, `tile.inertia` becomes the sum of weights times distances.
    """
    b, stride = v.builder, center_stride(v, p)
    sums = v.at(statistics, v.padded(v.size(p.constants)))

    def visit(row, members):
        factors = [b.load(v.at(tile.weights, b.add(row, v.index(r)))) for r in range(WIDTH)]
        for label, weight in zip(members, factors, strict=True):
            count = v.at(statistics, label)
            b.store(b.fadd(b.load(count), weight), count)

        def add(r, j, x):
            target = v.at(sums, b.add(b.mul(members[r], stride), j))
            v.store(v.fma(v.splat(factors[r]), x, v.load(target)), target)

        return add

    _measure(v, p, n_panels, tile, visit)

    def vector(i, total):
        row = b.mul(i, v.index(WIDTH))
        return (v.fma(v.load(tile.weights, row), v.load(tile.distances, row), total),)

    (total,) = v.loop(b.mul(n_panels, v.index(PANEL_VECTORS)), (v.constant(0.0),), vector)
    b.store(b.extract_element(v.sums([total])[0], ir.Constant(I64, 0)), tile.inertia)


@vectorised
def measure(v, p, n_panels, tile):
    """distances = squared distance of every row to the centre of its label."""
    _measure(v, p, n_panels, tile, lambda row, members: lambda r, j, x: None)


def _measure(v: Vectors, p, n_panels, tile, visit) -> None:
    """Write squared distances; ``visit(row, labels)(r, j, x)`` sees features j, ..., j + 7 of row + r as a vector."""
    b, n_features, stride = v.builder, v.size(p.origin), center_stride(v, p)
    # Features beyond the last are read from here: one body serves every number of features.
    zeros = b.bitcast(cgutils.alloca_once_value(b, v.constant(0.0)), F64.as_pointer())

    def group(g):
        row = b.mul(g, v.index(WIDTH))
        panel, part = b.sdiv(g, v.index(PANEL_VECTORS)), b.srem(g, v.index(PANEL_VECTORS))
        start = b.add(b.mul(b.mul(panel, n_features), v.index(PANEL)), b.mul(part, v.index(WIDTH)))
        members = [b.load(v.at(tile.labels, b.add(row, v.index(r)))) for r in range(WIDTH)]
        own = [v.at(p.centers, b.mul(label, stride)) for label in members]
        use = visit(row, members)

        def features(i, *squares):
            j = b.mul(i, v.index(WIDTH))
            columns = []
            for c in range(WIDTH):
                feature = b.add(j, v.index(c))
                column = v.at(tile.panels, b.add(start, b.mul(feature, v.index(PANEL))))
                exists = b.icmp_signed("<", feature, n_features)
                columns.append(v.load(b.select(exists, column, zeros)))
            result = []
            for r, x in enumerate(transposed(v, columns, WIDTH)):
                deviation = v.subtract(x, v.load(own[r], j))
                result.append(v.fma(deviation, deviation, squares[r]))
                use(r, j, x)
            return result

        squares = v.loop(b.sdiv(stride, v.index(WIDTH)), [v.constant(0.0)] * WIDTH, features)
        v.store(v.sums(squares)[0], tile.distances, row)
        return ()

    v.loop(b.mul(n_panels, v.index(PANEL_VECTORS)), (), group)


# all distances --------------------------------------------------------------------------------------------------------


@vectorised
def distances_to_all(v, p, n_panels, tile, table):
    """Euclidean distances of every row to every centre, stored as scores are; `tile.top` is overwritten."""
    b, stride = v.builder, center_stride(v, p)

    def deviation(k, j):
        entry = v.broadcast(p.centers, b.add(b.mul(k, stride), j))
        return lambda x: v.subtract(x, entry)

    def distance(_k, square, _where):
        return v.sqrt(square)

    outputs = SimpleNamespace(scores=table, top=tile.top)
    score_by_squares(v, p, n_panels, tile.panels, outputs, deviation, distance)
