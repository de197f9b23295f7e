"""Samples, growing levels and moves: the way to the optimum that users get by default."""

import numpy as np
import pytest
from cases import STRUCTURES as NAMES
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from fastem import GaussianMixture
from fastem.families.covariances import STRUCTURES
from fastem.families.gaussian import GaussianMixtureModel
from fastem.search.gaussian_moves import moved
from fastem.search.subsampling import level_sizes


def groups(n, centres, seed=0, spread=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(centres), size=n)
    return np.asarray(centres, dtype=float)[labels] + spread * rng.normal(size=(n, len(centres[0]))), labels


def test_levels_grow_by_four():
    assert level_sizes(1000, 20_000) == [1000, 4000, 16_000]
    assert level_sizes(1000, 999) == [1000]


def test_growing_needs_fewer_passes_over_all_rows_and_ends_as_high():
    rows, _ = groups(200_000, [[0, 0], [3, 0], [0, 3], [3, 3]])
    grown = GaussianMixture(4, random_state=0, tol=1e-5).fit(rows)
    textbook = GaussianMixture(4, random_state=0, tol=1e-5, subsampling=False, acceleration=None).fit(rows)
    assert grown.n_iter_ < textbook.n_iter_
    assert grown.log_likelihood_ >= textbook.log_likelihood_ - 1e-3


@pytest.mark.parametrize("subsampling", [True, "auto"])
def test_sorted_rows_do_not_fool_it(subsampling):
    rows, labels = groups(120_000, [[0, 0], [8, 0], [0, 8]])
    rows = rows[np.argsort(labels, kind="stable")]
    mixture = GaussianMixture(3, random_state=0, subsampling=subsampling).fit(rows)
    assert np.abs(np.sort(mixture.means_.round(1), axis=0) - [[0, 0], [0, 0], [8, 8]]).max() < 0.1
    assert mixture.weights_.min() > 0.3


def test_a_small_cluster_survives():
    rows, _ = groups(150_000, [[0, 0], [6, 0]])
    few = np.random.default_rng(1).normal([0, 40], 0.5, size=(150, 2))
    mixture = GaussianMixture(3, random_state=0).fit(np.vstack([rows, few]))
    smallest = mixture.weights_.argmin()
    assert mixture.means_[smallest] == pytest.approx([0, 40], abs=0.3)
    assert mixture.weights_[smallest] == pytest.approx(150 / 150_150, rel=0.1)


def test_moves_leave_a_poor_basin():
    centres = [[0, 0], [0, 2.5], [30, 0], [30, 2.5], [60, 0], [60, 2.5]]
    rows, _ = groups(6_000, centres, spread=0.4)
    best = GaussianMixture(6, means_init=centres, random_state=0).fit(rows).log_likelihood_
    for seed in range(5):
        assert GaussianMixture(6, random_state=seed).fit(rows).log_likelihood_ > best - 1e-3


@pytest.mark.parametrize("n_init", [1, 5])
def test_a_spike_on_one_row_does_not_win(n_init):
    rows, labels = groups(600, [[0, 0], [6, 0], [0, 6]])
    rows = np.column_stack([rows, np.arange(600) == 0])
    mixture = GaussianMixture(3, covariance_type="tied", random_state=0, n_init=n_init).fit(rows)
    assert adjusted_rand_score(labels, mixture.predict(rows)) > 0.97


def test_pixels_that_hardly_vary_do_not_decide():
    """A tied fit of the digits, whose standardised margins hold single rows; a sound one has -93 here and -98 there."""
    rows = load_digits().data[np.random.default_rng(0).permutation(1797)]
    mixture = GaussianMixture(10, covariance_type="tied", random_state=1).fit(rows[:1200])
    assert mixture.score(rows[1200:]) > -105


@pytest.mark.parametrize("seed", range(3))
def test_the_better_optimum_of_breast_cancer_is_found(seed):
    rows = load_breast_cancer().data
    mixture = GaussianMixture(2, covariance_type="tied", random_state=seed).fit(rows)
    assert mixture.log_likelihood_ * len(rows) == pytest.approx(18521.99, abs=0.5)


def test_components_of_one_or_two_rows_are_warned_of():
    rows, _ = groups(300, [[0, 0], [6, 0]])
    rows[0] = 500
    with pytest.warns(ConvergenceWarning, match="have the rows of one or two"):
        GaussianMixture(3, covariance_type="tied", random_state=0).fit(rows)


@pytest.mark.parametrize("subsampling", [True, False, "auto"])
def test_the_same_seed_gives_the_same_bits(subsampling):
    rows, _ = groups(30_000, [[0, 0], [3, 0], [0, 3]])
    a, b = (GaussianMixture(3, random_state=5, subsampling=subsampling).fit(rows) for _ in range(2))
    assert_array_equal(a.means_, b.means_)
    assert a.lower_bounds_ == b.lower_bounds_


@pytest.mark.parametrize("structure", [STRUCTURES[name] for name in NAMES], ids=NAMES)
def test_a_move_keeps_mass_mean_and_total_covariance(structure):
    rng = np.random.default_rng(0)
    weights, means = np.array([0.1, 0.2, 0.3, 0.4]), rng.normal(size=(4, 3))
    whiteners = _whiteners(structure, rng)
    covariances = structure.covariances(whiteners)
    model = GaussianMixtureModel(structure, weights, means, covariances, whiteners)
    one = covariances if structure.shared else covariances[[2, 2]]
    halves = GaussianMixtureModel(structure, np.array([0.5, 0.5]), means[[2, 2]], one, structure.whiten(one)[0])

    found = moved(model, (0, 3), 2, halves)
    assert_allclose(found.weights, [0.5, 0.2, 0.15, 0.15])
    assert_allclose(found.means[[1, 2, 3]], means[[1, 2, 2]])
    assert_allclose(found.weights @ found.means, weights @ means)
    assert_allclose(_total(found), _total(model))


def _whiteners(structure, rng):
    shape = structure.shape(4, 3)
    if structure.name in ("diag", "spherical"):
        return rng.uniform(0.5, 2.0, shape)
    return np.tril(rng.normal(size=shape)) * 0.3 + np.eye(3)


def _total(model):
    """The trace of the covariance of all rows: what every structure keeps."""
    centred = model.means - model.weights @ model.means
    return model.weights @ (model.structure.variances(model.covariances, *model.means.shape) + centred**2).sum(axis=1)
