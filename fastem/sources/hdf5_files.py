"""Data sets in HDF5 files."""

from typing import Any

import numpy as np

from fastem.sources.files import File, missing


def opened(file: File, name: str | None) -> "Hdf5Array":
    """The data set of this name in a file, or the only one."""
    try:
        import h5py
    except ImportError as error:
        raise missing("h5py", "hdf5") from error
    group = h5py.File(file.open(), "r")
    found: dict[str, Any] = {}
    group.visititems(lambda key, item: found.__setitem__(key, item) if isinstance(item, h5py.Dataset) else None)
    return Hdf5Array(file, chosen(str(file), found, name))


def chosen(where: str, arrays: dict[str, Any], name: str | None) -> Any:
    """The array that is called `name`, or the only one."""
    listed = ", ".join(sorted(arrays))
    if name is not None:
        if name.strip("/") not in arrays:
            raise ValueError(f"{where}: no array {name!r}, it holds {listed or 'none'}")
        return arrays[name.strip("/")]
    if len(arrays) != 1:
        raise ValueError(f"{where}: holds {listed or 'no array'}; say which one: fastem.ArrayFile(path, name)")
    return next(iter(arrays.values()))


class Hdf5Array:
    def __init__(self, file: File, dataset: Any):
        self.dataset, self.shape, self.dtype = dataset, dataset.shape or (), dataset.dtype
        self.chunk_rows = dataset.chunks[0] if dataset.chunks else 1
        if dataset.id.get_storage_size() == 0 and not _declares_fill_value(dataset):
            raise ValueError(f"{file}: {dataset.name} was never written, and declares no fill value")
        if dataset.chunks:
            expected = np.prod([-(-n // chunk) for n, chunk in zip(self.shape, dataset.chunks, strict=True)])
            if dataset.id.get_num_chunks() < expected and not _declares_fill_value(dataset):
                raise ValueError(f"{file}: chunks of {dataset.name} are missing, and it declares no fill value")

    def read(self, first: int, last: int) -> np.ndarray:
        return np.asarray(self.dataset[first:last])


def _declares_fill_value(dataset: Any) -> bool:
    import h5py

    return bool(dataset.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED)
