"""Arrays of HDF5 and Zarr: what is missing is only what the file declares, damage is named."""

import shutil

import h5py
import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal

from fastem import ArrayFile
from fastem.sources import as_source

ROWS = np.random.default_rng(0).normal(size=(50, 3))


def rows_of(data):
    return np.concatenate([block.rows for block in as_source(data).blocks()])


# missing chunks -------------------------------------------------------------------------------------------------------


def zarr_with_a_hole(path, version, fill_value):
    array = zarr.create_array(
        str(path), shape=(50, 3), chunks=(20, 3), dtype="float64", zarr_format=version, fill_value=fill_value
    )
    array[:] = ROWS
    hole = path / ("1.0" if version == 2 else "c/1/0")
    hole.unlink()
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_missing_chunks_of_zarr_are_the_fill_value(tmp_path, version):
    path = zarr_with_a_hole(tmp_path / "rows.zarr", version, 7.0)
    expected = ROWS.copy()
    expected[20:40] = 7.0
    assert_array_equal(rows_of(path), expected)


def test_missing_chunks_without_a_fill_value_are_refused(tmp_path):
    path = zarr_with_a_hole(tmp_path / "rows.zarr", 2, 7.0)
    metadata = (path / ".zarray").read_text()
    (path / ".zarray").write_text(metadata.replace('"fill_value": 7.0', '"fill_value": null'))
    with pytest.raises(ValueError, match=r"rows\.zarr: 1 chunks are missing, and the array declares no fill value"):
        as_source(path)


def test_missing_chunks_of_hdf5(tmp_path):
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file.create_dataset("declared", shape=(50, 3), dtype=float, chunks=(20, 3), fillvalue=7.0)[:20] = ROWS[:20]
        file.create_dataset("undeclared", shape=(50, 3), dtype=float, chunks=(20, 3))[:20] = ROWS[:20]
        file.create_dataset("unwritten", shape=(50, 3), dtype=float)
    assert_array_equal(rows_of(ArrayFile(tmp_path / "rows.h5", "declared"))[20:], np.full((30, 3), 7.0))
    with pytest.raises(ValueError, match=r"rows\.h5: chunks of /undeclared are missing"):
        as_source(ArrayFile(tmp_path / "rows.h5", "undeclared"))
    with pytest.raises(ValueError, match=r"rows\.h5: /unwritten was never written"):
        as_source(ArrayFile(tmp_path / "rows.h5", "unwritten"))


# which array ----------------------------------------------------------------------------------------------------------


def test_arrays_in_groups(tmp_path):
    group = zarr.open_group(str(tmp_path / "rows.zarr"), mode="w")
    group.create_array("first", data=ROWS)
    group.create_group("deep").create_array("second", data=2 * ROWS)
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["first"], file["deep/second"] = ROWS, 2 * ROWS
    for path in (tmp_path / "rows.zarr", tmp_path / "rows.h5"):
        assert_array_equal(rows_of(ArrayFile(path, "first")), ROWS)
        assert_array_equal(rows_of(ArrayFile(path, "deep/second")), 2 * ROWS)
        with pytest.raises(ValueError, match="no array 'third', it holds "):
            as_source(ArrayFile(path, "third"))


@pytest.mark.parametrize("suffix", ["zarr", "h5"])
def test_weights_and_several_files(tmp_path, suffix):
    paths = [tmp_path / f"{part}.{suffix}" for part in range(2)]
    for path, part in zip(paths, (ROWS[:30], ROWS[30:]), strict=True):
        if suffix == "zarr":
            zarr.save_array(str(path), np.abs(part))
        else:
            with h5py.File(path, "w") as file:
                file["rows"] = np.abs(part)
    for data in (paths, str(tmp_path / f"*.{suffix}")):
        assert_array_equal(rows_of(data), np.abs(ROWS))
        blocks = list(as_source(ArrayFile(data, weight=0)).blocks())
        assert_array_equal(np.concatenate([block.weights for block in blocks]), np.abs(ROWS[:, 0]))
        assert_array_equal(np.concatenate([block.rows for block in blocks]), np.abs(ROWS[:, 1:]))


def test_a_folder_of_zarr_needs_no_suffix(tmp_path):
    zarr.save_array(str(tmp_path / "rows"), ROWS)
    assert_array_equal(rows_of(tmp_path / "rows"), ROWS)


# damage ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("zarr.json", lambda content: content[:-20]),
        ("zarr.json", lambda content: content.replace(b'"float64"', b'"float65"')),
        ("zarr.json", lambda content: content.replace(b'"chunk_shape"', b'"chunk_shake"')),
        ("zarr.json", lambda content: content.replace(b"20", b"9999999999999")),
        ("c/1/0", lambda content: content[:10]),
        ("c/1/0", lambda content: b"\xff" * len(content)),
    ],
)
def test_damaged_zarr(tmp_path, name, change):
    array = zarr.create_array(str(tmp_path / "rows.zarr"), shape=(50, 3), chunks=(20, 3), dtype="float64")
    array[:] = ROWS
    content = (tmp_path / "rows.zarr" / name).read_bytes()
    (tmp_path / "rows.zarr" / name).write_bytes(change(content))
    with pytest.raises((ValueError, OSError), match=r"rows\.zarr"):
        as_source(tmp_path / "rows.zarr")
    shutil.rmtree(tmp_path / "rows.zarr")
    (tmp_path / "rows.zarr").mkdir()
    with pytest.raises((ValueError, OSError), match=r"rows\.zarr"):
        as_source(tmp_path / "rows.zarr")


def test_damaged_hdf5(tmp_path):
    path = tmp_path / "rows.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("rows", data=ROWS, chunks=(20, 3), compression="gzip", fletcher32=True)
    content = path.read_bytes()
    refused = []
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        try:
            rows = rows_of(path)
        except (ValueError, OSError) as error:
            refused.append(str(error))
        else:
            assert rows.shape[1] == 3
    assert refused
    assert all("rows.h5" in message for message in refused)
