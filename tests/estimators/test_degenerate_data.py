"""Data at the edge of what can be computed with: a sound result, or a ValueError with the true reason."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastem import (
    BayesianGaussianMixture,
    BernoulliMixture,
    CategoricalMixture,
    GaussianMixture,
    KMeans,
    MultinomialMixture,
    PoissonMixture,
    StudentTMixture,
)

RNG = np.random.default_rng(0)
GROUP = np.arange(120)[:, None] % 2
PLAIN = RNG.normal(size=(120, 3)) + 6.0 * GROUP
COUNTS = RNG.poisson(3 + 10 * GROUP, (120, 3)).astype(float)
STRUCTURES = ["full", "tied", "diag", "spherical"]


def with_outlier(value):
    rows = PLAIN.copy()
    rows[17] = value
    return rows


SINGULAR = {
    "constant": np.c_[PLAIN, np.full(120, 7.0)],
    "constant far off": np.c_[PLAIN, np.full(120, 1e8 + 0.1)],
    "zero": np.c_[PLAIN, np.zeros(120)],
    "repeated": np.c_[PLAIN, PLAIN[:, :1]],
    "collinear": np.c_[PLAIN[:, 0], 2 * PLAIN[:, 0], PLAIN[:, 1], PLAIN[:, 0] + PLAIN[:, 1]],
    "one-hot": np.eye(3)[np.arange(120) % 3],
    "fewer rows than features": RNG.normal(size=(5, 12)),
    "equal rows": np.ones((50, 3)),
    "three rows again and again": np.vstack([PLAIN[:3]] * 40),
    "one outlier": with_outlier(1e9),
}


@pytest.mark.parametrize("covariance_type", STRUCTURES)
@pytest.mark.parametrize("name", SINGULAR)
def test_a_bayesian_mixture_has_a_finite_bound_that_does_not_fall(name, covariance_type):
    options = {"n_components": 3, "covariance_type": covariance_type, "random_state": 0, "max_iter": 500}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mixture = BayesianGaussianMixture(**options).fit(SINGULAR[name])
    bounds = np.array(mixture.lower_bounds_)
    assert np.isfinite(bounds).all()
    assert mixture.converged_
    slack = 1e-6 * np.maximum(np.abs(bounds[1:]), len(SINGULAR[name]))  # reg_covar is added after the M-step
    assert (np.diff(bounds) > -slack).all()
    assert np.isfinite(mixture.score_samples(SINGULAR[name])).all()


def test_a_bayesian_mixture_names_what_is_wrong():
    options = {"n_components": 2, "reg_covar": 0.0, "random_state": 0}
    with pytest.raises(ValueError, match="Feature 3 is constant"):
        BayesianGaussianMixture(**options).fit(SINGULAR["constant"])
    for scale, reason in ((1e-150, "underflow"), (1e-170, "underflow"), (1e160, "overflow"), (1e300, "overflow")):
        with pytest.raises(ValueError, match=f"squares of some features {reason}"):
            BayesianGaussianMixture(**options).fit(PLAIN * scale)
    with pytest.raises(ValueError, match="squares of some features overflow"):
        BayesianGaussianMixture(**options).fit(with_outlier(1e160))


@pytest.mark.parametrize("rows", [PLAIN * 1e160, PLAIN * 1e300, PLAIN * 1e306, with_outlier(1e160)])
@pytest.mark.parametrize("learning_method", ["batch", "online"])
def test_k_means_refuses_squares_that_overflow(rows, learning_method):
    with pytest.raises(ValueError, match="squares of some features overflow"):
        KMeans(2, random_state=0, learning_method=learning_method).fit(rows)


def test_k_means_refuses_weights_that_overflow():
    with pytest.raises(ValueError, match="sums of sample_weight"):
        KMeans(2, random_state=0).fit(PLAIN, sample_weight=np.full(120, 1e308))
    labels = KMeans(2, random_state=0).fit(PLAIN * 1e150).labels_
    assert ((labels == labels[0]) == (GROUP[:, 0] == GROUP[0])).all()


@pytest.mark.parametrize("make", [MultinomialMixture, PoissonMixture])
def test_great_counts(make):
    one = COUNTS.copy()
    one[3, 0] = 1e15
    for rows in (one, np.floor(COUNTS * 1e13)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "Components .* have the rows of one or two")
            mixture = make(2, random_state=0, max_iter=1_000).fit(rows)
        assert np.isfinite(mixture.log_likelihood_)
    one[3, 0] = 2e15
    with pytest.raises(ValueError, match=r"takes counts up to 1e\+15.*row 3, column 0"):
        make(2).fit(one)


DISCRETE = {
    BernoulliMixture: COUNTS > 6,
    CategoricalMixture: COUNTS > 6,
    MultinomialMixture: COUNTS,
    PoissonMixture: COUNTS,
}


@pytest.mark.parametrize("make", DISCRETE)
def test_weights_far_from_one(make):
    rows = DISCRETE[make].astype(float)
    expected = make(2, random_state=0).fit(rows)
    found = make(2, random_state=0).fit(rows, sample_weight=np.full(120, 1e200))
    assert_allclose(found.log_likelihood_, expected.log_likelihood_, rtol=1e-3)
    assert np.isfinite(found.lower_bounds_).all()
    kept = np.where(np.arange(120) < 100, 1.0, 1e-320)
    found = make(2, random_state=0).fit(rows, sample_weight=kept)
    assert_allclose(found.log_likelihood_, make(2, random_state=0).fit(rows[:100]).log_likelihood_, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("make", [*DISCRETE, GaussianMixture])
def test_weights_that_are_next_to_nothing(make):
    with pytest.raises(ValueError, match=r"The weights of the rows sum to 1\.[0-9]+e-318"):
        make(2, random_state=0).fit(DISCRETE.get(make, PLAIN), sample_weight=np.full(120, 1e-320))


# parameters that are none ---------------------------------------------------------------------------------------------


def test_levels_that_never_occur_are_no_parameters():
    answers = (COUNTS > 6).astype(int)
    options = {"n_components": 2, "tol": 1e-9, "max_iter": 2_000, "random_state": 0}
    expected = CategoricalMixture(**options).fit(answers)
    assert expected.n_parameters_ == 2 * 3 + 1
    for codes in (answers + 1, np.where(answers, 9, 1)):
        found = CategoricalMixture(**options).fit(codes)
        assert_allclose([found.bic(codes), found.aic(codes)], [expected.bic(answers), expected.aic(answers)], atol=0.01)
    declared = CategoricalMixture(n_levels=4, **options).fit(answers)
    assert declared.n_parameters_ == 2 * 3 * 3 + 1
    third = np.vstack([answers, [[2, 2, 2]]])
    unweighted = CategoricalMixture(**options).fit(third, sample_weight=[*np.ones(120), 0.0])
    assert unweighted.n_parameters_ == expected.n_parameters_


@pytest.mark.parametrize(
    ("mixture", "per_component"),
    [
        (GaussianMixture(3, random_state=0), 3 + 6),
        (GaussianMixture(3, covariance_type="diag", random_state=0), 3 + 3),
        (StudentTMixture(3, random_state=0), 3 + 6 + 1),
        (PoissonMixture(3, random_state=0), 3),
    ],
)
def test_components_of_weight_zero_have_no_parameters(mixture, per_component):
    rows = COUNTS if isinstance(mixture, PoissonMixture) else PLAIN
    mixture.fit(rows)
    assert mixture.n_parameters_ == 3 * per_component + 2
    mixture.weights_ = np.array([0.5, 0.5, 0.0])
    assert mixture.n_parameters_ == 2 * per_component + 1
    expected = -2 * 120 * mixture.score(rows) + mixture.n_parameters_ * np.log(120)
    assert_allclose(mixture.bic(rows), expected)
