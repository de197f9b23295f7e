"""Marginals, conditionals and regressions of Student's t and Bayesian mixtures, by quadrature and by simulation."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, stats

from fastem import BayesianGaussianMixture, GaussianMixture, StudentTMixture

WEIGHTS, NU = [0.6, 0.4], [3.0, 8.0]
MEANS = np.array([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]])
SCALES = np.array(
    [[[2.0, 0.5, 0.3], [0.5, 1.0, -0.2], [0.3, -0.2, 1.5]], [[1.0, -0.3, 0.0], [-0.3, 2.0, 0.4], [0.0, 0.4, 0.8]]]
)


@pytest.fixture(scope="module")
def mixture():
    return StudentTMixture.from_parameters(WEIGHTS, MEANS, SCALES, NU, random_state=0)


def density(points, features=(0, 1, 2)):
    chosen = np.ix_(features, features)
    return sum(
        w * np.atleast_1d(stats.multivariate_t(m[list(features)], s[chosen], df=nu).pdf(points))
        for w, m, s, nu in zip(WEIGHTS, MEANS, SCALES, NU, strict=True)
    )


def test_densities_and_marginals_are_scipys(mixture):
    rows = np.random.default_rng(0).normal(size=(20, 3))
    assert_allclose(mixture.score_samples(rows), np.log(density(rows)), rtol=1e-10)
    assert_allclose(
        mixture.marginal([2, 0]).score_samples(rows[:, [2, 0]]), np.log(density(rows[:, [2, 0]], (2, 0))), rtol=1e-10
    )


@pytest.mark.parametrize("known", [{0: 1.5}, {0: 1.5, 2: -1.0}, {1: 30.0}])
def test_conditionals_are_ratios_of_densities(mixture, known):
    rest = [j for j in range(3) if j not in known]
    points = np.random.default_rng(1).normal(size=(7, len(rest)))
    rows = np.empty((7, 3))
    rows[:, rest], rows[:, list(known)] = points, list(known.values())
    expected = np.log(density(rows)) - np.log(density(rows[:1, list(known)], tuple(known)))
    assert_allclose(mixture.condition(known).score_samples(points), expected, rtol=1e-9)


@pytest.mark.parametrize("structure", ["tied", "diag", "spherical"])
def test_conditionals_of_other_structures(structure):
    scales = {"tied": SCALES[0], "diag": np.diagonal(SCALES, axis1=1, axis2=2), "spherical": [1.0, 2.0]}[structure]
    mixture = StudentTMixture.from_parameters(WEIGHTS, MEANS, scales, NU, covariance_type=structure)
    x = np.array([0.7, -0.4, 1.1])
    joint = mixture.score_samples(x[None]) - mixture.marginal([1]).score_samples([[x[1]]])
    assert_allclose(mixture.condition({1: x[1]}).score_samples([x[[0, 2]]]), joint, rtol=1e-9)


def test_regression_is_the_conditional_mean_and_covariance(mixture):
    inputs = np.array([[0.0, 1.0], [2.0, -3.0]])
    mean, covariance = mixture.regress(inputs, targets=2, return_cov=True)
    for given, m, c in zip(inputs, mean, covariance, strict=True):
        alone = mixture.condition({0: given[0], 1: given[1]})

        def moment(power, alone=alone, m=m):
            def integrand(y):
                return (y - power * m[0]) ** (1 + power) * np.exp(alone.score_samples([[y]])[0])

            return integrate.quad(integrand, -np.inf, np.inf, limit=400)[0]

        assert_allclose(m, moment(0), rtol=1e-6)
        assert_allclose(c, moment(1), rtol=1e-4)
    assert_allclose(mixture.regress(inputs, targets=[2]), mean)


def test_names_stay(mixture):
    named = StudentTMixture.from_parameters(WEIGHTS, MEANS, SCALES, NU, feature_names=["a", "b", "c"])
    assert named.condition({"b": 0.0}).feature_names_in_.tolist() == ["a", "c"]
    assert named.marginal("c").covariance_type == "full"


def test_a_bayesian_mixture_is_that_of_the_posterior_means(faithful):
    table = pd.DataFrame(faithful, columns=["eruptions", "waiting"])
    bayesian = BayesianGaussianMixture(n_components=2, random_state=0).fit(table)
    plain = GaussianMixture.from_parameters(bayesian.weights_, bayesian.means_, bayesian.covariances_)
    assert_allclose(bayesian.condition({"waiting": 70.0}).means_, plain.condition({1: 70.0}).means_)
    assert_allclose(bayesian.marginal("eruptions").covariances_, plain.marginal(0).covariances_)
    assert_allclose(bayesian.regress(table[["waiting"]], "eruptions"), plain.regress(faithful[:, 1:], 0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": [0.5, 0.6]}, "sum to one"),
        ({"scales": -SCALES}, "scales of components .* must be positive-definite"),
        ({"degrees_of_freedom": 0.0}, "degrees_of_freedom must lie between"),
        ({"degrees_of_freedom": [1.0, 2.0, 3.0]}, "degrees_of_freedom"),
        ({"covariance_type": "round"}, "no covariance_type 'round'"),
    ],
)
def test_what_is_refused(change, words):
    given = {"weights": WEIGHTS, "means": MEANS, "scales": SCALES, "degrees_of_freedom": NU} | change
    with pytest.raises(ValueError, match=words):
        StudentTMixture.from_parameters(**given)
