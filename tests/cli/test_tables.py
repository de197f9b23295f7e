"""What the reader of .csv and .npy files takes, and what it says of files that it does not take."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastem.cli.tables import read_table

ROWS = np.array([[1.5, 2.0, 3.0], [4.0, -5e-3, 6.0]])


@pytest.fixture
def csv(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "table.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.fixture
def npy(tmp_path):
    def write(array, **options):
        path = tmp_path / "table.npy"
        np.save(path, array, **options)
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        "a,b,c\n1.5,2,3\n4,-5e-3,6\n",
        "a,b,c\r\n1.5,2,3\r\n4,-5e-3,6",
        '\n"a","b","c"\n\n"1.5",2,3\n\n4,-5e-3,6\n\n',
        "\ufeffa, b ,c\n1.5, 2, 3\n4,-5e-3,6\n",
    ],
    ids=["plain", "windows", "quotes and blank lines", "byte order mark and spaces"],
)
def test_csv_with_names(csv, text):
    table = read_table(csv(text))
    assert table.names == table.headings == ("a", "b", "c")
    assert table.weights is None
    assert_array_equal(table.rows, ROWS)


def test_csv_without_names(csv):
    table = read_table(csv("1.5,2,3\n4,-5e-3,6\n"))
    assert table.names is None
    assert table.headings == ("column 1", "column 2", "column 3")
    assert_array_equal(table.rows, ROWS)


def test_csv_keeps_every_digit(csv):
    rows = np.random.default_rng(0).standard_normal((50, 2)) * 10.0 ** np.arange(-25, 25)[:, None]
    text = "".join(f"{a!r},{b!r}\n" for a, b in rows.tolist())
    assert_array_equal(read_table(csv(text)).rows, rows)


def test_csv_of_one_column(csv):
    assert_array_equal(read_table(csv("x\n1\n2\n")).rows, [[1.0], [2.0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("a,b\n", "no rows after the column names"),
        ("a,b\n1,2\n\n3,x\n", "line 4, column 'b': 'x' is not a number"),
        ("1,2\n3,x\n", "line 2, column 2: 'x' is not a number"),
        ("a,1\n2,3\n", "line 1, column 1: 'a' is not a number"),
        ("a,b\n1,2\n3,\n", "line 3, column 'b': the cell is empty"),
        ("a,b\n1,nan\n", "line 2, column 'b': nan is not finite"),
        ("a,b\n1,2\n-inf,2\n", "line 3, column 'a': -inf is not finite"),
        ("a,b\n1,2\n3\n", "line 3 has 1 columns instead of 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 columns instead of 2"),
        ("a,b\n1,2,3\n4,5,6\n", "line 2 has 3 columns instead of 2"),
        (",a\n0,1\n", "column 1 has no name; write the file without a row index"),
        ("a,a\n0,1\n", "two columns are called 'a'"),
        ("1;2\n3;4\n", "column '1;2': '3;4' is not a number"),
    ],
)
def test_bad_csv(csv, text, message):
    path = csv(text)
    with pytest.raises(ValueError, match=r"table\.csv") as caught:
        read_table(path)
    assert message in str(caught.value)


def test_csv_that_is_no_text(csv):
    with pytest.raises(ValueError, match="not a text file in UTF-8"):
        read_table(csv("é,b\n1,2\n", encoding="latin-1"))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_is_mapped_as_it_is(npy, dtype, order):
    array = np.array([[1, 2, 3], [4, 5, 6]], dtype=dtype, order=order)
    rows = read_table(npy(array)).rows
    assert isinstance(rows, np.memmap)
    assert not rows.flags.writeable
    assert rows.dtype == array.dtype
    assert_array_equal(rows, array)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), r"float64 of shape \(3,\)"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.zeros((2, 2), complex), "complex128"),
        (np.array([["a", "b"]]), "expected real numbers"),
        (np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]), "expected real numbers"),
        (np.zeros((0, 3)), "table.npy"),
        (np.array([[1, 2], [3, np.nan]]), "row 2, column 2: nan is not finite"),
    ],
)
def test_bad_npy(npy, array, message):
    with pytest.raises(ValueError, match=message):
        read_table(npy(array))


def test_not_finite_far_into_a_file(npy):
    array = np.zeros((200_000, 1), dtype=np.float32)
    array[150_000] = np.inf
    with pytest.raises(ValueError, match="row 150001, column 1: inf is not finite"):
        read_table(npy(array))


def test_npy_never_runs_what_it_holds(npy, tmp_path):
    with pytest.raises(ValueError, match="Python objects"):
        read_table(npy(np.array([[print]], dtype=object), allow_pickle=True))
    path = tmp_path / "pickle.npy"
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match=r"pickle.npy: not an array"):
        read_table(path)


def test_cut_off_npy(npy):
    path = npy(np.zeros((100, 3)))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"table.npy: not an array"):
        read_table(path)


def test_missing_file_and_unknown_suffix(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.npy")
    with pytest.raises(ValueError, match=r"unknown suffix '.xls', expected .csv, .h5, "):
        read_table(tmp_path / "none.xls")


@pytest.mark.parametrize(("wanted", "index"), [("a", 0), ("b", 1), ("c", 2), ("1", 0), ("3", 2)])
def test_weights_are_taken_out_of_the_rows(csv, wanted, index):
    table = read_table(csv("a,b,c\n1,2,3\n4,5,6\n"), weights=wanted)
    assert table.names == tuple(np.delete(["a", "b", "c"], index))
    assert_array_equal(table.weights, [1.0 + index, 4.0 + index])
    assert_array_equal(table.rows, np.delete([[1.0, 2, 3], [4, 5, 6]], index, axis=1))


@pytest.mark.parametrize("wanted", ["1", "3"])
def test_weights_at_either_end_leave_the_rest_mapped(npy, wanted):
    table = read_table(npy(np.ones((4, 3))), weights=wanted)
    assert isinstance(table.rows, np.memmap)
    assert table.rows.shape == (4, 2)


@pytest.mark.parametrize(
    ("text", "wanted", "message"),
    [
        ("a,w\n1,2\n", "x", "no column 'x', the columns are a, w"),
        ("a,w\n1,2\n", "3", "no column '3', the columns are a, w"),
        ("1,2\n", "0", "no column '0', the columns are 1 to 2"),
        ("a,w\n1,2\n3,-0.5\n", "w", "the weight of row 2 is negative (-0.5)"),
        ("a,w\n1,0\n3,0\n", "w", "all weights are zero"),
        ("w\n1\n", "w", "no column is left beside the weights"),
    ],
)
def test_bad_weights(csv, text, wanted, message):
    path = csv(text)
    with pytest.raises(ValueError, match=r"table\.csv") as caught:
        read_table(path, weights=wanted)
    assert message in str(caught.value)
