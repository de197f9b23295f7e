"""The estimator of Student's t mixtures: interface, robustness, starts."""

import pickle

import numpy as np
import pytest
import reference
from cases import STRUCTURES, StudentCase, case
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastem
from fastem import GaussianMixture, StudentTMixture

every_structure = pytest.mark.parametrize("structure", STRUCTURES)
unfinished = pytest.mark.filterwarnings("ignore:The fit did not converge")
PARAMETERS = ("weights_", "means_", "scales_", "degrees_of_freedom_")


@parametrize_with_checks([StudentTMixture(covariance_type="diag")])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def heavy_tailed(n_rows, nu, means, seed=0, scale=None):
    """Rows of an equal mixture, one component after the other, with their labels."""
    rng = np.random.default_rng(seed)
    means = np.asarray(means, dtype=float)
    labels = np.repeat(np.arange(len(means)), n_rows // len(means))
    degrees = np.asarray(nu, dtype=float)[labels]
    rows = rng.normal(size=(len(labels), means.shape[1]))
    if scale is not None:
        rows = rows @ np.linalg.cholesky(scale).T
    return means[labels] + rows / np.sqrt(rng.chisquare(degrees) / degrees)[:, None], labels


# fits -----------------------------------------------------------------------------------------------------------------


@unfinished
@every_structure
def test_a_weighted_fit_is_the_oracles(structure):
    problem = StudentCase(case(structure, 300, 3, 3), np.array([2.0, 5.0, 20.0]))
    mixture = problem.mixture(reg_covar=0, tol=0, max_iter=3)
    mixture.fit(problem.rows, sample_weight=problem.sample_weight)
    for _ in range(3):
        problem = problem.em_step()
    for name, expected in problem.parameters.items():
        assert_allclose(getattr(mixture, name + "_"), expected, rtol=1e-5, atol=1e-6, err_msg=name)
    assert_allclose(mixture.score_samples(problem.rows), reference.log_density(problem.log_joint), atol=1e-4)


def test_parameters_are_recovered():
    scale = np.array([[2.0, 0.6], [0.6, 1.0]])
    rows, _ = heavy_tailed(20_000, [3.0, 8.0], [[0, 0], [12, 4]], scale=scale)
    mixture = StudentTMixture(2, tol=1e-7, max_iter=1_000, random_state=0).fit(rows)
    order = np.argsort(mixture.means_[:, 0])
    assert_allclose(mixture.means_[order], [[0, 0], [12, 4]], atol=0.08)
    assert_allclose(mixture.scales_[order], [scale, scale], atol=0.12)
    assert_allclose(mixture.degrees_of_freedom_[order], [3.0, 8.0], rtol=0.15)
    assert_allclose(
        mixture.covariances_,
        mixture.scales_ * (mixture.degrees_of_freedom_ / (mixture.degrees_of_freedom_ - 2))[:, None, None],
    )


def test_gaussian_rows_take_the_degrees_of_freedom_up():
    rows = np.random.default_rng(0).normal(size=(5_000, 2))
    mixture = StudentTMixture(tol=1e-9, max_iter=3_000, random_state=0).fit(rows)
    gaussian = GaussianMixture(random_state=0).fit(rows)
    assert mixture.degrees_of_freedom_[0] > 50
    assert_allclose(mixture.covariances_, gaussian.covariances_, rtol=0.02, atol=0.01)


@every_structure
@pytest.mark.parametrize("degrees_of_freedom", ["free", "shared", 4.0])
def test_outliers_do_not_move_the_clusters(structure, degrees_of_freedom):
    rows, labels = heavy_tailed(1_000, [5.0, 5.0], [[0, 0], [8, 0]])
    outliers = np.random.default_rng(1).uniform(-1_000, 1_000, size=(10, 2))
    options = {"covariance_type": structure, "random_state": 0}
    mixture = StudentTMixture(2, degrees_of_freedom=degrees_of_freedom, tol=1e-5, max_iter=500, **options)
    mixture.fit(np.concatenate([rows, outliers]))
    assert_allclose(mixture.means_[np.argsort(mixture.means_[:, 0])], [[0, 0], [8, 0]], atol=0.3)
    found = mixture.predict(rows)
    assert max((found == labels).mean(), (found != labels).mean()) > 0.97
    gaussian = GaussianMixture(2, **options).fit(np.concatenate([rows, outliers]))
    assert np.abs(gaussian.means_).max() > 20


@every_structure
@pytest.mark.parametrize("degrees_of_freedom", ["free", "shared", 3.0])
def test_acceleration_ends_where_em_does(structure, degrees_of_freedom):
    rows, _ = heavy_tailed(900, [3.0, 5.0, 9.0], [[0, 0], [3, 1], [1, 4]])
    options = {"covariance_type": structure, "degrees_of_freedom": degrees_of_freedom, "random_state": 0}
    plain, fast = (
        StudentTMixture(3, acceleration=a, tol=1e-9, stopping="gap", max_iter=20_000, **options).fit(rows)
        for a in (None, "squarem")
    )
    assert_allclose(fast.log_likelihood_, plain.log_likelihood_, atol=1e-7)
    assert_allclose(fast.means_, plain.means_, atol=1e-2)
    assert fast.n_iter_ < plain.n_iter_


def test_degrees_of_freedom_are_what_was_asked_for():
    rows, _ = heavy_tailed(600, [3.0, 6.0], [[0, 0], [9, 0]])
    shared = StudentTMixture(2, degrees_of_freedom="shared", random_state=0).fit(rows)
    assert np.ptp(shared.degrees_of_freedom_) == 0
    given = StudentTMixture(2, degrees_of_freedom=[1.0, 7.0], random_state=0).fit(rows)
    assert_array_equal(given.degrees_of_freedom_, [1.0, 7.0])
    assert np.isnan(given.covariances_[0]).all()
    assert np.isfinite(given.covariances_[1]).all()
    free = StudentTMixture(2, random_state=0).fit(rows)
    for mixture, more in ((free, 2), (shared, 1), (given, 0)):
        count = 2 * 3 + 2 * 2 + 1 + more
        assert_allclose(mixture.aic(rows), 2 * count - 2 * len(rows) * mixture.score(rows))


def test_covariances_of_a_tied_scale_have_one_matrix_a_component():
    rows, _ = heavy_tailed(600, [3.0, 60.0], [[0, 0], [9, 0]])
    mixture = StudentTMixture(2, covariance_type="tied", random_state=0).fit(rows)
    nu = mixture.degrees_of_freedom_
    assert_allclose(
        mixture.covariances_, [mixture.scales_ * n / (n - 2) if n > 2 else mixture.scales_ * np.nan for n in nu]
    )


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random_from_data"])
@pytest.mark.parametrize("subsampling", [False, True])
def test_every_start_finds_two_distant_clusters(init_params, subsampling):
    rows, labels = heavy_tailed(400, [4.0, 4.0], [[0, 0], [30, 30]])
    options = {"init_params": init_params, "subsampling": subsampling}
    mixture = StudentTMixture(2, n_init=5, max_iter=1_000, tol=1e-6, random_state=0, **options).fit(rows)
    found = mixture.predict(rows)
    assert (found == found[0]).sum() == 200
    assert_array_equal(found == found[0], labels == labels[0])


def test_a_partition_starts_with_its_moments():
    rows, labels = heavy_tailed(400, [4.0, 4.0], [[0, 0], [30, 30]])
    mixture = StudentTMixture(2, init_params=labels, max_iter=0, degrees_of_freedom_init=7.0, reg_covar=0).fit(rows)
    expected = reference.m_step("full", rows, np.eye(2)[labels])
    for name, value in zip(PARAMETERS, expected, strict=False):
        assert_allclose(getattr(mixture, name), value, rtol=1e-10, err_msg=name)
    assert_array_equal(mixture.degrees_of_freedom_, 7.0)


def test_a_part_of_the_parameters_may_be_given():
    rows, _ = heavy_tailed(400, [4.0, 4.0], [[0, 0], [9, 0]])
    mixture = StudentTMixture(2, means_init=[[0.0, 0.0], [9.0, 0.0]], random_state=0).fit(rows)
    assert_allclose(mixture.means_, [[0.0, 0.0], [9.0, 0.0]], atol=0.5)


@pytest.mark.parametrize("e_step", ["hard", "stochastic"])
def test_other_e_steps(e_step):
    rows, _ = heavy_tailed(1_000, [4.0, 4.0], [[0, 0], [9, 0]])
    mixture = StudentTMixture(2, e_step=e_step, random_state=0, max_iter=300).fit(rows)
    assert_allclose(mixture.means_[np.argsort(mixture.means_[:, 0])], [[0, 0], [9, 0]], atol=0.3)
    if e_step == "hard":
        assert (np.diff(mixture.lower_bounds_) >= -1e-12).all()


@every_structure
def test_learning_from_batches(structure):
    rows, _ = heavy_tailed(8_000, [4.0, 4.0], [[0, 0], [9, 0]])
    rows = np.random.default_rng(0).permutation(rows)
    options = {"covariance_type": structure, "random_state": 0}
    mixture = StudentTMixture(2, batch_size=500, **options)
    for part in np.split(rows, 8):
        mixture.partial_fit(part)
    whole = StudentTMixture(2, tol=1e-6, max_iter=500, **options).fit(rows)
    order, expected = np.argsort(mixture.means_[:, 0]), np.argsort(whole.means_[:, 0])
    assert_allclose(mixture.means_[order], whole.means_[expected], atol=0.2)
    assert_allclose(mixture.degrees_of_freedom_[order], whole.degrees_of_freedom_[expected], rtol=0.3)
    assert whole.score(rows) - mixture.score(rows) < 0.01


# what is said of rows -------------------------------------------------------------------------------------------------


@every_structure
def test_samples_come_from_the_mixture(structure):
    rows, _ = heavy_tailed(2_000, [6.0, 9.0], [[0, 0], [9, 0]])
    mixture = StudentTMixture(2, covariance_type=structure, degrees_of_freedom=[6.0, 9.0], random_state=0).fit(rows)
    drawn, labels = mixture.sample(60_000)
    assert_allclose(np.bincount(labels) / 60_000, mixture.weights_, atol=0.01)
    matrices = reference.matrices(structure, mixture.scales_, 2, 2)
    for k, nu in enumerate((6.0, 9.0)):
        mine = drawn[labels == k]
        assert_allclose(mine.mean(axis=0), mixture.means_[k], atol=0.05)
        assert_allclose(np.cov(mine.T), matrices[k] * nu / (nu - 2), rtol=0.1, atol=0.05)


def test_models_are_kept(tmp_path):
    rows, _ = heavy_tailed(300, [3.0, 6.0], [[0, 0], [9, 0]])
    for structure in STRUCTURES:
        mixture = StudentTMixture(2, covariance_type=structure, random_state=0).fit(rows)
        fastem.save(mixture, tmp_path / "model")
        for copy in (pickle.loads(pickle.dumps(mixture)), fastem.load(tmp_path / "model")):
            assert_array_equal(copy.score_samples(rows), mixture.score_samples(rows))
            assert_array_equal(copy.covariances_, mixture.covariances_)
        assert clone(mixture).get_params() == mixture.get_params()


def test_an_unfitted_mixture_has_no_covariances():
    with pytest.raises(NotFittedError):
        _ = StudentTMixture().covariances_


def test_equal_rows_are_reported():
    rows = np.concatenate([np.random.default_rng(0).normal(size=(50, 2)), np.full((50, 2), 30.0)])
    with pytest.warns(ConvergenceWarning, match="no variance of its own|became singular"):
        StudentTMixture(2, random_state=0).fit(rows)


BAD_PARAMETERS = [
    ({"degrees_of_freedom": "few"}, "The 'degrees_of_freedom' parameter of StudentTMixture"),
    ({"degrees_of_freedom": 0.0}, "The 'degrees_of_freedom' parameter of StudentTMixture"),
    ({"degrees_of_freedom": [1.0, 2.0, 3.0]}, "shape"),
    ({"degrees_of_freedom": [1.0, -2.0]}, "between"),
    ({"degrees_of_freedom": 3.0, "degrees_of_freedom_init": 4.0}, "no use"),
    ({"degrees_of_freedom": "shared", "degrees_of_freedom_init": [3.0, 4.0]}, "one number"),
    ({"degrees_of_freedom_init": [np.nan, 4.0]}, "NaN"),
    ({"scales_init": np.ones((2, 3, 3))}, "shape"),
    ({"scales_init": [[[1.0, 2.0], [2.0, 1.0]]] * 2}, "positive-definite"),
    ({"scales_init": [[[1.0, 0.5], [0.1, 1.0]]] * 2}, "symmetric"),
    ({"covariance_type": "diag", "scales_init": [[1.0, 0.0], [1.0, 1.0]]}, "positive"),
    ({"covariance_type": "spherical", "scales_init": [1.0]}, "shape"),
    ({"weights_init": [0.5, 0.6]}, "normalized"),
]


@pytest.mark.parametrize(("options", "message"), BAD_PARAMETERS)
def test_bad_parameters_are_refused(options, message):
    rows, _ = heavy_tailed(100, [3.0, 6.0], [[0, 0], [9, 0]])
    with pytest.raises(ValueError, match=message):
        StudentTMixture(2, **options).fit(rows)
