"""Sample weights: the same answers, whatever container they come in and whatever they stand beside."""

from decimal import Decimal

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose

from fastem import Chunks, GaussianMixture, KMeans, Table

N = 20
ROWS = np.random.default_rng(0).normal(size=(N, 2))
WEIGHTS = np.arange(N) % 3 + 0.0
FRAME = pd.DataFrame(ROWS, columns=["a", "b"])

BESIDE = {
    "array": lambda folder: ROWS,
    "frame": lambda folder: FRAME,
    "file": lambda folder: saved(folder / "rows.npy"),
    "table": lambda folder: Table(FRAME),
    "chunks": lambda folder: Chunks(lambda: [ROWS[:7], ROWS[7:]], n_features=2),
    "arrow": lambda folder: pa.Table.from_pandas(FRAME),
    "dask array": lambda folder: da.from_array(ROWS, chunks=(10, 2)),
    "dask frame": lambda folder: dd.from_pandas(FRAME, npartitions=2),
}


def saved(path):
    np.save(path, ROWS)
    return path


@pytest.fixture(params=BESIDE)
def rows(request, tmp_path):
    return BESIDE[request.param](tmp_path)


GOOD = {
    "array": WEIGHTS,
    "integers": WEIGHTS.astype(np.int8),
    "read-only": np.broadcast_to(WEIGHTS, (1, N))[0],
    "list": WEIGHTS.tolist(),
    "decimals": [Decimal(int(weight)) for weight in WEIGHTS],
    "masked, but nowhere": np.ma.array(WEIGHTS, mask=False),
    "pandas": pd.Series(WEIGHTS, index=range(100, 100 + N)),
    "pandas, nullable": pd.Series(WEIGHTS).astype("Int64"),
    "pandas, categories": pd.Series(WEIGHTS).astype("category"),
    "polars": pl.Series(WEIGHTS),
    "arrow": pa.chunked_array([WEIGHTS[:3], WEIGHTS[3:]]),
    "dask": da.from_array(WEIGHTS, chunks=10),
    "dask series": dd.from_pandas(pd.Series(WEIGHTS), npartitions=2),
}


@pytest.mark.parametrize("kind", GOOD)
def test_weights_of_any_container(rows, kind):
    means = GaussianMixture(1).fit(rows, sample_weight=GOOD[kind]).means_
    assert_allclose(means[0], np.average(ROWS, axis=0, weights=WEIGHTS), rtol=1e-12)


def test_a_number_is_the_weight_of_every_row(rows):
    for weight in (3, 3.0, np.float32(3), True):
        mixture = GaussianMixture(1).fit(rows, sample_weight=weight)
        assert mixture.n_samples_seen_ == float(weight) * N
        assert_allclose(mixture.means_[0], ROWS.mean(axis=0), rtol=1e-12)


BAD = {
    "short": (
        WEIGHTS[:5],
        r"sample_weight\.shape == \(5,\), expected \(20,\)!|sample_weight has 5 entries, X has more",
    ),
    "long": (np.ones(40), r"sample_weight\.shape == \(40,\), expected \(20,\)!"),
    "a column": (WEIGHTS[:, None], r"Sample weights must be 1D array or scalar"),
    "a frame": (pd.DataFrame({"w": WEIGHTS}), r"Sample weights must be 1D array or scalar"),
    "negative": (-WEIGHTS, "Negative values in data passed to `sample_weight`"),
    "a negative number": (-1, "Negative values in data passed to `sample_weight`"),
    "zero": (0 * WEIGHTS, "Sample weights must contain at least one non-zero number"),
    "a zero": (0.0, "Sample weights must contain at least one non-zero number"),
    "NaN": (np.where(WEIGHTS == 2, np.nan, WEIGHTS), "Input sample_weight contains NaN"),
    "missing": (pd.Series([None, *WEIGHTS[1:]]).astype("Int64"), "Input sample_weight contains NaN"),
    "infinite": (np.where(WEIGHTS == 2, np.inf, WEIGHTS), "Input sample_weight contains infinity"),
    "text": (["a"] * N, "sample_weight: holds text"),
    "complex": (WEIGHTS + 0j, "sample_weight: holds complex numbers"),
    "dates": (pd.Series(pd.date_range("2020", periods=N)), "sample_weight.* holds dates"),
    "masked": (np.ma.array(WEIGHTS, mask=WEIGHTS == 2), "sample_weight: the entry 2 is masked"),
}


@pytest.mark.parametrize("kind", BAD)
def test_wrong_weights(rows, kind):
    weights, message = BAD[kind]
    with pytest.raises(ValueError, match=message):
        GaussianMixture(1).fit(rows, sample_weight=weights)


def test_weights_that_can_be_read_once(rows):
    with pytest.raises(TypeError, match="sample_weight is a list_iterator, which can be read once"):
        GaussianMixture(1).fit(rows, sample_weight=iter(WEIGHTS.tolist()))


def test_weights_are_given_once():
    table = Table(FRAME.assign(w=WEIGHTS), weight="w")
    chunks = Chunks(lambda: [(ROWS, WEIGHTS)], n_features=2)
    for data, where in ((table, "as column 'w'"), (chunks, "with the rows")):
        with pytest.raises(ValueError, match=f"weights twice, as sample_weight and {where}"):
            GaussianMixture(1).fit(data, sample_weight=WEIGHTS)


def test_scores_check_them_too():
    kmeans = KMeans(2, random_state=0).fit(ROWS)
    with pytest.raises(ValueError, match="Negative values"):
        kmeans.score(ROWS, sample_weight=-WEIGHTS)
