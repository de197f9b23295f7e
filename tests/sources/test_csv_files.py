"""Text files: what is read from them, and what is said of those that cannot be."""

import builtins
import gzip
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from fastem import GaussianMixture, Table
from fastem.sources import as_source

ROWS = np.array([[1.5, 2.0, 3.0], [4.0, -5e-3, 6.0]])


@pytest.fixture(params=["pyarrow", "without pyarrow"])
def reader(request, monkeypatch):
    """Files are read by pyarrow's reader where it is installed, else by Python's."""
    if request.param == "without pyarrow":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    return request.param


@pytest.fixture
def csv(tmp_path):
    def write(text, encoding="utf-8", name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def rows_of(data):
    return np.concatenate([block.rows for block in as_source(data).blocks()])


def names_of(data):
    return (data if isinstance(data, Table) else Table(data)).reader().names


@pytest.mark.parametrize(
    "text",
    [
        "a,b,c\n1.5,2,3\n4,-5e-3,6\n",
        "a,b,c\r\n1.5,2,3\r\n4,-5e-3,6",
        "a,b,c\r1.5,2,3\r4,-5e-3,6",
        '\n"a","b","c"\n\n"1.5",2,3\n\n4,-5e-3,6\n\n',
        "\ufeffa, b ,c\n1.5, 2, 3\n+4,-5e-3,6\n",
        "a,b,c\n  \n1.5,2,3\n4,-.005,6.\n",
    ],
    ids=["plain", "windows", "old mac", "quotes and blank lines", "byte order mark, spaces and signs", "other blanks"],
)
def test_names_and_rows(csv, text, reader):
    path = csv(text)
    assert names_of(path) == ("a", "b", "c")
    assert_array_equal(rows_of(path), ROWS)


def test_without_names(csv, reader):
    path = csv("1.5,2,3\n4,-5e-3,6\n")
    assert names_of(path) is None
    assert_array_equal(rows_of(path), ROWS)
    assert_array_equal(rows_of(Table(path, columns=[3, "1"])), ROWS[:, [2, 0]])


def test_every_digit_is_kept(csv, reader):
    rows = np.random.default_rng(0).standard_normal((3_000, 2)) * 10.0 ** np.arange(-300, 300, 0.2)[:, None]
    path = csv("".join(f"{a!r},{b!r}\n" for a, b in rows.tolist()))
    assert_array_equal(rows_of(path), rows)


def test_one_column(csv, reader):
    assert_array_equal(rows_of(csv("x\n1\n2\n")), [[1.0], [2.0]])


@pytest.mark.parametrize("text", ["fury, red", "two\nlines", 'a "quoted" word', "é", "", "x" * 70_000])
def test_text_in_columns_that_are_not_chosen(tmp_path, text, reader):
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0], "text": text, "b": [3.0, 5.0, 7.0]})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    assert_array_equal(rows_of(Table(tmp_path / "rows.csv", columns=["b", "a"])), frame[["b", "a"]].to_numpy())


def test_wide_rows_are_longer_than_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr("fastem.sources.csv_files.BLOCK", 64)
    rows = np.random.default_rng(0).normal(size=(20, 50))
    pd.DataFrame(rows).add_prefix("c").to_csv(tmp_path / "wide.csv", index=False, float_format="%.17g")
    assert_array_equal(rows_of(tmp_path / "wide.csv"), rows)


def test_compressed_text(tmp_path, reader):
    content = gzip.compress(b"a,b\n1,2\n3,4\n" * 1) + gzip.compress(b"5,6\n")
    (tmp_path / "rows.csv.gz").write_bytes(content)
    assert_array_equal(rows_of(tmp_path / "rows.csv.gz"), [[1, 2], [3, 4], [5, 6]])
    (tmp_path / "rows.csv.gz").write_bytes(content[:-12])
    with pytest.raises(ValueError, match=r"rows\.csv\.gz: damaged"):
        rows_of(tmp_path / "rows.csv.gz")


def test_other_separators_and_decimal_marks(csv, reader):
    excel = csv("a;b\n1,5;2\n-2,5;4e1\n")
    assert_array_equal(rows_of(Table(excel, separator=";", decimal=",")), [[1.5, 2], [-2.5, 40]])
    tabs = csv("a\tb\n1.5\t2\n", name="table.tsv")
    assert_array_equal(rows_of(tabs), [[1.5, 2]])
    assert_array_equal(rows_of(Table(csv("a|b\n1.5|2\n"), separator="|")), [[1.5, 2]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a;b\n1,5;2,5\n2,5;3,5\n",
            "more semicolons than ','; if they separate the columns, say Table(path, separator=';')",
        ),
        ("a\tb\n1.5\t2.5\n", "more tabs than ','"),
        ("1;2\n3;4\n", "more semicolons than ','"),
        ("1,5;2,5\n2,5;3,5\n", "'5;2' is not a number; if ';' separates the columns"),
        ("1.5 2.5\n3.5 4.5\n", "if ' ' separates the columns, say Table(path, separator=' ')"),
    ],
)
def test_a_separator_that_is_not_the_comma_is_named(csv, text, message):
    with pytest.raises(ValueError, match=r"table\.csv") as caught:
        rows_of(csv(text))
    assert message in str(caught.value)


def test_a_layout_that_cannot_be(csv):
    path = csv("a;b\n1,5;2\n")
    with pytest.raises(ValueError, match="'1,5' is not a number; if that is its decimal mark, say Table"):
        rows_of(Table(path, separator=";"))
    with pytest.raises(ValueError, match="separates the columns and is the decimal mark"):
        rows_of(Table(path, decimal=","))
    with pytest.raises(ValueError, match="separator must be one character"):
        rows_of(Table(path, separator="::"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("a,b\n", "no rows after the column names"),
        ("a,b\n1,2\n\n3,x\n", "line 4, column 'b': 'x' is not a number"),
        ("1,2\n3,x\n", "line 2, column 2: 'x' is not a number"),
        ("a,b\n1,1_000\n", "line 2, column 'b': '1_000' is not a number"),
        ("a,b\n1,0x1\n", "line 2, column 'b': '0x1' is not a number"),
        ("a,1\nb,3\n", "line 1, column 1: 'a' is not a number"),
        ("a,b\n1,2\n3,\n", "line 3, column 'b': the cell is empty"),
        ("a,b\n1,NA\n", "line 2, column 'b': 'NA' is not a number"),
        ("a,b\n1,nan\n", "line 2, column 'b': nan is not finite"),
        ("a,b\n1,2\n-inf,2\n", "line 3, column 'a': -inf is not finite"),
        ("a,b\n1,1e999\n", "line 2, column 'b': 1e999 is not finite"),
        ("a,b\n1,2\n3\n", "line 3 has 1 columns instead of 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 columns instead of 2"),
        ("a,b\n1,2,3\n4,5,6\n", "line 2 has 3 columns instead of 2"),
        (",a\n0,1\n", "column 1 has no name; write the file without a row index"),
        ("a,a\n0,1\n", "two columns are called 'a'"),
    ],
)
def test_defects_are_named(csv, text, message, reader):
    path = csv(text)
    with pytest.raises(ValueError, match=r"table\.csv") as caught:
        rows_of(path)
    assert message in str(caught.value)


def test_a_defect_behind_what_is_read_already(tmp_path, reader):
    rows = np.random.default_rng(0).normal(size=(40_000, 2))
    text = pd.DataFrame(rows, columns=["a", "b"]).to_csv(index=False)
    (tmp_path / "rows.csv").write_text(text + "1,oops\n")
    with pytest.raises(ValueError, match="line 40002, column 'b': 'oops' is not a number"):
        rows_of(tmp_path / "rows.csv")


def test_numbers_that_only_the_plain_reader_takes_lose_no_row(tmp_path, reader):
    rows = np.random.default_rng(0).normal(size=(40_000, 2))
    text = pd.DataFrame(rows, columns=["a", "b"]).to_csv(index=False, float_format="%.17g")
    (tmp_path / "rows.csv").write_text(text + "+1,2\n3,4\n")
    assert_array_equal(rows_of(tmp_path / "rows.csv"), np.r_[rows, [[1, 2], [3, 4]]])


def test_what_is_no_text(csv, tmp_path):
    with pytest.raises(ValueError, match="not a text file in UTF-8"):
        rows_of(csv("é,b\n1,2\n", encoding="latin-1"))
    with pytest.raises(ValueError, match="not a text file in UTF-8"):
        rows_of(csv("a,b\n1,2\n", encoding="utf-16"))


# a first line of numbers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [range(3), [2019, 2020, 2021], [7, 3, 5], [0]])
def test_numbers_above_decimals_are_names(tmp_path, labels):
    """As DataFrame(X).to_csv(index=False) writes them."""
    rows = np.random.default_rng(0).normal(size=(50, len(labels)))
    pd.DataFrame(rows, columns=labels).to_csv(tmp_path / "rows.csv", index=False, float_format="%.17g")
    with pytest.warns(UserWarning, match=r"is taken for the names of the columns.*Table\(path, header=False\)"):
        mixture = GaussianMixture(1).fit(tmp_path / "rows.csv")
    assert mixture.n_samples_seen_ == 50
    assert mixture.feature_names_in_.tolist() == [str(label) for label in labels]


@pytest.mark.parametrize("first", ["0,1", "2019,2020", "400.5,401.0,401.5,402.0"])
def test_numbers_that_may_be_names_or_a_row(csv, first):
    width = first.count(",") + 1
    path = csv(f"{first}\n{','.join(['3'] * width)}\n{','.join(['5'] * width)}\n")
    with pytest.warns(UserWarning, match=r"is taken for a row; if it is the names of the columns"):
        assert len(rows_of(path)) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(rows_of(Table(path, header=True))) == 2
        assert names_of(Table(path, header=True)) == tuple(first.split(","))
        assert len(rows_of(Table(path, header=False))) == 3


@pytest.mark.parametrize(
    "text", ["1.5,2\n1,2\n", "3,1\n2,5\n", "0,0\n1,1\n", "5.1,3.5,1.4,0.2\n4.9,3,1.4,0.2\n", "NA,2\n1,2\n"]
)
def test_rows_without_doubt(csv, text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert names_of(csv(text)) is None


def test_short_numbers_above_long_ones_may_be_names(tmp_path):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(9, 2)), columns=[1.5, 0.5])
    frame.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.warns(UserWarning, match="is taken for a row"):
        assert len(rows_of(tmp_path / "rows.csv")) == 10


def test_names_as_numpy_writes_them(tmp_path):
    np.savetxt(tmp_path / "rows.csv", ROWS, delimiter=",", header="a,b,c")
    assert names_of(tmp_path / "rows.csv") == ("a", "b", "c")


def test_names_with_numbers_among_them(csv):
    assert names_of(csv("age,2019,2020\n1,2,3\n")) == ("age", "2019", "2020")
    table = Table(csv("who,2019,2020\nx,2.5,3.5\ny,4.5,5.5\n"), columns=[2019, "2020"])
    with pytest.warns(UserWarning, match="taken for the names"):
        rows = rows_of(table)
    assert_array_equal(rows, [[2.5, 3.5], [4.5, 5.5]])


# several files --------------------------------------------------------------------------------------------------------


def test_several_files(csv):
    first, second = csv("a,b\n1,2\n", name="1.csv"), csv("b,a\n4,3\n", name="2.csv")
    assert_array_equal(rows_of([first, second]), [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match=r"2\.csv: no column 'b', the columns are a, c"):
        rows_of([first, csv("a,c\n1,2\n", name="2.csv")])
    with pytest.raises(ValueError, match=r"2\.csv: 3 columns, but .*1\.csv has 2"):
        rows_of([first, csv("a,b,c\n1,2,3\n", name="2.csv")])


def test_pyarrow_is_not_needed(csv, monkeypatch):
    imported, plain = [], builtins.__import__

    def watched(name, *arguments):
        imported.append(name)
        return plain(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", watched)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert len(rows_of(csv("a,b\n1,2\n"))) == 1
    assert "pyarrow.csv" not in imported
