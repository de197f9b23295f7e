"""What passes over the same rows remember of them: an order in which tiles are small in space, bounds of distances."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastem.kernels.clusters.kd_order import LEAF, kd_order
from fastem.kernels.pruning import NOTHING, Bounds
from fastem.kernels.tiles import AS_THEY_LIE, ORDERED
from fastem.kernels.vectors.bounds import COLUMNS
from fastem.kernels.vectors.simd import padded

# Where an order of the rows pays: the more components, the fewer have a share in a tile, but in many features all do.
LEAST_COMPONENTS, MOST_FEATURES = 64, 12
ORDER_MEMORY = 2**24  # bytes; rows beyond, 8,388,608 of them, are taken as they lie
BOUND_MEMORY = 2**25 - 2**21  # bytes; tiles beyond are given to all components
WORTH_IT = 0.7  # share of evaluated pairs above which bounds are left alone for a while
LONGEST_REST = 63  # passes


class PassMemory:
    """That of all passes over some rows, for models of any kind.

    Parameters
    ----------
    n_rows : int
        All passes are over so many rows, in the same order.
    """

    capacity = LEAF

    def __init__(self, n_rows: int):
        self.n_rows, self.n_ordered = n_rows, 0
        self._order = AS_THEY_LIE
        self._codes, self._low = np.empty(0, dtype=np.uint16), np.empty(0)
        self._before: Any = None  # the parameters that the bounds belong to
        self._rest = self._longer_rest = 0

    @staticmethod
    def serves(parameters: Any) -> bool:
        """Whether passes with these parameters gain by it: a function of the model alone, which decides the bits."""
        n_components, n_features = parameters.constants.size, parameters.origin.size
        return hasattr(parameters, "moved") and n_components >= LEAST_COMPONENTS and n_features <= MOST_FEATURES

    # order ------------------------------------------------------------------------------------------------------------

    def of(self, rows: np.ndarray, first: int) -> np.ndarray:
        """The order of rows of which the first has the number `first`, a multiple of ORDERED."""
        if not self._order.size:
            self._order = np.empty(min(self.n_rows, ORDER_MEMORY // 2), dtype=np.uint16)
        end = min(first + len(rows), self._order.size)
        while self.n_ordered < end:
            begin = self.n_ordered - first
            self._order_block(rows[begin : begin + ORDERED])
        return self._order[first:end]

    def _order_block(self, rows: np.ndarray) -> None:
        """In units of the spread of each feature, rounded to powers of two, which no layout of the rows changes."""
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        centre = rows.mean(axis=0)
        _, exponents = np.frexp(np.sqrt(((rows - centre) ** 2).mean(axis=0)))
        end = min(self.n_ordered + len(rows), self._order.size)
        order = kd_order(rows, centre, np.ldexp(1.0, -exponents))
        self._order[self.n_ordered : end] = order[: end - self.n_ordered]
        self.n_ordered = end

    # bounds -----------------------------------------------------------------------------------------------------------

    @contextmanager
    def pass_with(self, parameters: Any) -> Iterator[Bounds]:
        """The bounds for a pass, which are those of its parameters when it has ended."""
        before, self._before, self._pruned = self._before, None, False
        if self._rest > 0:
            self._rest -= 1
            yield NOTHING
            return
        stride = padded(parameters.constants.size)
        n_tiles = min(-(-self.n_rows // LEAF), BOUND_MEMORY // (2 * stride))
        if self._codes.size != n_tiles * stride:
            self._codes, self._low = np.empty(n_tiles * stride, dtype=np.uint16), np.empty(n_tiles)
            before = None
        known = type(before) is type(parameters) and before.constants.dtype == parameters.constants.dtype
        self._pairs = n_tiles * parameters.constants.size
        yield self._bounds(parameters, before if known else None, stride)
        self._before, self._pruned = parameters, known

    def _bounds(self, parameters: Any, before: Any, stride: int) -> Bounds:
        moved = (0.0, 0.0) if before is None else parameters.moved(before)
        finite = np.isfinite(moved[0]) & np.isfinite(moved[1])
        shrinkage, shift = (np.where(finite, value, 0.0) for value in moved)
        table = np.zeros((COLUMNS, stride))
        table[0] = np.nan
        columns = parameters.constants, shrinkage * (1 - 1e-6), shift * (1 + 1e-6), *parameters.rounding()
        for row, column in zip(table, columns, strict=True):
            row[: parameters.constants.size] = column
        rounding = 8.0 * float(np.finfo(parameters.constants.dtype).eps)
        return Bounds(self._codes, self._low, before is not None, table.ravel(), rounding)

    def learn(self, evaluated: float) -> None:
        """Rest the longer the more often bounds have spared too little."""
        if self._pruned:
            worth_it = evaluated <= WORTH_IT * self._pairs
            self._longer_rest = 0 if worth_it else min(2 * self._longer_rest + 1, LONGEST_REST)
            self._rest = self._longer_rest
