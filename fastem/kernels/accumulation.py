"""Blocks of rows into kernels: cutting into tiles, adding up the lanes.

The results do not depend on how rows are cut into blocks: a block that ends inside a tile hands its last rows on to the
next one.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import cache
from itertools import chain
from typing import Any, Protocol

import numpy as np

from fastem.kernels.assignments import SOFT, STOCHASTIC, Assignment
from fastem.kernels.passes import HEADER, STRIPE, Kernel, Scores, fused_lanes, pruned_lanes, score_lanes
from fastem.kernels.pruning import Bounds
from fastem.kernels.threads import run
from fastem.kernels.tiles import ORDERED, Rows, tile_rows
from fastem.kernels.vectors.memory import aligned_zeros

MAX_LANES = 64
LANE_MEMORY = 2**25  # bytes for the statistics of all lanes
NO_DENSITY, NO_LABELS, NO_RESPONSIBILITIES = np.empty(0), np.empty(0, dtype=np.int64), np.empty((0, 0))

Block = tuple[Any, ...]  # rows (n, D), weights (n,) or None, and labels (n,) as `tiles.Rows` has them if any are known
Blocks = Iterable[Block]


class Order(Protocol):
    """An order of rows, in each block of `tiles.ORDERED` by itself, in tiles of `capacity`."""

    capacity: int

    def of(self, rows: np.ndarray, first: int) -> np.ndarray:
        """That of rows of which the first, with the number `first`, begins a block: as `tiles.Rows` have it."""
        ...


class Memory(Order, Protocol):
    """What passes over the same rows remember of them."""

    def pass_with(self, parameters: Any) -> AbstractContextManager[Bounds]:
        """The bounds for a pass, which are those of its parameters when it has ended."""
        ...

    def learn(self, n_evaluated: float) -> None:
        """Be told how often that pass has evaluated a component for a tile."""
        ...


def accumulated(
    parameters: Kernel, blocks: Blocks, *, assignment: Assignment = SOFT, memory: Memory | None = None
) -> np.ndarray:
    """The statistics of a pass over `blocks`, (HEADER + size,); those of parts of the rows add up.

    Parameters
    ----------
    parameters : Kernel
        A family's parameters, whose type selects what is compiled.
    blocks : iterable of Block
        Each is done with before the next one is asked for. Of a list or tuple of one block nothing is copied.
    assignment : Assignment
        What becomes of the responsibilities; LIKELIHOOD takes the log-likelihood and the sum of the weights alone.
    memory : Memory or None
        Of passes over the same rows, of which no labels are known; it decides their order, and spares work.
    """
    if assignment.kind == STOCHASTIC:
        blocks = iter(blocks)
        filled = next((block for block in blocks if len(block[0])), None)
        if filled is not None:
            blocks, assignment = chain((filled,), blocks), assignment.of_part(filled[0][0])
    if memory is None:
        auxiliary = parameters.auxiliary_size(tile_rows(parameters.constants.size))
        return summed(fused_lanes, parameters, blocks, auxiliary, assignment)
    auxiliary = parameters.auxiliary_size(memory.capacity)
    with memory.pass_with(parameters) as bounds:
        sums = summed(pruned_lanes, parameters, blocks, auxiliary, assignment, bounds, order=memory)
    memory.learn(float(sums[3]))
    return sums


def summed(
    lanes_of: Callable[..., None], parameters: Any, blocks: Blocks, *how: Any, order: Order | None = None
) -> np.ndarray:
    """What ``lanes_of(rows, parameters, *how, lanes, begin, end)`` adds up of all blocks, its lanes added in order."""
    n_components, n_features = parameters.constants.size, parameters.origin.size
    capacity, piece = (order.capacity, ORDERED) if order else (tile_rows(n_components), tile_rows(n_components))
    size = HEADER + parameters.statistics_size()
    lanes, n_tiles = np.zeros((0, size)), 0
    for rows, weights, *labels in in_whole_tiles(blocks, piece):
        check_width(rows, n_features)
        following = n_tiles + -(-len(rows) // capacity)
        n_lanes = min(lane_count(size), -(-following // STRIPE))
        if n_lanes > len(lanes):  # lanes without a tile yet would add zeros only
            grown = aligned_zeros(n_lanes, size)
            grown[: len(lanes)] = lanes
            lanes = grown
        known = {"order": order.of(rows, n_tiles * capacity)} if order else {}
        arguments = Rows.of(rows, capacity, weights, n_tiles, *labels, **known), parameters, *how, lanes
        run(lanes_of, arguments, n_lanes, rows.size * n_components)
        n_tiles = following
    return np.add.reduce(lanes)  # in order


def in_whole_tiles(blocks: Blocks, capacity: int) -> Blocks:
    """The same rows in blocks of whole tiles, but for the last; those of a list or tuple of one block as they are."""
    return blocks if isinstance(blocks, (tuple, list)) and len(blocks) == 1 else whole_tiles(blocks, capacity)


def whole_tiles(blocks: Blocks, capacity: int) -> Iterator[Block]:
    """The same rows in blocks of whole tiles, but for the last.

    What does not fill a tile yet is copied: a source may use the memory of its blocks again.
    """
    rest: Any = None
    for block in blocks:
        n_rows = len(block[0])
        if rest is None:
            rest = _copied(_part(block, 0, 0))
        begin = min(-len(rest[0]) % capacity, n_rows)
        end = begin + (n_rows - begin) // capacity * capacity
        if begin:
            rest = _joined(rest, _part(block, 0, begin))
        if len(rest[0]) == capacity:
            yield rest
            rest = _part(rest, 0, 0)
        if end > begin:
            yield _part(block, begin, end)
        if end < n_rows:
            rest = _joined(rest, _part(block, end, n_rows))
    if rest is not None and len(rest[0]):
        yield rest


def _part(block: Block, begin: int, end: int) -> Block:
    return tuple(None if each is None else each[begin:end] for each in block)


def _copied(block: Block) -> Block:
    """The same with rows in float64 and weights."""
    rows, weights, *labels = block
    return rows.astype(np.float64), np.ones(len(rows)) if weights is None else weights.copy(), *labels


def _joined(rest: Block, part: Block) -> Block:
    return tuple(np.concatenate(pair) for pair in zip(rest, _copied(part), strict=True))


@cache
def lane_count(size: int) -> int:
    """Lanes for statistics of `size` doubles: a power of two that the memory allows."""
    lanes = MAX_LANES
    while lanes > 4 and lanes * size * 8 > LANE_MEMORY:
        lanes //= 2
    return lanes


def check_width(rows: np.ndarray, n_features: int) -> None:
    if rows.shape[1] != n_features:  # a kernel would read beyond the rows
        raise ValueError(f"X has {rows.shape[1]} features, but the model has {n_features} features.")


def in_single_precision(parameters: Any) -> Any:
    """The same parameters for float32 arithmetic; the origin stays what it is, rows are moved there in float64."""
    arrays = {name: value for name, value in parameters._asdict().items() if isinstance(value, np.ndarray)}
    del arrays["origin"]
    return parameters._replace(**{name: value.astype(np.float32) for name, value in arrays.items()})


def evaluate_block(
    parameters: Kernel,
    rows: np.ndarray,
    *,
    log_density: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    responsibilities: np.ndarray | None = None,
) -> None:
    """Write what is wanted of a block: log p(x) (n,), most probable components (n,), responsibilities (n, K)."""
    check_width(rows, parameters.origin.size)
    scores = Scores(
        NO_DENSITY if log_density is None else log_density,
        NO_LABELS if labels is None else labels,
        NO_RESPONSIBILITIES if responsibilities is None else responsibilities,
    )
    capacity = tile_rows(parameters.constants.size)
    arguments = Rows.of(rows, capacity), parameters, parameters.auxiliary_size(capacity), scores, MAX_LANES
    run(score_lanes, arguments, MAX_LANES, rows.size * parameters.constants.size)
