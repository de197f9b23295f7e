"""Telling complete rows from those with gaps, and rows with gaps by what they lack."""

from typing import NamedTuple

import numpy as np
from numba.core import cgutils

from fastem.kernels.compilation import jitted
from fastem.kernels.threads import run
from fastem.kernels.tiles import Rows
from fastem.kernels.vectors.simd import F32, F64, I64, vectorised

WORD = 16  # features a word: words of so many bits are sorted in time proportional to their number
PIECE_NUMBERS = 2**19  # numbers of the rows that a thread looks at at a time
PIECES = 4  # that are looked at at once


class Apart(NamedTuple):
    """Rows that follow each other, told apart."""

    gaps: np.ndarray  # (n,) which rows have some, a mask
    complete: np.ndarray  # the others, in float64
    incomplete: np.ndarray  # those with gaps
    patterns: np.ndarray  # (those with gaps, words) uint16, a bit for each missing feature, the first in the highest


def piece_rows(n_features: int) -> int:
    return max(256, PIECE_NUMBERS // n_features)


def n_words(n_features: int) -> int:
    return -(-n_features // WORD)


class Room:
    """Memory for rows that are told apart: what is in it holds until the next ones are."""

    def __init__(self, n_features: int, most: int = 2**62):
        """For blocks of rows, no more than `most`."""
        self.size = piece_rows(n_features)
        self.n_rows = min(PIECES * self.size, max(most, 1))
        self.gaps = np.empty(self.n_rows, dtype=np.bool_)
        self.complete, self.incomplete = np.empty((2, self.n_rows * n_features))
        self.patterns = np.empty((self.n_rows, n_words(n_features)), dtype=np.uint16)
        self.counts = np.empty(PIECES, dtype=np.int64)

    def told_apart(self, rows: np.ndarray) -> list[Apart]:
        """Up to `n_rows` rows (n, D), in pieces, each with what was found in it."""
        arguments = Rows.of(rows, self.size), self.gaps, self.complete, self.incomplete, self.patterns, self.counts
        n_pieces = -(-len(rows) // self.size)
        run(_tell_apart, arguments, n_pieces, 8 * rows.size)
        shape = self.n_rows, rows.shape[1]
        complete, incomplete = self.complete.reshape(shape), self.incomplete.reshape(shape)
        found = []
        for i, count in enumerate(self.counts[:n_pieces].tolist()):
            first, last = i * self.size, min((i + 1) * self.size, len(rows))
            own, others = slice(first, first + count), slice(first, last - count)
            found.append(Apart(self.gaps[first:last], complete[own], incomplete[others], self.patterns[others]))
        return found


def by_pattern(patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A stable order of patterns (n, words), and where each begins in it, at last n."""
    order = np.argsort(patterns[:, 0], kind="stable") if patterns.shape[1] == 1 else np.lexsort(patterns.T[::-1])
    ordered = patterns[order]
    changes = np.flatnonzero((ordered[1:] != ordered[:-1]).any(axis=1)) + 1
    ends = [len(order)] if len(order) else []
    return order, np.concatenate([[0], changes, ends]).astype(np.int64)


def gathered(rows: np.ndarray, numbers: np.ndarray, features: np.ndarray) -> np.ndarray:
    """``rows[numbers][:, features]`` of rows in C order."""
    target = np.empty((len(numbers), len(features)))
    run(_gather, (rows, numbers, features, target), 1 + len(numbers) // 4096, 8 * target.size)
    return target


# compiled -------------------------------------------------------------------------------------------------------------


@vectorised
def _copy_row(v, address, rows, n_features, target, at):
    """The row at an address into `target[at:]`; returns how many of its numbers are NaN."""
    b = v.builder
    found = cgutils.alloca_once_value(b, v.index(0))

    def copy(kind):
        def feature(j, missing):
            number = b.inttoptr(b.add(address, b.mul(j, rows.column_stride)), kind.as_pointer())
            value = b.load(number, align=1)
            value = value if kind == F64 else b.fpext(value, F64)
            b.store(value, v.at(target, b.add(at, j)))
            return (b.add(missing, b.zext(b.fcmp_unordered("uno", value, value), I64)),)

        b.store(v.loop(n_features, (v.index(0),), feature)[0], found)

    with b.if_else(b.icmp_signed("==", rows.itemsize, v.index(8))) as (double, single):
        with double:
            copy(F64)
        with single:
            copy(F32)
    return b.load(found)


@jitted
def _tell_apart(rows, gaps, complete, incomplete, patterns, counts, begin, end):
    """Pieces begin, ..., end - 1 of the rows, `rows.capacity` each; `counts` are their complete rows."""
    n_features, size = complete.size // gaps.size, rows.capacity
    for piece in range(begin, end):
        first, last = piece * size, min((piece + 1) * size, rows.count)
        n_complete, n_others = first, first
        for i in range(first, last):
            at = n_complete * n_features
            missing = _copy_row(rows.address + i * rows.row_stride, rows, n_features, complete, at)
            gaps[i] = missing > 0
            if missing > 0:
                _keep_incomplete(complete, at, incomplete, n_others * n_features, patterns[n_others], n_features)
                n_others += 1
            else:
                n_complete += 1
        counts[piece] = n_complete - first


@jitted
def _keep_incomplete(complete, at, incomplete, to, words, n_features):
    for w in range(words.size):
        word = 0
        for j in range(w * WORD, (w + 1) * WORD):
            word *= 2
            if j < n_features:
                number = complete[at + j]
                incomplete[to + j] = number
                word += number != number
        words[w] = word


@jitted
def _gather(rows, numbers, features, target, begin, end):
    for i in range(begin * 4096, min(end * 4096, numbers.size)):
        for c in range(features.size):
            target[i, c] = rows[numbers[i], features[c]]
