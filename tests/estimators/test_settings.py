"""Settings that are changed after a fit, and parameters that are no numbers."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from fastem import (
    EM,
    BayesianGaussianMixture,
    BernoulliMixture,
    CategoricalMixture,
    GaussianMixture,
    KMeans,
    MultinomialMixture,
    PoissonMixture,
    StudentTMixture,
    load,
    save,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS = np.random.default_rng(0).poisson(5, size=(200, 2)) + 20 * (np.arange(200)[:, None] % 3)
LEVELS = ROWS % 3
MIXTURES = {
    "gaussian": (GaussianMixture(2), ROWS),
    "bayesian": (BayesianGaussianMixture(n_components=2), ROWS),
    "student": (StudentTMixture(2), ROWS),
    "poisson": (PoissonMixture(2), ROWS),
    "multinomial": (MultinomialMixture(2), ROWS),
    "bernoulli": (BernoulliMixture(2), ROWS % 2),
    "categorical": (CategoricalMixture(2), LEVELS),
}
every_mixture = pytest.mark.parametrize("name", MIXTURES)
# By name and what is set before and after a fit.
CHANGES = [
    ("gaussian", {}, {"covariance_type": "diag"}),
    ("gaussian", {"covariance_type": "diag"}, {"covariance_type": "tied"}),  # of the same shape for two features
    ("student", {}, {"covariance_type": "spherical"}),
    ("student", {}, {"degrees_of_freedom": 3.0}),
    ("bayesian", {}, {"weight_concentration_prior_type": "dirichlet_distribution"}),
    ("bayesian", {}, {"weight_concentration_prior": 1e-3}),
    ("bayesian", {}, {"mean_prior": [100.0, 100.0]}),
    ("categorical", {}, {"n_levels": 5}),
    ("poisson", {}, {"fit_weights": False}),
]


def estimator_of(name, **options):
    mixture, rows = MIXTURES[name]
    return clone(mixture).set_params(random_state=0, **options), rows


@every_mixture
def test_another_number_of_components_begins_anew(name):
    mixture, rows = estimator_of(name, warm_start=True)
    mixture.fit(rows).set_params(n_components=3)
    with pytest.warns(UserWarning, match="anew in spite of warm_start=True: n_components=3, not 2"):
        mixture.fit(rows)
    expected, _ = estimator_of(name, n_components=3, warm_start=True)
    assert_array_equal(mixture.weights_, expected.fit(rows).weights_)
    assert len(mixture.weights_) == 3


@pytest.mark.parametrize(("name", "before", "after"), CHANGES)
def test_other_settings_begin_anew(name, before, after):
    mixture, rows = estimator_of(name, warm_start=True, **before)
    mixture.fit(rows).set_params(**after)
    with pytest.warns(UserWarning, match=f"anew in spite of warm_start=True: {next(iter(after))}="):
        mixture.fit(rows)
    expected, _ = estimator_of(name, warm_start=True, **before)
    assert_array_equal(mixture.weights_, expected.set_params(**after).fit(rows).weights_)


@every_mixture
def test_the_same_settings_go_on(name):
    mixture, rows = estimator_of(name, warm_start=True, max_iter=2, tol=0.0)
    mixture.fit(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.set_params(max_iter=3, n_components=2).fit(rows)
    plain, _ = estimator_of(name, max_iter=5, tol=0.0, **({} if name == "bayesian" else {"acceleration": None}))
    assert mixture.lower_bounds_ == pytest.approx(plain.fit(rows).lower_bounds_[2:], rel=1e-12)


@pytest.mark.parametrize("name", ["gaussian", "student", "poisson", "bernoulli", "multinomial", "categorical"])
def test_a_stream_does_not_go_on_with_another_number_of_components(name):
    mixture, rows = estimator_of(name)
    mixture.partial_fit(rows).set_params(n_components=3)
    before = mixture.weights_
    with pytest.raises(ValueError, match=r"n_components=3, not 2 as in what this \w+ has learned"):
        mixture.partial_fit(rows)
    assert mixture.weights_ is before
    mixture.set_params(n_components=2).partial_fit(rows)


def test_a_stream_of_kmeans_does_not_either():
    kmeans = KMeans(2, random_state=0).partial_fit(ROWS).set_params(n_clusters=3)
    with pytest.raises(ValueError, match="n_clusters=3, not 2"):
        kmeans.partial_fit(ROWS)


def test_attributes_are_not_read_with_another_structure(tmp_path):
    mixture = GaussianMixture(2, covariance_type="diag", random_state=0).fit(ROWS)
    save(mixture, tmp_path / "model")
    for fitted in (mixture, pickle.loads(pickle.dumps(mixture)), load(tmp_path / "model")):
        expected = fitted.predict(ROWS)
        fitted.set_params(covariance_type="tied")
        for method in (fitted.predict, fitted.score, fitted.bic, fitted.partial_fit):
            with pytest.raises(ValueError, match="covariance_type"):
                method(ROWS)
        assert_array_equal(fitted.set_params(covariance_type="diag").predict(ROWS), expected)
    bayesian = BayesianGaussianMixture(n_components=2, random_state=0).fit(ROWS)
    with pytest.raises(ValueError, match="weight_concentration_prior_type"):
        bayesian.set_params(weight_concentration_prior_type="dirichlet_distribution").predict(ROWS)


def test_rows_with_other_features_do_not_go_on():
    mixture = GaussianMixture(2, warm_start=True, random_state=0).fit(ROWS)
    with pytest.raises(ValueError, match="X has 1 features, the last fit had 2: it cannot go on, set warm_start=False"):
        mixture.fit(ROWS[:, :1])


@pytest.mark.parametrize("value", [True, np.True_])
def test_a_bool_is_no_number(value):
    for estimator in (
        GaussianMixture(value),
        GaussianMixture(2, max_iter=value),
        GaussianMixture(2, reg_covar=value),
        KMeans(value),
        PoissonMixture(2, pseudo_count=value),
        BayesianGaussianMixture(mean_precision_prior=value),
        EM(None, max_iter=value),
    ):
        with pytest.raises(ValueError, match=r"must not be a bool\. Got (np\.)?True"):
            estimator.fit(ROWS)
    GaussianMixture(2, warm_start=value, subsampling=value, random_state=0).fit(ROWS)


def test_the_parameters_of_scikit_learns_kmeans():
    plain = KMeans(2, random_state=0).fit(ROWS)
    assert_array_equal(
        KMeans(2, algorithm="lloyd", copy_x=False, random_state=0).fit(ROWS).cluster_centers_, plain.cluster_centers_
    )
    with pytest.raises(ValueError, match="algorithm"):
        KMeans(2, algorithm="elkan").fit(ROWS)
