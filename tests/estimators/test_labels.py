"""Rows of known components."""

import numpy as np
import pytest
import sklearn
from discrete_reference import FAMILIES as DISCRETE
from families_table import FAMILIES, families
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import fastem

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SEPARATE = ("full", "diag", "spherical", "t full", *DISCRETE)
MEANS = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])


def some_known(share=0.2, n=300, seed=0):
    """Rows of three clusters, and labels of some of them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, size=n)
    rows = MEANS[labels] + rng.normal(size=(n, 2))
    return rows, np.where(rng.random(n) < share, labels, -1), labels


def em(rows, known, weights, n_iter):
    """EM of a Gaussian mixture with known labels: the bounds and the last weights, means and covariances."""
    w, mu, sigma, bounds = np.full(3, 1 / 3), MEANS.copy(), np.stack([np.eye(2)] * 3), []
    for _ in range(n_iter):
        h = np.stack([np.log(w[k]) + multivariate_normal(mu[k], sigma[k]).logpdf(rows) for k in range(3)], axis=1)
        h[(known[:, None] >= 0) & (known[:, None] != np.arange(3))] = -np.inf
        density = np.logaddexp.reduce(h, axis=1)
        r = weights[:, None] * np.exp(h - density[:, None])
        n = r.sum(axis=0)
        w, mu = n / n.sum(), r.T @ rows / n[:, None]
        sigma = np.stack([(r[:, [k]] * (rows - mu[k])).T @ (rows - mu[k]) / n[k] for k in range(3)])
        bounds.append(weights @ density / weights.sum())
    return bounds, w, mu, sigma


@pytest.mark.parametrize("weighted", [False, True])
def test_em_with_known_labels_is_that_of_numpy(weighted):
    rows, known, _ = some_known()
    weights = np.random.default_rng(1).uniform(0.5, 2.0, size=len(rows)) if weighted else np.ones(len(rows))
    bounds, w, mu, sigma = em(rows, known, weights, 6)
    start = {"weights_init": np.full(3, 1 / 3), "means_init": MEANS, "precisions_init": np.stack([np.eye(2)] * 3)}
    mixture = fastem.GaussianMixture(3, tol=0.0, max_iter=6, reg_covar=0.0, **start)
    mixture.fit(rows, sample_weight=weights if weighted else None, labels=known)
    assert_allclose(mixture.lower_bounds_, bounds, rtol=1e-12)
    assert_allclose(mixture.weights_, w, rtol=1e-12)
    assert_allclose(mixture.means_, mu, rtol=1e-11, atol=1e-12)
    assert_allclose(mixture.covariances_, sigma, rtol=1e-11, atol=1e-12)
    assert mixture.log_likelihood_ >= mixture.lower_bound_


@families(lambda family: family.name in SEPARATE)
def test_where_all_are_known_each_component_is_the_fit_of_its_rows(family):
    problem = family.case(200, 3, 2)
    labels = (np.arange(200) % 3 == 0).astype(int)
    options = {"tol": 1e-12, "max_iter": 300, "weights_init": None, "means_init": None, "precisions_init": None}
    options |= {"scales_init": None, "degrees_of_freedom_init": None}
    options |= {"rates_init": None, "probabilities_init": None}
    blank = problem.mixture()
    options = {name: value for name, value in options.items() if name in blank.get_params()}
    if hasattr(blank, "n_levels"):
        options["n_levels"] = int(problem.rows.max()) + 1
    mixture = problem.mixture(**options).fit(problem.rows, labels=labels)
    assert_allclose(mixture.weights_, [np.mean(labels == 0), np.mean(labels == 1)], rtol=1e-12)
    for k in range(2):
        alone = problem.mixture(**options).set_params(n_components=1).fit(problem.rows[labels == k])
        for name in ("means_", "covariances_", "rates_", "probabilities_"):
            if hasattr(mixture, name):
                found, expected = getattr(mixture, name), getattr(alone, name)
                ragged = isinstance(found, list)
                for one, other in zip(*((found, expected) if ragged else ([found], [expected])), strict=True):
                    assert_allclose(one[k], other[0], rtol=1e-2 if "t " in family.name else 1e-8, err_msg=name)


def test_components_are_the_labels_whatever_their_weights():
    rows, known, labels = some_known(n=900)
    order = np.array([2, 0, 1])
    for seed in range(3):
        mixture = fastem.GaussianMixture(3, random_state=seed).fit(rows, labels=np.where(known < 0, -1, order[known]))
        assert np.mean(mixture.predict(rows) == order[labels]) > 0.9
    bayesian = fastem.BayesianGaussianMixture(n_components=3, random_state=0)
    bayesian.fit(rows, labels=np.where(known < 0, -1, order[known]))
    assert np.mean(bayesian.predict(rows) == order[labels]) > 0.9


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data", "labels", "function"])
def test_known_rows_begin_in_their_component_and_others_find_theirs(init_params):
    rows, _, labels = some_known(n=900)
    known = np.where(labels == 1, 2, -1)  # one cluster of three, all of it, is component 2
    known[labels == 1] = np.where(np.arange((labels == 1).sum()) < 30, 2, -1)
    given = {"labels": np.zeros(900, dtype=int), "function": lambda X, n_components, generator: np.arange(len(X)) % 3}
    options = {"init_params": given.get(init_params, init_params), "random_state": 0}
    start = fastem.GaussianMixture(3, max_iter=0, **options).fit(rows, labels=known)
    assert np.isfinite(start.means_).all()
    if init_params in ("kmeans", "k-means++", "random_from_data"):
        assert np.argmin(np.linalg.norm(start.means_ - MEANS[1], axis=1)) == 2
    if init_params == "kmeans":
        mixture = fastem.GaussianMixture(3, max_iter=500, **options).fit(rows, labels=known)
        assert_allclose(mixture.means_[2], MEANS[1], atol=0.5)
        assert sorted(np.linalg.norm(mixture.means_[:2] - MEANS[0], axis=1) < 1) == [False, True]


def test_a_component_of_a_few_known_rows_among_very_many():
    """They are in no small sample, but the start knows them."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60_000, 1))
    rows[:40] += 8.0
    known = np.full(len(rows), -1)
    known[:5], known[-5:] = 0, 1
    mixture = fastem.GaussianMixture(2, random_state=0).fit(rows, labels=known)
    assert_allclose(mixture.weights_[0], 40 / 60_000, rtol=0.1)
    assert_allclose(mixture.means_[:, 0], [8.0, 0.0], atol=0.6)


@pytest.mark.parametrize("e_step", ["soft", "hard", "stochastic"])
def test_streams_and_threads_give_the_same_bits(e_step, tmp_path):
    rows, known, _ = some_known(n=1500)

    def chunks():
        for first in range(0, len(rows), 217):
            yield rows[first : first + 217]

    def fitted(X, labels=known):
        mixture = fastem.GaussianMixture(3, random_state=0, e_step=e_step, tol=0.0, max_iter=5)
        return mixture.fit(X, labels=labels)

    expected = fitted(rows)
    np.savetxt(
        tmp_path / "rows.csv", np.column_stack([known, rows]), delimiter=",", header="k,a,b", comments="", fmt="%.17g"
    )
    table = fastem.Table(str(tmp_path / "rows.csv"), label="k")
    for same in (
        fitted(fastem.Chunks(chunks, n_features=2)),
        fitted(table, None),
        fitted(str(tmp_path / "rows.csv"), "k"),
    ):
        assert_array_equal(same.means_, expected.means_)
        assert same.log_likelihood_ == expected.log_likelihood_
    assert_array_equal(fitted(table, None).predict(table), expected.predict(rows))
    with threadpool_limits(1):
        assert_array_equal(fitted(rows).means_, expected.means_)
    assert not np.array_equal(fitted(rows, None).means_, expected.means_)


def test_containers_of_labels():
    rows, known, _ = some_known()
    pandas = pytest.importorskip("pandas")
    expected = fastem.GaussianMixture(3, random_state=0).fit(rows, labels=known)
    frame = pandas.DataFrame(rows, columns=["a", "b"])
    for labels in (known.tolist(), known.astype(np.int8), known.astype(float), pandas.Series(known)):
        same = fastem.GaussianMixture(3, random_state=0).fit(rows, labels=labels)
        assert_array_equal(same.means_, expected.means_)
    column = fastem.GaussianMixture(3, random_state=0).fit(frame.assign(k=known), labels="k")
    assert_array_equal(column.means_, expected.means_)
    assert column.feature_names_in_.tolist() == ["a", "b"]


def test_unknown_labels_change_nothing_and_y_is_ignored():
    rows, known, _ = some_known()
    plain = fastem.GaussianMixture(3, random_state=0).fit(rows)
    same = fastem.GaussianMixture(3, random_state=0).fit(rows, known, labels=np.full(len(rows), -1))
    assert_array_equal(same.means_, plain.means_)


def test_labels_go_with_integer_weights_as_repeated_rows():
    rows, known, _ = some_known()
    times = np.random.default_rng(2).integers(0, 4, size=len(rows))
    start = {"means_init": MEANS, "tol": 0.0, "max_iter": 5, "random_state": 0}
    weighted = fastem.GaussianMixture(3, init_params=np.arange(len(rows)) % 3, **start)
    weighted.fit(rows, sample_weight=times, labels=known)
    repeated = fastem.GaussianMixture(3, init_params=np.repeat(np.arange(len(rows)) % 3, times), **start)
    repeated.fit(np.repeat(rows, times, axis=0), labels=np.repeat(known, times))
    assert_allclose(weighted.means_, repeated.means_, rtol=1e-10)
    assert_allclose(weighted.lower_bound_, repeated.lower_bound_, rtol=1e-12)


@pytest.mark.parametrize("covariance_type", ["tied", "VEE"])
@pytest.mark.filterwarnings("error::fastem.engine.loop.LowerBoundWarning")
def test_the_bound_never_falls(covariance_type):
    rows, known, _ = some_known()
    mixture = fastem.GaussianMixture(3, covariance_type=covariance_type, random_state=0, tol=0.0, max_iter=200)
    mixture.fit(rows, labels=known)
    assert np.diff(mixture.lower_bounds_).min() > -1e-12


def test_a_checkpoint_is_of_its_labels(tmp_path):
    rows, known, _ = some_known()
    path = str(tmp_path / "state")
    first = fastem.GaussianMixture(3, random_state=0, checkpoint=path).fit(rows, labels=known)
    again = fastem.GaussianMixture(3, random_state=0, checkpoint=path).fit(rows, labels=known)
    assert_array_equal(first.means_, again.means_)
    with pytest.raises(ValueError, match="data"):
        fastem.GaussianMixture(3, random_state=0, checkpoint=path).fit(rows)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(7, dtype=int), r"labels.shape == \(7,\), expected \(300,\)"),
        (np.zeros((300, 1), dtype=int), "labels.shape"),
        (np.full(300, 3), "n_components - 1 = 2, or -1 .* row 0 has 3"),
        (np.full(300, -2), "row 0 has -2"),
        (np.full(300, 0.5), "whole numbers .* row 0 has 0.5"),
        (np.full(300, np.nan), "row 0 has nan"),
        (np.full(300, "a"), "labels: holds text"),
    ],
)
def test_wrong_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        fastem.GaussianMixture(3).fit(some_known()[0], labels=labels)


def test_where_labels_are_not_taken():
    rows, known, _ = some_known()
    table = fastem.Table(__import__("pandas").DataFrame({"a": rows[:, 0], "k": known}), label="k")
    with pytest.raises(ValueError, match="learning_method='batch'"):
        fastem.GaussianMixture(3, learning_method="online").fit(rows, labels=known)
    with pytest.raises(ValueError, match="partial_fit takes no labels"):
        fastem.GaussianMixture(3).partial_fit(table)
    with pytest.raises(ValueError, match="KMeans takes no labels"):
        fastem.KMeans(3).fit(table)
    with pytest.raises(ValueError, match="labels twice"):
        fastem.GaussianMixture(3).fit(table, labels=known)
    with pytest.raises(ValueError, match="no column 'z'"):
        fastem.GaussianMixture(3).fit(table.data, labels="z")
    with pytest.raises(TypeError, match="read once"):
        fastem.GaussianMixture(3).fit(rows, labels=iter(known))
    dask_array = pytest.importorskip("dask.array")
    with pytest.raises(TypeError, match="not for Dask"):
        fastem.GaussianMixture(3).fit(dask_array.from_array(rows, chunks=(100, 2)), labels=known)
    with pytest.raises(TypeError, match="not for Dask"):
        fastem.GaussianMixture(3).fit(rows, labels=dask_array.from_array(known))


def test_labels_are_routed_through_a_pipeline():
    rows, known, _ = some_known()
    with sklearn.config_context(enable_metadata_routing=True):
        mixture = fastem.GaussianMixture(3, random_state=0).set_fit_request(labels=True, sample_weight=False)
        pipeline = make_pipeline(StandardScaler(), mixture).fit(rows, labels=known)
    expected = fastem.GaussianMixture(3, random_state=0).fit(StandardScaler().fit_transform(rows), labels=known)
    assert_array_equal(pipeline[-1].means_, expected.means_)


def test_the_table_of_families_is_the_one_that_is_meant():
    assert set(SEPARATE) <= {family.name for family in FAMILIES}
