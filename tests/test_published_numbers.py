"""Fits to real data against numbers from R (mclust, mixtools) and scikit-learn, all run to machine precision.

The last tests are defects that other packages have had.
"""

import numpy as np
import pytest
import reference
from cases import STRUCTURES
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from fastem import GaussianMixture

SPECIES = np.repeat([0, 1, 2], 50)
PRECISE = {"reg_covar": 0, "tol": 1e-14, "max_iter": 5_000}

FAITHFUL = {  # log-likelihood, BIC, weight of the short eruptions
    "full": (-1130.2639601847, 2322.1917430987, 0.355872857106),
    "tied": (-1140.1867594371, 2325.2199354045, 0.359247848533),
    "diag": (-1147.8063525378, 2346.0649236723, 0.356516736255),
    "spherical": (-1709.5292821774, 3458.2991788189, 0.367050581760),
}
IRIS = {  # log-likelihood, BIC
    "full": (-180.1854771313, 580.8389072028),
    "tied": (-256.3540431256, 632.9633333095),
    "diag": (-306.8604605062, 743.9974386589),
    "spherical": (-384.3140950608, 853.8089901213),
}
FAITHFUL_MCLUST = {  # log-likelihood, number of parameters
    "VVV": (FAITHFUL["full"][0], 11),
    "EEE": (FAITHFUL["tied"][0], 8),
    "VVI": (FAITHFUL["diag"][0], 9),
    "VII": (FAITHFUL["spherical"][0], 7),
    "EII": (-1709.68137294973, 6),
    "EEI": (-1157.68001234169, 7),
    "VEI": (-1152.88019636624, 8),
    "EVI": (-1153.88556822223, 8),
    "VEE": (-1136.25985413653, 9),
    "EVE": (-1136.91026067045, 9),
    "EEV": (-1139.3315986554, 9),
    "VVE": (-1132.1126424588, 10),  # of which mclust, which stops early, finds -1132.18744640219
    "VEV": (-1134.67920351945, 10),
    "EVV": (-1135.76990393595, 10),
}
IRIS_MCLUST = {"VEV": (-186.073283403773, 38), "EEV": (-214.850378873449, 36)}
every_structure = pytest.mark.parametrize("structure", STRUCTURES)


@every_structure
def test_old_faithful(structure, faithful):
    log_likelihood, bic, short = FAITHFUL[structure]
    labels = (faithful[:, 0] >= 3).astype(int)
    mixture = GaussianMixture(2, covariance_type=structure, init_params=labels, **PRECISE).fit(faithful)
    assert mixture.converged_
    assert_allclose(272 * mixture.log_likelihood_, log_likelihood, rtol=0, atol=1e-9)
    assert_allclose(mixture.bic(faithful), bic, rtol=0, atol=2e-9)
    assert_allclose(mixture.weights_, [short, 1 - short], rtol=0, atol=1e-7)


@every_structure
def test_iris(structure, iris):
    log_likelihood, bic = IRIS[structure]
    mixture = GaussianMixture(3, covariance_type=structure, init_params=SPECIES, **PRECISE).fit(iris)
    assert mixture.converged_
    assert_allclose(150 * mixture.log_likelihood_, log_likelihood, rtol=0, atol=1e-9)
    assert_allclose(mixture.bic(iris), bic, rtol=0, atol=2e-9)
    n_parameters = round((mixture.aic(iris) + 2 * 150 * mixture.log_likelihood_) / 2)
    assert n_parameters == {"full": 44, "tied": 24, "diag": 26, "spherical": 17}[structure]


@pytest.mark.parametrize("name", FAITHFUL_MCLUST)
def test_the_models_of_mclust_on_old_faithful(name, faithful):
    labels = (faithful[:, 0] >= 3).astype(int)
    assert_mclust(
        GaussianMixture(2, covariance_type=name, init_params=labels, **PRECISE), faithful, *FAITHFUL_MCLUST[name]
    )


@pytest.mark.parametrize("name", IRIS_MCLUST)
def test_the_models_of_mclust_on_iris(name, iris):
    assert_mclust(GaussianMixture(3, covariance_type=name, init_params=SPECIES, **PRECISE), iris, *IRIS_MCLUST[name])


def assert_mclust(mixture, rows, log_likelihood, n_parameters):
    mixture.fit(rows)
    assert mixture.converged_
    assert_allclose(len(rows) * mixture.log_likelihood_, log_likelihood, rtol=0, atol=1e-9)
    assert mixture.n_parameters_ == n_parameters
    assert (np.diff(mixture.lower_bounds_) >= -1e-12).all()


def test_the_first_iterations_on_old_faithful(faithful):
    labels = (faithful[:, 0] >= 3).astype(int)
    mixture = GaussianMixture(2, init_params=labels, **PRECISE).fit(faithful)
    expected = [-1130.28318279, -1130.26492332, -1130.26401437, -1130.26396330, -1130.26396037]
    assert_allclose(272 * np.array(mixture.lower_bounds_[:5]), expected, rtol=0, atol=5e-9)
    assert_allclose(mixture.means_, [(2.03638845462, 54.47851637697), (4.28966197310, 79.96811517386)], rtol=1e-7)


def test_a_default_search_finds_the_best_known_optimum_of_the_tied_mixture(faithful):
    mixture = GaussianMixture(3, covariance_type="tied", n_init=5, random_state=0, tol=1e-7, max_iter=2_000)
    assert 272 * mixture.fit(faithful).log_likelihood_ >= -1126.3160


# defects of others ----------------------------------------------------------------------------------------------------


@every_structure
def test_integer_rows_after_a_float_fit(structure, faithful):
    mixture = GaussianMixture(2, covariance_type=structure, random_state=0).fit(faithful)
    minutes = np.round(faithful).astype(np.int64)
    matrices = reference.matrices(structure, mixture.covariances_, 2, 2)
    joint = reference.log_joint(minutes.astype(float), mixture.weights_, mixture.means_, matrices)
    assert_allclose(mixture.score_samples(minutes), reference.log_density(joint), rtol=1e-12)


@every_structure
def test_single_precision_far_from_the_origin(structure):
    rows = np.random.default_rng(0).normal(1e4, 1.0, size=(2_000, 3)).astype(np.float32)
    exact = rows.astype(np.float64)
    mixture = GaussianMixture(1, covariance_type=structure, reg_covar=0).fit(rows)
    expected = reference.m_step(structure, exact, np.ones((2_000, 1)))
    assert_allclose(mixture.means_, expected[1].astype(np.float32), rtol=0)  # as single as the rows
    assert_allclose(mixture.covariances_, expected[2], rtol=1e-10, atol=1e-10)
    several = GaussianMixture(3, covariance_type=structure, random_state=0, tol=1e-7, max_iter=300).fit(rows)
    assert (np.diff(several.lower_bounds_) >= -1e-10).all()


@every_structure
def test_log_densities_at_offset_1e8(structure):
    mixture = GaussianMixture(1, covariance_type=structure, reg_covar=0)
    rows = 1e8 + np.array([[-1.0], [1.0]])
    mixture.fit(rows)
    at = 1e8 + np.array([[0.0], [0.5], [1.0], [2.0]])
    assert_allclose(mixture.score_samples(at), multivariate_normal(0, 1).logpdf(at[:, 0] - 1e8), rtol=1e-12)


@every_structure
def test_reg_covar_is_added_to_the_variances(structure):
    rows = np.random.default_rng(0).normal(size=(100, 2))
    without, with_it = (
        GaussianMixture(1, covariance_type=structure, reg_covar=reg).fit(rows).covariances_ for reg in (0, 0.25)
    )
    unit = np.eye(2) if structure in ("full", "tied") else np.ones(2)[: without.shape[-1]]
    assert_allclose(with_it, without + 0.25 * unit, rtol=1e-13)


@every_structure
def test_a_sampler_takes_variances_as_variances(structure):
    rows = 10.0 * np.random.default_rng(0).normal(size=(1_000, 2))
    mixture = GaussianMixture(1, covariance_type=structure, random_state=0).fit(rows)
    assert_allclose(mixture.sample(20_000)[0].std(axis=0), 10.0, rtol=0.1)


@every_structure
def test_covariances_are_taken_about_the_mean(structure):
    rows = np.random.default_rng(0).normal(size=(500, 2))
    here, far = (GaussianMixture(1, covariance_type=structure, reg_covar=0).fit(rows + s) for s in (0.0, 2.0**27))
    assert_allclose(far.covariances_, here.covariances_, rtol=1e-6, atol=1e-7)
