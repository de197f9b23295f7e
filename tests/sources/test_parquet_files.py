"""Parquet files that are wide, or whose row groups are large: the same numbers in bounded memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from numpy.testing import assert_array_equal

import fastem
from fastem import Table
from fastem.sources import as_source, parquet_files


def table_of(rows):
    return pa.table({f"c{j}": column for j, column in enumerate(rows.T)})


def rows_of(data):
    return np.concatenate([block.rows for block in as_source(data).blocks()])


@pytest.fixture(params=["waiting in memory", "waiting in a file"])
def by_parts(request, monkeypatch):
    """Row groups are decoded some columns at a time."""
    monkeypatch.setattr(parquet_files, "NARROW_MEMORY", 0)
    monkeypatch.setattr(parquet_files, "PARTS_MEMORY", 5_000)
    monkeypatch.setattr(parquet_files, "KEPT_MEMORY", 2**25 if request.param == "waiting in memory" else 0)
    monkeypatch.setattr("fastem.sources.stream.BLOCK_MEMORY", 8 * 7 * 33)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
def test_columns_some_at_a_time(by_parts, tmp_path, dtype):
    rows = (100 * np.random.default_rng(0).normal(size=(250, 33))).astype(dtype)
    pyarrow.parquet.write_table(table_of(rows), tmp_path / "wide.parquet", row_group_size=100)
    found = rows_of(tmp_path / "wide.parquet")
    assert_array_equal(found, rows)
    assert found.dtype == (np.float32 if dtype == np.float32 else np.float64)
    some = Table(tmp_path / "wide.parquet", columns=["c30", "c2"], weight="c4") if dtype == np.float64 else None
    if some is not None:
        pyarrow.parquet.write_table(table_of(np.abs(rows)), tmp_path / "wide.parquet", row_group_size=100)
        assert_array_equal(rows_of(some), np.abs(rows)[:, [30, 2]])


def test_defects_are_found_where_they_are(by_parts, tmp_path):
    rows = np.random.default_rng(0).normal(size=(250, 33))
    rows[177, 21] = np.nan
    pyarrow.parquet.write_table(table_of(rows), tmp_path / "wide.parquet", row_group_size=100)
    with pytest.raises(ValueError, match=r"wide\.parquet: row 177, column 'c21'"):
        as_source(tmp_path / "wide.parquet")
    text = table_of(rows).append_column("text", pa.array(["x"] * 250))
    pyarrow.parquet.write_table(text, tmp_path / "wide.parquet", row_group_size=100)
    with pytest.raises(ValueError, match=r"wide\.parquet: column 'text' holds text"):
        as_source(tmp_path / "wide.parquet")


def test_no_room_for_temporary_files_is_said(by_parts, tmp_path, monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("needs a full device")
    monkeypatch.setattr(parquet_files, "KEPT_MEMORY", 0)
    full = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115 (closed by the reader)
    monkeypatch.setattr(parquet_files.tempfile, "TemporaryFile", lambda **_: full)
    pyarrow.parquet.write_table(table_of(np.ones((250, 33))), tmp_path / "wide.parquet")
    with pytest.raises(OSError, match="for temporary files"):
        as_source(tmp_path / "wide.parquet")


WIDE = """
import sys, warnings
import numpy as np, pyarrow as pa, pyarrow.parquet
from fastem.sources import as_source
warnings.simplefilter("ignore")
memory = lambda key: int(next(l for l in open("/proc/self/status") if l.startswith(key)).split()[1]) / 2**10
small, wide = sys.argv[1:]
as_source(small)
before = memory("VmRSS")
open("/proc/self/clear_refs", "w").write("5")
source = as_source(wide)
assert sum(len(block.rows) for block in source.blocks()) == source.n_rows
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
@pytest.mark.parametrize(("n_rows", "n_columns"), [(100_000, 64), (20_000, 512)])
def test_memory_is_bounded_for_any_width(tmp_path, n_rows, n_columns):
    rows = np.random.default_rng(0).normal(size=(n_rows, n_columns))
    pyarrow.parquet.write_table(table_of(rows), tmp_path / "wide.parquet")
    pyarrow.parquet.write_table(table_of(rows[:100]), tmp_path / "small.parquet")
    environment = {**os.environ, "PYTHONPATH": str(Path(fastem.__file__).parents[1])}
    command = [sys.executable, "-c", WIDE, str(tmp_path / "small.parquet"), str(tmp_path / "wide.parquet")]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 225  # 256 MB are promised for a whole fit
