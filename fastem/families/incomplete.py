"""Gaussian mixtures of rows in which features are missing at random: NaN is what was not observed.

Complete rows go through the ordinary pass. The others are set aside and sorted by pattern, some hundred thousand at a
time as they come: how many does not depend on how rows are cut into blocks, and no more than these is ever held.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.special import ndtr

from fastem.kernels.accumulation import Blocks, accumulated, check_width
from fastem.kernels.assignments import LIKELIHOOD, STOCHASTIC, Assignment
from fastem.kernels.incomplete import IncompleteRows, Matrices, Wanted, added
from fastem.sources.labels import UNKNOWN

SORTED_NUMBERS = 2**21  # of incomplete rows that are sorted by pattern at once
PIECE = 65_536  # rows that are looked at together


def sums_with_gaps(parameters: Any, matrices: Matrices, blocks: Blocks, *, assignment: Assignment) -> np.ndarray:
    """The statistics of the complete rows, as `accumulated` has them, and after them those of the others.

    Rows without any number count for nothing.
    """
    apart = _SetApart(matrices, assignment)
    complete = accumulated(parameters, apart.complete(blocks), assignment=assignment)
    return np.concatenate([complete, apart.sums()])


class _SetApart:
    """The incomplete rows of a pass."""

    def __init__(self, matrices: Matrices, assignment: Assignment):
        self.matrices, self.assignment = matrices, assignment
        self.size = max(1024, SORTED_NUMBERS // matrices.n_features)
        self.waiting: list[tuple[Any, ...]] = []
        self.n_waiting = 0
        self.total = self._added(np.empty((0, matrices.n_features)), np.empty(0), np.empty(0, dtype=np.int32))

    def complete(self, blocks: Blocks) -> Iterator[Any]:
        """The complete rows; the others are added up meanwhile."""
        for rows, *beside in blocks:
            check_width(rows, self.matrices.n_features)
            for first in range(0, len(rows), PIECE):
                part = slice(first, first + PIECE)
                piece: Any = tuple(None if each is None else each[part] for each in (rows, *beside))
                gaps = incomplete(piece[0])
                if gaps.any():
                    self._set_aside(*_chosen(piece, gaps))
                    piece = _chosen(piece, ~gaps)
                yield piece

    def sums(self) -> np.ndarray:
        """Those of all that was set aside."""
        if self.n_waiting:
            self._add(self.n_waiting)
        return self.total

    def _set_aside(self, rows: Any, weights: Any, labels: Any = None) -> None:
        ones, unknown = _of_nothing_known(len(rows))
        weights, labels = ones if weights is None else weights, unknown if labels is None else labels
        self.waiting.append((rows.astype(np.float64, copy=False), weights, labels))
        self.n_waiting += len(rows)
        while self.n_waiting >= self.size:
            self._add(self.size)

    def _add(self, size: int) -> None:
        """Add up the first `size` of the rows that wait."""
        waiting = tuple(np.concatenate(parts) for parts in zip(*self.waiting, strict=True))
        self.waiting = [tuple(each[size:].copy() for each in waiting)]
        self.n_waiting -= size
        self.total += self._added(*(each[:size] for each in waiting))

    def _added(self, rows: np.ndarray, weights: np.ndarray, labels: np.ndarray) -> np.ndarray:
        rows, weights, labels = _chosen((rows, weights, labels), ~np.isnan(rows).all(axis=1))
        assignment = self.assignment
        if assignment.kind == STOCHASTIC and len(rows):
            assignment = assignment.of_part(rows[0])
        order, patterns = by_pattern(rows)
        return added(self.matrices, IncompleteRows.of(rows[order], weights[order], labels[order], patterns), assignment)


def _chosen(block: tuple[Any, ...], which: np.ndarray) -> tuple[Any, ...]:
    return tuple(None if each is None else each[which] for each in block)


def incomplete(rows: np.ndarray) -> np.ndarray:
    """Which rows have a number that is missing, or two infinite sums that are taken for one, mask of shape (n,)."""
    if rows.dtype.kind != "f":
        return np.zeros(len(rows), dtype=bool)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.isnan(rows @ np.ones(rows.shape[1], dtype=rows.dtype))


def by_pattern(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order of rows by what is missing, and where each pattern begins in it, at last the number of rows."""
    bits = np.packbits(np.isnan(rows), axis=1)
    if bits.shape[1] % 2:
        bits = np.pad(bits, ((0, 0), (0, 1)))
    words = bits.view(">u2").astype(np.uint16)  # sixteen bits are sorted in time proportional to the rows
    order = np.lexsort(words.T[::-1])
    ordered = words[order]
    changes = np.flatnonzero((ordered[1:] != ordered[:-1]).any(axis=1)) + 1
    return order, np.concatenate([[0], changes, [len(rows)]] if len(rows) else [[0]]).astype(np.int64)


# row by row -----------------------------------------------------------------------------------------------------------


def evaluate(matrices: Matrices, of_complete: Callable[..., None], rows: np.ndarray, **outputs: np.ndarray) -> None:
    """Write what is wanted of rows, as `MixtureModel.evaluate` does, which `of_complete` is."""
    check_width(rows, matrices.n_features)
    for first in range(0, len(rows), PIECE):
        part = slice(first, first + PIECE)
        _evaluate_piece(matrices, of_complete, rows[part], {name: each[part] for name, each in outputs.items()})


def _evaluate_piece(
    matrices: Matrices, of_complete: Callable[..., None], rows: np.ndarray, outputs: dict[str, np.ndarray]
) -> None:
    gaps = incomplete(rows)
    if not gaps.any():
        of_complete(rows, **outputs)
        return
    if not gaps.all():
        found = {name: np.empty((np.count_nonzero(~gaps), *out.shape[1:]), out.dtype) for name, out in outputs.items()}
        of_complete(rows[~gaps], **found)
        for name, values in found.items():
            outputs[name][~gaps] = values
    numbers, some = _sorted(rows, gaps)
    found = {name: np.empty((len(numbers), *out.shape[1:]), out.dtype) for name, out in outputs.items()}
    added(matrices, some, LIKELIHOOD, Wanted(**found))
    for name, values in found.items():
        outputs[name][numbers] = values


def completed(matrices: Matrices, rows: np.ndarray) -> np.ndarray:
    """Rows (n, D) with what is expected of the numbers that are missing."""
    filled = rows.astype(np.float64)
    numbers, some = _sorted(rows, incomplete(rows))
    values = some.rows.copy()
    added(matrices, some, LIKELIHOOD, Wanted(completed=values))
    filled[numbers] = values
    return filled


def drawn(
    means: np.ndarray,
    covariances: np.ndarray,
    shares: np.ndarray,
    rows: np.ndarray,
    random_state: np.random.RandomState,
) -> np.ndarray:
    """Rows (n, D) with draws from the conditional distribution of the numbers that are missing.

    Of the component that is drawn for a row, with the responsibilities `shares` (n, K), a whole row x* is drawn: what
    is missing is x*_m and what is to be expected of x_o - x*_o.
    """
    normals = random_state.standard_normal((len(rows), rows.shape[1] + 1))  # in the order of rows, however they are cut
    beyond = np.cumsum(shares, axis=1) < ndtr(normals[:, :1]) * shares.sum(axis=1, keepdims=True)
    components, missing = np.minimum(beyond.sum(axis=1), len(means) - 1), np.isnan(rows)
    filled = rows.astype(np.float64)
    for k in np.unique(components[missing.any(axis=1)]):
        mine = (components == k) & missing.any(axis=1)
        free = means[k] + np.einsum("nj,ij->ni", normals[mine, 1:], np.linalg.cholesky(covariances[k]))
        alone = Matrices.of(np.zeros(1), np.zeros((1, len(means[k]))), covariances[[k]])
        values = free + completed(alone, filled[mine] - free)
        filled[mine] = np.where(missing[mine], values, filled[mine])
    return filled


def _sorted(rows: np.ndarray, gaps: np.ndarray) -> tuple[np.ndarray, IncompleteRows]:
    """The rows with gaps, by pattern, and their numbers."""
    some = rows[gaps].astype(np.float64, copy=False)
    order, patterns = by_pattern(some)
    return np.flatnonzero(gaps)[order], IncompleteRows.of(some[order], *_of_nothing_known(len(some)), patterns)


def _of_nothing_known(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of one, and labels of none."""
    return np.ones(n_rows), np.full(n_rows, UNKNOWN, dtype=np.int32)
