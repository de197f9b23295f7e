"""Passes that leave out components: the bits of those that leave out nothing, and proofs for what they leave out."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from fastem.engine.acceleration import Squarem
from fastem.families.covariances import STRUCTURES
from fastem.families.gaussian import GaussianMixtureModel
from fastem.kernels import memory, passes, threads
from fastem.kernels.accumulation import accumulated
from fastem.kernels.assignments import BEST, LIKELIHOOD, SOFT, Assignment
from fastem.kernels.memory import PassMemory
from fastem.kernels.tiles import ORDERED

N_ROWS, K = 6_007, 70
NAMES = ["full", "diag", "spherical", "tied"]
every_structure = pytest.mark.parametrize("name", NAMES)


def rows_of(n_features, n_rows=N_ROWS, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-40, 40, size=(K, n_features))
    return centres[rng.integers(K, size=n_rows)] + rng.normal(size=(n_rows, n_features))


def start(name, rows, arithmetic="float64", seed=0):
    structure, rng = STRUCTURES[name], np.random.default_rng(seed)
    means = rows[rng.choice(len(rows), K, replace=False)]
    covariances = structure.of_matrices(np.broadcast_to(np.eye(rows.shape[1]), (K, *[rows.shape[1]] * 2)))
    covariances = np.ascontiguousarray(covariances[0] if structure.shared else covariances)
    whiteners, _ = structure.whiten(covariances)
    weights = np.full(K, 1 / K)
    return GaussianMixtureModel(structure, weights, means, covariances, whiteners, 1e-3, arithmetic)


class Fitter:
    """EM with and without a memory of bounds, over rows in the same order."""

    def __init__(self, rows, weights=None, blocks=None):
        self.blocks = [(rows, weights)] if blocks is None else blocks
        self.pruned, self.dense = PassMemory(len(rows)), PassMemory(len(rows))
        self.n_rows, self.shares = len(rows), []

    def sums(self, model, assignment=SOFT):
        parameters = model.kernel_parameters
        found = accumulated(parameters, self.blocks, assignment=assignment, memory=self.pruned)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(memory, "BOUND_MEMORY", 0)
            expected = accumulated(parameters, self.blocks, assignment=assignment, memory=self.dense)
        self.shares.append(found[3] / (-(-self.n_rows // memory.LEAF) * K))
        found[3] = expected[3]
        assert_array_equal(found, expected)
        return found

    def step(self, model, assignment=SOFT):
        return model.m_step(model.statistics(self.sums(model, assignment)))


def jolted(model, size, rng):
    """The model after a random step."""
    means = model.means + size * rng.normal(size=model.means.shape)
    return replace(
        model,
        means=means,
        covariances=model.covariances * (1 + size),
        scatter=None,
        whiteners=model.whiteners / np.sqrt(1 + size),
    )


@every_structure
@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
def test_pruned_passes_have_the_bits_of_dense_ones(name, arithmetic):
    rows, rng = rows_of(3), np.random.default_rng(1)
    weights = rng.random(N_ROWS) * (rng.random(N_ROWS) > 0.1)
    fitter, model = Fitter(rows, weights), start(name, rows, arithmetic)
    for _ in range(4):
        model = fitter.step(model)
    for size in (1e-3, 0.1, 1.0):
        fitter.sums(jolted(model, size, rng))
    fitter.sums(model, LIKELIHOOD)
    assert fitter.shares[0] == 1.0
    assert min(fitter.shares) < 0.5


@pytest.mark.parametrize("assignment", [BEST, Assignment.sampled(1, 2)], ids=["hard", "stochastic"])
@pytest.mark.parametrize("n_features", [1, 2, 9, 12])
def test_assignments_and_features(assignment, n_features):
    rows = rows_of(n_features)
    fitter, model = Fitter(rows), start("full", rows)
    for _ in range(3):
        model = fitter.step(model, assignment)
    assert fitter.shares[-1] < 1.0


def test_steps_of_squarem_and_replaced_components():
    rows = rows_of(2)
    fitter, before = Fitter(rows), start("full", rows)
    image = fitter.step(before)
    after = fitter.step(image)
    proposal = Squarem(patient=False, active=True, before=before).propose(image, after, 0.0, plain=True)
    fitter.sums(after if proposal is None else proposal)
    means = after.means.copy()
    means[::7] = rows[:K:7]
    replaced = replace(after, means=means)
    fitter.sums(replaced)
    empty = replace(replaced, weights=np.where(np.arange(K) == 3, 0.0, 1.0 / (K - 1)))
    fitter.sums(fitter.step(empty))
    fitter.sums(empty.reordered(np.arange(K)[::-1]))


def test_a_component_of_tiny_variance_and_duplicates():
    rows = np.vstack([rows_of(3, 3_000), np.tile(rows_of(3, 40, seed=4), (60, 1))])
    model = start("full", rows)
    covariances = model.covariances.copy()
    covariances[5] *= 1e-14
    model = replace(model, covariances=covariances, whiteners=model.structure.whiten(covariances)[0])
    fitter = Fitter(rows)
    for _ in range(3):
        model = fitter.step(model)


def test_rows_far_from_zero():
    rows = rows_of(2) + 1e9
    fitter, model = Fitter(rows), start("full", rows)
    for _ in range(3):
        model = fitter.step(model)
    assert fitter.shares[-1] < 0.5


def test_neither_blocks_nor_layouts_nor_threads_change_a_bit(monkeypatch):
    rows = rows_of(2, ORDERED + 3_000)
    weights = np.random.default_rng(0).random(len(rows))
    whole = Fitter(rows, weights)
    cuts = np.array([0, 13, 400, 30_000, ORDERED - 1, len(rows)])
    cut = [(rows[a:b], weights[a:b]) for a, b in pairwise(cuts)]
    fortran = Fitter(np.asfortranarray(rows), weights)
    pieces = Fitter(rows, blocks=cut)
    model = start("full", rows)
    for _ in range(3):
        expected = whole.sums(model)
        assert_array_equal(fortran.sums(model), expected)
        assert_array_equal(pieces.sums(model), expected)
        model = model.m_step(model.statistics(expected))
    monkeypatch.setattr(threads, "PARALLEL_WORK", 0)
    assert_array_equal(whole.sums(model), fortran.sums(model))


def test_the_order_changes_rounding_alone():
    rows = rows_of(3)
    model = start("full", rows)
    ordered = accumulated(model.kernel_parameters, [(rows, None)], memory=PassMemory(N_ROWS))
    found = accumulated(model.kernel_parameters, [(rows, None)])
    np.testing.assert_allclose(ordered[: passes.HEADER - 5], found[: passes.HEADER - 5], rtol=1e-13, atol=1e-6)
    size = np.abs(found[passes.HEADER :]).max()
    np.testing.assert_allclose(ordered[passes.HEADER :], found[passes.HEADER :], rtol=1e-10, atol=1e-12 * size)


def test_an_interrupted_pass_is_forgotten():
    rows = rows_of(2)
    fitter, model = Fitter(rows), start("full", rows)
    model = fitter.step(model)

    def interrupted():
        yield rows[:3_000], None
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        accumulated(jolted(model, 1.0, np.random.default_rng(0)).kernel_parameters, interrupted(), memory=fitter.pruned)
    fitter.sums(model)
    assert fitter.shares[-1] == 1.0


def test_bounds_rest_where_nothing_can_be_left_out():
    rows = np.random.default_rng(0).normal(size=(2_000, 12))
    fitter, model = Fitter(rows), start("full", rows)
    for _ in range(6):
        model = fitter.step(model)
    assert fitter.shares == [1.0, 1.0, 0.0, 1.0, 1.0, 0.0]  # kept, of no use, at rest, ...


# what is left out -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.sampled_from(NAMES), st.floats(1e-4, 2.0))
def test_what_is_left_out_has_no_share(seed, name, size):
    """After a random step every component that NumPy finds in a tile is among those evaluated."""
    rng = np.random.default_rng(seed)
    rows = rows_of(2, 600, seed % 1000)
    model = start(name, rows, seed=seed % 1000)
    own = PassMemory(len(rows))
    accumulated(model.kernel_parameters, [(rows, None)], memory=own)
    after = jolted(model, size, rng)
    found = accumulated(after.kernel_parameters, [(rows, None)], memory=own)
    matrices = after.structure.as_matrices(after.whiteners, *after.means.shape)
    z = np.einsum("kij,nkj->nki", matrices, rows[:, None] - after.means)
    log_det = np.log(np.diagonal(matrices, axis1=1, axis2=2)).sum(axis=1)
    log_joint = np.log(after.weights) + log_det - 0.5 * (z**2).sum(axis=2)
    shares = np.exp(log_joint - log_joint.max(axis=1, keepdims=True)) > 2.0**-54
    in_order = shares[own.of(rows, 0)]
    tiles = [in_order[first : first + memory.LEAF].any(axis=0).sum() for first in range(0, len(rows), memory.LEAF)]
    assert found[3] >= sum(tiles)
    log_likelihood = found[0] + found[1]
    expected = (log_joint.max(axis=1) + np.log(np.exp(log_joint - log_joint.max(axis=1)[:, None]).sum(axis=1))).sum()
    assert abs(log_likelihood - expected + len(rows) * np.log(2 * np.pi)) < 1e-9 * abs(expected)


def test_few_pairs_are_evaluated_where_clusters_are_small():
    rows = rows_of(2, 30_000)
    fitter, model = Fitter(rows), start("full", rows)
    for _ in range(5):
        model = fitter.step(model)
    assert fitter.shares[-1] < 0.15
