"""Warnings point at the line of the user."""

import warnings
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastem import EM, BayesianGaussianMixture, GaussianMixture, KMeans, PoissonMixture, Table

ROWS = np.random.default_rng(0).normal(size=(60, 2))


class Sums(NamedTuple):
    lower_bound: float
    weight: float


class Falling(NamedTuple):
    """A model whose bound falls."""

    bound: float

    def e_step(self, block):
        return Sums(self.bound * block.weights.sum(), block.weights.sum())

    def m_step(self, statistics):
        return Falling(self.bound - 1.0)


def of_a_table(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("1,2,3,4\n" + "5.5,6.5,7.5,8.5\n" * 30)
    return lambda: KMeans(1).fit(Table(path))


WARNED = {
    "a mixture": lambda: GaussianMixture(2, max_iter=1, tol=0.0, random_state=0).fit(ROWS),
    "fit_predict": lambda: GaussianMixture(2, max_iter=1, tol=0.0, random_state=0).fit_predict(ROWS),
    "a variational mixture": lambda: BayesianGaussianMixture(max_iter=1, tol=0.0).fit(ROWS),
    "counts": lambda: PoissonMixture(2, max_iter=1, tol=0.0, random_state=0).fit(ROWS > 0),
    "k-means": lambda: KMeans(2, random_state=0).fit(np.ones((5, 2))),
    "starts that are not made": lambda: KMeans(2, init=ROWS[:2], n_init=3).fit(ROWS),
    "the engine": lambda: EM(Falling(0.0), max_iter=3, tol=2.0).fit(ROWS),
    "a pipeline": lambda: make_pipeline(StandardScaler(), GaussianMixture(max_iter=1, tol=0.0)).fit(ROWS),
    "a search": lambda: GridSearchCV(GaussianMixture(max_iter=1, tol=0.0), {"n_components": [2]}, cv=2).fit(ROWS),
}


@pytest.mark.parametrize("name", WARNED)
def test_a_warning_points_at_the_users_line(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        WARNED[name]()
    assert caught
    assert {warning.filename for warning in caught} == {__file__}


def test_that_of_a_reader_too(tmp_path):
    fit = of_a_table(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    assert {warning.filename for warning in caught} == {__file__}
