import numpy as np
import pytest

from fastem.kernels.clusters.kd_order import LEAF, MOST_ROWS, block_rows, kd_order
from fastem.kernels.threads import serial_passes


def reference(rows, origin, scales):
    """The order of one block by recursion over sorted segments."""
    points = ((rows - origin) * scales).astype(np.float32).astype(np.float64)

    def ordered(numbers):
        n = len(numbers)
        if n <= LEAF:
            return [numbers]
        segment = points[numbers]
        feature = np.argmax(segment.var(axis=0))
        n_left = LEAF * max(1, int(np.floor(n / 2 / LEAF + 0.5)))
        by_value = numbers[np.argsort(segment[:, feature], kind="stable")]
        return ordered(np.sort(by_value[:n_left])) + ordered(np.sort(by_value[n_left:]))

    return np.concatenate(ordered(np.arange(len(rows))))


def table(kind, n, d):
    rng = np.random.default_rng(n + d)
    rows = rng.normal(size=(n, d)) * rng.uniform(0.5, 2.0, size=d)
    return {
        "normal": rows,
        "far": rows + 1e6,
        "rounded": np.round(rows),  # nearly all equal
        "single": rows.astype(np.float32),
        "columns": np.asfortranarray(rows),
        "constant": np.where(np.arange(d) == 0, 3.0, rows),
        "skewed": np.exp(4 * rows),
    }[kind]


@pytest.mark.parametrize("kind", ["normal", "far", "rounded", "single", "columns", "constant", "skewed"])
@pytest.mark.parametrize(("n", "d"), [(5, 2), (64, 1), (65, 3), (1000, 9), (5003, 3), (2048, 33)])
def test_the_order_is_that_of_a_recursion(kind, n, d):
    rows = table(kind, n, d)
    origin, spread = rows.mean(axis=0, dtype=float), rows.std(axis=0, dtype=float)
    scales = np.divide(1.0, spread, out=np.zeros(d), where=spread > 1e-8)
    assert np.array_equal(kd_order(rows, origin, scales), reference(rows, origin, scales))


def test_blocks_are_ordered_by_themselves():
    size = block_rows(2)
    rows = table("normal", size + 700, 2)
    order = kd_order(rows, np.zeros(2), np.ones(2))
    assert size == MOST_ROWS
    assert np.array_equal(order[:size], kd_order(rows[:size], np.zeros(2), np.ones(2)))
    assert np.array_equal(order[size:], reference(rows[size:], np.zeros(2), np.ones(2)))
    with serial_passes():
        assert np.array_equal(order, kd_order(rows, np.zeros(2), np.ones(2)))


def test_long_rows_come_in_smaller_blocks():
    assert [block_rows(d) for d in (1, 32, 33, 128, 100_000)] == [65_536, 65_536, 32_768, 16_384, 1024]


def test_numbers_out_of_the_range_of_floats_are_only_far():
    rows = table("normal", 300, 2)
    rows[17, 0], rows[18, 0] = 1e300, -1e300
    order = kd_order(rows, np.zeros(2), np.ones(2))
    assert np.array_equal(np.sort(order), np.arange(300))
    assert 18 in order[:LEAF]
    assert 17 in order[-LEAF:]
