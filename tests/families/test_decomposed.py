"""The fourteen structures of volume, shape and orientation: the M-step against plain optimisation and inequalities."""

import warnings

import numpy as np
import pytest
from cases import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from fastem import GaussianMixture
from fastem.families.covariances import STRUCTURES
from fastem.families.covariances.spectra import common_axes, rounds
from fastem.families.gaussian import GaussianMixtureModel
from fastem.sources import as_source

CONSTRAINED = [name for name in MODELS if STRUCTURES[name].constrains]
LARGER = {  # each model is in these
    "EII": ("VII", "EEI"),
    "VII": ("VEI",),
    "EEI": ("VEI", "EVI", "EEE", "EEV"),
    "VEI": ("VVI", "VEE", "VEV"),
    "EVI": ("VVI", "EVE"),
    "VVI": ("VVE",),
    "EEE": ("VEE", "EVE", "EEV"),
    "VEE": ("VVE", "VEV"),
    "EVE": ("VVE", "EVV"),
    "VVE": ("VVV",),
    "EEV": ("VEV", "EVV"),
    "VEV": ("VVV",),
    "EVV": ("VVV",),
}
every_model = pytest.mark.parametrize("name", MODELS)
every_constraint = pytest.mark.parametrize("name", CONSTRAINED)


def scatters(n_components, n_features, seed=0):
    """Covariances of some rows (K, D, D), and shares (K,)."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n_components, n_features, n_features)) * rng.uniform(0.3, 3, (n_components, 1, 1))
    matrices = factors @ factors.swapaxes(1, 2) / n_features + 0.1 * np.eye(n_features)
    return matrices, rng.dirichlet(np.full(n_components, 3.0))


def loss(matrices, scatter, shares):
    """-2 log-likelihood per row of rows with these covariances, without constants."""
    logs = np.linalg.slogdet(matrices)[1]
    return shares @ (logs + np.trace(np.linalg.solve(matrices, scatter), axis1=1, axis2=2))


def member(name, numbers, n_components, n_features):
    """Any covariances (K, D, D) of a model, from as many numbers as it takes and some more."""
    k, d = n_components, n_features
    volumes, shapes, turns = np.split(numbers, [k, k * (1 + d)])
    volumes, shapes = volumes.reshape(k, 1), shapes.reshape(k, d)
    skew = np.zeros((k, d, d))
    skew[:, *np.tril_indices(d, -1)] = turns.reshape(k, -1)
    shapes = shapes - shapes.mean(axis=1, keepdims=True)
    first = [part[:1].repeat(k, axis=0) for part in (volumes, shapes, skew)]
    parts = zip(name, first, (volumes, shapes, skew), strict=True)
    volumes, shapes, skew = ({"E": equal, "V": variable, "I": 0 * equal}[letter] for letter, equal, variable in parts)
    skew = skew - skew.swapaxes(1, 2)
    axes = np.linalg.solve(np.eye(d) + skew, np.eye(d) - skew)  # Cayley's rotations
    return (axes * np.exp(volumes + shapes)[:, None]) @ axes.swapaxes(1, 2)


def constrained(name, scatter, shares, previous=None):
    """The fit of a model to covariances, as matrices."""
    structure, shape = STRUCTURES[name], scatter.shape[:2]
    if structure.shared:
        pooled = np.einsum("k,kij->ij", shares, scatter)
        return structure.as_matrices(structure.of_matrices(pooled).reshape(structure.shape(*shape)), *shape)
    previous = structure.of_matrices(np.broadcast_to(np.eye(shape[1]), scatter.shape) if previous is None else previous)
    return structure.as_matrices(structure.constrained(structure.of_matrices(scatter), shares, previous), *shape)


@every_model
def test_the_fit_is_the_best_member_of_the_model(name):
    scatter, shares = scatters(2, 3)
    rng = np.random.default_rng(1)
    found = constrained(name, scatter, shares)
    for _ in range(20):  # the axes of EVE and VVE take some steps, which EM goes on with
        found = constrained(name, scatter, shares, found)

    def objective(numbers):
        return loss(member(name, numbers, 2, 3), scatter, shares)

    starts = rng.normal(size=(3, 2 * (1 + 3 + 3)))
    best = min(minimize(objective, start, method="BFGS", options={"maxiter": 200}).fun for start in starts)
    assert_allclose(loss(found, scatter, shares), best, rtol=0, atol=2e-7)


@every_constraint
@pytest.mark.parametrize("n_features", [1, 2, 3, 6])
def test_members_are_their_own_fit(name, n_features):
    structure, matrices = STRUCTURES[name], member(name, _numbers(3, n_features), 3, n_features)
    assert structure.holds(structure.of_matrices(matrices))
    assert_allclose(constrained(name, matrices, np.full(3, 1 / 3), matrices), matrices, rtol=1e-7, atol=1e-8)


def _numbers(k, d):
    return 0.7 * np.random.default_rng(2).normal(size=k * (1 + d + d * (d - 1) // 2))


@every_constraint
def test_strangers_are_told_from_members(name):
    structure = STRUCTURES[name]
    assert not structure.holds(structure.of_matrices(scatters(3, 3)[0]))


@given(st.integers(2, 4), st.integers(1, 4), st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_a_larger_model_fits_no_worse(n_components, n_features, seed):
    scatter, shares = scatters(n_components, n_features, seed)
    fits = dict.fromkeys(MODELS)
    for name in MODELS:
        smaller = [fits[other] for other in MODELS if name in LARGER.get(other, ())]
        starts = [None, *smaller]
        fits[name] = min(
            (constrained(name, scatter, shares, s) for s in starts), key=lambda m: loss(m, scatter, shares)
        )
        for other in smaller:
            assert loss(fits[name], scatter, shares) <= loss(other, scatter, shares) + 1e-9


@every_constraint
@given(st.integers(2, 4), st.integers(1, 4), st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_no_fit_is_worse_than_the_covariances_before(name, n_components, n_features, seed):
    scatter, shares = scatters(n_components, n_features, seed)
    before = constrained(name, *scatters(n_components, n_features, seed + 1))
    after = constrained(name, scatter, shares, before)
    assert loss(after, scatter, shares) <= loss(before, scatter, shares) + 1e-9


@every_model
def test_one_component_knows_only_its_form(name):
    scatter, shares = scatters(1, 4)[0], np.ones(1)
    form = "VII" if name.endswith("II") else "VVI" if name.endswith("I") else "VVV"
    assert_allclose(constrained(name, scatter, shares), constrained(form, scatter, shares), rtol=1e-9, atol=1e-12)


@every_constraint
def test_components_without_rows_do_not_matter(name):
    scatter, shares = scatters(3, 3)
    with_ghost = np.concatenate([scatter, 100.0 * np.eye(3)[None]])
    found = constrained(name, with_ghost, np.append(shares, 0.0))
    assert_allclose(found[:3], constrained(name, scatter, shares), rtol=1e-6)


@every_model
def test_free_parameters_are_those_of_mclust(name):
    # nMclustParams(name, d = 3, G = 4) less means and proportions
    expected = {"EII": 1, "VII": 4, "EEI": 3, "VEI": 6, "EVI": 9, "VVI": 12, "EEE": 6, "VEE": 9, "EVE": 12, "VVE": 15}
    expected |= {"EEV": 15, "VEV": 18, "EVV": 21, "VVV": 24}
    assert STRUCTURES[name].n_parameters(4, 3) == expected[name]


def test_every_pair_of_axes_meets_once():
    for n in range(1, 9):
        found = rounds(n)
        assert all(len({*left, *right}) == 2 * len(left) for left, right in found)
        pairs = [tuple(pair) for left, right in found for pair in np.stack([left, right], axis=1).tolist()]
        assert sorted(pairs) == [(i, j) for i in range(n) for j in range(i + 1, n)]


def test_common_axes_are_found_where_each_matrix_has_equal_eigenvalues():
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    matrices = np.stack([(axes * spectrum) @ axes.T for spectrum in ([1.0, 1.0, 2.0], [1.0, 3.0, 3.0])])
    found = common_axes(matrices)
    for turned in found.T @ matrices @ found:
        assert_allclose(turned, np.diag(np.diagonal(turned)), atol=1e-13)


@every_model
def test_an_em_step_from_expected_moments_returns_the_parameters(name):
    structure, rng = STRUCTURES[name], np.random.default_rng(0)
    matrices = member(name, _numbers(3, 2), 3, 2)
    covariances = structure.of_shown(structure.of_matrices(matrices))
    whiteners, _ = structure.whiten(covariances)
    weights, means = np.array([0.2, 0.3, 0.5]), 5.0 * rng.normal(size=(3, 2))
    model = GaussianMixtureModel(structure, weights, means, covariances, whiteners)
    rows, _ = model.sample(10, np.random.RandomState(0))
    statistics = model.e_step(as_source(rows))
    moments = statistics.moments._replace(
        counts=weights, first=np.zeros((3, 2)), second=structure.expected(weights, means, covariances)
    )
    found = model.m_step(statistics._replace(moments=moments))
    assert_allclose(found.covariances, covariances, rtol=1e-8)
    assert_allclose(found.means, means, rtol=1e-14)


@every_model
@given(seed=st.integers(0, 10_000), reg_covar=st.sampled_from([0.0, 1e-6, 1e-2]), ties=st.booleans())
@settings(max_examples=6, deadline=None)
def test_the_likelihood_never_falls(name, seed, reg_covar, ties):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(rng.integers(12, 60), rng.integers(1, 4))) * rng.uniform(0.1, 10)
    rows = np.round(rows) if ties else rows
    mixture = GaussianMixture(
        rng.integers(1, 4), covariance_type=name, reg_covar=reg_covar, random_state=0, acceleration="squarem"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)  # LowerBoundWarning is one
        try:
            mixture.fit(rows)
        except ValueError as error:
            assert "The likelihood is unbounded" in str(error)  # noqa: PT017
            return
    structure = STRUCTURES[name]
    assert_array_equal(mixture.covariances_.shape, structure.shown_shape(*mixture.means_.shape))
    assert np.isfinite(mixture.covariances_).all()
