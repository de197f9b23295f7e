"""The four covariance structures: conversions, singular matrices, parameters."""

import numpy as np
import pytest
import reference
from cases import STRUCTURES as NAMES
from cases import random_covariances
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.mixture import GaussianMixture as Peer

from fastem.families.covariances import STRUCTURES

SIZES = [(1, 1), (3, 1), (1, 4), (3, 2), (5, 7)]  # components, features
every_structure = pytest.mark.parametrize("structure", [STRUCTURES[name] for name in NAMES], ids=NAMES)
every_size = pytest.mark.parametrize(("n_components", "n_features"), SIZES)
matrix_structures = pytest.mark.parametrize("structure", [STRUCTURES["full"], STRUCTURES["tied"]], ids=["full", "tied"])


def covariances_of(structure, n_components, n_features):
    return random_covariances(structure.name, n_components, n_features, np.random.default_rng(0))


@every_structure
@every_size
def test_a_whitener_turns_its_covariance_into_the_identity(structure, n_components, n_features):
    covariances = covariances_of(structure, n_components, n_features)
    assert covariances.shape == structure.shape(n_components, n_features)
    whiteners, singular = structure.whiten(covariances)
    assert_array_equal(singular, np.zeros(1 if structure.shared else n_components, dtype=bool))
    lower = structure.as_matrices(whiteners, n_components, n_features)
    matrices = reference.matrices(structure.name, covariances, n_components, n_features)
    assert_array_equal(lower, np.tril(lower))
    identity = np.broadcast_to(np.eye(n_features), lower.shape)
    assert_allclose(lower @ matrices @ lower.swapaxes(1, 2), identity, atol=1e-12)


@every_structure
@every_size
def test_round_trips(structure, n_components, n_features):
    covariances = covariances_of(structure, n_components, n_features)
    whiteners, _ = structure.whiten(covariances)
    assert_allclose(structure.covariances(whiteners), covariances, rtol=1e-12, atol=1e-13)
    assert_allclose(
        structure.whiteners_of_precisions(structure.precisions(whiteners)), whiteners, rtol=1e-10, atol=1e-12
    )
    assert_array_equal(structure.cholesky(structure.cholesky(whiteners)), whiteners)


@every_structure
def test_precisions_and_their_factors_are_scikit_learns(structure):
    rows = np.random.default_rng(1).normal(size=(60, 3)) @ np.random.default_rng(2).normal(size=(3, 3))
    peer = Peer(2, covariance_type=structure.name, random_state=0, max_iter=500).fit(rows)
    whiteners, _ = structure.whiten(peer.covariances_)
    assert_allclose(structure.cholesky(whiteners), peer.precisions_cholesky_, rtol=1e-8, atol=1e-10)
    assert_allclose(structure.precisions(whiteners), peer.precisions_, rtol=1e-8, atol=1e-10)
    free = structure.n_parameters(2, 3) + 2 * 3 + 1
    assert free == peer._n_parameters()


@every_structure
@every_size
def test_eigenvalues_of_the_precisions(structure, n_components, n_features):
    covariances = covariances_of(structure, n_components, n_features)
    whiteners, _ = structure.whiten(covariances)
    matrices = reference.matrices(structure.name, covariances, n_components, n_features)
    expected = np.linalg.eigvalsh(np.linalg.inv(matrices))
    found = np.sort(np.broadcast_to(structure.precision_eigenvalues(whiteners), expected.shape), axis=1)
    assert_allclose(found, expected, rtol=1e-10)


@every_structure
@every_size
def test_widening_adds_variances_to_the_diagonals_that_are_chosen(structure, n_components, n_features):
    covariances = covariances_of(structure, n_components, n_features)
    chosen = np.zeros(1 if structure.shared else n_components, dtype=bool)
    chosen[0] = True
    variances = np.full(n_features, 0.5) if structure.name == "spherical" else np.linspace(0.5, 1.5, n_features)
    widened = structure.widen(covariances, variances, chosen)
    before, after = (reference.matrices(structure.name, c, n_components, n_features) for c in (covariances, widened))
    chosen = np.broadcast_to(chosen, n_components)
    assert_allclose(after - before, chosen[:, None, None] * np.diag(variances), atol=1e-14)


@every_structure
def test_a_zero_variance_is_singular_whatever_the_others(structure):
    covariances = covariances_of(structure, 3, 2)
    broken = {
        "full": lambda: with_entry(covariances, (1, 1, 1), 0.0),
        "tied": lambda: with_entry(covariances, (1, 1), 0.0),
        "diag": lambda: with_entry(covariances, (1, 1), 0.0),
        "spherical": lambda: with_entry(covariances, (1,), 0.0),
    }[structure.name]()
    whiteners, singular = structure.whiten(broken)
    assert_array_equal(singular, [True] if structure.shared else [False, True, False])
    assert np.isfinite(whiteners).all()


def with_entry(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


SINGULAR = {
    "dependent columns": ([[1.0, 1.0], [1.0, 1.0]], True),
    "nearly dependent columns": ([[1.0, 1.0], [1.0, 1.0 + 1e-15]], True),
    "indefinite": ([[1.0, 2.0], [2.0, 1.0]], True),
    "negative variance": ([[1.0, 0.0], [0.0, -1.0]], True),
    "NaN": ([[np.nan, 0.0], [0.0, 1.0]], True),
    "highly correlated": ([[1.0, 1.0 - 1e-10], [1.0 - 1e-10, 1.0]], False),
    "uncorrelated": ([[1.0, 0.0], [0.0, 1.0]], False),
}


@matrix_structures
@pytest.mark.parametrize("scales", [(1.0, 1.0), (1e-100, 1e-100), (1e100, 1e100), (1e-6, 1e6), (1e60, 1e-60)])
@pytest.mark.parametrize(("matrix", "expected"), SINGULAR.values(), ids=SINGULAR)
def test_what_is_singular_does_not_depend_on_units(structure, matrix, expected, scales):
    scaled = np.array(matrix) * np.outer(scales, scales)
    covariances = scaled if structure.shared else np.stack([np.eye(2), scaled])
    whiteners, singular = structure.whiten(covariances)
    assert singular[-1] == expected
    assert np.isfinite(whiteners).all()


@pytest.mark.parametrize(
    ("name", "expected"), [("full", 3 * 10), ("tied", 10), ("diag", 3 * 4), ("spherical", 3)], ids=NAMES
)
def test_free_parameters(name, expected):
    assert STRUCTURES[name].n_parameters(3, 4) == expected


@matrix_structures
def test_a_precision_that_is_not_positive_definite_has_no_factor(structure):
    precisions = np.array([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(np.linalg.LinAlgError):
        structure.whiteners_of_precisions(precisions if structure.shared else precisions[None])
