"""Data at which the likelihood has no finite maximum, or floating-point numbers end.

Each ends in a finite model, with a `ConvergenceWarning` where a component collapsed, or in a `ValueError` that says
what to change. Any other warning is an error here: the likelihood never falls, nothing overflows unseen.
"""

import warnings

import numpy as np
import pytest
from cases import STRUCTURES
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from fastem import GaussianMixture

every_structure = pytest.mark.parametrize("structure", STRUCTURES)
every_regularisation = pytest.mark.parametrize("reg_covar", [0.0, 1e-6])
FITTED = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
    "lower_bounds_",
    "log_likelihood_",
)


def two_groups(n_rows=60, n_features=3):
    rows = np.random.default_rng(0).normal(size=(n_rows, n_features))
    rows[::2] += 4.0
    return rows


def fit(rows, structure, reg_covar, n_components=3, sample_weight=None, **options):
    """A fitted mixture and the texts of its `ConvergenceWarning`s, or None and the text of a `ValueError`."""
    mixture = GaussianMixture(
        n_components, covariance_type=structure, reg_covar=reg_covar, **{"random_state": 0, "max_iter": 50} | options
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            mixture.fit(rows, sample_weight=sample_weight)
        except ValueError as error:
            return None, str(error)
    texts = [str(warning.message) for warning in caught]
    return mixture, " ".join(text for text in texts if "did not converge" not in text)


def assert_sound(mixture, rows):
    """Nothing fitted or said of the rows is infinite or NaN; responsibilities sum to one; variances are positive."""
    for name in FITTED:
        assert np.isfinite(getattr(mixture, name)).all(), name
    assert np.isfinite(mixture.score_samples(rows)).all()
    assert_allclose(mixture.predict_proba(rows).sum(axis=1), 1.0)
    assert_allclose(mixture.weights_.sum(), 1.0)
    assert (variances_of(mixture) > 0).all()


def variances_of(mixture):
    if mixture.covariance_type in ("full", "tied"):
        return np.diagonal(mixture.covariances_, axis1=-2, axis2=-1)
    return mixture.covariances_


def with_column(values):
    rows = two_groups()
    rows[:, 1] = values
    return rows


def with_row(values):
    rows = two_groups()
    rows[5] = values
    return rows


HARMLESS = {
    "offset 1e8": two_groups() + 1e8,
    "scales that differ by 1e12": two_groups() * [1e-6, 1.0, 1e6],
    "tiny": two_groups() * 1e-100,
    "huge": two_groups() * 1e100,
}
COLLAPSING = {
    "ones and zeros": np.random.default_rng(1).integers(0, 2, size=(200, 3)).astype(float),
    "four distinct rows": np.repeat(two_groups()[:4], 20, axis=0),
    "two distinct rows": np.repeat(two_groups()[:2], 20, axis=0),
    "a point": np.vstack([two_groups(), np.full((20, 3), 100.0)]),
    "one outlier": with_row(100.0),
    "outlier at 1e50": with_row(1e50),
    "outlier at 1e150": with_row(1e150),
    "as many rows as components": two_groups(3),
    "hardly more rows": two_groups(4),
    "more features than rows": np.random.default_rng(2).normal(size=(12, 30)),
    "a column twice": two_groups()[:, [0, 1, 0]],
    "a column nearly twice": np.column_stack([two_groups(), two_groups()[:, 0] + 1e-9 * two_groups()[:, 1]]),
    "offset 1e12": two_groups() + 1e12,
    "mostly zeros": np.where(
        np.random.default_rng(3).random((200, 4)) < 0.9, 0, np.random.default_rng(4).random((200, 4))
    ),
    "constant column": with_column(7.0),
    "constant column at 1e8": with_column(1e8 + 0.1),
    "zero column": with_column(0.0),
    "all rows equal": np.ones((20, 3)),
    "variances that underflow": two_groups() * 1e-160,
}
OVERFLOWING = {
    **{f"outlier at 1e{e}": with_row(10.0**e) for e in (155, 200, 308)},
    **{f"scale 1e{e}": two_groups() * 10.0**e for e in (155, 200, 300)},
}


@every_structure
@every_regularisation
@pytest.mark.parametrize("rows", (HARMLESS | COLLAPSING).values(), ids=HARMLESS | COLLAPSING)
def test_a_finite_model_or_a_word_about_what_to_change(rows, structure, reg_covar):
    mixture, message = fit(rows, structure, reg_covar)
    if mixture is None:
        assert "Set reg_covar to a positive number" in message or "squares of it underflow" in message
    else:
        assert_sound(mixture, rows)


@every_structure
@pytest.mark.parametrize("rows", HARMLESS.values(), ids=HARMLESS)
def test_harmless_data_are_fitted_in_silence(rows, structure):
    mixture, message = fit(rows, structure, 0.0, n_components=2)
    assert mixture is not None
    assert not message


@every_structure
@every_regularisation
@pytest.mark.parametrize("rows", OVERFLOWING.values(), ids=OVERFLOWING)
def test_what_overflows_is_refused(rows, structure, reg_covar):
    mixture, message = fit(rows, structure, reg_covar)
    assert mixture is None
    assert "Rescale the features" in message


# what the user is told ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
@pytest.mark.parametrize("value", [0.0, 7.0, 1e8 + 0.1])
def test_a_constant_feature_without_regularisation_is_named(structure, value):
    mixture, message = fit(with_column(value), structure, 0.0)
    assert mixture is None
    assert "feature 1 is constant" in message


@every_structure
def test_equal_rows_without_regularisation_are_refused(structure):
    mixture, message = fit(np.ones((20, 3)), structure, 0.0)
    assert mixture is None
    assert "feature 0, 1, 2 is constant" in message


@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
def test_a_constant_feature_with_regularisation_is_reported(structure):
    mixture, message = fit(with_column(7.0), structure, 1e-6)
    assert "no variance of its own" in message
    assert "reg_covar" in message
    assert_allclose(variances_of(mixture)[..., 1], 1e-6, rtol=1e-6)


POINT = np.vstack([two_groups(40), np.full((20, 3), 100.0)])
POINT_LABELS = np.repeat([0, 1, 2], 20)
POINT_LABELS[:40] = np.arange(40) % 2


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_a_component_on_a_single_point_is_named_and_widened(structure):
    mixture, message = fit(POINT, structure, 0.0, init_params=POINT_LABELS)
    assert "component 2 became singular at iteration 1" in message
    assert_sound(mixture, POINT)
    assert_allclose(mixture.means_[2], 100.0)
    assert_allclose(mixture.weights_[2], 1 / 3)


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_a_component_held_up_by_regularisation_is_named(structure):
    mixture, message = fit(POINT, structure, 1e-6, init_params=POINT_LABELS)
    assert "Components [2] have no variance of its own" in message
    assert_sound(mixture, POINT)


@every_structure
@every_regularisation
def test_an_empty_component_is_dropped_and_named(structure, reg_covar):
    rows = two_groups()
    mixture, message = fit(rows, structure, reg_covar, init_params=np.arange(60) % 2 * 2)
    assert "Components [1] lost all their rows" in message
    assert mixture.weights_[1] == 0.0
    assert_sound(mixture, rows)
    two, _ = fit(rows, structure, reg_covar, n_components=2, init_params=np.arange(60) % 2)
    assert_allclose(mixture.score_samples(rows), two.score_samples(rows), rtol=1e-9)
    assert 1 not in mixture.predict(rows)
    assert 1 not in mixture.sample(100)[1]


@every_structure
@every_regularisation
def test_a_component_far_from_all_rows_is_dropped(structure, reg_covar):
    rows = two_groups()
    mixture, message = fit(rows, structure, reg_covar, n_components=2, means_init=[[2.0] * 3, [1e6] * 3])
    assert "Components [1] lost all their rows" in message
    assert_sound(mixture, rows)


@every_structure
def test_fewer_rows_than_components_are_refused(structure):
    assert "n_samples >= n_components" in fit(two_groups(2), structure, 1e-6)[1]
    few = np.zeros(60)
    few[:2] = 1.0
    assert "with a positive weight" in fit(two_groups(), structure, 1e-6, sample_weight=few)[1]


@every_structure
@every_regularisation
@pytest.mark.parametrize("n_present", [3, 4])
def test_weights_that_leave_hardly_a_row(structure, reg_covar, n_present):
    rows, weights = two_groups(), np.zeros(60)
    weights[:n_present] = 1.0
    mixture, _ = fit(rows, structure, reg_covar, sample_weight=weights)
    assert_sound(mixture, rows)


@every_structure
@every_regularisation
def test_weights_of_very_different_size(structure, reg_covar):
    rows = two_groups()
    mixture, message = fit(rows, structure, reg_covar, sample_weight=np.logspace(-100, 100, 60))
    if mixture is None:
        assert "Set reg_covar" in message
    else:
        assert_sound(mixture, rows)


# precision ------------------------------------------------------------------------------------------------------------


@every_structure
@pytest.mark.parametrize("offset", [1e4, 1e8])
def test_an_offset_moves_the_means_and_nothing_else(structure, offset):
    rows = np.round(two_groups() * 2**10) / 2**10  # adding the offset is exact
    options = {"n_components": 2, "tol": 1e-9, "max_iter": 500, "init_params": np.arange(60) % 2}
    here, there = (fit(rows + shift, structure, 0.0, **options)[0] for shift in (0.0, offset))
    assert_allclose(there.covariances_, here.covariances_, rtol=1e-5, atol=1e-6)
    assert_allclose(there.means_ - offset, here.means_, rtol=1e-5, atol=1e-6)
    assert_allclose(there.log_likelihood_, here.log_likelihood_, rtol=1e-8)


@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
def test_units_of_the_features_do_not_matter(structure):
    rows, units = two_groups(), np.array([2.0**-20, 1.0, 2.0**20])
    options = {"n_components": 2, "tol": 1e-9, "max_iter": 500, "init_params": np.arange(60) % 2}
    here, there = (fit(rows * scale, structure, 0.0, **options)[0] for scale in (1.0, units))
    assert_allclose(there.means_ / units, here.means_, rtol=1e-9)
    assert_allclose(there.weights_, here.weights_, rtol=1e-9)
    assert_allclose(there.log_likelihood_ + np.log(units).sum(), here.log_likelihood_, rtol=1e-9)


@pytest.mark.parametrize("distance", [1e3, 1e5])
def test_a_tied_covariance_of_groups_far_apart(distance):
    noise = np.random.default_rng(0).normal(size=(400, 2))
    labels = np.arange(400) % 2
    rows = noise + distance * labels[:, None]
    mixture, message = fit(rows, "tied", 0.0, n_components=2, init_params=labels)
    assert not message
    centred = rows - np.stack([rows[labels == k].mean(axis=0) for k in (0, 1)])[labels]
    assert_allclose(mixture.covariances_, centred.T @ centred / 400, rtol=1e-5, atol=1e-6)


# anything -------------------------------------------------------------------------------------------------------------


@st.composite
def nasty_rows(draw):
    """Few distinct values, duplicated and dependent columns, all magnitudes."""
    n_rows, n_features = draw(st.integers(4, 60)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = draw(
        st.sampled_from(
            [
                lambda: rng.normal(size=(n_rows, n_features)),
                lambda: rng.integers(0, 3, size=(n_rows, n_features)).astype(float),
                lambda: np.where(rng.random((n_rows, n_features)) < 0.8, 0.0, rng.random((n_rows, n_features))),
                lambda: rng.standard_cauchy(size=(n_rows, n_features)) ** 3,
                lambda: np.repeat(rng.normal(size=(-(-n_rows // 3), n_features)), 3, axis=0)[:n_rows],
            ]
        )
    )()
    if draw(st.booleans()):
        rows[:, -1] = rows[:, 0] * (1 + 10.0 ** -draw(st.integers(3, 17)) * rng.normal(size=n_rows))
    rows *= 10.0 ** rng.uniform(-draw(st.integers(0, 40)), 1, size=n_features)
    return rows + draw(st.sampled_from([0.0, 1.0, 1e4, 1e8]))


@settings(max_examples=60)
@given(
    rows=nasty_rows(),
    structure=st.sampled_from(STRUCTURES),
    reg_covar=st.sampled_from([0.0, 1e-12, 1e-6, 1.0]),
    n_components=st.integers(1, 4),
    weighted=st.booleans(),
    init_params=st.sampled_from(["kmeans", "random", "random_from_data"]),
)
def test_no_data_lead_to_anything_but_a_sound_model_or_advice(
    rows, structure, reg_covar, n_components, weighted, init_params
):
    weights = np.arange(1.0, len(rows) + 1) if weighted else None
    mixture, message = fit(rows, structure, reg_covar, n_components, weights, init_params=init_params, tol=1e-6)
    if mixture is None:
        assert "reg_covar" in message
    else:
        assert_sound(mixture, rows)


@pytest.mark.parametrize("scale", [1e-147, 1e-170])
def test_small_numbers_are_not_called_constant(scale):
    with pytest.raises(ValueError, match="squares of it underflow") as caught:
        GaussianMixture(2, reg_covar=0.0, random_state=0).fit(two_groups() * scale)
    assert "constant" not in str(caught.value)
