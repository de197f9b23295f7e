"""Blocks of rows into kernels: cutting into tiles, choosing threads, adding up the lanes.

The results do not depend on how rows are cut into blocks: a block that ends inside a tile hands its last rows on to the
next one.
"""

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np

from fastem.kernels import passes
from fastem.kernels.assignments import LIKELIHOOD, SOFT, Assignment
from fastem.kernels.tiles import Rows
from fastem.kernels.vectors.memory import aligned_zeros
from fastem.kernels.vectors.simd import PANEL

MAX_LANES = 64
LANE_MEMORY = 2**25  # bytes for the statistics of all lanes
TILE_MEMORY = 2**19  # bytes for the scores of a tile: they stay in the second-level cache
PARALLEL_WORK = 200_000  # rows * components * features from which a second thread gains more than it costs

_here = threading.local()
_one_parallel_pass = threading.Lock()  # some threading layers abort the process when two threads enter them at once
_forked = False


def _after_fork() -> None:
    global _forked, _one_parallel_pass
    _forked, _one_parallel_pass = True, threading.Lock()  # a forked OpenMP aborts when it is used


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def tile_rows(n_components: int) -> int:
    """Rows of a tile: a function of the model alone, since the order of all sums depends on it.

    Never fewer than a panel of floats has, twice as many as one of doubles: a panel is written whole.
    """
    rows = 256
    while rows > 2 * PANEL and rows * n_components * 8 > TILE_MEMORY:
        rows //= 2
    return rows


def lane_count(size: int) -> int:
    """Lanes for statistics of `size` doubles: a power of two that the memory allows."""
    lanes = MAX_LANES
    while lanes > 4 and lanes * size * 8 > LANE_MEMORY:
        lanes //= 2
    return lanes


def check_width(rows: np.ndarray, n_features: int) -> None:
    if rows.shape[1] != n_features:  # a kernel would read beyond the rows
        raise ValueError(f"X has {rows.shape[1]} features, but the model has {n_features} features.")


@contextmanager
def serial_passes() -> Iterator[None]:
    """Passes of this thread take no others: it is one of many already."""
    before = getattr(_here, "serial", False)
    _here.serial = True
    try:
        yield
    finally:
        _here.serial = before


class Threads:
    """Enter a pass with all threads if it is worth it and nobody else is inside one, else with the calling one."""

    def __init__(self, work: int):
        self.parallel = (
            work >= PARALLEL_WORK
            and not getattr(_here, "serial", False)
            and not _forked
            and numba.get_num_threads() > 1
            and _one_parallel_pass.acquire(blocking=False)
        )

    def __enter__(self) -> bool:
        return self.parallel

    def __exit__(self, *_: object) -> None:
        if self.parallel:
            _one_parallel_pass.release()


def in_single_precision(parameters: Any) -> Any:
    """The same parameters for float32 arithmetic; the origin stays what it is, rows are moved there in float64."""
    arrays = {name: value for name, value in parameters._asdict().items() if isinstance(value, np.ndarray)}
    del arrays["origin"]
    return parameters._replace(**{name: value.astype(np.float32) for name, value in arrays.items()})


class Accumulation:
    """The statistics of one pass: `add` blocks of rows in order, then take the `total`.

    Parameters
    ----------
    parameters : NamedTuple
        A family's parameters, whose type selects the kernel.
    assignment : Assignment
        What becomes of the responsibilities; LIKELIHOOD takes the log-likelihood alone.
    """

    def __init__(self, parameters: Any, assignment: Assignment = SOFT):
        kernel = kernel_of(parameters)
        self.parameters, self.assignment = parameters, assignment
        self.n_components, self.n_features = parameters.constants.size, parameters.origin.size
        self.capacity = tile_rows(self.n_components)
        self.auxiliary = kernel.auxiliary_size(self.capacity, self.n_components, self.n_features)
        self.size = passes.HEADER + kernel.statistics_size(self.n_components, self.n_features)
        self.lanes = np.zeros((0, self.size))
        self.n_tiles = 0
        self.rest = np.empty((0, self.n_features))  # rows that do not fill a tile yet
        self.rest_weights = np.empty(0)

    def consume(self, blocks: Iterable[tuple[np.ndarray, np.ndarray | None]]) -> np.ndarray:
        """Add all blocks; return the statistics, (HEADER + size,)."""
        blocks = iter(blocks)
        block = next(blocks, None)
        while block is not None:
            following = next(blocks, None)
            if following is None and not len(self.rest):
                self._pass(*block)  # the usual case, one array: its last tile needs no copy
            else:
                self._add(*block)
            block = following
        if len(self.rest):
            self._pass(self.rest, self.rest_weights)
        return self.lanes.sum(axis=0)  # in order

    def _add(self, rows: np.ndarray, weights: np.ndarray | None) -> None:
        begin = 0
        if len(self.rest):
            begin = min(self.capacity - len(self.rest), len(rows))
            self._keep(rows[:begin], None if weights is None else weights[:begin])
            if len(self.rest) < self.capacity:
                return
            self._pass(self.rest, self.rest_weights)
            self.rest, self.rest_weights = self.rest[:0], self.rest_weights[:0]
        end = begin + (len(rows) - begin) // self.capacity * self.capacity
        if end > begin:
            self._pass(rows[begin:end], None if weights is None else weights[begin:end])
        self._keep(rows[end:], None if weights is None else weights[end:])

    def _keep(self, rows: np.ndarray, weights: np.ndarray | None) -> None:
        """Rows for the next tile, copied: a source may use the memory of its blocks again."""
        self.rest = np.concatenate([self.rest, rows.astype(np.float64, copy=False)])
        self.rest_weights = np.concatenate([self.rest_weights, np.ones(len(rows)) if weights is None else weights])

    def _pass(self, rows: np.ndarray, weights: np.ndarray | None) -> None:
        check_width(rows, self.n_features)
        if len(rows) and not self.n_tiles:
            self.assignment = self.assignment.of_part(rows[0])
        n_tiles = -(-len(rows) // self.capacity)
        lanes = min(lane_count(self.size), -(-(self.n_tiles + n_tiles) // passes.STRIPE))
        if lanes > len(self.lanes):  # lanes without a tile yet would add zeros only
            grown = aligned_zeros(lanes, self.size)
            grown[: len(self.lanes)] = self.lanes
            self.lanes = grown
        weights = np.empty(0) if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
        with Threads(len(rows) * self.n_components * self.n_features) as parallel:
            self._run(Rows.of(rows), weights, parallel)
        self.n_tiles += n_tiles

    def _run(self, rows: Rows, weights: np.ndarray, parallel: bool) -> None:
        """The compiled pass over rows that begin with tile `self.n_tiles`, added to `self.lanes`."""
        block = rows, weights, self.parameters, self.capacity, self.auxiliary, self.n_tiles, *self.assignment
        if parallel:
            passes.fused_pass(*block, self.lanes)
        else:
            passes.fused_lanes(*block, 0, len(self.lanes), self.lanes)


def accumulated(
    parameters: Any,
    blocks: Iterable[tuple[np.ndarray, np.ndarray | None]],
    *,
    assignment: Assignment = SOFT,
    with_moments: bool = True,
) -> np.ndarray:
    """The statistics of a pass over `blocks`, (HEADER + size,); those of parts of the rows add up.

    Without moments only the log-likelihood and the sum of the weights are taken.
    """
    return Accumulation(parameters, assignment if with_moments else LIKELIHOOD).consume(blocks)


def kernel_of(parameters: Any) -> Any:
    """What knows the sizes of a family's arrays: its parameters say, or it is the module that they are defined in."""
    return getattr(parameters, "kernel", None) or sys.modules[type(parameters).__module__]


def evaluate_block(
    parameters: Any,
    rows: np.ndarray,
    *,
    log_density: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    responsibilities: np.ndarray | None = None,
) -> None:
    """Write what is wanted of a block: log p(x) (n,), most probable components (n,), responsibilities (n, K)."""
    n_components, n_features = parameters.constants.size, parameters.origin.size
    check_width(rows, n_features)
    capacity = tile_rows(n_components)
    auxiliary = kernel_of(parameters).auxiliary_size(capacity, n_components, n_features)
    outputs = (
        np.empty(0) if log_density is None else log_density,
        np.empty(0, dtype=np.int64) if labels is None else labels,
        np.empty((0, 0)) if responsibilities is None else responsibilities,
    )
    with Threads(len(rows) * n_components * n_features) as parallel:
        if parallel:
            passes.scoring_pass(Rows.of(rows), parameters, capacity, auxiliary, MAX_LANES, *outputs)
        else:
            passes.score_lane(Rows.of(rows), parameters, capacity, auxiliary, 0, 1, *outputs)
