"""Where rows come from: the time of a pass beside that over the array, and what a fit needs of memory."""

from pathlib import Path

import numpy as np

from benchmarks.common import SIZES, blobs, in_turn, pass_over
from fastem import Chunks, GaussianMixture, Table
from fastem.sources import as_source

SIZE = SIZES[2]
KINDS = ("npy", "chunks", "arrow", "parquet", "hdf5", "zarr", "dask")


def opened(kind):
    """The same rows as a source of this kind; NotImplementedError, a skip for asv, without its library."""
    try:
        if kind == "npy":
            return as_source("rows.npy")
        rows = np.load("rows.npy", mmap_mode="r")
        if kind == "chunks":
            parts = np.array_split(rows, 20)
            return as_source(Chunks(lambda: iter(parts), n_features=SIZE[1]))
        return _from_library(kind, rows)
    except ImportError as error:
        raise NotImplementedError(str(error)) from error


def _from_library(kind, rows):
    if kind == "dask":
        import dask.array as da

        from fastem.sources.clusters import Collection, DaskSource

        return DaskSource(Collection(da.from_array(np.array(rows), chunks=(len(rows) // 8, -1))))
    if kind == "hdf5":
        import h5py

        with h5py.File("rows.h5", "w") as file:
            file.create_dataset("rows", data=rows, chunks=(16_384, SIZE[1]))
        return as_source("rows.h5")
    if kind == "zarr":
        import zarr

        if not Path("rows.zarr").exists():
            zarr.save_array("rows.zarr", np.array(rows))
        return as_source("rows.zarr")
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({f"x{j}": rows[:, j] for j in range(SIZE[1])})
    if kind == "arrow":
        return as_source(Table(table))
    pyarrow.parquet.write_table(table, "rows.parquet", row_group_size=100_000)
    return as_source("rows.parquet")


class _Rows:
    params = KINDS
    param_names = ("source",)
    timeout = 600

    def setup_cache(self):
        np.save("rows.npy", blobs(SIZE))


class Pass(_Rows):
    """With a warm page cache."""

    def track_time_relative_to_the_array(self, kind):
        sources = as_source(np.load("rows.npy")), opened(kind)
        over_array, over_source = in_turn(*(pass_over("full", SIZE, source) for source in sources))
        return over_source / over_array

    track_time_relative_to_the_array.unit = "passes over the array"


class Memory(_Rows):
    """The difference to `peakmem_reference` is what a fit needs: the rows are 128 MB and never in memory."""

    params = ("npy", "parquet", "hdf5", "zarr")

    def setup(self, kind):
        source = opened(kind)
        self.path = source.reader.name
        self._fit(np.ones((100, 2)) + np.arange(100)[:, None])

    def _fit(self, data):
        GaussianMixture(2, max_iter=3, random_state=0).fit(data)

    def peakmem_reference(self, kind):
        pass

    def peakmem_fit(self, kind):
        self._fit(self.path)
