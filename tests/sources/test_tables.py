"""What a table says of its columns is believed: index, names, labels, partitions, files that are none."""

import json

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
from fastem.sources import as_source

ROWS = np.random.default_rng(0).normal(size=(60, 2))
FRAME = pd.DataFrame(ROWS, columns=["a", "b"])


def rows_of(data):
    return np.concatenate([block.rows for block in as_source(data).blocks()])


def weights_of(data):
    return np.concatenate([block.weights for block in as_source(data).blocks()])


def names_of(data):
    return list((data if isinstance(data, Table) else Table(data)).reader().names)


# the index of pandas --------------------------------------------------------------------------------------------------

INDEXED = {
    "shuffled": FRAME.sample(frac=1, random_state=0),
    "named": FRAME.set_index(pd.Index(range(60), name="id")),
    "of two levels": FRAME.set_index([pd.Index([1, 2] * 30, name="i"), pd.Index(range(60), name="j")]),
    "a range": FRAME,
}


@pytest.mark.parametrize("kind", INDEXED)
def test_the_index_of_pandas_is_no_feature(kind, tmp_path):
    frame = INDEXED[kind]
    frame.to_parquet(tmp_path / "rows.parquet")
    for data in (tmp_path / "rows.parquet", pa.Table.from_pandas(frame), pyarrow.dataset.dataset(tmp_path)):
        assert names_of(data) == ["a", "b"]
        assert_array_equal(rows_of(data), frame.to_numpy())


def test_dask_and_polars_read_the_same_columns(tmp_path):
    dd.from_pandas(FRAME.sample(frac=1, random_state=0), npartitions=2).to_parquet(tmp_path)
    assert names_of(tmp_path) == dd.read_parquet(tmp_path).columns.tolist() == ["a", "b"]


def test_an_index_can_be_chosen(tmp_path):
    numbers = np.random.default_rng(1).permutation(60) + 1
    FRAME.set_index(pd.Index(numbers, name="id")).to_parquet(tmp_path / "rows.parquet")
    assert_array_equal(rows_of(Table(tmp_path / "rows.parquet", columns=["id"]))[:, 0], numbers)
    assert_array_equal(weights_of(Table(tmp_path / "rows.parquet", weight="id")), numbers)


def test_metadata_that_are_none(tmp_path):
    table = pa.table({"a": [1.0, 2.0]}).replace_schema_metadata({b"pandas": b"{broken"})
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match=r"rows\.parquet: damaged"):
        rows_of(tmp_path / "rows.parquet")
    table = table.replace_schema_metadata({b"pandas": json.dumps({"index_columns": [{"kind": "range"}]}).encode()})
    assert names_of(table) == ["a"]


# names and labels -----------------------------------------------------------------------------------------------------


def test_two_columns_of_one_name(tmp_path):
    twice = pd.DataFrame(ROWS, columns=["a", "a"])
    table = pa.Table.from_arrays([pa.array(ROWS[:, 0])] * 2, names=["a", "a"])
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    for data in (
        twice,
        Table(twice),
        Chunks(lambda: [twice], n_features=2),
        table,
        tmp_path / "rows.parquet",
        pd.DataFrame(ROWS, columns=[7, 7]),
        pd.DataFrame(ROWS, columns=["1", 1]),
    ):
        with pytest.raises(ValueError, match="two columns have the same name"):
            GaussianMixture(1).fit(data)


def test_labels_that_are_numbers():
    frame = pd.DataFrame(np.c_[ROWS, np.arange(1.0, 61)])
    table = Table(frame, columns=[1, 0], weight=2)
    assert_array_equal(rows_of(table), ROWS[:, ::-1])
    assert_array_equal(weights_of(table), np.arange(1, 61))
    assert table.reader().names is None  # as scikit-learn has it: no names
    in_memory, read = (GaussianMixture(1).fit(data) for data in (frame, Table(frame)))
    for mixture in (in_memory, read):
        assert not hasattr(mixture, "feature_names_in_")
        assert np.isfinite(mixture.score(Chunks(lambda: [frame], n_features=3)))
    with pytest.raises(ValueError, match="no column '3', the columns are 0, 1, 2"):
        Table(frame, columns=[0, 3]).reader()


def test_choices_that_cannot_be():
    with pytest.raises(ValueError, match="a column is chosen twice: a, a"):
        Table(FRAME, columns=["a", "a"]).reader()
    with pytest.raises(TypeError, match="columns must be a list of columns, got the text 'ab'"):
        Table(FRAME, columns="ab")
    with pytest.raises(TypeError, match="Expected paths or a data frame, got a ndarray"):
        Table(ROWS).reader()
    with pytest.raises(ValueError, match="no column is left beside the weights"):
        Table(FRAME[["a"]], weight="a").reader()
    with pytest.raises(ValueError, match="separator, decimal and header are for text files"):
        Table(FRAME, separator=";").reader()


def in_another_order():
    swapped = FRAME[["b", "a"]]
    yield "chunks", Chunks(lambda: [FRAME[:30], swapped[30:]], n_features=2)
    yield "polars chunks", Chunks(lambda: [pl.DataFrame(FRAME[:30]), pl.DataFrame(swapped[30:])], n_features=2)
    parts = dd.from_pandas(FRAME, npartitions=2).map_partitions(
        lambda part: part if part.index[0] == 0 else part[["b", "a"]], meta=FRAME.iloc[:0], enforce_metadata=False
    )
    yield "partitions of Dask", parts


@pytest.mark.parametrize(
    ("kind", "data"), list(in_another_order()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_columns_in_another_order_are_put_in_order(kind, data):
    mixture = GaussianMixture(1).fit(data)
    assert mixture.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_allclose(mixture.means_[0], ROWS.mean(axis=0), rtol=1e-12)


def test_models_refuse_another_order(tmp_path):
    mixture, swapped = GaussianMixture(1).fit(FRAME), FRAME[["b", "a"]]
    for data in (
        swapped,
        Table(swapped),
        Chunks(lambda: [swapped], n_features=2),
        dd.from_pandas(swapped, npartitions=2),
    ):
        with pytest.raises(ValueError, match="feature names should match"):
            mixture.score(data)


def test_chunks_of_other_columns():
    chunks = Chunks(lambda: [FRAME[:30], FRAME[30:].rename(columns={"b": "c"})], n_features=2)
    with pytest.raises(ValueError, match="chunk 1: the columns are a, c, expected a, b"):
        GaussianMixture(1).fit(chunks)


# folders --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def partitioned(tmp_path):
    frame = FRAME.assign(year=[2020, 2021, 2022] * 20, site=["x", "y"] * 30)
    frame.to_parquet(tmp_path / "data", partition_cols=["year", "site"])
    return tmp_path / "data"


def test_folders_of_keys_are_columns(partitioned):
    expected = pd.read_parquet(partitioned)
    table = Table(partitioned, columns=["year", "b"], weight="year")
    assert_array_equal(rows_of(table), expected[["year", "b"]].astype(float).to_numpy())
    assert_array_equal(weights_of(table), expected["year"].astype(float))
    with pytest.raises(ValueError, match="column 'site' holds text"):
        rows_of(partitioned)


def test_keys_of_patterns_and_lists(partitioned):
    for data in (str(partitioned / "year=*"), str(partitioned / "year=*" / "*" / "*.parquet")):
        assert_array_equal(np.unique(rows_of(Table(data, columns=["year"]))), [2020, 2021, 2022])
    some = [partitioned / "year=2020", partitioned / "year=2022"]
    assert len(rows_of(Table(some, columns=["a", "b"]))) == 40
    assert Table(some).labels() == ["a", "b", "site"]


def test_a_key_without_a_value(tmp_path):
    frame = FRAME.assign(year=pd.array([2020, None, 2022] * 20, dtype="Int64"))
    for year, part in frame.groupby("year", dropna=False):
        folder = tmp_path / f"year={'__HIVE_DEFAULT_PARTITION__' if pd.isna(year) else year}"
        folder.mkdir()
        part.drop(columns="year").to_parquet(folder / "rows.parquet")
    assert len(rows_of(Table(tmp_path, columns=["a"]))) == 60
    with pytest.raises(ValueError, match=r"contains NaN.*column 'year'"):
        rows_of(Table(tmp_path, columns=["a", "year"]))


def test_keys_that_not_all_files_have_or_that_are_no_numbers(tmp_path):
    FRAME.to_parquet(tmp_path / "a.parquet")
    for folder in ("year=2020", "part=1_0"):
        (tmp_path / folder).mkdir()
        FRAME.to_parquet(tmp_path / folder / "rows.parquet")
    assert Table(tmp_path).labels() == ["a", "b", "part", "year"]
    with pytest.raises(ValueError, match=r"a\.parquet: row 0, column 'year'"):
        rows_of(Table(tmp_path, columns=["a", "year"]))
    with pytest.raises(ValueError, match="column 'part' holds text"):
        rows_of(Table(tmp_path / "part=*", columns=["part"]))


def test_hidden_files_are_left_out(tmp_path):
    FRAME.to_parquet(tmp_path / "rows.parquet")
    for hidden in ("_temporary.parquet", ".rows.parquet", "_delta_log/old.parquet", ".tmp/x.parquet"):
        path = tmp_path / hidden
        path.parent.mkdir(exist_ok=True)
        FRAME.to_parquet(path)
    (tmp_path / "_SUCCESS").write_text("")
    assert len(pyarrow.dataset.dataset(tmp_path).to_table()) == 60
    (tmp_path / "notes.csv").write_text("about,this\n1,2\n")
    for data in (tmp_path, str(tmp_path / "*.parquet"), [str(tmp_path)]):
        assert len(rows_of(data)) == 60
    assert len(rows_of(tmp_path / "_temporary.parquet")) == 60  # named outright


def test_folders_of_other_formats(tmp_path):
    for part in range(3):
        np.save(tmp_path / f"{part}.npy", ROWS[20 * part : 20 * (part + 1)])
    assert_array_equal(rows_of(tmp_path), ROWS)
    assert_array_equal(rows_of([tmp_path, tmp_path / "0.npy"]), np.r_[ROWS, ROWS[:20]])
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(ValueError, match=r"of different kinds: \.csv, \.npy"):
        rows_of(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="No file with rows in the folder"):
        rows_of(tmp_path / "empty")


def test_files_whose_columns_differ(tmp_path):
    FRAME.to_parquet(tmp_path / "1.parquet")
    FRAME[["b", "a"]].to_parquet(tmp_path / "2.parquet")
    assert_array_equal(rows_of(tmp_path), np.r_[ROWS, ROWS])
    FRAME[["a"]].to_parquet(tmp_path / "2.parquet")
    with pytest.raises(ValueError, match=r"2\.parquet: no column 'b', the columns are a"):
        rows_of(tmp_path)


def test_columns_with_odd_names(tmp_path):
    frame = pd.DataFrame(ROWS, columns=["a.b", "ü x"]).assign(nested=[{"u": 1}] * 60)
    frame.to_parquet(tmp_path / "rows.parquet")
    assert_array_equal(rows_of(Table(tmp_path / "rows.parquet", columns=["ü x", "a.b"])), ROWS[:, ::-1])
    with pytest.raises(ValueError, match="column 'nested' holds"):
        rows_of(tmp_path / "rows.parquet")
