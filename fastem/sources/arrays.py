"""Arrays in memory and memory maps, read where they lie."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from sklearn.utils.random import sample_without_replacement

from fastem.sources.source import Block

CONVERTED_ROWS = 65_536  # rows at a time where the numbers must be converted: integers, foreign byte orders


class ArraySource:
    """A two-dimensional array of real numbers: C, Fortran or any strides, read-only or not.

    float32 and float64 are read in place, other types are converted a block at a time.
    """

    def __init__(self, array: np.ndarray, sample_weight: np.ndarray | None = None, seed: int = 0):
        self.array = array
        # A read-only array is another type to the compiler: it would compile every pass a second time.
        self.sample_weight = None if sample_weight is None else np.require(sample_weight, np.float64, ["C", "W"])
        self.n_rows, self.n_features = array.shape
        self.seed, self.n_passes = seed, 0

    @property
    def n_candidates(self) -> int:
        return self.n_rows if self.sample_weight is None else int(np.count_nonzero(self.sample_weight))

    def blocks(self) -> Iterator[Block]:
        self.n_passes += 1
        if self._readable_in_place():
            yield Block(self.array, self.sample_weight)
            return
        for first in range(0, self.n_rows, CONVERTED_ROWS):
            part = slice(first, first + CONVERTED_ROWS)
            weights = None if self.sample_weight is None else self.sample_weight[part]
            yield Block(self.array[part].astype(np.float64), weights)

    def _readable_in_place(self) -> bool:
        dtype = self.array.dtype
        return dtype in (np.float64, np.float32) and dtype.isnative and self.array.flags.aligned

    def total(self, add_up: Callable[[Iterable[Block]], np.ndarray]) -> np.ndarray:
        return add_up(self.blocks())

    def sample(self, size: int) -> Block:
        random_state = np.random.RandomState(self.seed)
        candidates = None if self.sample_weight is None else np.flatnonzero(self.sample_weight)
        n_candidates = self.n_rows if candidates is None else candidates.size
        if size < n_candidates:
            chosen = np.sort(sample_without_replacement(n_candidates, size, random_state=random_state))
        else:
            chosen = np.arange(n_candidates)
        if candidates is not None:
            chosen = candidates[chosen]
        chosen = random_state.permutation(chosen)
        rows = np.ascontiguousarray(self.array[chosen], dtype=np.float64)
        return Block(rows, None if self.sample_weight is None else self.sample_weight[chosen])
