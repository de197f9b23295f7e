"""The summary says what was fitted, as text and as HTML."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from fastem import BayesianGaussianMixture, CategoricalMixture, GaussianMixture, PoissonMixture


def test_numbers_of_a_gaussian_mixture(faithful):
    table = pd.DataFrame(faithful, columns=["eruptions", "<waiting>"])
    mixture = GaussianMixture(2, tol=1e-10, max_iter=500, random_state=0).fit(table)
    text = str(mixture.summary())
    assert re.search(r"component +weight +eruptions +<waiting>", text)
    facts = dict(re.split(r" {2,}", line, maxsplit=1) for line in text.splitlines()[-9:])
    assert float(facts["BIC"]) == pytest.approx(mixture.bic(table), abs=1e-4)
    assert float(facts["AIC"]) == pytest.approx(mixture.aic(table), abs=1e-4)
    assert float(facts["log-likelihood"]) == pytest.approx(-1130.2639, abs=1e-3)
    assert facts["covariance"] == "full"
    assert facts["parameters"] == "11"
    assert facts["converged"] == "yes"
    html = mixture._repr_html_()
    assert "&lt;waiting&gt;" in html
    assert f"{mixture.weights_[0]:.6f}" in html


def test_before_a_fit(faithful):
    with pytest.raises(NotFittedError):
        GaussianMixture().summary()
    assert "<table>" not in GaussianMixture()._repr_html_().split("GaussianMixture")[-1]


def test_other_families():
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, size=(200, 9))
    text = str(PoissonMixture(1).fit(counts).summary())
    assert f"{counts[:, 0].mean():.6g}" in text
    assert "... and 3 more columns" in text
    levels = rng.integers(2, size=(100, 2))
    assert "0=1" in str(CategoricalMixture(1).fit(levels).summary())
    bayesian = BayesianGaussianMixture().fit(rng.normal(size=(50, 1)))
    assert f"{bayesian.lower_bound_:.10g}" in str(bayesian.summary())
