"""Blocks of rows into kernels: cutting into tiles, adding up the lanes.

The results do not depend on how rows are cut into blocks: a block that ends inside a tile hands its last rows on to the
next one.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain
from typing import Any

import numpy as np

from fastem.kernels.assignments import SOFT, STOCHASTIC, Assignment
from fastem.kernels.passes import HEADER, STRIPE, Kernel, Scores, fused_lanes, score_lanes
from fastem.kernels.threads import run
from fastem.kernels.tiles import Rows, tile_rows
from fastem.kernels.vectors.memory import aligned_zeros

MAX_LANES = 64
LANE_MEMORY = 2**25  # bytes for the statistics of all lanes
NO_DENSITY, NO_LABELS, NO_RESPONSIBILITIES = np.empty(0), np.empty(0, dtype=np.int64), np.empty((0, 0))

Blocks = Iterable[tuple[np.ndarray, np.ndarray | None]]


def accumulated(parameters: Kernel, blocks: Blocks, *, assignment: Assignment = SOFT) -> np.ndarray:
    """The statistics of a pass over `blocks`, (HEADER + size,); those of parts of the rows add up.

    Parameters
    ----------
    parameters : Kernel
        A family's parameters, whose type selects what is compiled.
    blocks : iterable of pairs of rows (n, D) and their weights (n,) or None
        Each is done with before the next one is asked for. Of a list or tuple of one block nothing is copied.
    assignment : Assignment
        What becomes of the responsibilities; LIKELIHOOD takes the log-likelihood and the sum of the weights alone.
    """
    if assignment.kind == STOCHASTIC:
        blocks = iter(blocks)
        filled = next((block for block in blocks if len(block[0])), None)
        if filled is not None:
            blocks, assignment = chain((filled,), blocks), assignment.of_part(filled[0][0])
    auxiliary = parameters.auxiliary_size(tile_rows(parameters.constants.size))
    return summed(fused_lanes, parameters, blocks, auxiliary, assignment)


def summed(lanes_of: Callable[..., None], parameters: Any, blocks: Blocks, *how: Any) -> np.ndarray:
    """What ``lanes_of(rows, parameters, *how, lanes, begin, end)`` adds up of all blocks, its lanes added in order."""
    n_components, n_features = parameters.constants.size, parameters.origin.size
    capacity, size = tile_rows(n_components), HEADER + parameters.statistics_size()
    lanes, n_tiles = np.zeros((0, size)), 0
    if not (isinstance(blocks, (tuple, list)) and len(blocks) == 1):
        blocks = whole_tiles(blocks, capacity)
    for rows, weights in blocks:
        check_width(rows, n_features)
        following = n_tiles + -(-len(rows) // capacity)
        n_lanes = min(lane_count(size), -(-following // STRIPE))
        if n_lanes > len(lanes):  # lanes without a tile yet would add zeros only
            grown = aligned_zeros(n_lanes, size)
            grown[: len(lanes)] = lanes
            lanes = grown
        arguments = Rows.of(rows, capacity, weights, n_tiles), parameters, *how, lanes
        run(lanes_of, arguments, n_lanes, rows.size * n_components)
        n_tiles = following
    return np.add.reduce(lanes)  # in order


def whole_tiles(blocks: Blocks, capacity: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """The same rows in blocks of whole tiles, but for the last.

    What does not fill a tile yet is copied: a source may use the memory of its blocks again.
    """
    rest: Any = None
    for rows, weights in blocks:
        if rest is None:
            rest = rows[:0].astype(np.float64), np.empty(0)
        begin = min(-len(rest[0]) % capacity, len(rows))
        end = begin + (len(rows) - begin) // capacity * capacity
        if begin:
            rest = _joined(*rest, *_part(rows, weights, 0, begin))
        if len(rest[0]) == capacity:
            yield rest
            rest = rest[0][:0], rest[1][:0]
        if end > begin:
            yield _part(rows, weights, begin, end)
        if end < len(rows):
            rest = _joined(*rest, *_part(rows, weights, end, len(rows)))
    if rest is not None and len(rest[0]):
        yield rest


def _part(rows, weights, begin: int, end: int):
    return rows[begin:end], None if weights is None else weights[begin:end]


def _joined(rest, rest_weights, rows, weights):
    weights = np.ones(len(rows)) if weights is None else weights
    return np.concatenate([rest, rows.astype(np.float64, copy=False)]), np.concatenate([rest_weights, weights])


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
