"""Zarr arrays, on disk and behind addresses."""

from typing import Any

import numpy as np

from fastem.sources.files import File, missing
from fastem.sources.hdf5_files import chosen


def opened(file: File, name: str | None) -> "ZarrArray":
    """The array in a folder, or that of this name in its group, or the only one."""
    try:
        import zarr
    except ImportError as error:
        raise missing("zarr", "zarr") from error
    found: Any = zarr.open(str(file), mode="r")
    if not hasattr(found, "shape"):
        arrays = dict(found.arrays())
        if name is not None and "/" in name:  # in a group of the group
            arrays[name.strip("/")] = found[name]
        found = chosen(str(file), arrays, name)
    return ZarrArray(file, found)


class ZarrArray:
    def __init__(self, file: File, array: Any):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.chunk_rows = array.chunks[0] if array.chunks else 1
        if array.fill_value is None and array.nchunks_initialized < array.nchunks:
            n_missing = array.nchunks - array.nchunks_initialized
            raise ValueError(f"{file}: {n_missing} chunks are missing, and the array declares no fill value for them")

    def read(self, first: int, last: int) -> np.ndarray:
        return np.asarray(self.array[first:last])
