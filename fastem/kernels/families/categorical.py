"""Independent categorical columns: a level is looked up, not multiplied with zeros and ones.

log w_k p(x | k) = log w_k + sum_j log p_kj(x_j). Here vectors run across components: the table holds log p for all
components of a level side by side, so that a cell of the data costs one load and one addition for every eight of them;
blocks of eight rows by eight components are transposed between this order and that of the scores.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from fastem.kernels.tiles import square_responsibilities, transposed
from fastem.kernels.vectors import blocks
from fastem.kernels.vectors.memory import aligned_zeros
from fastem.kernels.vectors.simd import BLOCK_VECTORS, INTEGERS, PANEL_VECTORS, WIDTH, Vectors, padded, vectorised

LOOKUPS = 2 if BLOCK_VECTORS == PANEL_VECTORS else 1  # vectors of components at once: what the registers hold


def _locate(v: Vectors, p, n_panels: ir.Value, tile) -> None:
    """Where the levels of each cell lie in the table; values outside of the column's levels are moved to the nearest.

    They are refused before; this only keeps the memory safe.
    """
    b, n_features, stride = v.builder, v.size(p.origin), v.size(p.filled)

    def panel(i):
        def feature(j):
            at = b.mul(b.add(b.mul(i, n_features), j), v.index(v.panel))
            greatest, start = v.broadcast(p.last, j), b.load(v.at(p.starts, j))
            first = b.insert_element(ir.Constant(INTEGERS, ir.Undefined), start, ir.IntType(32)(0))
            starts_of = v.shuffle(first, first, [0] * WIDTH)
            step = b.insert_element(ir.Constant(INTEGERS, ir.Undefined), stride, ir.IntType(32)(0))
            steps = v.shuffle(step, step, [0] * WIDTH)
            for c in range(PANEL_VECTORS):
                where = b.add(at, v.index(c * v.width))
                level = v.maximum(v.load(tile.panels, where), v.constant(0.0))  # in this order NaN is zero
                level = b.select(b.fcmp_ordered("<", level, greatest), level, greatest)
                place = b.mul(b.add(starts_of, b.fptosi(level, INTEGERS)), steps)
                v.store(b.bitcast(place, v.vector), tile.auxiliary, where)
            return ()

        v.loop(n_features, (), feature)
        return ()

    v.loop(n_panels, (), panel)


def _row_groups(v, p, n_panels, tile, body) -> None:
    """Emit ``body(panel, part, place)`` for every eight rows; ``place(j, r)`` is where cell j of row r of them lies."""
    b, n_features = v.builder, v.size(p.origin)
    integers = b.bitcast(tile.auxiliary, ir.IntType(64).as_pointer())

    def group(g):
        panel, part = b.sdiv(g, v.index(PANEL_VECTORS)), b.srem(g, v.index(PANEL_VECTORS))
        first = b.add(b.mul(b.mul(panel, n_features), v.index(v.panel)), b.mul(part, v.index(WIDTH)))
        body(
            panel,
            part,
            lambda j, r: b.load(v.at(integers, b.add(first, b.add(b.mul(j, v.index(v.panel)), v.index(r))))),
        )
        return ()

    v.loop(b.mul(n_panels, v.index(PANEL_VECTORS)), (), group)


def _components_of(v, panel, part, n_components, block) -> list[tuple[ir.Value, ir.Value]]:
    """For eight components: whether there is such a one, and where its eight scores lie."""
    b = v.builder
    base = b.add(b.mul(b.mul(panel, n_components), v.index(v.panel)), b.mul(part, v.index(WIDTH)))
    result = []
    for lane in range(WIDTH):
        k = b.add(b.mul(block, v.index(WIDTH)), v.index(lane))
        exists = b.icmp_signed("<", k, n_components)
        nearest = b.select(exists, k, b.sub(n_components, v.index(1)))
        result.append((exists, b.add(base, b.mul(nearest, v.index(v.panel)))))
    return result


@vectorised
def _score(v, p, n_panels, tile):
    b, n_features, n_components = v.builder, v.size(p.origin), v.size(p.constants)
    _locate(v, p, n_panels, tile)
    n_blocks = b.sdiv(b.add(n_components, v.index(WIDTH - 1)), v.index(WIDTH))

    def group(panel, part, place):
        rows = b.add(b.mul(panel, v.index(v.panel)), b.mul(part, v.index(WIDTH)))

        def components(first, count):
            begin = b.mul(first, v.index(WIDTH))
            constants = v.load_all(v.at(p.filled, begin), count)

            def feature(j, *totals):
                result = []
                for r in range(WIDTH):
                    entry = v.load_all(v.at(p.table, b.add(place(j, r), begin)), count)
                    result += [v.add(totals[r * count + c], entry[c]) for c in range(count)]
                return result

            totals = v.loop(n_features, constants * WIDTH, feature)
            greatest = v.load(tile.top, rows)
            for c in range(count):
                columns = transposed(v, totals[c::count], WIDTH)
                for column, (exists, where) in zip(
                    columns, _components_of(v, panel, part, n_components, b.add(first, v.index(c))), strict=True
                ):
                    greatest = v.maximum(column, greatest)
                    with b.if_then(exists):
                        v.store(column, tile.scores, where)
            v.store(greatest, tile.top, rows)

        v.blocks(n_blocks, LOOKUPS, components)

    _row_groups(v, p, n_panels, tile, group)


def _add_by_level(v: Vectors, p, n_panels: ir.Value, tile, target: ir.Value) -> None:
    """target[level, k] += sum of r_k over the rows with this level."""
    b, n_features, n_components = v.builder, v.size(p.origin), v.size(p.constants)
    n_blocks = b.sdiv(b.add(n_components, v.index(WIDTH - 1)), v.index(WIDTH))

    def group(panel, part, place):
        def components(first, count):
            shares = []
            for c in range(count):
                columns = [
                    b.select(exists, v.load(tile.scores, where), v.constant(0.0))
                    for exists, where in _components_of(v, panel, part, n_components, b.add(first, v.index(c)))
                ]
                shares.append(transposed(v, columns, WIDTH))
            begin = b.mul(first, v.index(WIDTH))

            def feature(j):
                for r in range(WIDTH):
                    cell = v.at(target, b.add(place(j, r), begin))
                    for c in range(count):
                        v.store(v.add(v.load(cell, c * WIDTH), shares[c][r]), cell, c * WIDTH)
                return ()

            v.loop(n_features, (), feature)

        v.blocks(n_blocks, LOOKUPS, components)

    _row_groups(v, p, n_panels, tile, group)


@vectorised
def _add_moments(v, p, n_panels, tile, statistics):
    square_responsibilities(v, p, n_panels, tile)
    blocks.counts(v, p, n_panels, tile, statistics)
    _add_by_level(v, p, n_panels, tile, v.at(statistics, v.size(p.filled)))


class CategoricalParameters(NamedTuple):
    """A mixture as the kernel reads it; `of` makes one."""

    origin: np.ndarray  # (D,) zeros: levels are integers
    constants: np.ndarray  # (K,) log w_k / 2
    filled: np.ndarray  # the same, filled up with minus infinity to a multiple of eight
    table: np.ndarray  # (levels of all columns * padded K,) log p / 2, column after column
    starts: np.ndarray  # (D,) int64: the first level of a column
    last: np.ndarray  # (D,) the greatest level of a column

    @classmethod
    def of(cls, log_weights, log_probabilities, n_levels):
        """From log w_k (K,), log p (K, levels of all columns) and the number of levels of each column (D,)."""
        n_components, total = log_probabilities.shape
        filled = np.full(padded(n_components), -np.inf)
        filled[:n_components] = 0.5 * log_weights
        table = aligned_zeros(total, filled.size)
        table[:, :n_components] = 0.5 * log_probabilities.T
        starts = np.cumsum(n_levels) - n_levels
        origin = np.zeros(len(n_levels))
        return cls(origin, 0.5 * log_weights, filled, table.ravel(), starts.astype(np.int64), n_levels - 1.0)

    def statistics_size(self) -> int:
        return self.filled.size + self.table.size  # as many entries as the table has

    @staticmethod
    def unpack(statistics: np.ndarray, n_components: int, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
        """Counts (K,), and the sums of r over the rows of each level (K, levels of all columns)."""
        packed = statistics.reshape(1 + n_levels, -1)[:, :n_components]
        return packed[0], packed[1:].T

    def auxiliary_size(self, capacity: int) -> int:
        return capacity * self.origin.size  # where the level of a cell lies in the table

    # compiled ---------------------------------------------------------------------------------------------------------

    def log_joint(self, n_panels, tile):
        _score(self, n_panels, tile)

    def accumulate(self, n_panels, tile, statistics):
        _add_moments(self, n_panels, tile, statistics)
