"""Two-dimensional arrays on disk: .npy, Zarr and HDF5, and memory maps."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastem.sources.files import missing, stamp_of
from fastem.sources.reader import Piece, Reader


class ArrayFile:
    """An array in a file.

    Parameters
    ----------
    path : path
        A .npy file, a Zarr array or group, or an HDF5 file.
    name : str, optional
        The array inside a Zarr group or HDF5 file; not needed if there is only one.
    """

    def __init__(self, path: str | os.PathLike[str], name: str | None = None):
        self.path, self.name = Path(path), name

    def reader(self) -> Reader:
        """Raises OSError or ValueError if there is no such array of numbers."""
        suffix = self.path.suffix.lower()
        if suffix == ".npy":
            return MappedReader.of_file(self.path)
        if suffix == ".zarr":
            return SlicedReader(self.path, _open_zarr(self.path, self.name))
        return SlicedReader(self.path, _open_hdf5(self.path, self.name))


class MappedReader(Reader):
    """A memory map: rows are read where they lie, and their pages are given back behind."""

    mapped = True

    def __init__(self, array: np.memmap, name: str):
        self.array, self.name = array, name
        self.n_features = array.shape[1]
        self._file = array.filename

    @classmethod
    def of_file(cls, path: Path) -> "MappedReader":
        try:
            # Never unpickles, and unlike numpy.load does not take a zip archive or a pickle for an array.
            array = np.lib.format.open_memmap(path, mode="r")
        except ValueError as error:
            raise ValueError(f"{path}: not an array that can be mapped: {error}") from None
        _check_shape(path, array)
        return cls(array, str(path))

    def stamp(self) -> Any:
        return None if self._file is None else stamp_of([Path(self._file)])

    def pieces(self, n_rows: int) -> Iterator[Piece]:
        stamp = self.stamp()
        pages = _Pages(self.array)
        behind = 2 * n_rows  # a pass looks one block ahead: only the last but one is done with
        for first in range(0, len(self.array), n_rows):
            if self.stamp() != stamp:  # to read behind the end of a file kills the process
                raise ValueError(f"{self.name}: changed while it was read. The data must stay the same during a fit.")
            last = min(first + n_rows, len(self.array))
            pages.advise("MADV_WILLNEED", last, min(last + n_rows, len(self.array)))
            yield Piece(np.asarray(self.array[first:last]), None, self.name, first)
            pages.advise("MADV_DONTNEED", first - behind, first - behind + n_rows)


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


class SlicedReader(Reader):
    """An array of Zarr or HDF5: what has a shape and gives rows when it is sliced."""

    def __init__(self, path: Path, array: Any):
        self.path, self.array, self.name = path, array, str(path)
        _check_shape(path, array)
        self.n_features = array.shape[1]

    def stamp(self) -> Any:
        return stamp_of([self.path])

    def pieces(self, n_rows: int) -> Iterator[Piece]:
        chunk = self.array.chunks[0] if self.array.chunks else 1
        step = max(n_rows // chunk, 1) * chunk if chunk <= 4 * n_rows else n_rows  # a chunk is decoded as a whole
        for first in range(0, self.array.shape[0], step):
            try:
                rows = np.asarray(self.array[first : first + step])
            except Exception as error:
                raise ValueError(f"{self.path}: row {first} and the next cannot be read: {error}") from error
            yield Piece(rows, None, self.name, first)


def _check_shape(path: Path, array: Any) -> None:
    if len(array.shape) != 2 or array.dtype.kind not in "biuf":
        raise ValueError(f"{path}: {array.dtype} of shape {array.shape}, expected real numbers in rows and columns")
    if 0 in array.shape:
        raise ValueError(f"{path}: shape {array.shape} holds no numbers")


def _open_zarr(path: Path, name: str | None) -> Any:
    try:
        import zarr
    except ImportError as error:
        raise missing("zarr", "zarr") from error
    if not path.exists():
        raise FileNotFoundError(2, "No such file or directory", str(path))
    try:
        found = zarr.open(str(path), mode="r")
    except Exception as error:
        raise ValueError(f"{path}: not a Zarr array or group: {error}") from error
    if hasattr(found, "shape"):
        return found
    return _chosen(path, dict(found.arrays()), found, name)


def _open_hdf5(path: Path, name: str | None) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise missing("h5py", "hdf5") from error
    if not path.exists():
        raise FileNotFoundError(2, "No such file or directory", str(path))
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: not an HDF5 file: {error}") from error
    found: dict[str, Any] = {}
    file.visititems(lambda key, item: found.__setitem__(key, item) if isinstance(item, h5py.Dataset) else None)
    return _chosen(path, found, file, name)


def _chosen(path: Path, arrays: dict[str, Any], group: Any, name: str | None) -> Any:
    if name is not None:
        if name not in group:
            raise ValueError(f"{path}: no array {name!r}, it holds {', '.join(sorted(arrays)) or 'none'}")
        return group[name]
    if len(arrays) != 1:
        raise ValueError(
            f"{path}: holds {', '.join(sorted(arrays)) or 'no array'}; say which one: fastem.ArrayFile(path, name)"
        )
    return next(iter(arrays.values()))
