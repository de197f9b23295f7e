"""Gaussian mixtures of rows in which features are missing at random: NaN is what was not observed.

Complete rows go through the ordinary pass. The others are set aside and sorted by pattern, some hundred thousand at a
time as they come: how many does not depend on how rows are cut into blocks, and no more than these is ever held. Many
rows of one pattern have a pass over their observed features; few have a kernel that lays out nothing for a pattern.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import ndtr

from fastem.families.covariances import STRUCTURES
from fastem.kernels.accumulation import Blocks, accumulated, check_width, in_single_precision
from fastem.kernels.assignments import LIKELIHOOD, NO_MOMENTS, STOCHASTIC, Assignment
from fastem.kernels.families.full import FullParameters
from fastem.kernels.gaps import Apart, Room, by_pattern, gathered
from fastem.kernels.incomplete import IncompleteRows, Matrices, Wanted, added
from fastem.kernels.passes import HEADER
from fastem.sources.labels import UNKNOWN

SORTED_NUMBERS = 2**21  # of incomplete rows that are sorted by pattern at once
MANY = 2**15  # rows of one pattern times components from which a pass of their own pays


@dataclass(frozen=True)
class Components:
    """What rows with gaps are compared with, whatever the structure of the covariances.

    Attributes
    ----------
    log_weights : ndarray of shape (K,)
    means : ndarray of shape (K, D)
    covariances : ndarray of shape (K, D, D)
    arithmetic : {'float64', 'float32'}
        Of passes over many rows of one pattern.
    """

    log_weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    arithmetic: str = "float64"

    @property
    def matrices(self) -> Matrices:
        return Matrices.of(self.log_weights, self.means, self.covariances)

    @property
    def n_features(self) -> int:
        return self.means.shape[1]


def sums_with_gaps(parameters: Any, components: Components, blocks: Blocks, *, assignment: Assignment) -> np.ndarray:
    """The statistics of the complete rows, as `accumulated` has them, and after them those of the others.

    Rows without any number count for nothing.
    """
    apart = _SetApart(components, assignment)
    complete = accumulated(parameters, apart.complete(blocks), assignment=assignment)
    return np.concatenate([complete, apart.sums()])


class _SetApart:
    """The incomplete rows of a pass."""

    def __init__(self, components: Components, assignment: Assignment):
        self.components, self.assignment = components, assignment
        self.matrices, self.room = components.matrices, Room(components.n_features)
        self.size = max(1024, SORTED_NUMBERS // components.n_features)
        self.waiting: list[tuple[np.ndarray, ...]] = []  # rows, patterns, weights and labels
        self.n_waiting = 0
        self.marginals: dict[bytes, _Marginal] = {}
        self.total = np.zeros(HEADER + self.matrices.size)

    def complete(self, blocks: Blocks) -> Iterator[Any]:
        """The complete rows; the others are added up meanwhile."""
        for rows, *beside in blocks:
            check_width(rows, self.components.n_features)
            for first in range(0, len(rows), self.room.n_rows):
                for piece in self.room.told_apart(rows[first : first + self.room.n_rows]):
                    part = slice(first, first + len(piece.gaps))
                    own = [None if each is None else each[part] for each in beside]
                    first = part.stop
                    if len(piece.incomplete):
                        self._set_aside(piece, *own)
                        own = [None if each is None else each[~piece.gaps] for each in own]
                    yield piece.complete, *own

    def sums(self) -> np.ndarray:
        """Those of all that was set aside."""
        if self.n_waiting:
            self._add(self.n_waiting)
        return self.total

    def _set_aside(self, piece: Apart, weights: np.ndarray | None, labels: np.ndarray | None = None) -> None:
        ones, unknown = _of_nothing_known(len(piece.incomplete))
        weights = ones if weights is None else weights[piece.gaps]
        labels = unknown if labels is None else labels[piece.gaps]
        self.waiting.append((piece.incomplete.copy(), piece.patterns.copy(), weights, labels))
        self.n_waiting += len(weights)
        while self.n_waiting >= self.size:
            self._add(self.size)

    def _add(self, size: int) -> None:
        """Add up the first `size` of the rows that wait."""
        rows, patterns, weights, labels = (np.concatenate(parts) for parts in zip(*self.waiting, strict=True))
        self.waiting = [(rows[size:].copy(), patterns[size:], weights[size:], labels[size:])]
        self.n_waiting -= size
        order, starts = by_pattern(patterns[:size])
        few = []
        for begin, end in pairwise(starts):
            numbers = order[begin:end]
            known = np.flatnonzero(~np.isnan(rows[numbers[0]]))
            if not len(known):
                continue
            if len(numbers) * len(self.components.means) < MANY:
                few.append(numbers)
                continue
            block = gathered(rows, numbers, known), weights[numbers], labels[numbers]
            self.total += self._marginal(known).sums(self.matrices, block, self.assignment)
        if few:
            self._add_few(rows, weights, labels, few)

    def _add_few(self, rows: np.ndarray, weights: np.ndarray, labels: np.ndarray, groups: list[np.ndarray]) -> None:
        numbers = np.concatenate(groups)
        starts = np.cumsum([0, *map(len, groups)])
        assignment = self.assignment
        if assignment.kind == STOCHASTIC:
            assignment = assignment.of_part(rows[numbers[0]])
        some = IncompleteRows.of(rows[numbers], weights[numbers], labels[numbers], starts)
        self.total += added(self.matrices, some, assignment)

    def _marginal(self, known: np.ndarray) -> "_Marginal":
        """Kept within a pass: the patterns of many rows are few."""
        key = known.tobytes()
        if key not in self.marginals:
            self.marginals[key] = _Marginal(self.components, known.tolist())
        return self.marginals[key]


class _Marginal:
    """The observed features of many rows of one pattern.

    x - mu is expected to be E (x_o - mu_o), E = [I; Sigma_mo Sigma_oo^-1]: moments of all features follow from those of
    the observed ones, without a look at the rows.
    """

    def __init__(self, components: Components, known: list[int]):
        n_components, n_features = components.means.shape
        rest = [j for j in range(n_features) if j not in set(known)]
        full, self.shape = STRUCTURES["full"], (n_components, len(known))
        whiteners, _ = full.whiten(full.select(components.covariances, known))
        slopes, self.left = full.regression(components.covariances, whiteners, known, rest)
        self.rest = np.ix_(range(n_components), rest, rest)
        self.expectation = np.zeros((n_components, n_features, len(known)))
        self.expectation[:, known], self.expectation[:, rest] = np.eye(len(known)), slopes
        means = np.ascontiguousarray(components.means[:, known])
        origin = np.exp(components.log_weights) @ means
        parameters = FullParameters.of(origin, components.log_weights, means, np.ascontiguousarray(whiteners))
        single = components.arithmetic == "float32"
        self.parameters = in_single_precision(parameters) if single else parameters

    def sums(self, matrices: Matrices, block: tuple[np.ndarray, ...], assignment: Assignment) -> np.ndarray:
        """What the pass over a block of rows adds to those of `incomplete.added`."""
        found = accumulated(self.parameters, [block], assignment=assignment)
        if assignment.kind == NO_MOMENTS:
            return np.concatenate([found[:HEADER], np.zeros(matrices.size)])
        counts, first, second = FullParameters.unpack(found[HEADER:], *self.shape)
        all_first = np.einsum("kij,kj->ki", self.expectation, first)
        all_second = self.expectation @ second @ self.expectation.swapaxes(1, 2)
        all_second[self.rest] += counts[:, None, None] * self.left
        return np.concatenate([found[:HEADER], matrices.pack(counts, all_first, all_second)])


def _of_nothing_known(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of one, and labels of none."""
    return np.ones(n_rows), np.full(n_rows, UNKNOWN, dtype=np.int32)


# row by row -----------------------------------------------------------------------------------------------------------


def evaluate(components: Components, of_complete: Callable[..., None], rows: np.ndarray, **outputs: np.ndarray) -> None:
    """Write what is wanted of rows, as `MixtureModel.evaluate` does, which `of_complete` is."""
    check_width(rows, components.n_features)
    matrices = components.matrices
    for piece, part in _pieces(rows):
        own = {name: out[part] for name, out in outputs.items()}
        if len(piece.complete):
            found = {name: np.empty((len(piece.complete), *out.shape[1:]), out.dtype) for name, out in own.items()}
            of_complete(piece.complete, **found)
            for name, values in found.items():
                own[name][~piece.gaps] = values
        if len(piece.incomplete):
            numbers, some = _sorted(piece)
            found = {name: np.empty((len(numbers), *out.shape[1:]), out.dtype) for name, out in own.items()}
            added(matrices, some, LIKELIHOOD, Wanted(**found))
            for name, values in found.items():
                own[name][numbers] = values


def completed(components: Components, rows: np.ndarray) -> np.ndarray:
    """Rows (n, D) with what is expected of the numbers that are missing."""
    filled, matrices = rows.astype(np.float64), components.matrices
    for piece, part in _pieces(rows):
        numbers, some = _sorted(piece)
        values = some.rows.copy()
        added(matrices, some, LIKELIHOOD, Wanted(completed=values))
        filled[part][numbers] = values
    return filled


def drawn(
    components: Components, shares: np.ndarray, rows: np.ndarray, random_state: np.random.RandomState
) -> np.ndarray:
    """Rows (n, D) with draws from the conditional distribution of the numbers that are missing.

    Of the component that is drawn for a row, with the responsibilities `shares` (n, K), a whole row x* is drawn: what
    is missing is x*_m and what is to be expected of x_o - x*_o.
    """
    n_components, n_features = components.means.shape
    normals = random_state.standard_normal((len(rows), n_features + 1))  # in the order of rows, however they are cut
    beyond = np.cumsum(shares, axis=1) < ndtr(normals[:, :1]) * shares.sum(axis=1, keepdims=True)
    chosen, missing = np.minimum(beyond.sum(axis=1), n_components - 1), np.isnan(rows)
    filled = rows.astype(np.float64)
    for k in np.unique(chosen[missing.any(axis=1)]):
        mine, own = (chosen == k) & missing.any(axis=1), components.covariances[[k]]
        free = components.means[k] + np.einsum("nj,ij->ni", normals[mine, 1:], np.linalg.cholesky(own[0]))
        alone = Components(np.zeros(1), np.zeros((1, n_features)), own)
        values = free + completed(alone, filled[mine] - free)
        filled[mine] = np.where(missing[mine], values, filled[mine])
    return filled


def _pieces(rows: np.ndarray) -> Iterator[tuple[Apart, slice]]:
    """Rows told apart, piece by piece, and where each piece is."""
    room, last = Room(rows.shape[1], len(rows)), 0
    for first in range(0, len(rows), room.n_rows):
        for piece in room.told_apart(rows[first : first + room.n_rows]):
            part = slice(last, last + len(piece.gaps))
            last = part.stop
            yield piece, part


def _sorted(piece: Apart) -> tuple[np.ndarray, IncompleteRows]:
    """The rows with gaps, by pattern, and their numbers in the piece."""
    order, starts = by_pattern(piece.patterns)
    weights, labels = _of_nothing_known(len(order))
    return np.flatnonzero(piece.gaps)[order], IncompleteRows.of(piece.incomplete[order], weights, labels, starts)
