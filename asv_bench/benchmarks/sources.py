"""Where rows come from: a fit over them in fits over the array, batches of a stream, and what a fit needs of memory."""

from pathlib import Path

import numpy as np

from benchmarks.data import SIZES, blobs, fitter
from benchmarks.insides import SkipNotImplemented, public
from benchmarks.timing import in_matrix_products, share

NAME = "1e6 x 16, K=32"
SIZE = (SIZES[NAME][0] // 2, *SIZES[NAME][1:])
KINDS = ("npy", "chunks", "arrow", "parquet", "hdf5", "zarr", "dask")


def opened(kind):
    """The same rows as data of this kind; asv skips it without its library."""
    rows = np.load("rows.npy", mmap_mode="r")
    try:
        return MAKERS[kind](rows)
    except ImportError as error:
        raise SkipNotImplemented(str(error)) from error


def _chunks(rows):
    parts = np.array_split(rows, 20)
    return public("Chunks")(lambda: iter(parts), n_features=SIZE[1])


def _dask(rows):
    import dask
    import dask.array as da

    dask.config.set(scheduler="threads")
    return da.from_array(np.array(rows), chunks=(-(-len(rows) // 8), -1))


def _hdf5(rows):
    import h5py

    with h5py.File("rows.h5", "w") as file:
        file.create_dataset("rows", data=rows, chunks=(min(16_384, len(rows)), SIZE[1]))
    return "rows.h5"


def _zarr(rows):
    import zarr

    if not Path("rows.zarr").exists():
        zarr.save_array("rows.zarr", np.array(rows))
    return "rows.zarr"


def _arrow(rows):
    import pyarrow

    return pyarrow.table({f"x{j}": rows[:, j] for j in range(SIZE[1])})


def _parquet(rows):
    import pyarrow.parquet

    pyarrow.parquet.write_table(_arrow(rows), "rows.parquet", row_group_size=100_000)
    return "rows.parquet"


MAKERS = {
    "npy": lambda rows: "rows.npy",
    "chunks": _chunks,
    "arrow": _arrow,
    "parquet": _parquet,
    "hdf5": _hdf5,
    "zarr": _zarr,
    "dask": _dask,
}


class _Rows:
    timeout = 300

    def setup_cache(self):
        np.save("rows.npy", blobs(SIZE))


class Fit(_Rows):
    """Three iterations of EM from one start, with a warm page cache."""

    params = KINDS
    param_names = ("source",)

    def track_fits_of_the_array(self, kind):
        rows, data = np.load("rows.npy"), opened(kind)
        mixture = public("GaussianMixture")
        return share(*(fitter(mixture, "full", SIZE, source, 3) for source in (data, rows)))

    track_fits_of_the_array.unit = "fits of the array"


class Stream(_Rows):
    """Batches through `partial_fit`, and a fit that writes its state after every iteration."""

    params = ("partial_fit", "online", "checkpoint")
    param_names = ("what",)

    def setup(self, what):
        rows = np.load("rows.npy", mmap_mode="r")[:100_000].copy()
        self.run = getattr(self, f"_{what}")(rows)

    def _partial_fit(self, rows):
        def run():
            mixture = public("GaussianMixture")(SIZE[2], random_state=0)
            for batch in np.array_split(rows, 20):
                mixture.partial_fit(batch)

        return run

    def _online(self, rows):
        mixture = public("GaussianMixture")(SIZE[2], learning_method="online", max_iter=2, random_state=0)
        return lambda: mixture.fit(rows)

    def _checkpoint(self, rows):
        fit = fitter(public("GaussianMixture"), "full", SIZE, rows, 5, checkpoint="state")

        def run():
            Path("state").unlink(missing_ok=True)
            fit()

        return run

    def track_matrix_products(self, what):
        return in_matrix_products(self.run, rounds=3)

    track_matrix_products.unit = in_matrix_products.unit


class Memory(_Rows):
    """The difference to `peakmem_reference` is what a fit needs: the rows are 64 MB and never in memory."""

    params = ("npy", "parquet", "hdf5", "zarr")
    param_names = ("source",)

    def setup(self, kind):
        self.data = opened(kind)
        self._fit(np.ones((100, 2)) + np.arange(100)[:, None])

    def _fit(self, data):
        public("GaussianMixture")(2, max_iter=3, random_state=0).fit(data)

    def peakmem_reference(self, kind):
        pass

    def peakmem_fit(self, kind):
        self._fit(self.data)
