"""The three models of docs/em_engine.md, against exact numbers."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from pages import code_of
from scipy.optimize import brentq
from scipy.stats import multivariate_normal

from fastem import EM

PAGE = Path(__file__).parents[2] / "docs" / "em_engine.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    names = {"__name__": "page"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        exec(compile(code_of(PAGE.read_text(encoding="utf-8")), str(PAGE), "exec"), names)
    return names


def three_coins(theta, tosses):
    """One iteration in exact fractions."""
    pi, p, q = theta
    b = [pi * (p if y else 1 - p) for y in tosses]
    c = [(1 - pi) * (q if y else 1 - q) for y in tosses]
    mu = [of_b / (of_b + of_c) for of_b, of_c in zip(b, c, strict=True)]
    heads = [m for m, y in zip(mu, tosses, strict=True) if y]
    heads_of_c = [1 - m for m, y in zip(mu, tosses, strict=True) if y]
    return sum(mu) / len(mu), sum(heads) / sum(mu), sum(heads_of_c) / (len(mu) - sum(mu))


@pytest.mark.parametrize("start", [("1/2", "1/2", "1/2"), ("2/5", "3/5", "7/10"), ("23/50", "11/20", "67/100")])
def test_three_coins_step_by_step(page, start):
    theta, iterates = [Fraction(part) for part in start], []
    coins = page["ThreeCoins"](*map(float, theta))
    EM(coins, callbacks=[lambda iteration, model, bound: iterates.append(model)]).fit(page["y"])
    assert len(iterates) >= 2
    for iterate in iterates:
        theta = three_coins(theta, page["y"][:, 0])
        assert_allclose(iterate, [float(part) for part in theta], rtol=1e-13)


def test_three_coins_of_the_textbook(page):
    assert [Fraction(part).limit_denominator(1000) for part in page["unfair"].model_] == [
        Fraction(76, 187),
        Fraction(51, 95),
        Fraction(119, 185),
    ]
    assert_allclose(page["fair"].model_, [0.5, 0.6, 0.6], rtol=1e-14)
    assert_allclose(10 * page["fair"].lower_bound_, -6.7301166701, rtol=1e-10)


def test_linkage(page):
    iterates = page["iterates"]
    published = [0.608247423, 0.624321051, 0.626488879, 0.626777323, 0.626815632, 0.626820719, 0.626821395]
    assert_allclose(iterates[:7], published, atol=6e-10)
    root = brentq(lambda t: 125 / (2 + t) - 38 / (1 - t) + 34 / t, 0.1, 0.9, xtol=1e-15)
    assert_allclose(page["linkage"].model_.t, root, rtol=1e-7)
    assert_allclose(root, 0.6268214980, atol=1e-10)


def test_linkage_with_squarem_and_of_two_experiments(page):
    fast = EM(page["Linkage"](0.5), tol=1e-15, acceleration="squarem").fit([[60, 10, 9, 20], [65, 8, 11, 14]])
    assert_allclose(fast.model_.t, page["best"], rtol=1e-7)


def test_principal_components_have_the_density_of_a_normal_distribution(page):
    model, X = page["plain"].model_, page["X"]
    covariance = model.loadings @ model.loadings.T + model.variance * np.eye(X.shape[1])
    expected = multivariate_normal(model.mean, covariance).logpdf(X)
    assert_allclose(page["plain"].score(X), expected.mean(), rtol=1e-12)
    weights = np.arange(len(X)) % 3
    assert_allclose(page["plain"].score(X, sample_weight=weights), np.average(expected, weights=weights), rtol=1e-12)


def test_principal_components_reach_the_closed_form(page):
    assert_allclose(page["streamed"].lower_bound_, page["maximum"], rtol=1e-10)
