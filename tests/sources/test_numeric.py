"""What counts as a number, in every container alike."""

import datetime
from decimal import Decimal

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
from numpy.testing import assert_array_equal

from fastem import Chunks, GaussianMixture, Table
from fastem.sources.numeric import as_frame, rows_of

N = 12
DAYS = [datetime.datetime(2020, 1, 1) + datetime.timedelta(n) for n in range(N)]
NUMBERS = {
    "floats": [n / 8 for n in range(N)],
    "integers": list(range(N)),
    "booleans": [n % 3 == 0 for n in range(N)],
    "decimals": [Decimal(2 * n + 1) / Decimal(8) for n in range(N)],
}
FRAMES = {
    "pandas": lambda column: pd.DataFrame({"a": range(N), "b": column}),
    "pandas, nullable": lambda column: pd.DataFrame({"a": range(N), "b": column}).convert_dtypes(),
    "pandas, objects": lambda column: pd.DataFrame({"a": range(N), "b": pd.Series(column, dtype=object)}),
    "pandas, categories": lambda column: pd.DataFrame({"a": range(N), "b": pd.Categorical(column)}),
    "pandas, arrow": lambda column: pd.DataFrame(
        {"a": range(N), "b": pd.array(column, dtype=pd.ArrowDtype(pa.array(column).type))}
    ),
    "polars": lambda column: pl.DataFrame({"a": range(N), "b": column}),
    "arrow": lambda column: pa.table({"a": range(N), "b": column}),
    "arrow, dictionary": lambda column: pa.table({"a": range(N), "b": pa.array(column).dictionary_encode()}),
    "record batch": lambda column: pa.record_batch({"a": range(N), "b": column}),
}


def in_chunks(frame):
    if isinstance(frame, pa.Table | pa.RecordBatch):
        return Chunks(lambda: [frame.slice(0, 5), frame.slice(5)], n_features=2)
    return Chunks(lambda: [frame[:5], frame[5:]], n_features=2)


def in_parquet(frame, folder):
    path = folder / "rows.parquet"
    if isinstance(frame, pd.DataFrame):
        frame.to_parquet(path)
    elif isinstance(frame, pl.DataFrame):
        frame.write_parquet(path)
    else:
        pyarrow.parquet.write_table(frame if isinstance(frame, pa.Table) else pa.Table.from_batches([frame]), path)
    return path


def containers(frame, folder):
    yield frame
    yield Table(frame)
    yield in_chunks(frame)
    yield in_parquet(frame, folder)
    if isinstance(frame, pa.Table):
        yield pyarrow.dataset.dataset(frame)
    if isinstance(frame, pl.DataFrame):
        yield frame.lazy()
        yield Table(frame.lazy())
    # Dask turns objects into text before anybody sees them.
    if isinstance(frame, pd.DataFrame) and frame.dtypes.iloc[1] != "object":
        yield dd.from_pandas(frame, npartitions=2)


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("numbers", NUMBERS)
def test_numbers_in_every_container(kind, numbers, tmp_path):
    column = NUMBERS[numbers]
    expected = [(N - 1) / 2, sum(map(float, column)) / N]
    for data in containers(FRAMES[kind](column), tmp_path):
        mixture = GaussianMixture(1).fit(data)
        np.testing.assert_allclose(mixture.means_, [expected], rtol=1e-14)
        assert mixture.feature_names_in_.tolist() == ["a", "b"]


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("numbers", NUMBERS)
def test_a_missing_value_in_every_container(kind, numbers, tmp_path):
    column = [None if n == 7 else value for n, value in enumerate(NUMBERS[numbers])]
    for data in containers(FRAMES[kind](column), tmp_path):
        if isinstance(data, dd.DataFrame) and data.dtypes.iloc[1] == "string":
            continue
        with pytest.raises(ValueError, match=r"contains NaN\..*row \d, column 'b'"):
            GaussianMixture(1).fit(data)


OTHERS = {
    "text": (["x", "y"] * 6, "text"),
    "numbers as text": ([str(n) for n in range(N)], "text"),
    "days": ([day.date() for day in DAYS], "dates"),
    "times": (DAYS, "dates"),
    "times, one missing": ([None, *DAYS[1:]], "dates"),
    "durations": ([day - DAYS[0] for day in DAYS], "durations"),
    "lists": ([[1, 2]] * N, "List"),
}


@pytest.mark.parametrize("kind", ["pandas", "pandas, nullable", "pandas, arrow", "polars", "arrow", "record batch"])
@pytest.mark.parametrize("others", OTHERS)
def test_what_is_no_number_is_named_in_every_container(kind, others, tmp_path):
    column, what = OTHERS[others]
    for data in containers(FRAMES[kind](column), tmp_path):
        with pytest.raises(ValueError, match=rf"(?i)column 'b' holds (a )?{what}.*, not numbers"):
            GaussianMixture(1).fit(data)


def test_categories_must_be_numbers():
    for frame in (FRAMES["pandas, categories"](["x", "y"] * 6), FRAMES["arrow, dictionary"](["x", "y"] * 6)):
        with pytest.raises(ValueError, match="column 'b' holds text, not numbers; code it as numbers"):
            GaussianMixture(1).fit(frame)


def test_integers_that_numpy_has_not():
    frame = pl.DataFrame({"a": range(3), "b": pl.Series([1, 2, 4], dtype=pl.Int128)})
    assert_array_equal(rows_of(as_frame(frame), "here"), [[0, 1], [1, 2], [2, 4]])


def test_complex_columns():
    frame = FRAMES["pandas"]([1j * n for n in range(N)])
    for data in (frame, Table(frame), in_chunks(frame), dd.from_pandas(frame, npartitions=2)):
        with pytest.raises(ValueError, match="column 'b' holds complex numbers"):
            GaussianMixture(1).fit(data)


# arrays ---------------------------------------------------------------------------------------------------------------

ARRAY = np.arange(24.0).reshape(N, 2) ** 1.5


def masked(place=None):
    array = np.ma.array(ARRAY, mask=np.zeros_like(ARRAY, dtype=bool))
    if place is not None:
        array[place] = np.ma.masked
    return array


def as_chunks(array):
    return Chunks(lambda: [array], n_features=2)


def as_dask(array):
    return da.from_array(array, chunks=(20, 2), asarray=False)


@pytest.mark.parametrize("container", [lambda array: array, as_chunks, as_dask], ids=["array", "chunks", "dask"])
def test_arrays(container):
    expected = GaussianMixture(1).fit(ARRAY).means_
    for array in (masked(), ARRAY.astype(object)):
        assert_array_equal(GaussianMixture(1).fit(container(array)).means_, expected)
    with pytest.raises(ValueError, match=r"the entry in row 3, column 1, is masked"):
        GaussianMixture(1).fit(container(masked((3, 1))))
    for array, what in (
        (ARRAY.astype("M8[s]"), "dates"),
        (ARRAY.astype("m8[s]"), "durations"),
        (ARRAY + 0j, "(?i)complex"),
    ):
        with pytest.raises(ValueError, match=what):
            GaussianMixture(1).fit(container(array))
    for value, what in (
        ("1.5", "text"),
        (1j, "complex numbers"),
        (DAYS[0], "dates"),
        (pd.NaT, "dates"),
    ):
        array = ARRAY.astype(object)
        array[4, 1] = value
        with pytest.raises(ValueError, match=f"column 1 holds {what}"):
            GaussianMixture(1).fit(container(array))


def test_other_objects():
    array = ARRAY.astype(object)
    array[4, 1] = {}
    with pytest.raises(ValueError, match="column 1 holds a dict, not numbers"):
        GaussianMixture(1).fit(as_chunks(array))
    with pytest.raises(TypeError, match="argument must be a string or a real number"):  # scikit-learn's words
        GaussianMixture(1).fit(array)


def test_lists():
    mixture = GaussianMixture(1).fit([[Decimal(1), True], [2.5, False], [4, True]])
    np.testing.assert_allclose(mixture.means_, [[2.5, 2 / 3]])
    with pytest.raises(ValueError, match="NaN"):
        GaussianMixture(1).fit([[None, 1], [2, 3], [3, 5]])
    with pytest.raises(ValueError, match="column 0 holds dates"):
        GaussianMixture(1).fit([[DAYS[0], 1], [DAYS[1], 3]])


def test_a_frame_that_is_an_array_is_not_copied():
    frame = pd.DataFrame(ARRAY, columns=["a", "b"], copy=False)
    assert np.shares_memory(rows_of(as_frame(frame), "here"), ARRAY)


def test_types_that_hold_all_columns():
    single = pd.DataFrame({"a": np.float32([1, 2]), "b": np.int16([3, 4])})
    assert rows_of(as_frame(single), "here").dtype == np.float32
    assert rows_of(as_frame(single.assign(c=[1, 2])), "here").dtype == np.float64
    assert rows_of(as_frame(single.assign(a=[True, False])), "here").dtype == np.int16


def test_frames_without_columns_or_rows():
    with pytest.raises(ValueError, match="0 feature"):
        GaussianMixture(1).fit(pd.DataFrame(index=range(3)))
    for frame in (pd.DataFrame({"a": []}), pl.DataFrame({"a": []}), pa.table({"a": pa.array([], pa.float64())})):
        for data in (frame, Table(frame)):
            with pytest.raises(ValueError, match="0 sample"):
                GaussianMixture(1).fit(data)
