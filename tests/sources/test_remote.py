"""Files behind addresses, through fsspec: here those of its file system in memory."""

import functools
import gzip
import http.server
import io
import sys
import threading

import fsspec
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from numpy.testing import assert_array_equal

from fastem import ArrayFile, GaussianMixture, Table
from fastem.sources import as_source

ROWS = np.random.default_rng(0).normal(size=(60, 2))
FRAME = pd.DataFrame(ROWS, columns=["a", "b"])


def rows_of(data):
    return np.concatenate([block.rows for block in as_source(data).blocks()])


def content(save):
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def hdf5(file):
    with h5py.File(file, "w") as group:
        group["rows"] = ROWS


TEXT = FRAME.to_csv(index=False, float_format="%.17g").encode()
FILES = {
    "rows.npy": content(lambda file: np.save(file, ROWS)),
    "columns.npy": content(lambda file: np.save(file, np.asfortranarray(ROWS))),
    "positive.npy": content(lambda file: np.save(file, np.abs(ROWS))),
    "rows.csv": TEXT,
    "rows.csv.gz": gzip.compress(TEXT),
    "rows.parquet": content(FRAME.to_parquet),
    "rows.h5": content(hdf5),
}


@pytest.fixture
def memory():
    filesystem = fsspec.filesystem("memory")
    for name, data in FILES.items():
        filesystem.pipe(f"/files/{name}", data)
        if name.endswith("parquet"):
            filesystem.pipe(f"/folder/year=2020/{name}", data)
            filesystem.pipe(f"/folder/year=2021/{name}", data)
            filesystem.pipe("/folder/_temporary/x.parquet", b"")
    zarr.save_array("memory://files/rows.zarr", ROWS)
    yield filesystem
    filesystem.rm("/files", recursive=True)
    filesystem.rm("/folder", recursive=True)


@pytest.mark.parametrize("name", [*sorted({*FILES} - {"positive.npy"}), "rows.zarr"])
def test_every_format(memory, name):
    assert_array_equal(rows_of(f"memory://files/{name}"), ROWS)


def test_folders_and_patterns(memory):
    for address in ("memory://folder", "memory://folder/year=*/*.parquet"):
        table = Table(address, columns=["a", "b"])
        assert_array_equal(rows_of(table), np.r_[ROWS, ROWS])
    assert Table("memory://folder").labels() == ["a", "b", "year"]
    assert_array_equal(rows_of(["memory://files/rows.npy", "memory://files/columns.npy"]), np.r_[ROWS, ROWS])
    blocks = list(as_source(ArrayFile("memory://files/positive.npy", weight=1)).blocks())
    assert_array_equal(blocks[0].weights, np.abs(ROWS[:, 1]))


def test_a_file_that_changes(memory):
    source = as_source("memory://files/rows.npy")
    memory.pipe("/files/rows.npy", FILES["rows.npy"] + b"more")
    with pytest.raises(ValueError, match=r"memory://.*rows\.npy: changed since the first pass"):
        list(source.blocks())


def test_what_is_absent_or_damaged(memory):
    for address in ("memory://files/absent.csv", "memory://files/absent*.csv"):
        with pytest.raises(FileNotFoundError, match="absent"):
            rows_of(address)
    memory.pipe("/files/rows.parquet", FILES["rows.parquet"][:50])
    with pytest.raises(ValueError, match=r"memory://.*rows\.parquet: damaged"):
        rows_of("memory://files/rows.parquet")
    with pytest.raises(ValueError, match=r"no-such-protocol://bucket/rows\.csv"):
        rows_of("no-such-protocol://bucket/rows.csv")
    memory.pipe("/files/rows.txt", b"1")
    with pytest.raises(ValueError, match=r"unknown suffix '\.txt'"):
        rows_of("memory://files/rows.txt")


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ImportError, match=r'needs fsspec: pip install "fastem\[remote\]"'):
        rows_of("memory://files/rows.csv")


def test_http(tmp_path):
    pytest.importorskip("aiohttp")
    for name in ("rows.csv", "rows.parquet"):
        (tmp_path / name).write_bytes(FILES[name])
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        means = [GaussianMixture(1).fit(f"{address}/{name}?version=1").means_ for name in ("rows.csv", "rows.parquet")]
        with pytest.raises(FileNotFoundError, match="absent"):
            rows_of(f"{address}/absent.csv")
        server.shutdown()
    for found in means:
        np.testing.assert_allclose(found[0], ROWS.mean(axis=0), rtol=1e-12)
