"""Sums of outer products: the second moments of full covariances, and the total scatter for tied ones."""

from functools import cache

import numpy as np
from llvmlite import ir

from fastem.kernels.vectors.blocks import add_sums, register_groups
from fastem.kernels.vectors.simd import Vectors, vectorised

BLOCK = 4  # rows, and columns, of a register block
ROW = 8  # columns at a time of a block row of one row


def outer_size(n_rows: int) -> int:
    """Doubles that `outer_products` adds to."""
    n_blocks = (n_rows + BLOCK - 1) // BLOCK
    return 8 * n_blocks * (n_blocks + 1)  # sixteen cells a block, i + 1 blocks in block row i


def unpack_outer(packed: np.ndarray, n_rows: int) -> np.ndarray:
    """What `outer_products` added up, (..., outer_size) into symmetric matrices (..., n_rows, n_rows)."""
    return packed[..., _places(n_rows)]


@cache
def _places(n_rows: int) -> np.ndarray:
    """Where `outer_products` adds up each entry of the matrix, (n_rows, n_rows)."""
    places = np.empty((n_rows, n_rows), dtype=np.intp)
    for i in range(0, n_rows, BLOCK):
        rows, base = min(BLOCK, n_rows - i), outer_size(i)
        width = ROW if rows == 1 else BLOCK
        for j in range(0, i, width):
            columns = min(width, i - j)
            start = base + (j if rows == 1 else j * BLOCK)
            cells = np.arange(start, start + rows * columns).reshape(rows, columns)
            places[i : i + rows, j : j + columns] = cells
            places[j : j + columns, i : i + rows] = cells.T
        for n, (r, c) in enumerate(_triangle(rows)):
            places[i + r, i + c] = places[i + c, i + r] = base + i * BLOCK + n
    return places


def _triangle(rows: int) -> list[tuple[int, int]]:
    return [(r, c) for r in range(rows) for c in range(r + 1)]


def outer_offset(v: Vectors, i: ir.Value) -> ir.Value:
    """`outer_size` of `i` rows, a multiple of BLOCK: where the block row of row i starts."""
    return v.builder.sdiv(v.builder.mul(i, v.builder.add(i, v.index(BLOCK))), v.index(2))


@vectorised
def outer_products(v, deviations, count, n_rows, statistics, offset):
    """statistics[offset:] += lower triangle of sum e e^T over `count` columns e of panels, block by block.

    `count` is a multiple of a vector.
    """
    add_outer_products(v, deviations, count, n_rows, v.at(statistics, offset))


def add_outer_products(v: Vectors, deviations: ir.Value, count: ir.Value, n_rows: ir.Value, target: ir.Value) -> None:
    """The same into `target`."""
    b = v.builder
    stride = b.mul(n_rows, v.index(v.panel))
    n_panels, rest = b.sdiv(count, v.index(v.panel)), b.srem(count, v.index(v.panel))
    after, n_vectors = b.mul(n_panels, stride), b.sdiv(rest, v.index(v.width))

    def vector_at(i):
        return b.add(after, b.mul(i, v.index(v.width)))

    def products(i, j, cells, place):
        """place[n] += sum e[i + r] e[j + c] for the n-th cell (r, c)."""
        left, right = v.at(deviations, b.mul(i, v.index(v.panel))), v.at(deviations, b.mul(j, v.index(v.panel)))
        sums = {}
        for group in register_groups(cells):

            def rows(size, at, *totals, group=group):
                totals = list(totals)
                for vector in range(0, size, v.width):
                    e_left = {r: v.load(v.at(left, at), r * v.panel + vector) for r, _ in group}
                    e_right = {c: v.load(v.at(right, at), c * v.panel + vector) for _, c in group}
                    for n, (r, c) in enumerate(group):
                        totals[n] = v.fma(e_left[r], e_right[c], totals[n])
                return totals

            totals = [v.constant(0.0)] * len(group)
            totals = v.loop(n_panels, totals, lambda p, *t, rows=rows: rows(v.panel, b.mul(p, stride), *t))
            totals = v.loop(n_vectors, totals, lambda i, *t, rows=rows: rows(v.width, vector_at(i), *t))
            sums |= dict(zip(group, totals, strict=True))
        add_sums(v, [sums[cell] for cell in cells], place)

    def block_row(i, rows):
        base = v.at(target, outer_offset(v, i))

        def block(j, columns):
            cells = [(r, c) for r in range(rows) for c in range(columns)]
            products(i, j, cells, v.at(base, j if rows == 1 else b.mul(j, v.index(BLOCK))))

        # A single row takes eight columns at a time: four chains of additions would wait for each other.
        if rows == 1:
            v.blocks(i, ROW, block, remainders=(BLOCK,))
        else:
            v.blocks(i, BLOCK, block, remainders=())
        products(i, i, _triangle(rows), v.at(base, b.mul(i, v.index(BLOCK))))

    v.blocks(n_rows, BLOCK, block_row)
