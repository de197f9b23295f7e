"""Chunks: whatever a function of the user yields, and however it makes it."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from fastem import Chunks, GaussianMixture, KMeans
from fastem.sources import as_source

ROWS = np.random.default_rng(0).normal(size=(400, 2)) + 9.0 * (np.arange(400)[:, None] // 100)
WEIGHTS = np.arange(400) % 5 + 1.0


def reused(with_weights=False, order="C"):
    """One buffer, filled again and again."""
    rows, weights = np.empty((50, 2), order=order), np.empty(50)
    for first in range(0, 400, 50):
        rows[:], weights[:] = ROWS[first : first + 50], WEIGHTS[first : first + 50]
        yield (rows, weights) if with_weights else rows


@pytest.mark.parametrize("order", ["C", "F"])
def test_one_buffer_for_all_chunks(order):
    expected = GaussianMixture(2, random_state=0).fit(ROWS)
    found = GaussianMixture(2, random_state=0).fit(Chunks(lambda: reused(order=order), n_features=2))
    assert_array_equal(found.means_, expected.means_)
    labels = KMeans(3, random_state=0).fit(ROWS).labels_
    assert_array_equal(KMeans(3, random_state=0).fit_predict(Chunks(reused, n_features=2)), labels)


def test_one_buffer_for_all_weights():
    expected = GaussianMixture(2, random_state=0).fit(ROWS, sample_weight=WEIGHTS)
    found = GaussianMixture(2, random_state=0).fit(Chunks(lambda: reused(with_weights=True), n_features=2))
    assert_array_equal(found.means_, expected.means_)


def test_blocks_that_are_kept_stay_what_they_are():
    blocks = list(as_source(Chunks(lambda: reused(with_weights=True), n_features=2)).blocks())
    assert_array_equal(np.concatenate([block.rows for block in blocks]), ROWS)
    assert_array_equal(np.concatenate([block.weights for block in blocks]), WEIGHTS)


def test_one_buffer_for_partial_fit():
    expected, found = (GaussianMixture(2, random_state=0, batch_size=100) for _ in range(2))
    for first, rows in zip(range(0, 400, 50), reused(), strict=True):
        expected.partial_fit(ROWS[first : first + 50].copy())
        found.partial_fit(rows)
    assert_array_equal(found.means_, expected.means_)


def test_frames_of_pandas_in_chunks(tmp_path):
    frame = pd.DataFrame(ROWS, columns=["a", "b"]).assign(c=WEIGHTS > 3)
    frame.to_csv(tmp_path / "rows.csv", index=False, float_format="%.17g")
    chunks = Chunks(lambda: pd.read_csv(tmp_path / "rows.csv", chunksize=70), n_features=3)
    expected, found = (GaussianMixture(2, random_state=0).fit(data) for data in (frame, chunks))
    assert_array_equal(found.means_, expected.means_)
    assert found.feature_names_in_.tolist() == expected.feature_names_in_.tolist() == ["a", "b", "c"]


def test_what_is_no_chunk_is_said():
    with pytest.raises(TypeError, match="returned a NoneType, expected an iterator of arrays"):
        as_source(Chunks(lambda: None, n_features=2))
    with pytest.raises(ValueError, match="chunk 0: 3 things, expected rows, or a pair of rows and their weights"):
        as_source(Chunks(lambda: [(ROWS, WEIGHTS, 1)], n_features=2))


def test_later_passes_are_checked_for_what_a_kernel_cannot_read():
    widths = iter([2, 3])
    source = as_source(Chunks(lambda: [np.ones((4, next(widths)))], n_features=2))
    with pytest.raises(ValueError, match=r"an array of shape \(4, 3\), expected rows of 2 features"):
        list(source.blocks())
    lengths = iter([4, 3])
    source = as_source(Chunks(lambda: [(np.ones((4, 2)), np.ones(next(lengths)))], n_features=2))
    with pytest.raises(ValueError, match=r"weights of shape \(3,\) for 4 rows"):
        list(source.blocks())
