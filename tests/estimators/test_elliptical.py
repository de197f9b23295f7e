"""Distances, outliers, distribution functions and quantiles, against SciPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.spatial.distance import cdist

from fastem import BayesianGaussianMixture, Chunks, GaussianMixture, StudentTMixture

MCLUST = ("EII", "VEI", "EEE", "VVE", "EEV")


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical", *MCLUST])
def test_distances_are_scipys(structure, faithful):
    mixture = GaussianMixture(2, covariance_type=structure, random_state=0).fit(faithful)
    covariances = [mixture.covariances_] * 2 if structure == "tied" else mixture.covariances_
    as_matrix = {0: lambda c: c * np.eye(2), 1: np.diag, 2: lambda c: c}
    expected = [
        cdist(faithful, mean[None], "mahalanobis", VI=np.linalg.inv(as_matrix[np.ndim(c)](c)))[:, 0]
        for mean, c in zip(mixture.means_, covariances, strict=True)
    ]
    assert_allclose(mixture.mahalanobis(faithful), np.transpose(expected), rtol=1e-9)
    assert_allclose(
        mixture.mahalanobis(Chunks(lambda: np.array_split(faithful, 3), n_features=2)), np.transpose(expected)
    )


@pytest.mark.parametrize("level", [0.9, 0.99])
@pytest.mark.parametrize("freedom", [None, 3.0])
def test_outliers_are_as_many_as_the_level_says(level, freedom):
    rng = np.random.default_rng(0)
    means = [[0.0, 0, 0], [500, 0, 0]]
    covariance = np.array([[2.0, 0.5, 0], [0.5, 1, 0], [0, 0, 3]])
    rows = np.concatenate([rng.multivariate_normal(mean, covariance, size=20_000) for mean in means])
    centres = np.repeat(means, 20_000, axis=0)
    if freedom is None:
        mixture = GaussianMixture.from_parameters([0.5, 0.5], means, [covariance] * 2)
    else:
        rows = centres + (rows - centres) / np.sqrt(rng.chisquare(freedom, size=len(rows)) / freedom)[:, None]
        mixture = StudentTMixture(
            2,
            weights_init=[0.5, 0.5],
            means_init=means,
            scales_init=[covariance] * 2,
            degrees_of_freedom=freedom,
            max_iter=0,
        ).fit(rows[:100])
    outliers = mixture.is_outlier(rows, level=level)
    assert outliers.dtype == bool
    assert_allclose(outliers.mean(), 1 - level, rtol=0.1)


def test_a_component_without_rows_excuses_no_outlier():
    mixture = GaussianMixture.from_parameters([1.0, 0.0], [[0.0], [50.0]], [[[1.0]], [[1.0]]])
    assert_array_equal(mixture.is_outlier([[0.0], [50.0]]), [False, True])


def test_distribution_function_and_quantiles():
    mixture = GaussianMixture.from_parameters([0.3, 0.7], [[0.0], [3.0]], [[[1.0]], [[0.25]]])
    x = np.linspace(-3, 6, 12).reshape(3, 4)
    expected = 0.3 * stats.norm(0, 1).cdf(x) + 0.7 * stats.norm(3, 0.5).cdf(x)
    assert_allclose(mixture.cdf(x), expected, rtol=1e-12)
    assert_allclose(mixture.quantile(expected), x, rtol=1e-7, atol=1e-9)
    assert mixture.quantile([0.0, 1.0]).tolist() == [-np.inf, np.inf]
    single = GaussianMixture.from_parameters([1.0], [[1.0]], [[[4.0]]])
    assert_allclose(single.quantile([0.025, 0.5]), stats.norm(1, 2).ppf([0.025, 0.5]), rtol=1e-12)


def test_quantiles_of_heavy_tails():
    rows = stats.t(3, loc=1, scale=2).rvs(500, random_state=0)[:, None]
    mixture = StudentTMixture(1, degrees_of_freedom=3.0, random_state=0).fit(rows)
    alone = stats.t(3, loc=mixture.means_[0, 0], scale=np.sqrt(mixture.scales_[0, 0, 0]))
    assert_allclose(mixture.quantile([0.01, 0.5, 0.99]), alone.ppf([0.01, 0.5, 0.99]), rtol=1e-10, atol=1e-12)
    assert_allclose(mixture.cdf([[-5.0]]), [[alone.cdf(-5.0)]], rtol=1e-10)


def test_a_bayesian_mixture_is_that_of_the_posterior_means(faithful):
    bayesian = BayesianGaussianMixture(n_components=2, random_state=0).fit(faithful)
    plain = GaussianMixture.from_parameters(bayesian.weights_, bayesian.means_, bayesian.covariances_)
    assert_allclose(bayesian.mahalanobis(faithful), plain.mahalanobis(faithful), rtol=1e-10)


def test_what_is_refused(faithful):
    mixture = GaussianMixture(2, random_state=0).fit(faithful)
    with pytest.raises(ValueError, match=r"cdf is of one feature.*marginal"):
        mixture.cdf([1.0])
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        mixture.is_outlier(faithful, level=1.0)
    with pytest.raises(ValueError, match="q must lie between 0 and 1"):
        mixture.marginal(0).quantile([1.5])
