"""float32 in, float32 out, as scikit-learn has it; the arithmetic is in double."""

import dask.array as da
import numpy as np
import pytest
import sklearn.cluster
import sklearn.mixture
from numpy.testing import assert_allclose, assert_array_equal

import fastem
from fastem import BayesianGaussianMixture, Chunks, GaussianMixture, KMeans, PoissonMixture, StudentTMixture

DOUBLE = np.random.default_rng(0).normal(size=(300, 3)) + 6.0 * (np.arange(300)[:, None] % 2)
SINGLE = DOUBLE.astype(np.float32)
AS_DOUBLE = SINGLE.astype(np.float64)  # the same numbers
MIXTURES = [GaussianMixture, StudentTMixture, BayesianGaussianMixture]


def sources_of(rows, folder):
    np.save(folder / f"{rows.dtype}.npy", rows)
    yield rows
    yield np.asfortranarray(rows)
    yield folder / f"{rows.dtype}.npy"
    yield Chunks(lambda: [rows[:100], rows[100:]], n_features=3)
    yield da.from_array(rows, chunks=(150, 3))


@pytest.mark.parametrize("estimator", MIXTURES)
def test_results_have_the_precision_of_the_rows(estimator, tmp_path):
    expected = estimator(n_components=2, random_state=0).fit(AS_DOUBLE)
    assert expected.means_.dtype == expected.predict_proba(AS_DOUBLE).dtype == np.float64
    for data in sources_of(SINGLE, tmp_path):
        mixture = estimator(n_components=2, random_state=0).fit(data)
        assert mixture.means_.dtype == np.float32
        assert_allclose(mixture.means_, expected.means_, rtol=1e-6)
        for method in ("predict_proba", "score_samples"):
            found = np.asarray(getattr(mixture, method)(data))
            assert found.dtype == np.float32
            assert_allclose(found, getattr(expected, method)(AS_DOUBLE), rtol=1e-5, atol=1e-6)
        assert mixture.score(SINGLE) == pytest.approx(expected.score(AS_DOUBLE), rel=1e-9)
        assert mixture.log_likelihood_ == pytest.approx(mixture.score(SINGLE), rel=1e-12)
        assert mixture.predict(SINGLE).dtype == np.int64
        assert mixture.predict_proba(AS_DOUBLE).dtype == np.float64


def test_the_types_are_those_of_scikit_learn():
    theirs = sklearn.mixture.GaussianMixture(2, random_state=0).fit(SINGLE)
    ours = GaussianMixture(2, random_state=0).fit(SINGLE)
    assert ours.means_.dtype == theirs.means_.dtype
    for method in ("predict", "predict_proba", "score_samples"):
        for rows in (SINGLE, DOUBLE):
            assert getattr(ours, method)(SINGLE).dtype == getattr(theirs, method)(SINGLE).dtype, (method, rows.dtype)
    theirs = sklearn.cluster.KMeans(2, n_init=1, random_state=0).fit(SINGLE)
    ours = KMeans(2, random_state=0).fit(SINGLE)
    assert ours.cluster_centers_.dtype == theirs.cluster_centers_.dtype
    assert ours.transform(SINGLE).dtype == theirs.transform(SINGLE).dtype
    assert ours.labels_.dtype == theirs.labels_.dtype


def test_kmeans(tmp_path):
    expected = KMeans(2, random_state=0).fit(AS_DOUBLE)
    for data in sources_of(SINGLE, tmp_path):
        kmeans = KMeans(2, random_state=0).fit(data)
        assert kmeans.cluster_centers_.dtype == np.asarray(kmeans.transform(data)).dtype == np.float32
        assert_allclose(kmeans.cluster_centers_, expected.cluster_centers_, rtol=1e-6)
        assert_array_equal(kmeans.predict(SINGLE), expected.labels_)
    assert_array_equal(KMeans(2, random_state=0).fit(SINGLE).labels_, expected.labels_)


def test_counts_in_single_precision():
    counts = np.random.default_rng(0).poisson(5, size=(200, 2)).astype(np.float32)
    mixture = PoissonMixture(2, random_state=0).fit(counts)
    assert mixture.predict_proba(counts).dtype == np.float32


def test_arrays_of_the_caller_may_be_of_either(tmp_path):
    mixture = GaussianMixture(2, random_state=0).fit(SINGLE)
    expected = mixture.predict_proba(AS_DOUBLE)
    for dtype in (np.float32, np.float64):
        for rows in (SINGLE, AS_DOUBLE):
            out = np.empty((300, 2), dtype=dtype)
            assert mixture.predict_proba(rows, out=out) is out
            assert_array_equal(out, expected.astype(dtype))
    assert next(mixture.in_blocks(SINGLE, "predict_proba")).dtype == np.float32


def test_large_results_are_rounded_in_parts(monkeypatch):
    mixture = GaussianMixture(2, random_state=0).fit(SINGLE)
    expected = mixture.predict_proba(SINGLE)
    monkeypatch.setattr("fastem.estimators.row_results.ROUNDED_ROWS", 7)
    assert_array_equal(mixture.predict_proba(SINGLE), expected)


def test_models_keep_it(tmp_path):
    mixture = GaussianMixture(2, random_state=0).fit(SINGLE)
    fastem.save(mixture, tmp_path / "model")
    loaded = fastem.load(tmp_path / "model")
    assert loaded.means_.dtype == np.float32
    assert_array_equal(loaded.predict_proba(SINGLE), mixture.predict_proba(SINGLE))
