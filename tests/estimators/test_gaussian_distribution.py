"""A mixture as a distribution, against SciPy, numerical integration and closed forms."""

import numpy as np
import pandas as pd
import pytest
import reference
from cases import STRUCTURES, case
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import trapezoid
from scipy.special import entr
from scipy.stats import multivariate_normal, norm
from sklearn.exceptions import NotFittedError

import fastem
from fastem import GaussianMixture, KMeans, StudentTMixture, entropy, kl_divergence


def at(c, **params):
    return GaussianMixture.from_parameters(c.weights, c.means, c.covariances, covariance_type=c.structure, **params)


def matrices(mixture):
    return reference.matrices(mixture.covariance_type, mixture.covariances_, *mixture.means_.shape)


def density(mixture, rows):
    joint = reference.log_joint(np.atleast_2d(rows), mixture.weights_, mixture.means_, matrices(mixture))
    return np.exp(reference.log_density(joint))


def integral(function, low, high, n_points=20_001):
    """Of a smooth function of an array that vanishes at both ends: there the trapezoidal rule has every digit."""
    x = np.linspace(low, high, n_points)
    return trapezoid(function(x), x)


def mixture_of(weights, means, deviations):
    """One feature."""
    means = np.reshape(means, (-1, 1))
    return GaussianMixture.from_parameters(weights, means, np.square(deviations), covariance_type="spherical")


# from parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("by_precisions", [False, True])
def test_parameters_make_a_mixture(structure, by_precisions):
    c = case(structure, 100, 3, 4)
    inverse = np.linalg.inv if structure in ("full", "tied") else np.reciprocal
    covariances = {"precisions": inverse(c.covariances)} if by_precisions else {"covariances": c.covariances}
    mixture = GaussianMixture.from_parameters(
        c.weights, c.means, **covariances, covariance_type=structure, random_state=0
    )
    assert_allclose(mixture.score_samples(c.rows), reference.log_density(c.log_joint), rtol=1e-10)
    assert_allclose(mixture.predict_proba(c.rows), reference.responsibilities(c.log_joint), atol=1e-10)
    assert_allclose(mixture.covariances_, c.covariances, rtol=1e-10)
    assert_allclose(mixture.precisions_, inverse(c.covariances), rtol=1e-9, atol=1e-12)
    assert mixture.get_params()["n_components"] == 4
    assert mixture.n_features_in_ == 3
    rows, labels = mixture.sample(20_000)
    expected = c.weights @ c.means
    assert_allclose(rows.mean(axis=0), expected, atol=0.1)
    assert_allclose(np.bincount(labels) / len(labels), c.weights, atol=0.02)
    assert np.isfinite(mixture.bic(c.rows))


def test_what_was_given_is_copied():
    weights, means, covariances = np.array([0.5, 0.5]), np.zeros((2, 1)), np.ones((2, 1, 1))
    mixture = GaussianMixture.from_parameters(weights, means, covariances)
    for array in (weights, means, covariances):
        array[:] = 7.0
    assert_array_equal(mixture.weights_, [0.5, 0.5])
    assert_array_equal(mixture.means_, 0.0)
    assert_array_equal(mixture.covariances_, 1.0)


def test_lists_integers_and_names():
    mixture = GaussianMixture.from_parameters([1], [[0, 1]], [[2, 3]], covariance_type="diag", feature_names=["a", "b"])
    assert_array_equal(mixture.feature_names_in_, ["a", "b"])
    frame = pd.DataFrame({"a": [0.0], "b": [1.0]})
    assert_allclose(mixture.score_samples(frame), norm.logpdf(0, 0, np.sqrt(2)) + norm.logpdf(0, 0, np.sqrt(3)))


def test_learning_goes_on_from_the_parameters(faithful):
    c = [0.4, 0.6], [[2.0, 55.0], [4.0, 80.0]], [np.diag([0.1, 30.0]), np.diag([0.2, 35.0])]
    warm = GaussianMixture.from_parameters(*c, warm_start=True, reg_covar=0.0, max_iter=500, tol=1e-12)
    given = GaussianMixture(
        2,
        weights_init=c[0],
        means_init=c[1],
        precisions_init=np.linalg.inv(c[2]),
        reg_covar=0.0,
        max_iter=500,
        tol=1e-12,
    )
    assert_allclose(warm.fit(faithful).means_, given.fit(faithful).means_, rtol=1e-8)
    stream = GaussianMixture.from_parameters(*c).partial_fit(faithful[:1])
    assert_allclose(stream.means_, c[1], rtol=0.2)


def test_parameters_survive_being_saved(tmp_path):
    c = case("full", 10, 2, 3)
    fastem.save(at(c), tmp_path / "mixture")
    assert_array_equal(fastem.load(tmp_path / "mixture").score_samples(c.rows), at(c).score_samples(c.rows))


GOOD = {"weights": [0.5, 0.5], "means": [[0.0, 1.0], [2.0, 3.0]], "covariances": [np.eye(2), np.eye(2)]}
WRONG = {
    "weights, shape": ({"weights": [1.0]}, "'weights' should have the shape"),
    "weights, sum": ({"weights": [0.5, 0.6]}, "sum to one"),
    "weights, negative": ({"weights": [1.5, -0.5]}, "non-negative"),
    "weights, NaN": ({"weights": [np.nan, 1.0]}, "NaN"),
    "means, one axis": ({"means": [0.0, 1.0]}, "2D array"),
    "means, NaN": ({"means": [[0.0, np.nan], [0.0, 0.0]]}, "NaN"),
    "covariances, shape": ({"covariances": np.eye(2)}, "'covariances' should have the shape"),
    "not symmetric": ({"covariances": [np.eye(2), [[1.0, 0.5], [0.0, 1.0]]]}, "covariances must be symmetric"),
    "indefinite": ({"covariances": [np.eye(2), [[1.0, 2.0], [2.0, 1.0]]]}, r"of components \[1\] must be positive-def"),
    "singular": ({"covariances": [np.ones((2, 2)), np.eye(2)]}, r"of components \[0\] must be positive-definite"),
    "negative variance": ({"covariances": [[1, -1], [1, 1]], "covariance_type": "diag"}, "must be positive"),
    "zero variance": ({"covariances": [1, 0], "covariance_type": "spherical"}, r"of components \[1\] must be positive"),
    "tied": ({"covariances": -np.eye(2), "covariance_type": "tied"}, "The covariances must be positive-definite"),
    "precisions": ({"covariances": None, "precisions": -np.ones((2, 2, 2))}, "The precisions of components"),
    "type": ({"covariance_type": "banded"}, "covariance_type must be one of"),
    "names": ({"feature_names": ["a"]}, "feature_names must hold 2 different names"),
    "equal names": ({"feature_names": ["a", "a"]}, "feature_names must hold 2 different names"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_mixture_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture.from_parameters(**{**GOOD, **change})


def test_either_covariances_or_precisions():
    for change in ({"covariances": None}, {"precisions": GOOD["covariances"]}):
        with pytest.raises(TypeError, match="either covariances or precisions"):
            GaussianMixture.from_parameters(**{**GOOD, **change})
    with pytest.raises(TypeError, match="nonsense"):
        GaussianMixture.from_parameters(**GOOD, nonsense=1)


# marginal and conditional ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", STRUCTURES)
def test_marginal_integrates_the_others_out(structure):
    mixture = at(case(structure, 10, 2, 3))
    of_one = mixture.marginal([1])
    assert of_one.covariance_type == structure
    for y in (3.0, 5.5):
        expected = integral(lambda x, y=y: density(mixture, np.stack([x, np.full_like(x, y)], axis=1)), -40, 50)
        assert_allclose(np.exp(of_one.score_samples([[y]]))[0], expected, rtol=1e-7)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_conditional_is_joint_over_marginal(structure):
    c = case(structure, 30, 4, 3)
    mixture = at(c)
    known = {2: 4.5, 0: 6.0}
    found = mixture.condition(known)
    assert found.covariance_type == structure
    points = c.rows.copy()
    points[:, [2, 0]] = 4.5, 6.0
    expected = density(mixture, points) / density(mixture.marginal([2, 0]), [[4.5, 6.0]])
    assert_allclose(np.exp(found.score_samples(points[:, [1, 3]])), expected, rtol=1e-9)


@given(st.sampled_from(STRUCTURES), st.integers(0, 1_000))
def test_marginal_and_conditional_compose(structure, seed):
    mixture = at(case(structure, 5, 4, 3, seed))
    first = mixture.marginal([3, 1, 0]).marginal([2, 0])
    second = mixture.marginal([0, 3])
    assert_allclose(first.means_, second.means_)
    assert_allclose(matrices(first), matrices(second))
    both, in_turn = mixture.condition({0: 5.0, 2: 4.0}), mixture.condition({2: 4.0}).condition({0: 5.0})
    assert_allclose(in_turn.weights_, both.weights_, rtol=1e-7, atol=1e-12)
    assert_allclose(in_turn.means_, both.means_, rtol=1e-8)
    assert_allclose(matrices(in_turn), matrices(both), rtol=1e-8, atol=1e-12)


def test_one_component_is_conditioned_by_the_textbook():
    c = case("full", 5, 3, 1)
    found = at(c).condition({1: 7.0})
    rest, sigma = [0, 2], c.covariances[0]
    slope = sigma[rest, 1] / sigma[1, 1]
    assert_array_equal(found.weights_, [1.0])
    assert_allclose(found.means_[0], c.means[0, rest] + slope * (7.0 - c.means[0, 1]))
    assert_allclose(found.covariances_[0], sigma[np.ix_(rest, rest)] - np.outer(slope, sigma[1, rest]), atol=1e-12)


def test_values_far_away_have_a_conditional():
    mixture = mixture_2d()
    found = mixture.condition({0: 1e6})
    assert_allclose(found.weights_.sum(), 1.0)
    assert np.isfinite(found.means_).all()


def mixture_2d(**params):
    return GaussianMixture.from_parameters(
        [0.3, 0.7], [[0.0, 0.0], [3.0, 1.0]], [[[1.0, 0.6], [0.6, 1.0]], [[0.5, -0.2], [-0.2, 2.0]]], **params
    )


def test_features_by_name(faithful):
    frame = pd.DataFrame(faithful, columns=["eruptions", "waiting"])
    mixture = GaussianMixture(2, random_state=0, tol=1e-6).fit(frame)
    assert_array_equal(mixture.marginal("waiting").means_, mixture.means_[:, 1:])
    assert_array_equal(mixture.marginal(["waiting", 0]).feature_names_in_, ["waiting", "eruptions"])
    found = mixture.condition({"waiting": 60.0})
    assert_array_equal(found.feature_names_in_, ["eruptions"])
    assert_array_equal(found.means_, mixture.condition({1: 60.0}).means_)
    assert_array_equal(found.means_, mixture.condition({-1: 60.0}).means_)
    expected = mixture.regress(faithful[:, 1:], targets=0)
    assert_array_equal(mixture.regress(frame[["waiting"]], targets="eruptions"), expected)


def test_settings_are_kept_and_starts_are_not(faithful):
    mixture = GaussianMixture(2, random_state=3, tol=1e-5, init_params=np.arange(len(faithful)) % 2).fit(faithful)
    for found in (mixture.marginal([0]), mixture.condition({1: 70.0})):
        assert found.get_params()["random_state"] == 3
        assert found.get_params()["tol"] == 1e-5
        assert found.get_params()["init_params"] == "kmeans"
        assert found.sample(3)[0].shape == (3, 1)


def test_a_retired_component_stays_retired():
    mixture = GaussianMixture.from_parameters([0.0, 1.0], [[0.0, 0.0], [3.0, 1.0]], np.tile(np.eye(2), (2, 1, 1)))
    assert_array_equal(mixture.condition({0: 0.0}).weights_, [0.0, 1.0])
    assert_array_equal(mixture.regress([[0.0]], targets=1), [[1.0]])


def test_features_that_do_not_exist():
    mixture = mixture_2d()
    refused = [
        (lambda: mixture.marginal([2]), "Feature 2 is out of range: there are 2"),
        (lambda: mixture.marginal([0, 0]), "a feature twice"),
        (lambda: mixture.marginal([]), "at least one feature"),
        (lambda: mixture.marginal(["x"]), "knows no feature_names_in_"),
        (lambda: mixture.marginal([True]), "must be an index or a name"),
        (lambda: mixture.marginal([0.0]), "must be an index or a name"),
        (lambda: mixture_2d(feature_names=["x", "y"]).marginal(["z"]), "Unknown feature 'z'; there are x, y"),
        (lambda: mixture.condition({0: 1.0, 1: 2.0}), "At least one feature must be left"),
        (lambda: mixture.condition({}), "values must hold at least one feature"),
        (lambda: mixture.condition([(0, 1.0)]), "must be a mapping"),
        (lambda: mixture.condition({0: np.nan}), "NaN"),
        (lambda: mixture.regress([[1.0, 2.0]], targets=0), "2 features"),
        (lambda: mixture.regress([[1.0]], targets=[0, 1]), "At least one feature must be left"),
    ]
    for call, message in refused:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(NotFittedError):
        GaussianMixture(2).marginal([0])


# regression -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("targets", [[1], [2, 0]])
def test_regression_is_the_mean_of_the_conditional(structure, targets):
    c = case(structure, 20, 3, 4)
    mixture = at(c)
    known = [j for j in range(3) if j not in targets]
    means, covariances = mixture.regress(c.rows[:, known], targets, return_cov=True)
    assert means.shape == (20, len(targets))
    assert covariances.shape == (20, len(targets), len(targets))
    order = np.argsort(targets)
    for row, mean, covariance in zip(c.rows, means, covariances, strict=True):
        given = mixture.condition(dict(zip(known, row[known], strict=True)))  # in the order of the features
        expected = given.weights_ @ given.means_
        apart = given.means_ - expected
        spread = np.einsum("k,kij->ij", given.weights_, matrices(given) + apart[:, :, None] * apart[:, None, :])
        assert_allclose(mean[order], expected, rtol=1e-9)
        assert_allclose(covariance[np.ix_(order, order)], spread, rtol=1e-8, atol=1e-10)
    assert_array_equal(mixture.regress(c.rows[:, known], targets), means)


def test_regression_by_integration():
    mixture, x = mixture_2d(), 1.2
    total, mean, square = (
        integral(lambda y, n=n: y**n * density(mixture, np.stack([np.full_like(y, x), y], axis=1)), -20, 20)
        for n in range(3)
    )
    found, variance = mixture.regress([[x]], targets=1, return_cov=True)
    assert_allclose(found[0, 0], mean / total, rtol=1e-8)
    assert_allclose(variance[0, 0, 0], square / total - (mean / total) ** 2, rtol=1e-7)


def test_regression_in_pieces(monkeypatch):
    c = case("full", 50, 3, 2)
    expected = at(c).regress(c.rows[:, 1:], 0, return_cov=True)
    monkeypatch.setattr("fastem.families.conditioning.PIECE_NUMBERS", 28)
    for whole, pieces in zip(expected, at(c).regress(c.rows[:, 1:], 0, return_cov=True), strict=True):
        assert_allclose(pieces, whole, rtol=1e-12)


# entropy and divergence -----------------------------------------------------------------------------------------------


def by_integration(mixture):
    return integral(lambda x: entr(density(mixture, x[:, None])), -15, 25)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_one_component_is_exact(structure):
    p, q = at(case(structure, 5, 3, 1, seed=1)), at(case(structure, 5, 3, 1, seed=2))
    own, other = matrices(p)[0], matrices(q)[0]
    found = entropy(p)
    assert_allclose(found.value, multivariate_normal(p.means_[0], own).entropy())
    assert (found.standard_error, found.lower, found.upper) == (0.0, found.value, found.value)
    shift, inverse = q.means_[0] - p.means_[0], np.linalg.inv(other)
    log_ratio = np.linalg.slogdet(other)[1] - np.linalg.slogdet(own)[1]
    found = kl_divergence(p, q)
    assert_allclose(found.value, 0.5 * (np.trace(inverse @ own) + shift @ inverse @ shift - 3 + log_ratio))
    assert (found.standard_error, found.lower, found.upper) == (0.0, found.value, found.value)


MIXTURES = {
    "apart": ([0.4, 0.6], [-5.0, 10.0], [1.0, 0.5]),
    "overlapping": ([0.3, 0.3, 0.4], [0.0, 1.0, 2.5], [1.0, 0.4, 1.0]),
    "nested": ([0.5, 0.5], [1.0, 1.0], [0.2, 3.0]),
    "the same twice": ([0.5, 0.5], [1.0, 1.0], [1.0, 1.0]),
}


@pytest.mark.parametrize("parameters", MIXTURES.values(), ids=MIXTURES)
def test_entropy_of_one_feature(parameters):
    mixture = mixture_of(*parameters)
    expected, found = by_integration(mixture), entropy(mixture, random_state=0)
    assert found.lower - 1e-9 <= expected <= found.upper + 1e-9
    assert abs(found.value - expected) < 4 * found.standard_error + 1e-7
    assert found.standard_error < 0.01


@pytest.mark.parametrize("second", MIXTURES.values(), ids=MIXTURES)
@pytest.mark.parametrize("first", MIXTURES.values(), ids=MIXTURES)
def test_divergence_of_one_feature(first, second):
    p, q = mixture_of(*first), mixture_of(*second)

    def log_density(mixture, x):
        joint = reference.log_joint(x[:, None], mixture.weights_, mixture.means_, matrices(mixture))
        return reference.log_density(joint)

    expected = integral(lambda x: np.exp(log_density(p, x)) * (log_density(p, x) - log_density(q, x)), -15, 25)
    found = kl_divergence(p, q, n_samples=20_000, random_state=0)
    assert found.lower - 1e-7 <= expected <= found.upper + 1e-7
    assert abs(found.value - expected) < 4 * found.standard_error + 1e-7


def test_entropy_and_divergence_of_two_features():
    p, q = (
        mixture_2d(),
        GaussianMixture.from_parameters(
            [0.5, 0.5], [[0.5, 0.0], [2.0, 1.0]], [[[1.5, 0.0], [0.0, 1.5]], [[1.0, 0.3], [0.3, 2.0]]]
        ),
    )
    grid = np.linspace(-8, 12, 161)  # smooth: the rectangle rule is exact
    step = grid[1] - grid[0]
    points = np.stack(np.meshgrid(grid, grid), axis=-1)
    of_p, of_q = (
        sum(
            weight * multivariate_normal(mean, covariance).pdf(points)
            for weight, mean, covariance in zip(m.weights_, m.means_, m.covariances_, strict=True)
        )
        for m in (p, q)
    )
    expected = -(of_p * np.log(of_p)).sum() * step**2
    found = entropy(p, random_state=0)
    assert found.lower <= expected <= found.upper
    assert abs(found.value - expected) < 4 * found.standard_error
    expected = (of_p * np.log(of_p / of_q)).sum() * step**2
    found = kl_divergence(p, q, random_state=0)
    assert found.lower <= expected <= found.upper
    assert abs(found.value - expected) < 4 * found.standard_error


def test_bounds_meet_where_components_are_apart():
    found = entropy(mixture_of([0.25, 0.75], [0.0, 100.0], [1.0, 2.0]), random_state=0)
    exact = 0.25 * norm(0, 1).entropy() + 0.75 * norm(0, 2).entropy() - 0.25 * np.log(0.25) - 0.75 * np.log(0.75)
    assert_allclose([found.value, found.lower, found.upper], exact, rtol=1e-12)
    assert found.standard_error == 0.0


@given(st.sampled_from(STRUCTURES), st.integers(0, 1_000))
def test_bounds_hold(structure, seed):
    p, q = (at(case(structure, 5, 2, 3, seed + n)) for n in range(2))
    for found in (entropy(p, n_samples=2_000, random_state=0), kl_divergence(p, q, n_samples=2_000, random_state=0)):
        assert found.lower <= found.value + 5 * found.standard_error
        assert found.value - 5 * found.standard_error <= found.upper
    itself = kl_divergence(p, p, n_samples=10)
    assert_allclose(itself, 0.0, atol=1e-9)


def test_rows_come_in_pieces_and_from_the_seed(monkeypatch):
    p, q = mixture_2d(), mixture_2d().set_params(arithmetic="float32")
    assert kl_divergence(p, q, n_samples=100, random_state=0).value == 0.0
    other = at(case("full", 5, 2, 3))
    assert kl_divergence(p, other, random_state=0) == kl_divergence(p, other, random_state=0)
    whole = kl_divergence(p, other, random_state=0, n_samples=30_000)
    monkeypatch.setattr("fastem.inference.divergences.PIECE_NUMBERS", 5_000)
    pieces = kl_divergence(p, other, random_state=0, n_samples=30_000)
    assert abs(whole.value - pieces.value) < 5 * whole.standard_error
    assert_allclose(pieces.standard_error, whole.standard_error, rtol=0.1)


def test_components_far_from_each_other_have_finite_bounds():
    p, q = mixture_of([0.5, 0.5], [0.0, 1.0], [1.0, 1.0]), mixture_of([0.5, 0.5], [1e3, 2e3], [1.0, 1.0])
    found = kl_divergence(p, q, random_state=0)
    assert np.isfinite(found).all()
    assert found.lower <= found.value + 4 * found.standard_error
    assert found.value - 4 * found.standard_error <= found.upper


def test_what_entropy_and_divergence_refuse():
    p = mixture_2d()
    with pytest.raises(TypeError, match="q must be a fitted GaussianMixture, got KMeans"):
        kl_divergence(p, KMeans(2))
    with pytest.raises(TypeError, match="got StudentTMixture"):
        entropy(StudentTMixture(2))
    with pytest.raises(NotFittedError):
        entropy(GaussianMixture(2))
    with pytest.raises(ValueError, match="p has 2 features, but q 1"):
        kl_divergence(p, p.marginal([0]))
    for n_samples in (1, 10.0, "many"):
        with pytest.raises(ValueError, match="n_samples must be"):
            entropy(p, n_samples=n_samples)
