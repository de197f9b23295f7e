"""Standard errors of entropies and divergences cover, also where components hardly touch."""

import numpy as np
import pytest

from fastem import GaussianMixture, entropy, kl_divergence

SEEDS = range(25)
GRID = np.linspace(-12.0, 30.0, 200_001)[:, None]


def mixture(weights, means, variances):
    return GaussianMixture.from_parameters(weights, np.reshape(means, (-1, 1)), np.reshape(variances, (-1, 1, 1)))


def integral(values):
    return np.trapezoid(values, GRID[:, 0])


def scaled_errors(estimate, truth):
    found = [estimate(seed) for seed in SEEDS]
    return np.array([(one.value - truth) / one.standard_error for one in found]), found


@pytest.mark.parametrize("gap", [1.0, 4.0, 9.0, 12.0])
@pytest.mark.parametrize("share", [0.5, 0.999])
def test_they_cover(gap, share):
    p = mixture([share, 1 - share], [0.0, gap], [1.0, 1.5])
    others = mixture([0.3, 0.7], [0.0, gap], [1.0, 1.5]), mixture([0.5, 0.5], [0.2, gap + 0.5], [1.0, 1.0])
    of_p = p.score_samples(GRID)
    truth = -integral(np.exp(of_p) * of_p)
    z, found = scaled_errors(lambda seed: entropy(p, n_samples=1_000, random_state=seed), truth)
    assert np.abs(z).max() < 4
    assert np.mean([one.standard_error for one in found]) < 0.02
    for q in others:
        truth = integral(np.exp(of_p) * (of_p - q.score_samples(GRID)))
        z, _ = scaled_errors(lambda seed, q=q: kl_divergence(p, q, n_samples=1_000, random_state=seed), truth)
        assert np.abs(z).max() < 4
        assert np.sqrt((z**2).mean()) < 1.4


def test_they_are_not_far_too_great_where_rows_tell():
    p, q = mixture([0.5, 0.5], [0.0, 2.0], [1.0, 1.5]), mixture([0.5, 0.5], [0.0, 3.0], [1.0, 1.0])
    for estimate in (lambda seed: entropy(p, random_state=seed), lambda seed: kl_divergence(p, q, random_state=seed)):
        found = [estimate(seed) for seed in SEEDS]
        spread = np.std([one.value for one in found])
        assert np.mean([one.standard_error for one in found]) < 1.6 * spread


def test_a_rare_component_is_not_missed():
    p = mixture([1 - 1e-6, 1e-6], [0.0, 5_000.0], [1.0, 1.0])
    found = kl_divergence(p, mixture([1.0], [0.0], [1.0]), random_state=0)
    exact = 1e-6 * (5_000.0**2 / 2 + np.log(1e-6)) + (1 - 1e-6) * np.log1p(-1e-6)
    assert abs(found.value - exact) < 4 * found.standard_error
    assert abs(found.value - exact) < 0.01 * exact
