"""Standard errors from refits, against those from the curvature."""

import warnings

import numpy as np
import pytest
from cases import STRUCTURES
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from test_inference import fitted, quiet

from fastem import Chunks, GaussianMixture, standard_errors
from fastem.inference import InferenceWarning, bootstrap


@pytest.fixture(scope="module")
def separated():
    truth = GaussianMixture.from_parameters(
        [0.4, 0.6], [[0.0, 0.0], [12.0, 2.0]], [[[1.0, 0.3], [0.3, 1.0]], [[2.0, -0.5], [-0.5, 1.0]]], random_state=1
    )
    X, _ = truth.sample(400)
    return X, fitted("full", X, 2)


@pytest.mark.parametrize(("kind", "checks"), [("parametric", "louis"), ("weighted", "sandwich")])
def test_bootstrap_agrees_with_the_curvature(kind, checks, separated):
    X, mixture = separated
    found, expected = bootstrap(mixture, X, 200, kind, random_state=0), standard_errors(mixture, X, checks)
    for name in ("weights", "means", "covariances"):
        assert_allclose(getattr(found.errors, name), getattr(expected, name), rtol=0.25)
        replicates = getattr(found, name)
        assert replicates.shape == (200, *getattr(mixture, name + "_").shape)
        assert_allclose(replicates.std(axis=0, ddof=1), getattr(found.errors, name), rtol=1e-8)
    assert found.n_failed == 0
    assert found.errors.kind == f"{kind} bootstrap"


@pytest.mark.parametrize("structure", STRUCTURES)
def test_components_keep_their_order(structure, separated):
    X, _ = separated
    mixture = fitted(structure, X, 2)
    for kind in ("parametric", "weighted"):
        found = bootstrap(mixture, X, 6, kind, random_state=0)
        assert np.abs(found.means - mixture.means_).max() < 1.0


def test_bootstrap_is_reproducible_and_reads_any_source(separated):
    X, mixture = separated
    chunks = Chunks(lambda: np.array_split(X, 3), n_features=2)
    for kind in ("parametric", "weighted"):
        expected = bootstrap(mixture, X, 3, kind, random_state=5).means
        assert_array_equal(bootstrap(mixture, chunks, 3, kind, random_state=5).means, expected)


def test_weights_of_the_bootstrap_are_frequencies(separated):
    """Every row four times: half the standard error."""
    X, mixture = separated
    for kind in ("parametric", "weighted"):
        once = bootstrap(mixture, X, 60, kind, random_state=0).errors
        fourfold = bootstrap(mixture, X, 60, kind, sample_weight=np.full(len(X), 4.0), random_state=0).errors
        assert_allclose(fourfold.means, once.means / 2, rtol=0.35)


def test_failed_refits_are_counted(separated):
    X, _ = separated
    X = np.concatenate([X, [[40.0, 40.0], [41.0, 42.0], [42.0, 41.5]]])
    mixture = quiet(fitted, "full", X, 3, reg_covar=1e-6, init_params=np.repeat([0, 1, 2], [200, 200, 3]))
    with pytest.warns(InferenceWarning, match="of 30 refits did not converge, or collapsed, and are left out"):
        found = bootstrap(mixture, X, 30, random_state=0)
    assert len(found.weights) == 30 - found.n_failed


def test_what_the_bootstrap_refuses(separated):
    X, mixture = separated
    for wrong in ({"n_boot": 1}, {"n_boot": 2.5}, {"kind": "jackknife"}):
        with pytest.raises(ValueError, match="must be"):
            bootstrap(mixture, X, **wrong)
    retired = GaussianMixture.from_parameters([1.0, 0.0], mixture.means_, mixture.covariances_)
    with pytest.raises(ValueError, match="weight zero"):
        bootstrap(retired, X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        hard = GaussianMixture(2, e_step="hard", random_state=0).fit(X)
    with pytest.raises(ValueError, match="e_step='hard'"):
        bootstrap(hard, X)
