"""The estimator as scikit-learn's users know it: interface, starts, weights."""

import numpy as np
import pandas as pd
import pytest
import reference
import sklearn
from cases import STRUCTURES, case
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import GaussianMixture as Peer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastem import GaussianMixture

every_structure = pytest.mark.parametrize("structure", STRUCTURES)
unfinished = pytest.mark.filterwarnings("ignore:The fit did not converge", "ignore:.*not converge:UserWarning")
PARAMETERS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


@parametrize_with_checks([GaussianMixture(), GaussianMixture(covariance_type="tied")])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def assert_same_parameters(mixture, other, rtol=1e-8):
    for name in PARAMETERS:
        expected = getattr(other, name)
        assert_allclose(getattr(mixture, name), expected, rtol=rtol, atol=rtol * np.abs(expected).max(), err_msg=name)


# agreement with others ------------------------------------------------------------------------------------------------


@unfinished
@every_structure
@pytest.mark.parametrize("n_iter", [1, 10, 50])
@pytest.mark.parametrize("shape", [(300, 2, 3), (500, 9, 2)], ids=str)
def test_parameters_after_any_number_of_iterations_are_scikit_learns(structure, n_iter, shape):
    problem = case(structure, *shape)
    options = problem.start | {"covariance_type": structure, "max_iter": n_iter, "tol": 0}
    mixture = GaussianMixture(shape[2], **options).fit(problem.rows)
    peer = Peer(shape[2], **options).fit(problem.rows)
    assert mixture.n_iter_ == peer.n_iter_
    assert_same_parameters(mixture, peer)
    assert_allclose(mixture.lower_bound_, peer.lower_bound_, rtol=1e-10)
    for method in ("score_samples", "predict_proba"):
        expected = getattr(peer, method)(problem.rows)
        assert_allclose(getattr(mixture, method)(problem.rows), expected, rtol=1e-7, atol=1e-10)
    for method in ("score", "bic", "aic"):
        assert_allclose(getattr(mixture, method)(problem.rows), getattr(peer, method)(problem.rows), rtol=1e-10)


@every_structure
def test_it_stops_at_the_iteration_at_which_scikit_learn_stops(structure):
    problem = case(structure, 300, 3, 3)
    options = problem.start | {"covariance_type": structure, "tol": 1e-4, "max_iter": 1_000}
    mixture, peer = GaussianMixture(3, **options).fit(problem.rows), Peer(3, **options).fit(problem.rows)
    assert mixture.converged_
    assert mixture.n_iter_ == peer.n_iter_
    assert_allclose(mixture.lower_bounds_, peer.lower_bounds_, rtol=1e-9)


@unfinished
@every_structure
def test_a_weighted_iteration_is_the_oracles(structure):
    problem = case(structure, 400, 4, 3)
    mixture = GaussianMixture(3, covariance_type=structure, max_iter=1, reg_covar=0, **problem.start)
    mixture.fit(problem.rows, sample_weight=problem.sample_weight)
    expected = reference.em_step(*problem)
    for name, value in zip(PARAMETERS, expected, strict=False):
        assert_allclose(getattr(mixture, name), value, rtol=1e-10, atol=1e-12, err_msg=name)


# starts ---------------------------------------------------------------------------------------------------------------


def two_clusters(n_rows=120, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n_rows) % 2
    return rng.normal(size=(n_rows, 2)) + 8.0 * labels[:, None], labels


@every_structure
@pytest.mark.parametrize("subsampling", [False, True])
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_every_start_finds_two_distant_clusters(structure, init_params, subsampling):
    rows, labels = two_clusters()
    options = {"covariance_type": structure, "init_params": init_params, "subsampling": subsampling}
    mixture = GaussianMixture(2, n_init=8, max_iter=5_000, tol=1e-10, random_state=0, **options).fit(rows)
    found = mixture.predict(rows)
    assert_array_equal(found == found[0], labels == labels[0])


START_FROM_LABELS = {
    "labels": lambda labels: labels,
    "list of labels": lambda labels: labels.tolist(),
    "responsibilities": lambda labels: np.eye(2)[labels],
    "list of responsibilities": lambda labels: np.eye(2)[labels].tolist(),
    "function": lambda labels: lambda rows, n_components, random_state: (rows[:, 0] > 4).astype(int),
}


@unfinished
@every_structure
@pytest.mark.parametrize("init_params", START_FROM_LABELS.values(), ids=START_FROM_LABELS)
def test_a_partition_starts_with_its_maximum_likelihood_parameters(structure, init_params):
    rows, _ = two_clusters()
    labels = (rows[:, 0] > 4).astype(int)
    options = {"covariance_type": structure, "max_iter": 0, "reg_covar": 0}
    mixture = GaussianMixture(2, init_params=init_params(labels), **options).fit(rows)
    expected = reference.m_step(structure, rows, np.eye(2)[labels])
    for name, value in zip(PARAMETERS, expected, strict=False):
        assert_allclose(getattr(mixture, name), value, rtol=1e-12, atol=1e-12, err_msg=name)


BAD_PARTITIONS = {
    "too few labels": (np.zeros(5, dtype=int), "shape"),
    "label out of range": (np.full(120, 2), "between 0 and n_components - 1 = 1"),
    "negative label": (np.full(120, -1), "between 0 and n_components - 1 = 1"),
    "labels that are not integers": (np.zeros(120), "integer labels"),
    "too many columns": (np.full((120, 3), 1 / 3), "shape"),
    "negative responsibilities": (np.tile([2.0, -1.0], (120, 1)), "non-negative"),
    "rows that do not sum to one": (np.full((120, 2), 0.4), "sum to one"),
    "NaN": (np.full((120, 2), np.nan), "NaN"),
}


@pytest.mark.parametrize(("partition", "message"), BAD_PARTITIONS.values(), ids=BAD_PARTITIONS)
@pytest.mark.parametrize("wrap", [lambda p: p, lambda p: lambda *_: p], ids=["array", "function"])
def test_a_bad_partition_is_refused(partition, message, wrap):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2, init_params=wrap(partition)).fit(two_clusters()[0])


BAD_PARAMETERS = [
    ({"weights_init": [0.5, 0.6]}, "normalized"),
    ({"weights_init": [1.5, -0.5]}, r"range \[0, 1\]"),
    ({"weights_init": [1.0]}, "shape"),
    ({"weights_init": [np.nan, 1.0]}, "NaN"),
    ({"means_init": np.zeros((2, 3))}, "shape"),
    ({"means_init": [[0.0, 0.0], [np.inf, 0.0]]}, "infinity"),
    ({"precisions_init": np.ones((2, 3, 3))}, "shape"),
    ({"precisions_init": [[[1.0, 2.0], [2.0, 1.0]]] * 2}, "positive-definite"),
    ({"precisions_init": [[[1.0, 0.5], [0.1, 1.0]]] * 2}, "symmetric"),
    ({"covariance_type": "tied", "precisions_init": -np.eye(2)}, "positive-definite"),
    ({"covariance_type": "tied", "precisions_init": [[1.0, 0.3], [0.0, 1.0]]}, "symmetric"),
    ({"covariance_type": "diag", "precisions_init": [[1.0, -1.0], [1.0, 1.0]]}, "positive"),
    ({"covariance_type": "diag", "precisions_init": [[1.0, 0.0], [1.0, 1.0]]}, "positive"),
    ({"covariance_type": "spherical", "precisions_init": [0.0, 1.0]}, "positive"),
    ({"covariance_type": "spherical", "precisions_init": [1.0]}, "shape"),
]


@pytest.mark.parametrize(("options", "message"), BAD_PARAMETERS)
def test_bad_parameters_to_start_with_are_refused_as_scikit_learn_does(options, message):
    rows, _ = two_clusters()
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2, **options).fit(rows)
    with pytest.raises(ValueError, match=r"."):
        Peer(2, **options).fit(rows)


@every_structure
def test_a_part_of_the_parameters_may_be_given(structure):
    rows, _ = two_clusters()
    means = [[0.0, 0.0], [8.0, 8.0]]
    mixture = GaussianMixture(2, covariance_type=structure, means_init=means, random_state=0).fit(rows)
    assert_allclose(mixture.means_, means, atol=0.5)


# repeating and continuing ---------------------------------------------------------------------------------------------


@every_structure
def test_the_same_random_state_gives_the_same_bits(structure):
    problem = case(structure, 300, 3, 4)
    first, second = (
        GaussianMixture(5, covariance_type=structure, n_init=2, random_state=3, tol=1e-2).fit(problem.rows)
        for _ in range(2)
    )
    for name in PARAMETERS:
        assert_array_equal(getattr(first, name), getattr(second, name))


def test_warm_start_at_an_optimum_stops_at_once():
    rows, _ = two_clusters()
    mixture = GaussianMixture(2, random_state=0, tol=1e-8, max_iter=1_000, warm_start=True).fit(rows)
    assert mixture.fit(rows).n_iter_ <= 1


def test_warm_start_on_rows_of_another_width_is_refused():
    mixture = GaussianMixture(2, random_state=0, warm_start=True).fit(np.random.default_rng(0).normal(size=(50, 4)))
    with pytest.raises(ValueError, match="features"):
        mixture.fit(np.random.default_rng(0).normal(size=(50, 2)))


def test_more_starts_are_never_worse():
    problem = case("full", 300, 2, 6)
    bounds = [
        GaussianMixture(6, n_init=n, random_state=0, init_params="random_from_data", subsampling=False, max_iter=500)
        .fit(problem.rows)
        .lower_bound_
        for n in (1, 2, 4)
    ]
    assert bounds == sorted(bounds)


def test_the_stop_at_max_iter_is_reported():
    problem = case("full", 200, 2, 3)
    mixture = GaussianMixture(3, max_iter=1, tol=0, random_state=0)
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        mixture.fit(problem.rows)
    assert not mixture.converged_


def test_log_likelihood_is_that_of_the_parameters_returned():
    problem = case("full", 200, 2, 3)
    mixture = GaussianMixture(3, random_state=0).fit(problem.rows, sample_weight=problem.sample_weight)
    assert_allclose(mixture.log_likelihood_, mixture.score(problem.rows, sample_weight=problem.sample_weight))
    assert mixture.log_likelihood_ >= mixture.lower_bound_ == mixture.lower_bounds_[-1]


# weights --------------------------------------------------------------------------------------------------------------


@every_structure
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_rows_of_zero_weight_are_absent(structure, init_params):
    problem = case(structure, 200, 3, 3)
    present = np.random.default_rng(2).random(200) > 0.3
    rows = np.where(present[:, None], problem.rows, 1e160)  # their squares would overflow
    options = {"covariance_type": structure, "init_params": init_params, "random_state": 0, "tol": 1e-2}
    with_them = GaussianMixture(3, **options).fit(rows, sample_weight=present.astype(float))
    without = GaussianMixture(3, **options).fit(rows[present], sample_weight=np.ones(present.sum()))
    assert_same_parameters(with_them, without, rtol=1e-10)
    assert_allclose(with_them.score(rows, sample_weight=present.astype(float)), without.score(rows[present]))


@every_structure
@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_scaling_all_weights_changes_nothing(structure, scale):
    problem = case(structure, 200, 3, 3)
    options = {"covariance_type": structure, "random_state": 0, "tol": 1e-4}
    plain, scaled = (
        GaussianMixture(3, **options).fit(problem.rows, sample_weight=problem.sample_weight * s) for s in (1, scale)
    )
    assert_same_parameters(scaled, plain, rtol=1e-9)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.full(120, -1.0), "(?i)negative"),
        (np.ones(5), "shape|inconsistent"),
        (np.full(120, np.nan), "NaN"),
        (np.ones((120, 2)), "1D"),
        (np.zeros(120), "(?i)weight"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "score", "bic", "aic"])
def test_bad_weights_are_refused(method, weights, message):
    rows, _ = two_clusters()
    mixture = GaussianMixture(2, random_state=0).fit(rows)
    with pytest.raises(ValueError, match=message):
        getattr(mixture, method)(rows, sample_weight=weights)


def test_weights_are_routed_through_a_pipeline():
    problem = case("full", 200, 3, 3)
    rows, weights = problem.rows, problem.sample_weight
    with sklearn.config_context(enable_metadata_routing=True):
        mixture = GaussianMixture(3, random_state=0)
        mixture.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), mixture)
        pipeline.fit(rows, sample_weight=weights)
        score = pipeline.score(rows, sample_weight=weights)
    scaled = StandardScaler().fit_transform(rows)
    alone = GaussianMixture(3, random_state=0).fit(scaled, sample_weight=weights)
    assert score == alone.score(scaled, sample_weight=weights)


# what is said of rows -------------------------------------------------------------------------------------------------


@every_structure
def test_samples_have_the_moments_of_the_mixture(structure):
    problem = case(structure, 500, 3, 2)
    mixture = GaussianMixture(2, covariance_type=structure, random_state=0).fit(problem.rows)
    rows, labels = mixture.sample(40_000)
    assert_allclose(np.bincount(labels) / 40_000, mixture.weights_, atol=0.01)
    matrices = reference.matrices(structure, mixture.covariances_, 2, 3)
    for k in range(2):
        mine = rows[labels == k]
        deviations = np.sqrt(np.diagonal(matrices[k]))
        assert_allclose((mine.mean(axis=0) - mixture.means_[k]) / deviations, 0, atol=0.05)
        units = np.outer(deviations, deviations)
        assert_allclose(np.cov(mine.T) / units, matrices[k] / units, atol=0.05)


def test_a_sample_of_no_rows_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        GaussianMixture().fit(two_clusters()[0]).sample(0)


@every_structure
def test_rows_beyond_all_components_still_have_labels_and_responsibilities(structure):
    rows, _ = two_clusters()
    mixture = GaussianMixture(2, covariance_type=structure, random_state=0).fit(rows)
    far = np.array([[1e160, -1e160], [-1e308, 1e308], [1e5, 1e5], [-1e5, -1e5]])
    shares = mixture.predict_proba(far)
    assert_allclose(shares.sum(axis=1), 1.0)
    assert_array_equal(mixture.predict(far), shares.argmax(axis=1))
    assert np.isfinite(mixture.score_samples(far)).all()


@every_structure
@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples"])
def test_integers_count_as_the_numbers_they_are(structure, method):
    problem = case(structure, 300, 3, 2)
    mixture = GaussianMixture(2, covariance_type=structure, random_state=0).fit(problem.rows)
    integers = np.round(problem.rows).astype(np.int32)
    assert_array_equal(getattr(mixture, method)(integers), getattr(mixture, method)(integers.astype(np.float64)))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples", "score", "bic", "aic"])
def test_an_unfitted_mixture_says_so(method):
    with pytest.raises(NotFittedError):
        getattr(GaussianMixture(), method)(np.zeros((2, 2)))


@every_structure
def test_a_mixture_put_together_by_hand(structure):
    problem = case(structure, 200, 3, 2)
    peer = Peer(2, covariance_type=structure, random_state=0, max_iter=500).fit(problem.rows)
    mixture = GaussianMixture(2, covariance_type=structure, random_state=0)
    for name in ("weights_", "means_", "precisions_cholesky_"):
        setattr(mixture, name, getattr(peer, name))
    assert_allclose(mixture.score_samples(problem.rows), peer.score_samples(problem.rows), rtol=1e-10)
    assert mixture.sample(10)[0].shape == (10, 3)
    with pytest.raises(ValueError, match="features"):
        mixture.predict(problem.rows[:, :2])


def test_names_of_features_are_kept_and_compared():
    rows, _ = two_clusters()
    mixture = GaussianMixture(2, random_state=0).fit(pd.DataFrame(rows, columns=["a", "b"]))
    assert_array_equal(mixture.feature_names_in_, ["a", "b"])
    with pytest.raises(ValueError, match="feature names"):
        mixture.predict(pd.DataFrame(rows, columns=["b", "a"]))


# the object -----------------------------------------------------------------------------------------------------------


def test_scikit_learns_parameters_have_its_defaults_and_order():
    names = list(Peer().get_params())
    ours = GaussianMixture().get_params()
    assert {name: ours[name] for name in names} == Peer().get_params()


@pytest.mark.parametrize("options", [{"verbose": 1}, {"verbose": 2, "verbose_interval": 1}])
def test_verbose_prints_starts_iterations_and_ends(capsys, options):
    GaussianMixture(2, n_init=2, random_state=0, tol=1e-9, max_iter=500, init_params="random", **options).fit(
        two_clusters()[0]
    )
    text = capsys.readouterr().out
    assert text.count("Initialization") == 4
    assert "Iteration 10" in text
    assert ("ll change" in text) == (options["verbose"] == 2)


def test_silent_by_default(capsys):
    GaussianMixture(2, random_state=0).fit(two_clusters()[0])
    assert capsys.readouterr().out == ""
