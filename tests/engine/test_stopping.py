"""The two meanings of `tol`."""

import numpy as np
import pytest

from fastem import GaussianMixture
from fastem.engine.stopping import Gap


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9, 0.99])
def test_the_gap_of_a_geometric_series_is_its_remainder(rate):
    tol, stop, gain = 1e-4, Gap(1e-4), 1.0
    while not stop(gain, None):
        gain *= rate
    remainder = gain * rate / (1 - rate)
    assert remainder < tol <= remainder / rate or gain == pytest.approx(rate**2)  # at the earliest with three gains


def test_a_plateau_is_not_the_end():
    stop = Gap(1e-3)
    assert not any(stop(gain, None) for gain in [1e-4, 0.9999e-4, 0.9998e-4, 0.9997e-4])


def test_the_gap_is_that_to_the_optimum():
    rng = np.random.default_rng(3)
    rows = np.vstack([rng.normal(size=(1500, 2)), rng.normal([1.6, 0.4], [1.3, 0.7], size=(1500, 2))])
    means, precisions = [[-0.5, 0.0], [2.0, 0.5]], [np.eye(2), np.eye(2)]
    start = {"weights_init": [0.5, 0.5], "means_init": means, "precisions_init": precisions, "max_iter": 20_000}
    best = GaussianMixture(2, tol=1e-13, **start).fit(rows).log_likelihood_
    for tol in (1e-4, 1e-6, 1e-8):
        fit = GaussianMixture(2, tol=tol, stopping="gap", **start).fit(rows)
        assert best - fit.log_likelihood_ < 2 * tol
        assert best - GaussianMixture(2, tol=tol, **start).fit(rows).log_likelihood_ > 2 * tol
