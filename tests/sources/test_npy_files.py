"""Arrays in .npy files: read as they are, never evaluated, and never behind their end."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastem
from fastem import ArrayFile, GaussianMixture
from fastem.sources import as_source


@pytest.fixture
def npy(tmp_path):
    def write(array, **options):
        path = tmp_path / "table.npy"
        np.save(path, array, **options)
        return path

    return write


def rows_of(data):
    return np.concatenate([block.rows for block in as_source(data).blocks()])


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", ">f8", "i8", "u1", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_types_and_orders(npy, dtype, order, monkeypatch):
    monkeypatch.setattr("fastem.sources.stream.BLOCK_MEMORY", 7 * 3 * 8)
    array = np.asarray(np.arange(60).reshape(20, 3) % 11, dtype=dtype, order=order)
    rows = rows_of(npy(array))
    assert rows.dtype == (np.float32 if dtype == "f4" else np.float64)
    assert_array_equal(rows, array)


def test_version_two(tmp_path):
    with open(tmp_path / "two.npy", "wb") as file:
        np.lib.format.write_array(file, np.eye(3), version=(2, 0))
    assert_array_equal(rows_of(tmp_path / "two.npy"), np.eye(3))


def test_a_column_of_weights(npy):
    array = np.arange(12.0).reshape(4, 3)
    blocks = list(as_source(ArrayFile(npy(array), weight=1)).blocks())
    assert_array_equal(blocks[0].rows, array[:, [0, 2]])
    assert_array_equal(blocks[0].weights, array[:, 1])
    with pytest.raises(ValueError, match=r"table\.npy: no column 3, the columns are 0 to 2"):
        as_source(ArrayFile(npy(array), weight=3))
    with pytest.raises(ValueError, match="no column is left beside the weights"):
        as_source(ArrayFile(npy(array[:, :1]), weight=0))
    with pytest.raises(ValueError, match="weights twice, as sample_weight and as column 1"):
        as_source(ArrayFile(npy(array), weight=1), np.ones(4))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), r"float64 of shape \(3,\)"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.zeros((2, 2), complex), "complex128"),
        (np.array([["a", "b"]]), "expected real numbers"),
        (np.zeros((2, 2), "M8[s]"), "expected real numbers"),
        (np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]), "expected real numbers"),
        (np.zeros((0, 3)), "holds no numbers"),
        (np.array([[1, 2], [3, np.nan]]), "contains NaN.*row 1, column 1 "),
    ],
)
def test_what_is_no_table_of_numbers(npy, array, message):
    with pytest.raises(ValueError, match=message) as caught:
        as_source(npy(array))
    assert "table.npy" in str(caught.value)


def test_nothing_in_it_is_run(npy, tmp_path):
    with pytest.raises(ValueError, match=r"table\.npy: object of shape"):
        as_source(npy(np.array([[print]], dtype=object), allow_pickle=True))
    path = tmp_path / "pickle.npy"
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match=r"pickle\.npy: not an array of NumPy"):
        as_source(path)


def forged(path, shape):
    """A header that promises more than there is."""
    content = path.read_bytes()
    header = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode()
    path.write_bytes(content[:10] + header.ljust(len(content[10:128]) - 1) + b"\n" + content[128:])


@pytest.mark.parametrize("shape", [(10**15, 3), (101, 3), (-1, 3), (3, 2**62), (10**30, 10**30)])
def test_forged_shapes(npy, shape):
    path = npy(np.zeros((100, 3)))
    forged(path, shape)
    with pytest.raises(ValueError, match=r"table\.npy: "):
        as_source(path)


def test_a_file_that_is_cut_off(npy):
    path = npy(np.zeros((100, 3)))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"table\.npy: 500 bytes long, but an array of shape \(100, 3\) takes 2528"):
        as_source(path)


def test_a_file_that_is_cut_off_while_it_is_read(npy, monkeypatch):
    """The stamp has been looked at, then the file shrinks: what a map would die of."""
    path = npy(np.zeros((100, 3)))
    source = as_source(path)
    monkeypatch.setattr("fastem.sources.files.File.stamp", lambda self: source._stamp)
    os.truncate(path, 1_000)
    with pytest.raises(ValueError, match=r"table\.npy: cut off while it was read"):
        list(source.blocks())


REWRITTEN = """
import sys, threading, numpy as np
from fastem import GaussianMixture
path = sys.argv[1]
GaussianMixture(2, random_state=0, max_iter=2).fit(path)
threading.Timer(0.5, lambda: open(path, "wb").close()).start()
try:
    GaussianMixture(4, random_state=0, tol=0, max_iter=100_000, acceleration=None, subsampling=False).fit(path)
except ValueError as error:
    sys.exit(0 if path in str(error) else 1)
sys.exit(2)
"""


@pytest.mark.slow
def test_a_process_survives_a_file_that_another_one_empties(tmp_path):
    rows = np.random.default_rng(0).normal(size=(400_000, 5))
    np.save(tmp_path / "rows.npy", rows)
    environment = {**os.environ, "PYTHONPATH": str(Path(fastem.__file__).parents[1])}
    command = [sys.executable, "-W", "ignore", "-c", REWRITTEN, str(tmp_path / "rows.npy")]
    assert subprocess.run(command, env=environment, check=False).returncode == 0


def test_a_map_of_the_user_is_read_where_it_lies(npy, monkeypatch):
    monkeypatch.setattr("fastem.sources.dispatch.LARGE_MAP", 0)
    array = np.random.default_rng(0).normal(size=(100, 2))
    mapped = np.load(npy(array), mmap_mode="r")
    blocks = list(as_source(mapped).blocks())
    assert all(np.shares_memory(block.rows, mapped) for block in blocks)
    means = [GaussianMixture(1, random_state=0).fit(data).means_ for data in (mapped, array)]
    assert_array_equal(*means)
