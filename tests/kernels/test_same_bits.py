"""One order of all sums: the same bits for any layout, chunking, number of threads and process."""

import hashlib
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba
import numpy as np
import pytest
from cases import STRUCTURES, case
from helpers import accumulated, scored
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from fastem.kernels import passes, threads
from fastem.sources import Block, as_source

N_ROWS = 20_001  # more tiles than lanes, and a last row of its own


def problem(structure, n_rows=N_ROWS, n_features=3, n_components=5):
    model = case(structure, 100, n_features, n_components)
    rng = np.random.default_rng(8)
    return model, 3.0 * rng.normal(size=(n_rows, n_features)) + 5.0, rng.random(n_rows)


PROBLEMS = {structure: problem(structure) for structure in STRUCTURES}
every_structure = pytest.mark.parametrize("structure", STRUCTURES)


def digest(structure, rows=None):
    """A digest of all that the two passes compute."""
    model, whole, weights = PROBLEMS[structure]
    rows = whole if rows is None else rows
    results = [accumulated(model, [(rows, weights[: len(rows)])]), *scored(model, rows)]
    return hashlib.sha256(b"".join(result.tobytes() for result in results)).hexdigest()


def chunks(rows, weights, cuts):
    edges = [0, *sorted(cuts), len(rows)]
    return [(rows[a:b], weights[a:b]) for a, b in pairwise(edges)]


# how rows arrive ------------------------------------------------------------------------------------------------------


@every_structure
@pytest.mark.parametrize("size", [1, 31, 255, 256, 257, 1_000, 19_999, 65_537])
def test_chunks_of_any_size(structure, size):
    model, rows, weights = PROBLEMS[structure]
    rows, weights = rows[: 2_000 * size], weights[: 2_000 * size]
    cuts = range(size, len(rows), size)
    assert_array_equal(accumulated(model, chunks(rows, weights, cuts)), accumulated(model, [(rows, weights)]))


def test_chunks_longer_than_all_lanes_together():
    model, rows, weights = problem("diag", n_rows=150_000)
    cuts = [65_537, 131_074]
    assert_array_equal(accumulated(model, chunks(rows, weights, cuts)), accumulated(model, [(rows, weights)]))


@given(st.data())
def test_random_chunks_some_of_them_empty(data):
    structure = data.draw(st.sampled_from(STRUCTURES))
    n_rows = data.draw(st.integers(1, 3_000))
    cuts = data.draw(st.lists(st.integers(0, n_rows), max_size=12))
    model, rows, weights = PROBLEMS[structure]
    rows, weights = rows[:n_rows], weights[:n_rows]
    assert_array_equal(accumulated(model, chunks(rows, weights, cuts)), accumulated(model, [(rows, weights)]))


@every_structure
def test_chunks_without_weights(structure):
    model, rows, _ = PROBLEMS[structure]
    blocks = [(rows[:1_000], None), (rows[1_000:1_010], None), (rows[1_010:], None)]
    assert_array_equal(accumulated(model, blocks), accumulated(model, [(rows, None)]))


@every_structure
def test_a_pass_over_no_rows_adds_up_nothing(structure):
    model, rows, weights = PROBLEMS[structure]
    assert not accumulated(model, []).any()
    assert not accumulated(model, [(rows[:0], weights[:0])]).any()


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "columns of a wider array": lambda rows: np.pad(rows, ((0, 0), (1, 2)))[:, 1:-2],
    "every second row": lambda rows: np.repeat(rows, 2, axis=0)[::2],
    "backwards": lambda rows: np.ascontiguousarray(rows[::-1, ::-1])[::-1, ::-1],
}


@every_structure
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_memory_layouts(structure, layout):
    assert digest(structure, layout(PROBLEMS[structure][1])) == digest(structure)


@every_structure
def test_memory_maps(structure, tmp_path):
    rows = PROBLEMS[structure][1]
    np.save(tmp_path / "rows.npy", rows)
    assert digest(structure, np.load(tmp_path / "rows.npy", mmap_mode="r")) == digest(structure)


@every_structure
def test_single_precision_rows_are_their_double_precision_values(structure):
    rows = PROBLEMS[structure][1].astype(np.float32)
    assert digest(structure, rows) == digest(structure, rows.astype(np.float64))


def unaligned(rows):
    raw = np.zeros(rows.nbytes + 1, dtype=np.uint8)
    shifted = raw[1:].view(rows.dtype).reshape(rows.shape)
    shifted[...] = rows
    assert not shifted.flags.aligned
    return shifted


CONVERSIONS = {
    "int8": lambda rows: rows.astype(np.int8),
    "uint64": lambda rows: np.abs(rows).astype(np.uint64),
    "bool": lambda rows: rows > 5.0,
    "float16": lambda rows: rows.astype(np.float16),
    "longdouble": lambda rows: rows.astype(np.longdouble),
    "big-endian": lambda rows: rows.astype(">f8"),
    "big-endian float32": lambda rows: rows.astype(">f4"),
    "unaligned": unaligned,
    "read-only": lambda rows: np.frombuffer(rows.tobytes()).reshape(rows.shape),
}


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=CONVERSIONS)
def test_a_source_makes_any_numbers_readable(convert):
    model, rows, weights = PROBLEMS["full"]
    odd = convert(rows)
    found = accumulated(model, as_source(odd, weights).blocks())
    assert_array_equal(found, accumulated(model, [Block(odd.astype(np.float64), weights)]))


def test_a_source_converts_a_block_at_a_time():
    rows, weights = np.arange(140_000).reshape(70_000, 2), np.random.default_rng(0).random(70_000)
    blocks = list(as_source(rows, weights).blocks())
    assert len(blocks) > 1
    assert_array_equal(np.concatenate([block.rows for block in blocks]), rows)
    assert_array_equal(np.concatenate([block.weights for block in blocks]), weights)


# who computes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def many_threads(monkeypatch):
    """Small problems are worth a second thread, too; all threads are used again afterwards."""
    monkeypatch.setattr(threads, "PARALLEL_WORK", 0)
    yield numba.config.NUMBA_NUM_THREADS
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)


@pytest.fixture
def parallel_passes(monkeypatch, many_threads):
    """The kernels that were run by several threads."""
    entered, run_parallel = [], threads.run_parallel
    monkeypatch.setattr(threads, "run_parallel", lambda kernel, *a: (entered.append(kernel), run_parallel(kernel, *a)))
    return entered


@every_structure
def test_any_number_of_threads(structure, parallel_passes, many_threads):
    if many_threads == 1:
        pytest.skip("one processor")
    expected = serial_digest(structure)
    assert not parallel_passes
    for n_threads in range(2, many_threads + 1):
        numba.set_num_threads(n_threads)
        assert digest(structure) == expected
    assert set(parallel_passes) == {passes.fused_lanes, passes.score_lanes}


def serial_digest(structure):
    numba.set_num_threads(1)
    return digest(structure)


@every_structure
def test_several_python_threads_at_once(structure, many_threads):
    expected = digest(structure)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(digest, [structure] * 12)) == {expected}


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that it is multi-threaded is the point here
def test_a_forked_child(many_threads):
    expected = [digest(structure) for structure in STRUCTURES]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.map_async(digest, STRUCTURES).get(timeout=120) == expected
