"""Text files of separated numbers: the line of names, runs of rows, and where the first defect is."""

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, pairwise
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from fastem.registry import warn
from fastem.sources.columns import Columns, Layout, Run, check_present
from fastem.sources.files import File, damage_named

LOOKED_AT = 20  # rows after the first, to tell whether that one names the columns
BLOCK = 2**20  # bytes of text that are decoded at a time
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
MISSING = {"", "na", "n/a", "null", "none", "?", "-", "."}  # what stands for a missing value, besides nan
SPELLINGS = sorted({spelled for text in MISSING for spelled in (text, text.upper(), text.capitalize())})
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
DECIMAL = re.compile(r"[+-]?\d*[.,e][\d.,e+-]*", re.IGNORECASE)
INTEGER = re.compile(r"[+-]?\d+")


def opened(files: list[File], layout: Layout) -> "CsvFiles":
    return CsvFiles(files, layout)


class CsvFiles(Columns):
    """Text files, one after another."""

    def __init__(self, files: list[File], layout: Layout):
        self.heads = [_read_head(file, layout) for file in files]
        first = self.heads[0]
        labels = first.names or [str(column + 1) for column in range(first.width)]
        super().__init__(str(files[0]), labels, files)
        self.named, self.gaps = first.names is not None, False
        for file, head in zip(files, self.heads, strict=True):
            if head.width != first.width:
                raise ValueError(f"{file}: {head.width} columns, but {self.name} has {first.width}")

    def allow_gaps(self) -> None:
        self.gaps = True

    def read(self, names: list[str], n_rows: int) -> Iterator[Run]:
        for file, head in zip(self.files, self.heads, strict=True):
            own = list(head.names or self.names)
            check_present(str(file), names, own)
            first = 0
            for values in _rows(file, head, [own.index(name) for name in names], n_rows, gaps=self.gaps):
                yield list(values.T), str(file), first
                first += len(values)


# the head -------------------------------------------------------------------------------------------------------------


class Head(NamedTuple):
    names: tuple[str, ...] | None
    width: int  # cells of a row
    n_skipped: int  # rows before the first with numbers, blank ones among them
    n_bytes: int  # about those of a row
    separator: str
    decimal: str


def _separator(file: File, layout: Layout) -> str:
    default = "\t" if file.suffix.startswith(".tsv") else ","
    separator = default if layout.separator is None else layout.separator
    if len(separator) != 1 or separator in '\r\n"' or layout.decimal not in (".", ","):
        raise ValueError(
            f"separator must be one character and decimal '.' or ',', got {separator!r}, {layout.decimal!r}"
        )
    if separator == layout.decimal:
        raise ValueError(f"{file}: {separator!r} separates the columns and is the decimal mark: say which else does")
    return separator


def _read_head(file: File, layout: Layout) -> Head:
    separator, given = _separator(file, layout), layout.separator
    with _reading(file) as text:
        reader = csv.reader(text, delimiter=separator)
        rows, n_blank = [], 0
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append([cell.strip() for cell in cells])
            n_blank += not rows
            if len(rows) > LOOKED_AT:
                break
    if not rows:
        raise ValueError(f"{file}: the file is empty")
    if separator != given:
        _check_separator(file, rows[0], separator)
    named = _has_names(file, rows, layout)
    if named and len(rows) == 1:
        raise ValueError(f"{file}: no rows after the column names")
    if named:
        rows[0][0] = rows[0][0].removeprefix("#").strip()  # as numpy.savetxt writes it
    names = _checked_names(file, rows[0]) if named else None
    n_bytes = max(sum(map(len, cells)) + len(cells) for cells in rows)
    return Head(names, len(rows[0]), n_blank + named, n_bytes, separator, layout.decimal)


@contextmanager
def _reading(file: File) -> Iterator[io.TextIOBase]:
    """The text of a file, whatever ends its lines."""
    with damage_named(str(file)), _plain(file) as stream:
        try:
            yield io.TextIOWrapper(cast(Any, stream), encoding="utf-8-sig", newline="")
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{file}: not a text file in UTF-8: {error}") from None


def _plain(file: File) -> BinaryIO:
    """The bytes of the text."""
    raw = cast(Any, file.open())
    if file.suffix.endswith(".gz"):
        return cast(BinaryIO, gzip.open(raw))
    return cast(BinaryIO, io.BufferedReader(raw, BLOCK))


def _check_separator(file: File, cells: list[str], separator: str) -> None:
    for other, what in OTHER_SEPARATORS.items():
        n_others = sum(cell.count(other) for cell in cells)
        if other != separator and n_others >= len(cells) and (len(cells) == 1 or other != ","):
            raise ValueError(
                f"{file}: the first line has more {what} than {separator!r}; if they separate the columns, say "
                f"Table(path, separator={other!r})"
            )


def _has_names(file: File, rows: list[list[str]], layout: Layout) -> bool:
    """Whether the first row names the columns; warns where it may and may not."""
    if layout.header is not None:
        return layout.header
    first, rest = rows[0], rows[1:]
    numbers = [c for c, cell in enumerate(first) if _parsed(cell, layout.decimal) is not None]
    if not numbers:
        return True
    below = list(zip(*(cells for cells in rest if len(cells) == len(first)), strict=True)) or [()] * len(first)
    texts = [c for c, cell in enumerate(first) if c not in numbers and cell.lower() not in MISSING]
    if any(below[c] and _parsed(below[c][0], layout.decimal) is not None for c in texts):
        return True
    cells = [first[c] for c in numbers]
    integers = all(map(INTEGER.fullmatch, cells)) and len(set(map(int, cells))) == len(cells)
    if integers and any(below[c] and all(map(DECIMAL.fullmatch, below[c])) for c in numbers):
        _doubt(file, first, "the names of the columns", "a row, say Table(path, header=False)")
        return True
    values = [_parsed(cell, layout.decimal) or 0.0 for cell in cells]
    rising = all(a < b for a, b in pairwise(values)) and (len(cells) > 3 or (integers and len(cells) > 1))
    shorter = all(below[c] and 2 * len(first[c]) < min(map(len, below[c])) for c in numbers)
    if rising or shorter:
        _doubt(file, first, "a row", "the names of the columns, say Table(path, header=True)")
    return False


def _doubt(file: File, cells: list[str], taken: str, otherwise: str) -> None:
    line = ",".join(cells) if len(cells) < 8 else ",".join([*cells[:6], "...", cells[-1]])
    warn(f"{file}: the first line, {line}, is taken for {taken}; if it is {otherwise}.")


def _checked_names(file: File, names: list[str]) -> tuple[str, ...]:
    for c, name in enumerate(names):
        if not name:
            # What pandas and R write for a row index, which must not become a feature unseen.
            raise ValueError(f"{file}: column {c + 1} has no name; write the file without a row index")
        if name in names[:c]:
            raise ValueError(f"{file}: two columns are called {name!r}")
    return tuple(names)


# the rows -------------------------------------------------------------------------------------------------------------


def _rows(file: File, head: Head, columns: Sequence[int], n_rows: int, *, gaps: bool) -> Iterator[np.ndarray]:
    """The columns with these numbers of all rows, (n, len(columns)).

    Raises
    ------
    ValueError
        If something is not a finite number, nor with `gaps` what stands for one that is missing; the message names the
        file, the line and the column.
    """
    n_read = 0
    try:
        import pyarrow
    except ImportError:
        pyarrow = None
    if pyarrow is not None:
        try:
            for values in _fast(file, head, columns, SPELLINGS if gaps else []):
                if not (np.isfinite(values) | (gaps & np.isnan(values))).all():
                    break
                yield values
                n_read += len(values)
            else:
                return
        except (pyarrow.ArrowException, EOFError, OSError, zlib.error):
            pass  # the plain reader takes more, and can say where a defect is
    yield from _plainly(file, head, columns, n_rows, n_read, gaps=gaps)


def _fast(file: File, head: Head, columns: Sequence[int], missing: list[str]) -> Iterator[np.ndarray]:
    """By pyarrow, about six times as fast."""
    from pyarrow import csv as arrow_csv
    from pyarrow import float64

    wanted = [str(c) for c in columns]
    read = arrow_csv.ReadOptions(
        use_threads=False,
        block_size=max(BLOCK, 8 * head.n_bytes),
        column_names=[str(c) for c in range(head.width)],
        skip_rows_after_names=head.n_skipped,
    )
    parse = arrow_csv.ParseOptions(delimiter=head.separator, newlines_in_values=True)
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(wanted, float64()),
        include_columns=wanted,
        null_values=missing,
        decimal_point=head.decimal,
    )
    with _plain(file) as stream:
        for batch in arrow_csv.open_csv(stream, read, parse, convert):
            if batch.num_rows:
                yield np.column_stack([column.to_numpy(zero_copy_only=False) for column in batch.columns])


def _plainly(
    file: File, head: Head, columns: Sequence[int], n_rows: int, n_read: int, *, gaps: bool
) -> Iterator[np.ndarray]:
    """By Python's own reader; the first `n_read` rows are left out."""
    with _reading(file) as text:
        reader = csv.reader(text, delimiter=head.separator)
        rows = (cells for cells in islice(reader, head.n_skipped, None) if _is_row(cells, gaps=gaps))
        numbers = (
            _numbers(file, head, columns, cells, reader.line_num, gaps=gaps) for cells in islice(rows, n_read, None)
        )
        while some := list(islice(numbers, n_rows)):
            yield np.array(some)


def _is_row(cells: list[str], *, gaps: bool) -> bool:
    """Whether a line is no blank one."""
    return any(map(str.strip, cells)) or (gaps and len(cells) > 1)


def _numbers(file: File, head: Head, columns: Sequence[int], cells: list[str], line: int, *, gaps: bool) -> list[float]:
    if len(cells) != head.width:
        raise ValueError(f"{file}: line {line} has {len(cells)} columns instead of {head.width}")
    values = [_parsed(cells[c], head.decimal) for c in columns]
    if gaps:
        values = [_or_missing(cells[c], value) for c, value in zip(columns, values, strict=True)]
    for c, value in zip(columns, values, strict=True):
        if value is None or not (math.isfinite(value) or (gaps and math.isnan(value))):
            place = f"column {c + 1}" if head.names is None else f"column {head.names[c]!r}"
            raise ValueError(f"{file}: line {line}, {place}: {_defect(cells[c], value, head)}")
    return cast(list[float], values)


def _or_missing(cell: str, value: float | None) -> float | None:
    return math.nan if value is None and cell.strip().lower() in MISSING else value


def _parsed(cell: str, decimal: str) -> float | None:
    cell = cell.strip()
    if decimal == ",":
        cell = cell.replace(".", " ").replace(",", ".")
    return float(cell) if NUMBER.fullmatch(cell) else None


def _defect(cell: str, value: float | None, head: Head) -> str:
    if value is not None:
        return f"{cell.strip()} is not finite"
    if not cell.strip():
        return "the cell is empty; mixtures with missing='em' take it for a number that is missing"
    hint = ""
    if _parsed(cell, "," if head.decimal == "." else ".") is not None:
        hint = "; if that is its decimal mark, say Table(path, decimal=...)"
    else:
        for other in (";", "\t", "|", " "):
            if other in cell.strip():
                hint = f"; if {other!r} separates the columns, say Table(path, separator={other!r})"
    return f"{cell!r} is not a number{hint}"
