import numpy as np
import pytest
from numpy.testing import assert_allclose

from fastem import BayesianGaussianMixture
from fastem.search.bayesian_gaussian import SampledModel
from fastem.sources import as_source

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(60, 3)) + 4.0 * RNG.integers(0, 2, size=(60, 1))


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_a_row_of_the_sample_counts_as_many_as_it_stands_for(structure):
    model = BayesianGaussianMixture(n_components=3, covariance_type=structure, random_state=0).fit(ROWS)._model()
    whole, found = model.e_step(as_source(np.tile(ROWS, (5, 1)))), SampledModel(model, 300).e_step(as_source(ROWS))
    assert_allclose(300 * found.lower_bound, whole.lower_bound, rtol=1e-12)
    for ours, theirs in zip(found.moments, whole.moments, strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    stepped = SampledModel(model, 300).m_step(found).whole
    assert_allclose(stepped.covariances, model.m_step(whole).covariances, rtol=1e-9)


@pytest.mark.parametrize("prior", ["dirichlet_process", "dirichlet_distribution"])
def test_the_bound_of_a_search_is_not_lower_than_that_of_one_start(prior):
    rng = np.random.default_rng(1)
    rows = 5.0 * rng.normal(size=(8, 2)).repeat(80, axis=0) + rng.normal(size=(640, 2))
    found, alone = (
        [
            BayesianGaussianMixture(
                n_components=8, weight_concentration_prior_type=prior, random_state=seed, max_iter=500, **options
            ).fit(rows)
            for seed in range(4)
        ]
        for options in ({}, {"subsampling": False})
    )
    # One start finds the best of a distribution, never that of a process: it does not know the order of its sticks.
    lead = 1.0 if prior == "dirichlet_process" else -0.1
    assert min(m.lower_bound_ for m in found) > max(m.lower_bound_ for m in alone) + lead


def test_growing_samples_end_where_all_rows_do():
    rows = np.tile(ROWS, (20, 1)) + 0.3 * np.random.default_rng(2).normal(size=(1_200, 3))
    grown, whole = (
        BayesianGaussianMixture(n_components=2, tol=1e-8, max_iter=500, random_state=0, subsampling=choice).fit(rows)
        for choice in (True, False)
    )
    assert_allclose(grown.lower_bound_, whole.lower_bound_, rtol=1e-9)
