"""ln p(X | theta) = L(q, theta) + KL(q || p(Z | X, theta)), for posteriors and for other q."""

import warnings
from typing import NamedTuple

import numpy as np
import pytest
import reference
from cases import STRUCTURES
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import xlogy
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from fastem import EM, Chunks, GaussianMixture, free_energy, kl_gap, lower_bound


def fitted(structure, X, n_components, max_iter=2, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture = GaussianMixture(n_components, covariance_type=structure, max_iter=max_iter, **options)
        return mixture.set_params(random_state=0, subsampling=False, init_params="random_from_data").fit(X)


def log_joint(mixture, X):
    shape = len(mixture.weights_), X.shape[1]
    matrices = reference.matrices(mixture.covariance_type, mixture.covariances_, *shape)
    return reference.log_joint(X, mixture.weights_, mixture.means_, matrices)


def plain_bound(joint, q, weights):
    rows = (q * joint - np.where(q > 0, q * np.log(np.where(q > 0, q, 1.0)), 0.0)).sum(axis=1)
    return np.average(rows, weights=weights)


def plain_gap(joint, q, weights):
    log_posterior = joint - reference.log_density(joint)[:, None]  # which may be too small for a number
    return np.average((xlogy(q, q) - np.where(q > 0, q * log_posterior, 0.0)).sum(axis=1), weights=weights)


def random_q(rng, n_rows, n_components):
    """Distributions over the components, some of which have no chance."""
    q = rng.dirichlet(np.full(n_components, 0.5), n_rows)
    q[rng.random(q.shape) < 0.2] = 0.0
    q[:, 0] += 1 - q.sum(axis=1)
    return np.maximum(q, 0.0)


@pytest.mark.parametrize("structure", STRUCTURES)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
def test_the_identity(structure, seed, n_components, weighted):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 3)) + rng.integers(3, size=(60, 1))
    q, weights = random_q(rng, 60, n_components), rng.integers(4, size=60) + 0.5 if weighted else None
    mixture = fitted(structure, X, n_components)
    joint = log_joint(mixture, X)
    bound, gap = lower_bound(mixture, X, q, weights), kl_gap(mixture, X, q, weights)
    assert_allclose(bound, plain_bound(joint, q, weights), rtol=1e-9)
    assert_allclose(gap, plain_gap(joint, q, weights), rtol=1e-9, atol=1e-12)
    rounding = 8 * np.finfo(float).eps * abs(bound)  # of a sum in which nearly all may cancel
    assert_allclose(bound + gap, mixture.score(X, sample_weight=weights), rtol=1e-10, atol=rounding)
    assert gap > -1e-12
    assert free_energy(mixture, X, q, weights) == -bound


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_gap_is_closed_right_after_the_e_step_and_open_after_the_m_step(structure, faithful):
    old, new = (fitted(structure, faithful, 3, max_iter) for max_iter in (2, 3))
    q = old.predict_proba(faithful)
    assert kl_gap(old, faithful, q) == 0.0
    assert kl_gap(new, faithful, q) > 1e-7
    assert_allclose(lower_bound(old, faithful, q), old.score(faithful), rtol=1e-13)
    assert_allclose(lower_bound(old, faithful), old.score(faithful), rtol=1e-13)


def test_both_steps_raise_the_bound(faithful):
    """Coordinate ascent: in theta at q, then in q at theta."""
    heights = []
    for old, new in ((fitted("full", faithful, 2, i), fitted("full", faithful, 2, i + 1)) for i in range(5)):
        q = old.predict_proba(faithful)
        heights += [lower_bound(old, faithful, q), lower_bound(new, faithful, q)]
    assert np.diff(heights).min() > -1e-7  # reg_covar


@given(st.integers(0, 2**32 - 1))
def test_jensen(seed):
    """B(theta, theta_i) <= ln p(X | theta), equal at theta_i."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(50, 2))
    current, other = (fitted("full", X + shift, 2) for shift in (0.0, rng.normal(size=2)))
    q = current.predict_proba(X)
    assert lower_bound(other, X, q) <= other.score(X) + 1e-12
    assert_allclose(lower_bound(current, X, q), current.score(X), rtol=1e-12)


def test_the_divergence_is_not_symmetric():
    X = np.array([[-1.0], [-0.2], [0.4], [1.5], [3.0], [4.1]])
    one, other = fitted("diag", X, 2, 1), fitted("diag", X, 2, 20)
    there = kl_gap(other, X, one.predict_proba(X))
    back = kl_gap(one, X, other.predict_proba(X))
    assert there > 0
    assert back > 0
    assert abs(there - back) > 1e-3 * there


@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
def test_components_of_no_chance_keep_their_logarithms(arithmetic):
    """Rows so far from a component that its responsibility underflows, and a q that believes in it."""
    X = np.array([[0.0], [100.0], [0.5], [100.5]])
    mixture = fitted("spherical", X, 2, 30, arithmetic=arithmetic)
    assert mixture.predict_proba(X).min() == 0.0
    joint, q = log_joint(mixture, X), np.full((4, 2), 0.5)
    log_posterior = joint - reference.log_density(joint)[:, None]
    gap = (q * (np.log(q) - log_posterior)).sum(axis=1).mean()
    tolerance = 1e-10 if arithmetic == "float64" else 1e-5
    assert_allclose(lower_bound(mixture, X, q), plain_bound(joint, q, None), rtol=tolerance)
    assert_allclose(kl_gap(mixture, X, q), gap, rtol=tolerance)


def test_what_is_impossible():
    X = np.array([[0.0], [1.0], [2.0]])
    mixture = fitted("diag", X, 2)
    mixture.weights_ = np.array([1.0, 0.0])
    q = np.array([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]])
    assert lower_bound(mixture, X, q) == -np.inf
    assert kl_gap(mixture, X, q) == np.inf
    assert kl_gap(mixture, X, np.eye(2)[[0, 0, 0]]) == 0.0
    assert np.isfinite(lower_bound(mixture, X, q, sample_weight=[1, 0, 1]))


def test_rows_may_come_in_chunks(faithful):
    mixture = fitted("full", faithful, 2)
    q = random_q(np.random.default_rng(0), len(faithful), 2)
    chunks = Chunks(lambda: np.split(faithful, [1, 100, 200]), n_features=2)
    assert lower_bound(mixture, chunks, q) == lower_bound(mixture, faithful, q)
    assert kl_gap(mixture, chunks, q) == kl_gap(mixture, faithful, q)


WRONG = {
    "negative": ([[1.5, -0.5]] * 3, "non-negative and sum to one"),
    "no distribution": ([[0.5, 0.4]] * 3, "non-negative and sum to one"),
    "NaN": ([[np.nan, 1.0]] * 3, "NaN"),
    "too few rows": ([[0.5, 0.5]] * 2, "2 rows, but X has more"),
    "too many rows": ([[0.5, 0.5]] * 4, "4 rows, but X has 3"),
    "columns": ([[1.0]] * 3, "1 columns, but the model 2 components"),
}


@pytest.mark.parametrize(("q", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_distribution_is_refused(q, message):
    X = np.array([[0.0], [1.0], [2.0]])
    for function in (lower_bound, kl_gap, free_energy):
        with pytest.raises(ValueError, match=message):
            function(fitted("diag", X, 2), X, q)


# models that users write ------------------------------------------------------------------------------------------


class Sums(NamedTuple):
    lower_bound: float
    tosses: np.ndarray


class Coins(NamedTuple):
    """Two coins, chosen by a fair one."""

    heads: tuple

    def log_joint(self, rows):
        p = np.array(self.heads)
        return np.log(0.5 * np.where(rows == 1, p, 1 - p))

    def e_step(self, block):
        joint = self.log_joint(block.rows)
        shares = reference.responsibilities(joint) * block.weights[:, None]
        return Sums(block.weights @ reference.log_density(joint), shares.T @ np.hstack([block.rows, 1 - block.rows]))

    def m_step(self, sums):
        return Coins(tuple(sums.tosses[:, 0] / sums.tosses.sum(axis=1)))


class Silent:
    def e_step(self, block):
        raise NotImplementedError

    def m_step(self, statistics):
        raise NotImplementedError


def test_models_of_users():
    y = np.array([[1, 1, 0, 1, 0, 0, 1, 0, 1, 1]]).T
    q = random_q(np.random.default_rng(0), 10, 2)
    coins = Coins((0.6, 0.7))
    assert_allclose(lower_bound(coins, y, q), plain_bound(coins.log_joint(y), q, None), rtol=1e-13)
    assert_allclose(kl_gap(coins, y, q), plain_gap(coins.log_joint(y), q, None), rtol=1e-13)
    em = EM(coins).fit(y)
    assert_allclose(lower_bound(em, y, q) + kl_gap(em, y, q), em.score(y), rtol=1e-13)
    with pytest.raises(ValueError, match="2 features, but EM is expecting 1"):
        lower_bound(em, np.hstack([y, y]))


def test_a_row_that_cannot_be_has_no_posterior():
    class TwoHeads(Coins):
        def log_joint(self, rows):
            with np.errstate(divide="ignore"):
                return super().log_joint(rows)

    coins, q = TwoHeads((1.0, 1.0)), np.full((2, 2), 0.5)
    assert lower_bound(coins, [[1.0], [0.0]]) == lower_bound(coins, [[1.0], [0.0]], q) == -np.inf
    assert np.isnan(kl_gap(coins, [[1.0], [0.0]], q))
    assert kl_gap(coins, [[1.0], [0.0]], q, sample_weight=[1, 0]) == 0.0
    assert lower_bound(coins, [[1.0], [0.0]], sample_weight=[1, 0]) == 0.0


def test_who_cannot_say():
    with pytest.raises(TypeError, match="Silent, has no method `log_joint`"):
        lower_bound(Silent(), [[1.0]])
    for unfitted in (GaussianMixture(), EM(Silent())):
        with pytest.raises(NotFittedError):
            lower_bound(unfitted, [[1.0]])
