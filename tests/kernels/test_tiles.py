"""Rows of any layout into a tile, and packed triangles and outer products out of it."""

from typing import NamedTuple

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastem.kernels.tiles import Rows, load_tile, new_tile
from fastem.kernels.vectors import outer, whitening
from fastem.kernels.vectors.simd import PANEL, WIDTH

CAPACITY = 128
FEATURES = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33, 64]


class Parameters(NamedTuple):
    origin: np.ndarray
    constants: np.ndarray


@numba.njit
def load(rows, first, count, parameters):
    """A tile's panels, weights and how many panels it has; `panels` hold other numbers before."""
    tile = new_tile(CAPACITY, 0, parameters)
    tile.panels[:] = np.nan
    tile.weights[:] = np.nan
    n_panels = load_tile(rows, first, count, parameters.origin, tile)
    return tile.panels.copy(), tile.weights.copy(), n_panels


def loaded(array, first=0, count=None, weights=None, real=np.float64):
    """Rows that `load_tile` has moved to an origin, and the weights it gave them."""
    n_features = array.shape[1]
    count = len(array) - first if count is None else count
    parameters, panel = Parameters(origin_of(n_features), np.empty(1, real)), 256 // np.dtype(real).itemsize
    panels, weights, n_panels = load(Rows.of(array, CAPACITY, weights), first, count, parameters)
    assert n_panels == -(-count // panel)
    panels = panels[: n_panels * panel * n_features].reshape(n_panels, n_features, panel)
    return panels.swapaxes(1, 2).reshape(-1, n_features), weights[: n_panels * panel]


def origin_of(n_features):
    return np.linspace(-1.0, 2.0, n_features)


def wider(array):
    """The same rows inside a wider array: neither rows nor columns next to each other."""
    spaced = np.full((2 * len(array), 3 * array.shape[1]), np.nan, dtype=array.dtype)
    spaced[::2, ::3] = array
    return spaced[::2, ::3]


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": wider,
    "every second row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "every second column": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "rows backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "columns backwards": lambda a: np.ascontiguousarray(a[:, ::-1])[:, ::-1],
    "Fortran backwards": lambda a: np.asfortranarray(a[::-1, ::-1])[::-1, ::-1],
    "part of a C array": lambda a: np.pad(a, ((1, 1), (1, 2)))[1:-1, 1:-2],
    "part of a Fortran array": lambda a: np.asfortranarray(np.pad(a, ((1, 2), (1, 1))))[1:-2, 1:-1],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("n_features", FEATURES)
def test_rows_of_any_layout_are_moved_to_the_origin(n_features, layout, dtype):
    rows = np.random.default_rng(0).normal(size=(45, n_features)).astype(dtype)
    found, weights = loaded(layout(rows))
    assert_array_equal(found[:45], rows.astype(np.float64) - origin_of(n_features))
    assert_array_equal(found[45:], 0.0)
    assert_array_equal(weights, [1.0] * 45 + [0.0] * (64 - 45))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 31, 32, 33, 127, 128])
def test_a_tile_of_any_number_of_rows(count):
    rows, weights = np.random.default_rng(1).normal(size=(300, 3)), np.random.default_rng(2).random(300)
    found, found_weights = loaded(rows, first=64, count=count, weights=weights)
    assert_array_equal(found[:count], rows[64 : 64 + count] - origin_of(3))
    assert_array_equal(found_weights[:count], weights[64 : 64 + count])
    assert not found[count:].any()
    assert not found_weights[count:].any()


@pytest.mark.parametrize("layout", ["C", "Fortran", "strided"])
@pytest.mark.parametrize("n_features", [1, 3, 8, 17])
def test_a_tile_of_floats_rounds_once_after_moving_to_the_origin(n_features, layout):
    rows = 1e6 + np.random.default_rng(0).normal(size=(100, n_features))
    found, _ = loaded(LAYOUTS[layout](rows), real=np.float32)
    assert found.dtype == np.float32
    assert_array_equal(found[:100], (rows - origin_of(n_features)).astype(np.float32))
    assert not found[100:].any()


@pytest.mark.parametrize("n_features", FEATURES)
def test_rows_equal_in_every_column_may_share_memory(n_features):
    row = np.random.default_rng(3).normal(size=n_features)
    found, _ = loaded(np.broadcast_to(row, (20, n_features)))
    assert_array_equal(found[:20], np.tile(row - origin_of(n_features), (20, 1)))


# packed matrices ------------------------------------------------------------------------------------------------------


@numba.njit
def outer_sums(panels, count, n_features, statistics, offset):
    outer.outer_products(panels, count, n_features, statistics, offset)


@pytest.mark.parametrize("n_features", FEATURES)
def test_outer_products_unpack_to_the_symmetric_matrix_of_sums(n_features):
    rows = np.random.default_rng(4).normal(size=(2 * PANEL, n_features))
    panels = np.ascontiguousarray(rows.reshape(2, PANEL, n_features).swapaxes(1, 2)).ravel()
    packed = np.zeros(outer.outer_size(n_features))
    outer_sums(panels, 2 * PANEL, n_features, packed, 0)
    found = outer.unpack_outer(packed, n_features)
    assert_allclose(found, rows.T @ rows, rtol=1e-13, atol=1e-13)
    assert_array_equal(found, found.T)


@pytest.mark.parametrize("count", [WIDTH, 3 * WIDTH, PANEL + 2 * WIDTH])
@pytest.mark.parametrize("n_features", [1, 5, 9])
def test_outer_products_of_some_vectors(n_features, count):
    rows = np.random.default_rng(4).normal(size=(2 * PANEL, n_features))
    panels = np.ascontiguousarray(rows.reshape(2, PANEL, n_features).swapaxes(1, 2)).ravel()
    packed = np.zeros(3 + outer.outer_size(n_features))
    outer_sums(panels, count, n_features, packed, 3)
    assert not packed[:3].any()
    expected = rows[:count].T @ rows[:count]
    assert_allclose(outer.unpack_outer(packed[3:], n_features), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("n_features", FEATURES)
def test_a_stack_of_outer_products_unpacks_matrix_by_matrix(n_features):
    packed = np.random.default_rng(5).normal(size=(3, outer.outer_size(n_features)))
    found = outer.unpack_outer(packed, n_features)
    assert_array_equal(found, [outer.unpack_outer(one, n_features) for one in packed])


@pytest.mark.parametrize("n_features", FEATURES)
def test_packed_triangle_lists_columns_of_four_rows_at_a_time(n_features):
    factor = np.tril(np.random.default_rng(6).normal(size=(n_features, n_features)))
    expected = []
    for first in range(0, n_features, 4):
        below = factor[first : first + 4]
        expected.extend(below[:, : first + len(below)].T.ravel())
    assert_array_equal(whitening.pack(factor), expected)


def test_pack_reads_nothing_above_the_diagonal():
    factors = np.random.default_rng(7).normal(size=(2, 6, 6))
    assert_array_equal(whitening.pack(factors), whitening.pack(np.tril(factors)))
