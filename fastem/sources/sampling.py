"""Samples of a source: the rows whose numbers have the smallest keys, in the order of the keys."""

import numpy as np

from fastem.kernels.sampling import LARGEST_KEY, select
from fastem.sources.source import Block

NO_WEIGHTS = np.empty(0)


def sampled_numbers(n_rows: int, weights: np.ndarray | None, size: int, seed: int) -> np.ndarray:
    """Numbers of up to `size` rows of positive weight, (n,), in random order."""
    weights = NO_WEIGHTS if weights is None else weights
    n_candidates = int(np.count_nonzero(weights)) if weights.size else n_rows
    expected = expected_keys(size)
    share = expected / max(n_candidates, 1)
    thresholds = [np.uint64(share * 2.0**64)] if share < 1 else []
    for threshold in [*thresholds, LARGEST_KEY]:
        room = n_candidates if threshold == LARGEST_KEY else int(2 * expected)
        numbers, keys = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.uint64)
        found = select(seed, 0, weights, n_rows, threshold, numbers, keys)
        if min(size, n_candidates) <= found <= room or threshold == LARGEST_KEY:
            break
    numbers, keys = numbers[:found], keys[:found]
    return numbers[np.argsort(keys)[:size]]  # two keys of 64 bits are never equal


def expected_keys(size: int) -> float:
    """Keys to expect below a threshold so that hardly ever fewer than `size` are: they are uniform."""
    return size + 6 * np.sqrt(size) + 16


def selected(
    seed: int, first: int, weights: np.ndarray, n_rows: int, threshold: np.uint64
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and keys of the rows whose keys are below `threshold`; see `fastem.kernels.sampling.select`."""
    numbers, keys = np.empty(n_rows, dtype=np.int64), np.empty(n_rows, dtype=np.uint64)
    found = select(seed, first, weights, n_rows, threshold, numbers, keys)
    return numbers[:found], keys[:found]


class Sampler:
    """Keeps a sample of rows that pass by.

    Parameters
    ----------
    seed : int
    size : int
        Rows to keep.
    """

    def __init__(self, seed: int, size: int):
        self.seed, self.size = seed, size
        self.threshold = LARGEST_KEY
        self.parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # keys, rows, weights
        self.met = self.kept = 0
        self.weighted = False

    def add(self, rows: np.ndarray, weights: np.ndarray | None) -> None:
        """The next rows of the source."""
        self.weighted |= weights is not None
        given = NO_WEIGHTS if weights is None else np.ascontiguousarray(weights)
        chosen, keys = selected(self.seed, self.met, given, len(rows), self.threshold)
        of_chosen = np.ones(len(chosen)) if weights is None else weights[chosen]
        self.parts.append((keys.copy(), rows[chosen].astype(np.float64), of_chosen))
        self.met += len(rows) if weights is None else int(np.count_nonzero(given))
        self.kept += len(chosen)
        if self.kept > 1.25 * self.size:  # the whole takes three times this memory when it shrinks
            self._shrink()

    def _shrink(self) -> None:
        keys, rows, weights = (np.concatenate(parts) for parts in zip(*self.parts, strict=True))
        order = np.argsort(keys)[: self.size]
        self.parts = [(keys[order], rows[order], weights[order])]
        self.kept = len(order)
        if self.kept == self.size:
            self.threshold = self.parts[0][0][-1]

    def sample(self, size: int) -> Block:
        """The first `size` rows of the sample."""
        self._shrink()
        _, rows, weights = self.parts[0]
        return Block(rows[:size], weights[:size] if self.weighted else None)
