"""Fingerprints: of every number and weight, however they are stored."""

import dask.array as da
import numpy as np
import pytest

from fastem import Chunks, GaussianMixture
from fastem.sources import as_source
from fastem.sources import fingerprint as fingerprints
from fastem.sources.stream import StreamSource

ROWS = np.random.default_rng(0).integers(-9, 9, size=(3_001, 3)).astype(float)
WEIGHTS = np.random.default_rng(1).random(len(ROWS))


def in_chunks(rows, size, weights=None):
    def chunks():
        for first in range(0, len(rows), size):
            part = slice(first, first + size)
            yield rows[part] if weights is None else (rows[part], weights[part])

    return Chunks(chunks, n_features=rows.shape[1])


def changed(array, place):
    array = array.copy()
    array[place] = np.nextafter(array[place], np.inf)
    return array


@pytest.mark.parametrize("piece", [fingerprints.PIECE, 100])
def test_storage_does_not_matter(piece, monkeypatch, tmp_path):
    expected = as_source(ROWS).fingerprint()
    monkeypatch.setattr(fingerprints, "PIECE", piece)
    wide = np.zeros((len(ROWS), 7))
    wide[:, 1::2] = ROWS
    np.save(tmp_path / "rows.npy", np.asfortranarray(ROWS))
    for data in (
        np.asfortranarray(ROWS),
        wide[:, 1::2],
        np.ascontiguousarray(ROWS[::-1])[::-1],
        ROWS.astype(np.float32),
        ROWS.astype(np.int8),
        ROWS.astype(">f8"),
        in_chunks(ROWS, 1),
        in_chunks(ROWS, 1_000),
        tmp_path / "rows.npy",
    ):
        assert as_source(data).fingerprint() == expected
    assert as_source(ROWS, np.ones(len(ROWS))).fingerprint() == expected


def test_every_number_and_weight_matters():
    seen = {as_source(ROWS).fingerprint(), as_source(ROWS, WEIGHTS).fingerprint()}
    for row in range(0, len(ROWS), 300):
        seen.add(as_source(changed(ROWS, (row, row % 3))).fingerprint())
        seen.add(as_source(ROWS, changed(WEIGHTS, row)).fingerprint())
        seen.add(as_source(in_chunks(ROWS, 64, changed(WEIGHTS, max(row - 1, 1)))).fingerprint())
    assert len(seen) == 2 + 3 * 11
    assert as_source(ROWS[:, [1, 0, 2]]).fingerprint() not in seen
    assert as_source(ROWS[::-1]).fingerprint() not in seen
    assert as_source(ROWS.reshape(-1, 1)).fingerprint() not in seen


def test_partitions_of_a_cluster():
    def source(rows, chunk=500, weights=None):
        return as_source(da.from_array(rows, chunks=(chunk, 3)), weights).fingerprint()

    expected = source(ROWS)
    assert source(ROWS) == expected
    assert source(ROWS, 400) != expected  # the bits of a fit differ, too
    assert source(changed(ROWS, (2_999, 1))) != expected
    assert source(ROWS, weights=WEIGHTS) != source(ROWS, weights=changed(WEIGHTS, 1_234))


def test_a_stream_is_not_read_once_more():
    stream = StreamSource(in_chunks(ROWS, 100), fingerprinted=True)
    assert stream.fingerprint() == as_source(ROWS).fingerprint()
    assert stream.n_passes == 1


def test_only_a_checkpoint_takes_a_fingerprint(monkeypatch, tmp_path):
    added = []
    plain = fingerprints.Fingerprint.add
    monkeypatch.setattr(fingerprints.Fingerprint, "add", lambda *args: added.append(len(args[1])) or plain(*args))
    options = {"random_state": 0, "max_iter": 1, "tol": 1e9}
    passes = [
        GaussianMixture(2, checkpoint=checkpoint, **options).fit(in_chunks(ROWS, 1_000)).n_passes_
        for checkpoint in (None, tmp_path / "fit.checkpoint")
    ]
    assert passes[0] == passes[1]
    assert sum(added) == len(ROWS)
