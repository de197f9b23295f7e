"""Every kind of data: the same bits as the array, and clear errors."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
import zarr
from numpy.testing import assert_array_equal

import fastem
from fastem import ArrayFile, Chunks, GaussianMixture, KMeans, Table
from fastem.sources import as_source, dispatch
from fastem.sources.memory_maps import MappedReader
from fastem.sources.stream import StreamSource

NAMES = ["a", "b", "c"]


def made_rows(n=3_001):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)) + 5.0 * rng.integers(0, 2, size=(n, 1))


ROWS = made_rows()
WEIGHTS = np.random.default_rng(1).integers(0, 4, len(ROWS)).astype(float)


def in_chunks(rows, size, weights=None):
    def factory():
        for first in range(0, len(rows), size):
            part = slice(first, first + size)
            yield rows[part] if weights is None else (rows[part], weights[part])

    return Chunks(factory, n_features=rows.shape[1])


def frame(weighted=False):
    return pd.DataFrame(ROWS, columns=NAMES).assign(**({"w": WEIGHTS} if weighted else {}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    np.save(folder / "rows.npy", ROWS)
    np.save(folder / "fortran.npy", np.asfortranarray(ROWS))
    np.save(folder / "part1.npy", ROWS[:7])
    np.save(folder / "part2.npy", ROWS[7:])
    frame().to_csv(folder / "rows.csv", index=False, float_format="%.17g")
    frame(weighted=True).to_csv(folder / "weighted.csv", index=False, float_format="%.17g")
    np.savetxt(folder / "bare.csv", ROWS, delimiter=",", fmt="%.17g")
    frame(weighted=True).assign(text="x").to_parquet(folder / "rows.parquet", row_group_size=700)
    (folder / "many").mkdir()
    frame().iloc[:1_000].to_parquet(folder / "many" / "1.parquet")
    frame().iloc[1_000:].to_parquet(folder / "many" / "2.parquet")
    with h5py.File(folder / "rows.h5", "w") as file:
        file.create_dataset("group/rows", data=ROWS, chunks=(100, 3))
        file.create_dataset("other", data=ROWS[:5])
    zarr.save_array(str(folder / "rows.zarr"), ROWS)
    return folder


KINDS = {
    "npy": lambda folder: folder / "rows.npy",
    "npy in Fortran order": lambda folder: str(folder / "fortran.npy"),
    "memory map": lambda folder: np.load(folder / "rows.npy", mmap_mode="r"),
    "large memory map": lambda folder: StreamSourceOf(np.load(folder / "rows.npy", mmap_mode="r")),
    "a pattern": lambda folder: str(folder / "part*.npy"),
    "a list": lambda folder: [folder / "part1.npy", str(folder / "part2.npy")],
    "csv": lambda folder: folder / "rows.csv",
    "csv without names": lambda folder: folder / "bare.csv",
    "parquet, some columns": lambda folder: Table(folder / "rows.parquet", columns=NAMES),
    "parquet folder": lambda folder: folder / "many",
    "parquet pattern": lambda folder: Table(str(folder / "many" / "*.parquet")),
    "zarr": lambda folder: folder / "rows.zarr",
    "hdf5": lambda folder: ArrayFile(folder / "rows.h5", "group/rows"),
    "arrow table": lambda folder: pa.Table.from_pandas(frame()),
    "arrow data set": lambda folder: pyarrow.dataset.dataset(folder / "many"),
    "pandas": lambda folder: frame(),
    "pandas table": lambda folder: Table(frame()),
    "polars": lambda folder: pl.DataFrame(ROWS, schema=NAMES),
    "polars table": lambda folder: Table(pl.DataFrame(ROWS, schema=NAMES)),
    "chunks of 1": lambda folder: in_chunks(ROWS, 1),
    "chunks of 257": lambda folder: in_chunks(ROWS, 257),
    "chunks of 1000": lambda folder: in_chunks(ROWS, 1_000),
    "one chunk": lambda folder: in_chunks(ROWS, 65_537),
}


class StreamSourceOf:
    """A map as one that is large."""

    def __init__(self, array):
        self.array = array


@pytest.fixture(autouse=True)
def large_maps(monkeypatch):
    plain = dispatch.opened

    def opened(data):
        return MappedReader(data.array) if isinstance(data, StreamSourceOf) else plain(data)

    monkeypatch.setattr("fastem.estimators.validation.opened", opened)


def fitted(data, sample_weight=None):
    mixture = GaussianMixture(2, random_state=0, max_iter=5, tol=0.0, subsampling=False, acceleration=None)
    return mixture.fit(data, sample_weight=sample_weight)


def assert_same_bits(mixture, expected):
    for name in ("weights_", "means_", "covariances_", "log_likelihood_", "n_features_in_"):
        assert_array_equal(getattr(mixture, name), getattr(expected, name))


@pytest.mark.filterwarnings("ignore:The fit did not converge")
@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_are_those_of_the_array(folder, kind):
    data = KINDS[kind](folder)
    mixture, expected = fitted(data), fitted(ROWS)
    assert_same_bits(mixture, expected)
    names = getattr(mixture, "feature_names_in_", None)
    for given in (data, ROWS if names is None else pd.DataFrame(ROWS, columns=names)):
        assert_array_equal(mixture.predict(given), expected.predict(ROWS))
        assert_array_equal(mixture.predict_proba(given), expected.predict_proba(ROWS))
        assert_array_equal(mixture.score_samples(given), expected.score_samples(ROWS))
        assert mixture.score(given) == expected.score(ROWS)
        assert mixture.bic(given) == expected.bic(ROWS)
        assert mixture.aic(given) == expected.aic(ROWS)


@pytest.mark.parametrize("kind", ["npy", "parquet, some columns", "chunks of 257"])
def test_defaults_and_kmeans_too(folder, kind):
    assert_same_bits(*(GaussianMixture(2, random_state=3).fit(data) for data in (KINDS[kind](folder), ROWS)))
    found, expected = (KMeans(3, random_state=3).fit(data) for data in (KINDS[kind](folder), ROWS))
    assert_array_equal(found.cluster_centers_, expected.cluster_centers_)
    assert not hasattr(found, "labels_")  # as long as the data
    assert_array_equal(found.fit_predict(KINDS[kind](folder)), expected.labels_)
    assert_array_equal(found.transform(KINDS[kind](folder)), expected.transform(ROWS))


WEIGHTED = {
    "csv": lambda folder: Table(folder / "weighted.csv", weight="w"),
    "parquet": lambda folder: Table(folder / "rows.parquet", columns=NAMES, weight="w"),
    "arrow": lambda folder: Table(pa.Table.from_pandas(frame(weighted=True)), weight="w"),
    "pandas": lambda folder: Table(frame(weighted=True), weight="w"),
    "polars": lambda folder: Table(pl.DataFrame(frame(weighted=True)), weight="w"),
    "chunks": lambda folder: in_chunks(ROWS, 100, WEIGHTS),
}


@pytest.mark.filterwarnings("ignore:The fit did not converge")
@pytest.mark.parametrize("kind", WEIGHTED)
def test_weights_of_their_own(folder, kind):
    assert_same_bits(fitted(WEIGHTED[kind](folder)), fitted(ROWS, WEIGHTS))


@pytest.mark.filterwarnings("ignore:The fit did not converge")
def test_weights_beside_the_rows(folder):
    assert_same_bits(fitted(folder / "rows.npy", WEIGHTS), fitted(ROWS, WEIGHTS))
    with pytest.raises(ValueError, match="sample_weight has 5 entries, X has more rows"):
        fitted(folder / "rows.npy", WEIGHTS[1:6])
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(3002,\), expected \(3001,\)"):
        fitted(folder / "rows.npy", np.ones(3_002))
    with pytest.raises(ValueError, match="Negative values in data"):
        fitted(folder / "rows.npy", -WEIGHTS)


def test_float32_stays_what_it_is():
    small = ROWS.astype(np.float32)
    table = Table(pd.DataFrame(small, columns=NAMES))
    assert {block.rows.dtype for block in as_source(table).blocks()} == {np.dtype(np.float32)}
    integers = in_chunks((10 * ROWS).astype(int), 100)
    assert {block.rows.dtype for block in as_source(integers).blocks()} == {np.dtype(np.float64)}


@pytest.mark.filterwarnings("ignore:The fit did not converge")
def test_passes_are_counted(folder):
    on_disk, in_memory = fitted(folder / "rows.npy"), fitted(ROWS)
    assert in_memory.n_passes_ == 5 + 1  # iterations, the likelihood at the end
    assert on_disk.n_passes_ == 5 + 1 + 1  # and the survey: its sample serves the start


def test_a_larger_sample_than_the_survey_kept_takes_a_pass(monkeypatch):
    monkeypatch.setattr("fastem.sources.stream.SAMPLE_MEMORY", 100 * 24)
    source = as_source(in_chunks(ROWS, 100), seed=4)
    assert_array_equal(source.sample(100).rows, as_source(ROWS, seed=4).sample(100).rows)
    assert source.n_passes == 1
    assert_array_equal(source.sample(500).rows, as_source(ROWS, seed=4).sample(500).rows)
    assert source.n_passes == 2


# results --------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The fit did not converge")
def test_results_go_where_they_are_wanted(folder, tmp_path):
    mixture = fitted(ROWS)
    out = np.lib.format.open_memmap(tmp_path / "out.npy", mode="w+", dtype=np.float64, shape=(len(ROWS), 2))
    assert mixture.predict_proba(folder / "rows.npy", out=out) is out
    assert_array_equal(np.load(tmp_path / "out.npy"), mixture.predict_proba(ROWS))
    for method in ("predict", "predict_proba", "score_samples"):
        parts = list(mixture.in_blocks(in_chunks(ROWS, 700), method))
        assert [len(part) for part in parts] == [700] * 4 + [201]
        assert_array_equal(np.concatenate(parts), getattr(mixture, method)(ROWS))
    kmeans = KMeans(2, random_state=0).fit(ROWS)
    labels = np.empty(len(ROWS), dtype=np.int32)
    assert_array_equal(kmeans.predict(in_chunks(ROWS, 100), out=labels), kmeans.labels_)
    assert_array_equal(np.concatenate(list(kmeans.in_blocks(ROWS, "transform"))), kmeans.transform(ROWS))


@pytest.mark.filterwarnings("ignore:The fit did not converge")
def test_out_must_fit():
    mixture = fitted(ROWS)
    for out in (np.empty(5), np.empty(len(ROWS)), np.empty((len(ROWS), 1), dtype=np.int64), [0] * len(ROWS)):
        with pytest.raises(ValueError, match="out must be an array of shape"):
            mixture.predict(ROWS, out=out)
    with pytest.raises(ValueError, match="out has 4 rows, X has more"):
        mixture.predict(in_chunks(ROWS, 10), out=np.empty(4, dtype=np.int64))
    with pytest.raises(ValueError, match="out has 4000 rows, X has 3001"):
        mixture.predict(in_chunks(ROWS, 10), out=np.empty(4_000, dtype=np.int64))
    with pytest.raises(ValueError, match="writeable and in C order"):
        mixture.predict_proba(ROWS, out=np.empty((2, len(ROWS))).T)
    with pytest.raises(ValueError, match="method must be one of predict"):
        mixture.in_blocks(ROWS, "transform")


# bad data -------------------------------------------------------------------------------------------------------------


def spoiled(row, column, value):
    rows = ROWS.copy()
    rows[row, column] = value
    return rows


@pytest.mark.filterwarnings("ignore:The fit did not converge")
def test_numbers_that_are_none(tmp_path):
    np.save(tmp_path / "nan.npy", spoiled(2_345, 1, np.nan))
    with pytest.raises(ValueError, match=r"contains NaN. .*nan\.npy: row 2345, column 1 \(rows are counted from 0\)"):
        fitted(tmp_path / "nan.npy")
    pd.DataFrame(spoiled(77, 2, np.inf), columns=NAMES).to_parquet(tmp_path / "inf.parquet", row_group_size=50)
    with pytest.raises(ValueError, match=r"contains infinity. .*inf\.parquet: row 77, column 'c'"):
        fitted(tmp_path / "inf.parquet")
    with pytest.raises(ValueError, match=r"contains NaN. factory, chunk 3: row 4, column 0"):
        fitted(in_chunks(spoiled(34, 0, np.nan), 10))
    (tmp_path / "text.csv").write_text("a,b\n1,2\n3,x\n")
    with pytest.raises(ValueError, match=r"text\.csv: line 3, column 'b': 'x' is not a number"):
        fitted(tmp_path / "text.csv")
    with pytest.raises(ValueError, match="NaN"):  # not only in a fit
        fitted(ROWS[:50]).predict(tmp_path / "nan.npy")


@pytest.mark.filterwarnings("ignore:The fit did not converge")
def test_text_is_no_feature(folder):
    with pytest.raises(ValueError, match=r"rows\.parquet: column 'text' holds text, not numbers"):
        fitted(folder / "rows.parquet")
    with pytest.raises(ValueError, match="column 'b' holds text"):
        fitted(Table(pd.DataFrame({"a": [1.0, 2], "b": ["x", "y"]})))
    assert fitted(Table(folder / "weighted.csv", columns=["a", "c"])).n_features_in_ == 2


def test_missing_values_are_named():
    table = pa.table({"a": [1.0, None, 3.0], "b": [1, 2, 3]})
    with pytest.raises(ValueError, match=r"contains NaN\. the pyarrow Table: row 1, column 'a'"):
        fitted(table)


def test_bad_weights_are_named():
    with pytest.raises(ValueError, match="factory, chunk 0: row 3: the weight -1 is not a non-negative number"):
        fitted(in_chunks(ROWS, 10, np.where(np.arange(len(ROWS)) == 3, -1.0, 1.0)))
    with pytest.raises(ValueError, match="at least one non-zero"):
        fitted(in_chunks(ROWS, 10, np.zeros(len(ROWS))))


@pytest.mark.filterwarnings("ignore:The fit did not converge")
def test_shapes_that_do_not_fit(folder):
    with pytest.raises(ValueError, match=r"factory, chunk 0: row 0: an array of shape \(10, 3\), expected rows of 2"):
        fitted(Chunks(in_chunks(ROWS, 10).factory, n_features=2))
    with pytest.raises(ValueError, match="X has 2 features, but GaussianMixture is expecting 3 features"):
        fitted(ROWS).predict(in_chunks(ROWS[:, :2], 10))
    with pytest.raises(ValueError, match="feature names should match"):
        fitted(folder / "rows.csv").predict(Table(folder / "rows.parquet", columns=["b", "a", "c"]))


def test_one_shot_iterators_are_refused():
    with pytest.raises(TypeError, match="can be read once, but EM reads the data in every iteration"):
        fitted(iter([ROWS]))
    with pytest.raises(TypeError, match="Wrap a function that starts a fresh iterator"):
        Chunks(iter([ROWS]), n_features=3)
    same = iter([ROWS])
    with pytest.raises(ValueError, match="the factory must start a fresh iterator"):
        fitted(Chunks(lambda: same, n_features=3))


def test_data_that_change_between_passes(tmp_path):
    lengths = iter([100, 90, 110])

    def factory():
        yield ROWS[: next(lengths)]

    source = as_source(Chunks(factory, n_features=3))
    with pytest.raises(ValueError, match="factory: 90 rows, but the first pass saw 100"):
        list(source.blocks())
    with pytest.raises(ValueError, match="factory: more rows, but the first pass saw 100"):
        list(source.blocks())
    np.save(tmp_path / "rows.npy", ROWS)
    source = as_source(tmp_path / "rows.npy")
    blocks = source.blocks()
    next(blocks)
    np.save(tmp_path / "other.npy", ROWS[:9])
    os.replace(tmp_path / "other.npy", tmp_path / "rows.npy")
    with pytest.raises(ValueError, match=r"rows\.npy: changed since the first pass"):
        list(source.blocks())


def test_files_that_are_damaged_or_absent(folder, tmp_path):
    content = (folder / "rows.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"cut\.parquet: damaged, or not what its name says"):
        fitted(tmp_path / "cut.parquet")
    spoilt = bytearray(content)
    spoilt[4:200] = b"\xff" * 196
    (tmp_path / "spoilt.parquet").write_bytes(spoilt)
    with pytest.raises(ValueError, match=r"spoilt\.parquet: damaged"):
        fitted(Table(tmp_path / "spoilt.parquet", columns=NAMES))
    content = (folder / "rows.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"cut\.npy: \d+ bytes long, but an array of shape \(3001, 3\) takes"):
        fitted(tmp_path / "cut.npy")
    (tmp_path / "no.h5").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"no\.h5: damaged"):
        fitted(tmp_path / "no.h5")
    for absent in ("absent.npy", "absent.csv", "absent.parquet", "absent.h5", "absent.zarr", "absent*.npy"):
        with pytest.raises(FileNotFoundError, match="absent"):
            fitted(tmp_path / absent)
    (tmp_path / "a.txt").write_text("1")
    with pytest.raises(ValueError, match=r"unknown suffix '\.txt', expected"):
        fitted(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="holds group/rows, other; say which one"):
        fitted(folder / "rows.h5")
    with pytest.raises(ValueError, match="no array 'absent', it holds group/rows, other"):
        fitted(ArrayFile(folder / "rows.h5", "absent"))
    with pytest.raises(ValueError, match="no column 'z', the columns are a, b, c"):
        fitted(Table(folder / "rows.csv", columns=["z"]))


LIBRARIES = [("pyarrow", "parquet", "rows.parquet"), ("h5py", "hdf5", "rows.h5"), ("zarr", "zarr", "rows.zarr")]


@pytest.mark.parametrize(("library", "extra", "path"), LIBRARIES)
def test_what_is_missing_is_named(folder, monkeypatch, library, extra, path):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf'needs {library}: pip install "fastem\[{extra}\]"'):
        fitted(folder / path)


# memory ---------------------------------------------------------------------------------------------------------------

MEMORY = """
import resource, sys, warnings
import numpy as np
from fastem import Chunks, GaussianMixture
warnings.simplefilter("ignore")
fit = lambda data: GaussianMixture(4, random_state=0, max_iter=2, tol=0.0, subsampling=False).fit(data)
fit(np.random.default_rng(0).normal(size=(1_000, 8)))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
before = peak()
def blocks():
    block = np.random.default_rng(0).normal(size=(250_000, 8))
    for n in range(26):
        yield block + n
if sys.argv[1] == "chunks":
    fit(Chunks(blocks, n_features=8))
else:
    fit(sys.argv[1])
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs getrusage")
@pytest.mark.parametrize("kind", ["chunks", "npy"])
def test_memory_stays_bounded(kind, tmp_path):
    data = kind
    if kind == "npy":  # 416 MB; a file of holes takes no room on the disk
        data = str(tmp_path / "rows.npy")
        rows = np.lib.format.open_memmap(data, mode="w+", dtype=np.float64, shape=(6_500_000, 8))
        rows[::100_000] = 1.0
        del rows
    environment = {**os.environ, "PYTHONPATH": str(Path(fastem.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", MEMORY, data], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 256


def test_a_stream_says_what_it_is():
    assert isinstance(as_source(in_chunks(ROWS, 10)), StreamSource)
