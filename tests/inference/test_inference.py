"""Score, observed information and standard errors, against finite differences and closed forms."""

import warnings

import numpy as np
import pytest
import reference
from cases import STRUCTURES, case
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logit
from scipy.stats import norm
from sklearn.exceptions import NotFittedError

import fastem
from fastem import Chunks, GaussianMixture, KMeans, inference, standard_errors
from fastem.inference import InferenceWarning, confidence_intervals, observed_information, score

KINDS = ("louis", "opg", "sandwich")
SHAPES = [(60, 2, 2), (40, 1, 1), (50, 1, 3), (70, 3, 2), (9, 2, 1)]  # rows, features, components


# the plain twin -------------------------------------------------------------------------------------------------------


def unpacked(structure, theta, n_components, n_features):
    """Weights, means and covariances from a vector in the documented order."""
    weights, means, entries = np.split(theta, [n_components, n_components * (1 + n_features)])
    means = means.reshape(n_components, n_features)
    if structure == "diag":
        return weights, means, entries.reshape(n_components, n_features)
    if structure == "spherical":
        return weights, means, entries
    matrices = []
    for triangle in entries.reshape(-1, n_features * (n_features + 1) // 2):
        matrix, left = np.zeros((n_features, n_features)), list(triangle)
        for i in range(n_features):
            for j in range(i + 1):
                matrix[i, j] = matrix[j, i] = left.pop(0)
        matrices.append(matrix)
    return weights, means, np.array(matrices) if structure == "full" else matrices[0]


def packed(structure, weights, means, covariances):
    if structure in ("full", "tied"):
        triangle = np.tril_indices(means.shape[1])
        covariances = np.concatenate([matrix[triangle] for matrix in covariances.reshape(-1, *[means.shape[1]] * 2)])
    return np.concatenate([weights, means.ravel(), covariances.ravel()])


def log_densities(structure, rows, theta, n_components):
    """ln p of each row, with weights that need not sum to one."""
    weights, means, covariances = unpacked(structure, theta, n_components, rows.shape[1])
    matrices = reference.matrices(structure, covariances, *means.shape)
    return reference.log_density(reference.log_joint(rows, weights, means, matrices))


def gradient(function, theta, step=1e-4):
    """Central differences of the fourth order, the derivatives in the last axis."""
    columns = []
    for unit in step * np.eye(len(theta)):
        near = function(theta + unit) - function(theta - unit)
        far = function(theta + 2 * unit) - function(theta - 2 * unit)
        columns.append((8 * near - far) / (12 * step))
    return np.stack(columns, axis=-1)


def derivative_of_gradient(function, theta, direction, step=1e-3):
    return gradient(lambda t: gradient(function, theta + t * direction, step), np.zeros(1), step)[:, 0]


def hessian(function, theta, step=1e-3):
    return gradient(lambda point: gradient(function, point, step), theta, step)


def free(theta, n_components):
    """Derivatives of all parameters by all but the last weight, which is what the others leave."""
    directions = np.delete(np.eye(len(theta)), n_components - 1, axis=1)
    directions[n_components - 1, : n_components - 1] = -1.0
    return directions


def at(c):
    return GaussianMixture.from_parameters(c.weights, c.means, c.covariances, covariance_type=c.structure)


def fitted(structure, X, n_components=1, sample_weight=None, **options):
    options = {"tol": 1e-13, "max_iter": 10_000, "reg_covar": 0.0, "random_state": 0, **options}
    return GaussianMixture(n_components, covariance_type=structure, **options).fit(X, sample_weight=sample_weight)


def vector(mixture):
    return packed(mixture.covariance_type, mixture.weights_, mixture.means_, mixture.covariances_)


def quiet(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


@pytest.fixture(params=[(structure, *shape) for structure in STRUCTURES for shape in SHAPES], ids=str)
def problem(request):
    """Rows with weights, parameters near those that made them, and the plain log-likelihood."""
    c = case(*request.param, seed=3)

    def log_likelihood(theta):
        return c.sample_weight @ log_densities(c.structure, c.rows, theta, len(c.weights))

    return c, packed(c.structure, c.weights, c.means, c.covariances), log_likelihood


# score and information ------------------------------------------------------------------------------------------------


def test_score_is_the_gradient_of_the_log_likelihood(problem):
    c, theta, log_likelihood = problem
    found = score(at(c), c.rows, c.sample_weight)
    weights, means, covariances = unpacked(c.structure, gradient(log_likelihood, theta), *c.means.shape)
    scale = c.sample_weight.sum()
    assert_allclose(found.weights, weights - scale, atol=1e-8 * scale)
    assert_allclose(found.means, means, atol=1e-8 * scale)
    if c.structure in ("full", "tied"):  # an entry and its mirror image moved together
        covariances = 0.5 * (covariances + covariances * np.eye(c.means.shape[1]))
    assert found.covariances.shape == c.covariances.shape
    assert_allclose(found.covariances, covariances, atol=1e-7 * scale)


def test_louis_is_minus_the_second_derivatives(problem):
    c, theta, log_likelihood = problem
    found = observed_information(at(c), c.rows, sample_weight=c.sample_weight)
    for direction in np.random.default_rng(0).normal(size=(3, len(theta))):  # all entries would be ten times the work
        expected = -derivative_of_gradient(log_likelihood, theta, direction)
        assert_allclose(found @ direction, expected, atol=1e-6 * np.abs(expected).max())


def test_opg_is_the_outer_product_of_gradients_of_rows(problem):
    c, theta, _ = problem
    found = observed_information(at(c), c.rows, "opg", sample_weight=c.sample_weight)
    scores = gradient(lambda point: log_densities(c.structure, c.rows, point, len(c.weights)), theta)
    expected = (scores * c.sample_weight[:, None]).T @ scores
    assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())


SHARED = {  # the matrix from its free entries, and their names
    "EII": (lambda entries: entries[0] * np.eye(2), ["covariances[:]"]),
    "EEI": (np.diag, ["covariances[:, 0]", "covariances[:, 1]"]),
    "EEE": (
        lambda entries: np.array([entries[:2], entries[1:]]),
        ["covariances[:, 0, 0]", "covariances[:, 1, 0]", "covariances[:, 1, 1]"],
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_one_covariance_shown_for_each_component(name):
    make, names = SHARED[name]
    entries = np.array([1.3, 0.4, 0.9])[: len(names)] if name == "EEE" else np.array([1.3, 0.9])[: len(names)]
    rows = np.random.default_rng(0).normal(size=(40, 2)) * 1.5
    weights, means = np.array([0.3, 0.7]), np.array([[0.0, 1.0], [1.0, -0.5]])

    def log_likelihood(theta):
        matrices = [make(theta[6:])] * 2
        return reference.log_density(reference.log_joint(rows, theta[:2], theta[2:6].reshape(2, 2), matrices)).sum()

    theta = np.concatenate([weights, means.ravel(), entries])
    shown = {"EII": np.full(2, entries[0]), "EEI": np.stack([entries] * 2), "EEE": np.stack([make(entries)] * 2)}[name]
    mixture = GaussianMixture.from_parameters(weights, means, shown, covariance_type=name)
    expected = -hessian(log_likelihood, theta)
    assert_allclose(observed_information(mixture, rows), expected, atol=1e-6 * np.abs(expected).max())
    by_entries = gradient(log_likelihood, theta)[6:]
    found = score(mixture, rows).covariances
    assert found.shape == shown.shape
    if name == "EEE":  # an entry and its mirror image move together
        assert_allclose(found[0][[0, 1, 1], [0, 0, 1]] * [1, 2, 1], by_entries, atol=1e-6)
    else:
        assert_allclose(found[0].ravel(), by_entries, atol=1e-6)
    fit = GaussianMixture(2, covariance_type=name, random_state=0, tol=1e-10, max_iter=2_000).fit(rows)
    errors = quiet(standard_errors, fit, rows)
    assert list(errors.names[6:]) == names
    assert errors.covariances.shape == errors.confidence_intervals().covariances.shape[:-1] == shown.shape
    assert_allclose(errors.covariances[0], errors.covariances[1])


def test_score_vanishes_at_the_maximum(faithful):
    for structure in STRUCTURES:
        found = score(fitted(structure, faithful, 2), faithful)
        for part in (found.weights, found.means, found.covariances):
            assert_allclose(part, 0.0, atol=1e-3)


def test_score_of_reg_covar(faithful):
    """What adding it to the variances leaves: -reg_covar N Lambda^2 / 2."""
    mixture = fitted("full", faithful, reg_covar=0.5)
    precision = np.linalg.inv(mixture.covariances_[0])
    assert_allclose(score(mixture, faithful).covariances[0], -0.25 * len(faithful) * precision @ precision, rtol=1e-9)


# standard errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", STRUCTURES)
def test_old_faithful(structure, faithful):
    """All three kinds from numerical derivatives by the free parameters."""
    mixture = fitted(structure, faithful, 2)
    theta = vector(mixture)
    step = np.abs(theta).min() * 1e-2

    def densities(point):
        return log_densities(structure, faithful, point, 2)

    # In units in which all parameters are alike, so that one step serves all.
    units = np.sqrt(np.abs(theta))
    directions = free(theta, 2)
    information = -hessian(lambda point: densities(theta + units * point).sum(), np.zeros(len(theta)), min(step, 2e-3))
    information = directions.T @ (information / np.outer(units, units)) @ directions
    scores = gradient(lambda point: densities(theta + units * point), np.zeros(len(theta))) / units @ directions
    inverse, outer = np.linalg.inv(information), scores.T @ scores
    expected = {"louis": inverse, "opg": np.linalg.inv(outer), "sandwich": inverse @ outer @ inverse}
    for kind in KINDS:
        errors = standard_errors(mixture, faithful, kind)
        covariance = directions @ expected[kind] @ directions.T
        scale = np.sqrt(np.diagonal(covariance))
        assert_allclose(errors.covariance / np.outer(scale, scale), covariance / np.outer(scale, scale), atol=1e-5)
        assert_allclose(packed(structure, errors.weights, errors.means, errors.covariances), scale, rtol=1e-5)
        assert_allclose(errors.estimates, theta)
        assert errors.kind == kind


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("n_features", [1, 3])
def test_one_component_has_closed_forms(structure, n_features):
    c = case(structure, 50, n_features, 1, seed=1)
    mixture = fitted(structure, c.rows)
    errors = standard_errors(mixture, c.rows)
    matrix = reference.matrices(structure, mixture.covariances_, 1, n_features)[0]
    variances, n = np.diagonal(matrix), len(c.rows)
    assert_array_equal(errors.weights, [0.0])  # it is one
    assert_allclose(errors.means, np.sqrt(variances / n)[None], rtol=1e-8)
    expected = {
        "full": np.sqrt((np.outer(variances, variances) + matrix**2) / n)[None],
        "tied": np.sqrt((np.outer(variances, variances) + matrix**2) / n),
        "diag": variances[None] * np.sqrt(2 / n),
        "spherical": variances[:1] * np.sqrt(2 / (n * n_features)),
    }
    assert_allclose(errors.covariances, expected[structure], rtol=1e-8)
    assert errors.covariances.shape == mixture.covariances_.shape


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_integer_weights_are_repeated_rows(kind, structure, faithful):
    weights = np.arange(len(faithful)) % 4
    repeated = np.repeat(faithful, weights, axis=0)
    mixture = fitted(structure, repeated, 2)
    expected = standard_errors(mixture, repeated, kind)
    found = standard_errors(mixture, faithful, kind, sample_weight=weights)
    assert_allclose(found.covariance, expected.covariance, rtol=1e-7, atol=1e-9 * np.abs(expected.covariance).max())


def test_names_and_order(faithful):
    mixture = fitted("full", faithful, 2)
    errors = standard_errors(mixture, faithful)
    assert len(errors.names) == len(errors.estimates) == len(errors.covariance) == 12
    for name, estimate, variance in zip(errors.names, errors.estimates, np.diagonal(errors.covariance), strict=True):
        attribute, place = name.rstrip("]").split("[")
        place = tuple(map(int, place.split(",")))
        assert getattr(mixture, attribute + "_")[place] == estimate
        assert getattr(errors, attribute)[place] == np.sqrt(variance)
    for structure, name in {
        "tied": "covariances[1, 0]",
        "diag": "covariances[1, 0]",
        "spherical": "covariances[1]",
    }.items():
        assert name in standard_errors(fitted(structure, faithful, 2), faithful).names


def test_weights_sum_to_one_without_error(iris):
    errors = standard_errors(fitted("tied", iris, 3), iris)
    assert_allclose(errors.covariance[:3].sum(axis=0), 0.0, atol=1e-12)
    assert np.linalg.matrix_rank(errors.covariance[:3, :3]) == 2


def test_standard_errors_follow_the_units_of_the_features(faithful):
    """Units that differ by 1e9, and an offset: the same errors in these units."""
    units, offset = np.array([1e6, 1e-3]), np.array([1e9, 0.0])
    mixture, moved = fitted("full", faithful, 2), fitted("full", faithful * units + offset, 2)
    expected, found = standard_errors(mixture, faithful), standard_errors(moved, faithful * units + offset)
    order = np.argsort(moved.means_[:, 0])[np.argsort(np.argsort(mixture.means_[:, 0]))]
    assert_allclose(found.weights[order], expected.weights, rtol=1e-4)
    assert_allclose(found.means[order] / units, expected.means, rtol=1e-4)
    assert_allclose(found.covariances[order] / np.outer(units, units), expected.covariances, rtol=1e-4)


def test_rows_may_come_from_anywhere(faithful, tmp_path):
    mixture = fitted("full", faithful, 2)
    np.save(tmp_path / "rows.npy", faithful)
    expected = standard_errors(mixture, faithful, "sandwich").covariance
    chunks = Chunks(lambda: np.split(faithful, [1, 100, 200]), n_features=2)
    for source in (chunks, tmp_path / "rows.npy"):
        assert_array_equal(standard_errors(mixture, source, "sandwich").covariance, expected)
        assert_array_equal(score(mixture, source).means, score(mixture, faithful).means)


def test_single_precision_models_are_differentiated_in_double(faithful):
    mixture = fitted("full", faithful, 2)
    expected = standard_errors(mixture, faithful).covariance
    assert_array_equal(standard_errors(mixture.set_params(arithmetic="float32"), faithful).covariance, expected)


@given(st.sampled_from(STRUCTURES), st.integers(0, 1_000))
def test_permuting_components_permutes_everything(structure, seed):
    c = case(structure, 300, 2, 3, seed)
    order = np.random.default_rng(seed).permutation(3)
    other = c._replace(weights=c.weights[order], means=c.means[order])
    if structure != "tied":
        other = other._replace(covariances=c.covariances[order])
    first, second = (quiet(standard_errors, at(one), c.rows, "sandwich") for one in (c, other))
    assert_allclose(second.weights, first.weights[order], rtol=1e-6)
    assert_allclose(second.means, first.means[order], rtol=1e-6)


# confidence intervals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", STRUCTURES)
def test_confidence_intervals_on_their_scales(structure, faithful):
    mixture = fitted(structure, faithful, 2)
    errors, found = standard_errors(mixture, faithful), confidence_intervals(mixture, faithful, level=0.9)
    q = norm.ppf(0.95)
    w = mixture.weights_
    assert_allclose(logit(found.weights).mean(axis=-1), logit(w))
    assert_allclose(np.diff(logit(found.weights))[:, 0], 2 * q * errors.weights / (w * (1 - w)))
    assert_allclose(found.means[..., 1] - mixture.means_, q * errors.means)
    assert_allclose(found.means[..., 0] - mixture.means_, -q * errors.means)
    assert found.covariances.shape == (*mixture.covariances_.shape, 2)
    variances = np.ones(mixture.covariances_.shape, dtype=bool)
    if structure in ("full", "tied"):
        variances &= np.eye(2, dtype=bool)
    ratio = np.exp(q * errors.covariances / mixture.covariances_)
    assert_allclose(found.covariances[variances, 1], (mixture.covariances_ * ratio)[variances])
    assert_allclose(found.covariances[variances, 0], (mixture.covariances_ / ratio)[variances])
    plain = mixture.covariances_ + q * errors.covariances
    assert_allclose(found.covariances[~variances, 1], plain[~variances])
    assert found.level == 0.9


def test_the_interval_of_the_only_weight_is_one(faithful):
    found = confidence_intervals(fitted("full", faithful), faithful)
    assert_array_equal(found.weights, [[1.0, 1.0]])


@pytest.mark.parametrize("level", [0.0, 1.0, 95, np.nan])
def test_levels_are_probabilities(level, faithful):
    with pytest.raises(ValueError, match="level must be"):
        confidence_intervals(fitted("full", faithful), faithful, level=level)


def test_intervals_hold_the_truth_as_often_as_they_say():
    truth = GaussianMixture.from_parameters([0.4, 0.6], [[0.0], [4.0]], [1.0, 1.5], covariance_type="spherical")
    held = []
    for seed in range(100):
        X, _ = truth.set_params(random_state=seed).sample(300)
        start = {"weights_init": [0.4, 0.6], "means_init": truth.means_, "precisions_init": truth.precisions_}
        found = confidence_intervals(fitted("spherical", X, 2, tol=1e-9, **start), X)
        for limits, value in ((found.weights, truth.weights_), (found.means, truth.means_)):
            held.append((limits[..., 0] < value) & (value < limits[..., 1]))
        held.append((found.covariances[:, 0] < truth.covariances_) & (truth.covariances_ < found.covariances[:, 1]))
    assert 0.92 < np.concatenate([part.ravel() for part in held]).mean() < 0.98


# never a number that looks right --------------------------------------------------------------------------------------


def two_heaps(seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(size=(60, 2)), rng.normal((8.0, 0.0), 1.0, size=(60, 2))])


def test_a_component_of_weight_zero_has_none():
    X = two_heaps()
    two = fitted("full", X, 2)
    mixture = GaussianMixture.from_parameters(
        [*two.weights_, 0.0], [*two.means_, [50.0, 50.0]], [*two.covariances_, np.eye(2)]
    )
    with pytest.warns(InferenceWarning, match=r"Components \[2\] have the weight zero"):
        found = standard_errors(mixture, X)
    expected = standard_errors(two, X)
    assert np.isnan(found.weights[2])
    assert np.isnan(found.means[2]).all()
    assert np.isnan(found.covariances[2]).all()
    assert_allclose(found.weights[:2], expected.weights)
    assert_allclose(found.covariances[:2], expected.covariances)
    assert np.isnan(score(mixture, X).weights[2])
    assert_array_equal(score(mixture, X).means[2], 0.0)
    assert np.isnan(observed_information(mixture, X)[2]).all()


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_a_component_that_stands_on_reg_covar_has_none(structure):
    X = np.concatenate([two_heaps(), np.tile([[4.0, 9.0]], (20, 1))])
    start = np.repeat([0, 1, 2], [60, 60, 20])
    mixture = quiet(fitted, structure, X, 3, reg_covar=1e-6, init_params=start)
    with pytest.warns(InferenceWarning, match=r"Covariances of \[2\] are more than twice the scatter"):
        errors = standard_errors(mixture, X)
    assert np.isnan(errors.weights[2])
    assert np.isnan(errors.means[2]).all()
    assert np.isnan(errors.covariances[2]).all()
    assert np.isfinite(errors.means[:2]).all()
    assert np.isfinite(errors.covariances[:2]).all()
    assert np.isnan(errors.confidence_intervals().means[2]).all()


def test_a_widened_component_has_none():
    X = np.concatenate([two_heaps(), [[40.0, 40.0], [41.0, 41.0]]])
    start = np.repeat([0, 1, 2], [60, 60, 2])
    mixture = quiet(fitted, "full", X, 3, init_params=start, max_iter=20)
    with pytest.warns(InferenceWarning, match="widened"):
        errors = standard_errors(mixture, X)
    assert np.isnan(errors.means[2]).all()


def test_a_tied_covariance_on_reg_covar_leaves_nothing():
    X = np.column_stack([two_heaps()[:, 0], np.full(120, 3.0)])
    mixture = quiet(fitted, "tied", X, 2, reg_covar=1e-6)
    with pytest.warns(InferenceWarning, match="tied covariance is more than twice"):
        errors = standard_errors(mixture, X)
    assert np.isnan(errors.covariance).all()


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("kind", KINDS)
def test_components_that_coincide_have_none(structure, kind):
    X = two_heaps()
    two = fitted(structure, X, 2)
    covariances = two.covariances_ if structure == "tied" else two.covariances_[[0, 1, 1]]
    mixture = GaussianMixture.from_parameters(
        two.weights_[[0, 1, 1]] * [1.0, 0.5, 0.5], two.means_[[0, 1, 1]], covariances, covariance_type=structure
    )
    with pytest.warns(InferenceWarning, match=r"Components \[1, 2\] coincide"):
        errors = standard_errors(mixture, X, kind)
    assert np.isnan(errors.weights[1:]).all()
    assert np.isnan(errors.means[1:]).all()
    assert_allclose(errors.means[0], standard_errors(two, X, kind).means[0], rtol=1e-3)


def test_all_components_coincide():
    X = two_heaps()
    one = fitted("full", X)
    mixture = GaussianMixture.from_parameters([0.5, 0.5], one.means_[[0, 0]], one.covariances_[[0, 0]])
    with pytest.warns(InferenceWarning, match="coincide"):
        assert np.isnan(standard_errors(mixture, X).covariance).all()


def test_fewer_rows_than_parameters_leave_opg_singular():
    X = np.random.default_rng(0).normal(size=(8, 3))
    with pytest.warns(InferenceWarning, match="outer product of gradients is singular"):
        errors = standard_errors(fitted("full", X), X, "opg")
    assert np.isnan(errors.covariances).any()


def test_components_with_few_rows_are_told():
    X = np.concatenate([two_heaps()[:60], [[20.0, 20.0], [21.0, 20.0], [20.0, 21.5], [21.0, 22.0]]])
    with pytest.warns(InferenceWarning, match=r"Components \[1\] have fewer rows than parameters"):
        standard_errors(fitted("full", X, 2, init_params=np.repeat([0, 1], [60, 4])), X)


def test_one_row():
    mixture = GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]])
    with pytest.warns(InferenceWarning):
        assert np.isnan(standard_errors(mixture, [[0.0]]).covariance).all()


def test_a_saddle_is_no_maximum():
    """Means between two heaps, where the likelihood rises as they part."""
    X = np.concatenate([two_heaps()[:60], two_heaps(1)[:60] + np.array([30.0, 0.0])])
    one = fitted("spherical", X)
    mixture = GaussianMixture.from_parameters(
        [0.5, 0.5], one.means_ + np.array([[0.1, 0], [-0.1, 0]]), one.covariances_[[0, 0]], covariance_type="spherical"
    )
    with pytest.warns(InferenceWarning, match="they are no maximum"):
        errors = standard_errors(mixture, X)
    assert np.isnan(errors.means[:, 0]).all()


def test_a_fit_that_stopped_early_is_told(faithful):
    mixture = quiet(fitted, "tied", faithful, 2, max_iter=1, means_init=[[2.5, 60.0], [4.0, 75.0]])
    with pytest.warns(InferenceWarning, match="standard errors from the maximum of the likelihood of X: fit with"):
        standard_errors(mixture, faithful)


def test_other_rows_are_told(faithful):
    mixture = fitted("full", faithful, 2)
    with pytest.warns(InferenceWarning, match="standard errors from the maximum"):
        standard_errors(mixture, faithful + 0.5)


def test_what_reg_covar_moves_is_told(faithful):
    mixture = fitted("full", faithful, reg_covar=0.05)
    with pytest.warns(InferenceWarning, match="reg_covar has moved the parameters there"):
        standard_errors(mixture, faithful)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_no_warning_where_all_is_well(structure, faithful):
    mixture = fitted(structure, faithful, 2, reg_covar=1e-6, tol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in KINDS:
            assert np.isfinite(standard_errors(mixture, faithful, kind).covariance).all()


def test_a_component_without_any_of_the_rows():
    X = two_heaps()
    two = fitted("diag", X, 2)
    mixture = GaussianMixture.from_parameters(
        [*two.weights_ * 0.9, 0.1], [*two.means_, [500.0, 500.0]], [*two.covariances_, [1, 1]], covariance_type="diag"
    )
    with pytest.warns(InferenceWarning, match=r"Components \[2\] have none of these rows"):
        errors = standard_errors(mixture, X)
    assert np.isnan(errors.means[2]).all()


# refusals -------------------------------------------------------------------------------------------------------------


def test_what_is_refused(faithful):
    mixture = fitted("full", faithful, 2)
    with pytest.raises(ValueError, match="kind must be one of 'louis', 'opg', 'sandwich', got 'hessian'"):
        standard_errors(mixture, faithful, "hessian")
    with pytest.raises(ValueError, match="kind must be one of 'louis', 'opg'"):
        observed_information(mixture, faithful, "sandwich")
    with pytest.raises(TypeError, match="must be a fitted GaussianMixture, got KMeans"):
        standard_errors(KMeans(2), faithful)
    with pytest.raises(NotFittedError):
        standard_errors(GaussianMixture(2), faithful)
    with pytest.raises(ValueError, match="3 features"):
        standard_errors(mixture, np.ones((5, 3)))
    with pytest.raises(ValueError, match="Negative values"):
        standard_errors(mixture, faithful, sample_weight=-np.ones(len(faithful)))
    for far in (1e200, 1e100):
        with pytest.raises(ValueError, match=r"underflow|overflow"):
            standard_errors(mixture, faithful + far)


def test_too_many_parameters_are_refused():
    n = 1_001
    mixture = GaussianMixture.from_parameters([1.0], np.zeros((1, n)), np.ones((1, n)), covariance_type="diag")
    with pytest.raises(ValueError, match="2003 parameters"):
        standard_errors(mixture, np.zeros((2, n)))


def test_public_names():
    assert fastem.inference is inference
    assert fastem.standard_errors is inference.standard_errors
