"""Arrays in memory, read where they lie."""

from collections.abc import Iterable, Iterator

import numpy as np

from fastem.sources.fingerprint import Fingerprint
from fastem.sources.sampling import sampled_numbers
from fastem.sources.source import Block, LocalSource

CONVERTED_ROWS = 65_536  # rows at a time where the numbers must be converted: integers, foreign byte orders


class ArraySource(LocalSource):
    """A two-dimensional array of real numbers: C, Fortran or any strides, read-only or not.

    float32 and float64 are read in place, other types are converted a block at a time.
    """

    in_memory = counted = True

    def __init__(self, array: np.ndarray, sample_weight: np.ndarray | None = None, seed: int = 0):
        self.array = array
        # A read-only array is another type to the compiler: it would compile every pass a second time.
        self.sample_weight = None if sample_weight is None else np.require(sample_weight, np.float64, ["C", "W"])
        self.n_rows, self.n_features = array.shape
        self.seed, self.n_passes = seed, 0
        self._in_place = readable_in_place(array)
        self._gaps: bool | None = None

    @property
    def n_candidates(self) -> int:
        return self.n_rows if self.sample_weight is None else int(np.count_nonzero(self.sample_weight))

    @property
    def single(self) -> bool:
        return bool(self.array.dtype == np.float32)

    @property
    def gaps(self) -> bool:
        if self._gaps is None:
            self._gaps = may_have_gaps(self.array)
        return self._gaps

    def blocks(self) -> Iterable[Block]:
        self.n_passes += 1
        return (Block(self.array, self.sample_weight),) if self._in_place else self._converted()

    def _converted(self) -> Iterator[Block]:
        for first in range(0, self.n_rows, CONVERTED_ROWS):
            part = slice(first, first + CONVERTED_ROWS)
            weights = None if self.sample_weight is None else self.sample_weight[part]
            yield Block(self.array[part].astype(np.float64), weights)

    def sample(self, size: int) -> Block:
        numbers = sampled_numbers(self.n_rows, self.sample_weight, size, self.seed)
        order = np.argsort(numbers)  # memory is faster in its own order
        rows = np.empty((len(numbers), self.n_features))
        rows[order] = self.array[numbers[order]]
        return Block(rows, None if self.sample_weight is None else self.sample_weight[numbers])

    def fingerprint(self) -> str:
        return Fingerprint.of([Block(self.array, self.sample_weight)])


def may_have_gaps(array: np.ndarray) -> bool:
    """Whether there is NaN in an array of real numbers, or one infinity beside another."""
    with np.errstate(over="ignore", invalid="ignore"):
        return array.dtype.kind == "f" and bool(np.isnan(array.sum()))


def readable_in_place(array: np.ndarray) -> bool:
    """Whether kernels read the numbers of the array as they are."""
    return array.dtype in (np.float64, np.float32) and array.dtype.isnative and array.flags.aligned
