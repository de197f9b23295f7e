"""Arrays in .npy files, read into memory of this process.

A memory map would be as fast, but if another process cuts the file off, to touch a page behind its end kills this one.
"""

import math
import os
from typing import Any

import numpy as np

from fastem.sources.files import File

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def opened(file: File, name: str | None) -> "NpyArray":
    """The array in a file; its header is never evaluated as code, and objects are never unpickled."""
    with file.open() as stream:
        try:
            version = np.lib.format.read_magic(stream)
        except ValueError as error:
            raise ValueError(f"{file}: not an array of NumPy: {error}") from None
        if version not in HEADERS:
            raise ValueError(f"{file}: version {version} of the format is for records, not for numbers")
        shape, by_columns, dtype = HEADERS[version](stream)
        return NpyArray(file, shape, by_columns, dtype, stream.tell(), stream.seek(0, os.SEEK_END))


class NpyArray:
    chunk_rows = 1

    def __init__(self, file: File, shape: tuple[int, ...], by_columns: bool, dtype: Any, begin: int, size: int):
        self.file, self.shape, self.by_columns, self.dtype, self.begin = file, shape, by_columns, dtype, begin
        expected = begin + math.prod(shape) * dtype.itemsize
        if size < expected and not dtype.hasobject:
            raise ValueError(f"{file}: {size} bytes long, but an array of shape {shape} takes {expected}")

    def read(self, first: int, last: int) -> np.ndarray:
        n_rows, n_columns = last - first, self.shape[1]
        rows = np.empty((n_rows, n_columns), dtype=self.dtype, order="F" if self.by_columns else "C")
        with self.file.open() as stream:
            if not self.by_columns:
                self._fill(rows, stream, first * n_columns)
            else:
                for j in range(n_columns):
                    self._fill(rows[:, j], stream, j * self.shape[0] + first)
        return rows

    def _fill(self, numbers: np.ndarray, stream: Any, first: int) -> None:
        """Read from number `first` of the file on; `numbers` are contiguous."""
        wanted = numbers.view(np.uint8).reshape(-1).data
        stream.seek(self.begin + first * self.dtype.itemsize)
        while wanted:
            n_bytes = stream.readinto(wanted)
            if not n_bytes:
                raise ValueError(f"{self.file}: cut off while it was read. The data must stay the same during a fit.")
            wanted = wanted[n_bytes:]
