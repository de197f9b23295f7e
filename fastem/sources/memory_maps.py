"""Memory maps of the user: rows are read where they lie."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastem.sources.files import File
from fastem.sources.numeric import array_of_numbers
from fastem.sources.reader import Piece, Reader


class MappedReader(Reader):
    """A memory map, whose pages are given back behind the reader."""

    mapped = True

    def __init__(self, array: np.memmap):
        self.name = str(array.filename or "the memory map")
        self.array, self.n_features = array_of_numbers(array, self.name), array.shape[1]
        self._file = None if array.filename is None else File(str(Path(array.filename)))
        self._pages = _Pages(array)

    def stamp(self) -> Any:
        return None if self._file is None else self._file.stamp()

    def pieces(self, n_rows: int) -> Iterator[Piece]:
        stamp = self.stamp()
        behind = 2 * n_rows  # a pass looks one block ahead: only the last but one is done with
        for first in range(0, len(self.array), n_rows):
            if self.stamp() != stamp:  # to read behind the end of a file kills the process
                raise ValueError(f"{self.name}: changed while it was read. The data must stay the same during a fit.")
            last = min(first + n_rows, len(self.array))
            self._pages.advise("MADV_WILLNEED", last, min(last + n_rows, len(self.array)))
            yield Piece(self.array[first:last], None, self.name, first)
            self._pages.advise("MADV_DONTNEED", first - behind, first - behind + n_rows)


class _Pages:
    """The pages of the rows of a memory map, for advice to the operating system."""

    def __init__(self, array: np.memmap):
        self.array = array
        self.map: Any = getattr(array, "_mmap", None)
        # Pages of a private map hold what the user has written: they must not be given back.
        self.active = isinstance(self.map, mmap.mmap) and hasattr(self.map, "madvise") and array.mode in ("r", "r+")
        if self.active and self.map is not None:
            self.start = np.frombuffer(self.map, dtype=np.uint8).ctypes.data

    def advise(self, advice: str, first: int, last: int) -> None:
        if not self.active or first < 0 or first >= last or not hasattr(mmap, advice):
            return
        part = self.array[first:last]
        columns = [part] if part.flags.c_contiguous else [part[:, j] for j in range(part.shape[1])]
        if not all(column.flags.c_contiguous for column in columns):
            return
        for column in columns:
            begin = column.ctypes.data - self.start
            whole = begin // mmap.PAGESIZE * mmap.PAGESIZE
            self.map.madvise(getattr(mmap, advice), whole, begin - whole + column.nbytes)
