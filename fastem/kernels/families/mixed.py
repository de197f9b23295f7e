"""Columns of different kinds: the kernels of other families, each on columns of its own.

log w_k p(x | k) = log w_k + sum over blocks of log p(x_block | k). The log-joints of the blocks are added in the tile,
and each block takes its moments with the responsibilities of all. A kernel finds the rows of its columns, about their
origin, where it finds those of a tile that has no others.
"""

from typing import Any, NamedTuple

import numpy as np

from fastem.kernels.compilation import inlined
from fastem.kernels.passes import HEADER
from fastem.kernels.tiles import Tile, fill, nowhere, panel_rows, tile_rows
from fastem.kernels.vectors.simd import PANEL_VECTORS, padded, vectorised


@vectorised
def _choose_columns(v, n_panels, columns, origin, panels, chosen):
    """The panels of some columns from those of all."""
    b = v.builder

    def panel(i):
        def column(c):
            source = b.add(b.mul(i, v.size(origin)), b.load(v.at(columns, c)))
            target = b.add(b.mul(i, v.size(columns)), c)
            for part, vector in enumerate(v.load_all(v.at(panels, b.mul(source, v.index(v.panel))), PANEL_VECTORS)):
                v.store(vector, v.at(chosen, b.mul(target, v.index(v.panel))), part * v.width)
            return ()

        v.loop(v.size(columns), (), column)
        return ()

    v.loop(n_panels, (), panel)


@vectorised
def _add_scores(v, n_panels, log_weights, added, tile):
    """Half log-joints of further columns onto `tile.scores`, which has the weights; the maximum is made anew."""
    b, n_components = v.builder, v.size(log_weights)

    def panel(i):
        row = b.mul(i, v.index(v.panel))
        first = b.mul(row, n_components)

        def component(k, *greatest):
            where, weight = b.add(first, b.mul(k, v.index(v.panel))), v.broadcast(log_weights, k)
            tops = []
            for c, top in enumerate(greatest):
                at = b.add(where, v.index(c * v.width))
                score = v.add(v.load(tile.scores, at), v.subtract(v.load(added, at), weight))
                v.store(score, tile.scores, at)
                tops.append(v.maximum(score, top))  # in this order NaN never wins
            return tops

        lowest = [v.constant(-1e300)] * PANEL_VECTORS
        for c, greatest in enumerate(v.loop(n_components, lowest, component)):
            v.store(greatest, tile.top, b.add(row, v.index(c * v.width)))
        return ()

    v.loop(n_panels, (), panel)


@vectorised
def _copy(v, source, target, count):
    """target[:count] = source[:count], for a multiple of a vector."""

    def store(i):
        at = v.builder.mul(i, v.index(v.width))
        v.store(v.load(source, at), target, at)
        return ()

    v.loop(v.builder.sdiv(count, v.index(v.width)), (), store)


@inlined
def _with_own(tile, panels, scores, top, auxiliary):
    """A tile with some memory of its own."""
    shared = tile.weights, tile.root, tile.log_density, tile.totals, tile.uniform, tile.numbers, tile.noise
    return Tile(panels, scores, auxiliary, top, *shared)


class ColumnsParameters(NamedTuple):
    """A mixture of some of the columns as the kernel reads it; `of` makes one."""

    origin: np.ndarray  # (D,) of all columns, zero where it is not that of `family`
    constants: np.ndarray  # (K,) those of `family`
    columns: np.ndarray  # (d,) int64
    family: Any  # the parameters of a kernel of d features

    @classmethod
    def of(cls, n_features, columns, family):
        """From the number of all columns, those of the family, and its parameters."""
        origin = np.zeros(n_features)
        origin[columns] = family.origin
        return cls(origin, family.constants, columns, family)

    def statistics_size(self) -> int:
        return self.family.statistics_size()

    def auxiliary_size(self, capacity: int) -> int:
        return capacity * self.columns.size + padded(self.family.auxiliary_size(capacity))

    # compiled ---------------------------------------------------------------------------------------------------------

    def log_joint(self, n_panels, tile):
        size = tile.top.size * self.columns.size
        panels = tile.auxiliary[:size]
        _choose_columns(n_panels, self.columns, self.origin, tile.panels, panels)
        self.family.log_joint(n_panels, _with_own(tile, panels, tile.scores, tile.top, tile.auxiliary[size:]))

    def accumulate(self, n_panels, tile, statistics):
        size = tile.top.size * self.columns.size
        own = _with_own(tile, tile.auxiliary[:size], tile.scores, tile.top, tile.auxiliary[size:])
        self.family.accumulate(n_panels, own, statistics)


class JoinedParameters(NamedTuple):
    """Two mixtures of the same weights and different columns as the kernel reads them; `of` makes one."""

    origin: np.ndarray  # (D,)
    constants: np.ndarray  # (K,) of the first
    log_weights: (
        np.ndarray
    )  # (K,) log w_k / 2: both have it; zero for a component without rows, which is nowhere anyway
    memory: int  # numbers of a tile that the first keeps
    moments: int  # doubles of its statistics
    first: ColumnsParameters
    others: Any  # ColumnsParameters, or JoinedParameters again

    @classmethod
    def of(cls, log_weights, first, others):
        """From log w_k (K,), finite, and the parameters of the two."""
        memory = first.auxiliary_size(tile_rows(log_weights.size))
        own = 0.5 * log_weights, memory, first.statistics_size()
        return cls(first.origin + others.origin, first.constants, *own, first, others)

    def statistics_size(self) -> int:
        return self.moments + self.others.statistics_size()

    def auxiliary_size(self, capacity: int) -> int:
        return self.memory + capacity * (self.constants.size + 1) + padded(self.others.auxiliary_size(capacity))

    # compiled ---------------------------------------------------------------------------------------------------------

    def log_joint(self, n_panels, tile):
        one, other = _two_tiles(self, tile)
        self.first.log_joint(n_panels, one)
        fill(other.top, n_panels * panel_rows(tile.panels), nowhere(tile.top))
        self.others.log_joint(n_panels, other)
        _add_scores(n_panels, self.log_weights, other.scores, tile)

    def accumulate(self, n_panels, tile, statistics):
        one, other = _two_tiles(self, tile)
        _copy(tile.scores, other.scores, n_panels * panel_rows(tile.panels) * self.constants.size)
        self.first.accumulate(n_panels, one, statistics[: self.moments])
        self.others.accumulate(n_panels, other, statistics[self.moments :])


@inlined
def _two_tiles(parameters, tile):
    """The tiles of the first columns and of the others, which has scores of its own."""
    capacity, begin = tile.top.size, parameters.memory
    end = begin + capacity * parameters.constants.size
    memory = tile.auxiliary
    one = _with_own(tile, tile.panels, tile.scores, tile.top, memory[:begin])
    other = _with_own(tile, tile.panels, memory[begin:end], memory[end : end + capacity], memory[end + capacity :])
    return one, other


def joined(log_weights: np.ndarray, blocks: list[ColumnsParameters]) -> Any:
    """The parameters of all blocks of a mixture together."""
    with np.errstate(invalid="ignore"):
        finite = np.where(np.isfinite(log_weights), log_weights, 0.0)
    parameters: Any = blocks[-1]
    for block in blocks[-2::-1]:
        parameters = JoinedParameters.of(finite, block, parameters)
    return parameters


def split_statistics(sums: np.ndarray, blocks: list[ColumnsParameters]) -> list[np.ndarray]:
    """What a pass has added up (HEADER + size,) as each block's own kernel would have it."""
    header, moments = np.split(sums, [HEADER])
    ends = np.cumsum([block.statistics_size() for block in blocks])
    return [np.concatenate([header, part]) for part in np.split(moments, ends[:-1])]
