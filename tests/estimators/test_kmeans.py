import pickle

import kmeans_reference as reference
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastem
from fastem import KMeans


def blobs(n_rows, n_features, n_clusters, seed=0):
    rng = np.random.default_rng(seed)
    centers = 3.0 * rng.normal(size=(n_clusters, n_features))
    return centers[rng.integers(n_clusters, size=n_rows)] + rng.normal(size=(n_rows, n_features))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([KMeans()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("data", "n_clusters", "inertia"),
    [
        ("faithful", 2, 8901.768720947211),
        ("faithful", 3, 5188.540468232617),
        ("iris", 2, 152.3479517603579),
        ("iris", 3, 78.851441426146),
        ("iris", 4, 57.22847321428572),
    ],
)
def test_best_known_inertia(data, n_clusters, inertia, request):
    X = request.getfixturevalue(data)
    assert_allclose(KMeans(n_clusters, n_init=10, random_state=0).fit(X).inertia_, inertia, rtol=1e-12)


@pytest.fixture(params=["one call", "passes"])
def way(request, monkeypatch):
    """Small problems take the call for all iterations, others a pass an iteration: both for the same ones."""
    if request.param == "passes":
        monkeypatch.setattr("fastem.search.seeding.SMALL_WORK", 0)


@pytest.mark.parametrize("max_iter", [1, 3, 300])
@pytest.mark.parametrize("tol", [0.0, 1e-2])
def test_iterations_of_scikit_learn(way, max_iter, tol):
    X = blobs(3000, 5, 20) + 100.0
    weights = np.random.default_rng(1).random(3000)
    start = X[:12]
    options = {"init": start, "n_init": 1, "max_iter": max_iter, "tol": tol}
    found = KMeans(12, **options).fit(X, sample_weight=weights)
    # The tolerance is relative to the variance, which scikit-learn takes without weights.
    mean = np.average(X, axis=0, weights=weights)
    ratio = np.average((X - mean) ** 2, axis=0, weights=weights).mean() / X.var(axis=0).mean()
    expected = SklearnKMeans(12, **(options | {"tol": tol * ratio})).fit(X, sample_weight=weights)
    assert found.n_iter_ == expected.n_iter_
    assert_allclose(found.cluster_centers_, expected.cluster_centers_, rtol=1e-10)
    assert_allclose(found.inertia_, expected.inertia_, rtol=1e-10)
    assert_array_equal(found.labels_, expected.labels_)


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_the_result_is_a_local_minimum(way, init):
    X = blobs(2000, 3, 6)
    model = KMeans(6, init=init, tol=0.0, random_state=0).fit(X)
    squares = reference.squared_distances(X, model.cluster_centers_)
    assert_array_equal(model.labels_, squares.argmin(axis=1))
    assert_allclose(model.inertia_, squares.min(axis=1).sum(), rtol=1e-12)
    for k, center in enumerate(model.cluster_centers_):
        assert_allclose(center, X[model.labels_ == k].mean(axis=0), rtol=1e-10, atol=1e-12)


def test_more_rows_than_the_sample_for_seeding():
    X = blobs(60_000, 4, 8)
    model = KMeans(8, tol=0.0, random_state=0).fit(X)
    assert_allclose(model.inertia_, SklearnKMeans(8, n_init=3, random_state=0).fit(X).inertia_, rtol=1e-3)
    assert model.n_iter_ < 20


def test_the_order_of_the_rows_does_not_matter():
    X = blobs(1000, 3, 8)
    order = np.random.default_rng(0).permutation(len(X))
    found, expected = (KMeans(8, random_state=0).fit(rows) for rows in (X[order], X))
    assert_allclose(found.cluster_centers_, expected.cluster_centers_, rtol=1e-10)
    assert_array_equal(found.labels_, expected.labels_[order])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_any_layout_and_type(way, dtype):
    X = (10 * blobs(500, 4, 3)).astype(dtype)
    expected = KMeans(3, random_state=0).fit(X.astype(np.float64))
    for rows in (X, np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2]):
        model = KMeans(3, random_state=0).fit(rows)
        assert_array_equal(model.cluster_centers_, expected.cluster_centers_.astype(model.cluster_centers_.dtype))
        assert_array_equal(model.labels_, expected.labels_)


def test_rows_of_zero_weight_are_absent():
    X, weights = blobs(400, 2, 4), np.ones(400)
    weights[::3] = 0.0
    X[::3] *= 100.0
    start = blobs(6, 2, 6, seed=1)
    found = KMeans(6, init=start).fit(X, sample_weight=weights)
    expected = KMeans(6, init=start).fit(X[weights > 0])
    assert_allclose(found.cluster_centers_, expected.cluster_centers_, rtol=1e-12)
    assert_allclose(found.inertia_, expected.inertia_, rtol=1e-12)


def test_empty_clusters_are_given_rows(way):
    X = blobs(300, 2, 5)
    model = KMeans(5, init=np.repeat(X[:1], 5, axis=0)).fit(X)
    assert np.unique(model.labels_).size == 5
    assert model.inertia_ < 2 * KMeans(5, n_init=5, random_state=0).fit(X).inertia_


def test_fewer_distinct_rows_than_clusters(way):
    X = np.repeat([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], 5, axis=0)
    with pytest.warns(ConvergenceWarning, match="Only 3 of 4 clusters have rows"):
        model = KMeans(4, random_state=0).fit(X)
    assert model.inertia_ == 0
    assert np.isfinite(model.cluster_centers_).all()


def test_init_by_a_function_of_the_rows():
    X = blobs(200, 2, 3)

    def init(rows, n_clusters, random_state):
        assert_array_equal(np.sort(rows, axis=0).round(9), np.sort(X, axis=0).round(9))
        return rows[random_state.permutation(len(rows))[:n_clusters]]

    model = KMeans(3, init=init, n_init=4, random_state=0).fit(X)
    assert_allclose(model.inertia_, SklearnKMeans(3, n_init=10, random_state=0).fit(X).inertia_, rtol=1e-3)


def test_starts_given_are_not_repeated():
    X = blobs(50, 2, 2)
    with pytest.warns(RuntimeWarning, match="only one start is made instead of n_init=3"):
        KMeans(2, init=X[:2], n_init=3).fit(X)


@pytest.mark.parametrize(
    ("parameters", "weights", "message"),
    [
        ({"n_clusters": 11}, None, "n_samples=10 should be >= n_clusters=11"),
        ({"n_clusters": 3}, [1.0, 1.0] + [0.0] * 8, "n_samples=2 with a positive weight should be >= n_clusters=3"),
        ({"n_clusters": 2, "init": np.zeros((3, 2))}, None, r"should have the shape \(2, 2\), got \(3, 2\)"),
        ({"n_clusters": 2, "init": np.full((2, 2), np.nan)}, None, "init contains NaN"),
        ({"n_clusters": 2, "init": "best"}, None, "The 'init' parameter of KMeans must be"),
        ({"n_clusters": 2}, [-1.0] + [1.0] * 9, "Negative values in data passed to `sample_weight`"),
    ],
)
def test_invalid_input_is_refused(parameters, weights, message):
    with pytest.raises(ValueError, match=message):
        KMeans(**parameters).fit(np.arange(20.0).reshape(10, 2), sample_weight=weights)


def test_what_fitted_centres_say_of_rows():
    X = blobs(300, 3, 4)
    model = KMeans(4, random_state=0)
    with pytest.raises(NotFittedError):
        model.predict(X)
    assert_array_equal(model.fit_predict(X), model.predict(X))
    distances = np.sqrt(reference.squared_distances(X, model.cluster_centers_))
    assert_allclose(model.transform(X), distances, rtol=1e-12)
    assert_array_equal(clone(model).fit_transform(X), model.transform(X))
    assert_allclose(model.score(X), -model.inertia_, rtol=1e-12)
    weights = np.arange(300.0)
    assert_allclose(model.score(X, sample_weight=weights), -weights @ distances.min(axis=1) ** 2, rtol=1e-12)
    assert_array_equal(model.get_feature_names_out(), ["kmeans0", "kmeans1", "kmeans2", "kmeans3"])


def test_models_are_kept(tmp_path):
    X = blobs(300, 3, 4)
    model = KMeans(4, random_state=0).fit(X)
    fastem.save(model, tmp_path / "model")
    for copy in (pickle.loads(pickle.dumps(model)), fastem.load(tmp_path / "model")):
        assert_array_equal(copy.transform(X), model.transform(X))
        assert_array_equal(copy.get_feature_names_out(), model.get_feature_names_out())


def test_verbose_tells_of_every_start(capsys):
    KMeans(2, n_init=2, verbose=1, random_state=0).fit(blobs(50, 2, 2))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Start 0: ")
    assert second.startswith("Start 1: ")
    assert "inertia" in second
