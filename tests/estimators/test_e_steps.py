"""Classification EM and stochastic EM as users have them, against both written down plainly."""

from typing import NamedTuple

import numpy as np
import pytest
import reference
from cases import STRUCTURES, case
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from fastem import GaussianMixture, KMeans
from fastem.engine.e_steps import Hard, Stochastic
from fastem.engine.loop import Fit, run_em
from fastem.engine.stopping import PATIENCE, Patience
from fastem.sources import as_source

every_structure = pytest.mark.parametrize("structure", STRUCTURES)
unfinished = pytest.mark.filterwarnings("ignore:The fit did not converge")


def after(problem, assign, n_iter):
    """The parameters after iterations whose E-step is `assign(log_joint, iteration)` (n, K), and the bounds."""
    joints = []
    for iteration in range(n_iter):
        joints.append(problem.log_joint)
        shares = assign(joints[-1], iteration) * problem.sample_weight[:, None]
        weights, means, covariances = reference.m_step(problem.structure, problem.rows, shares)
        problem = problem._replace(weights=weights, means=means, covariances=covariances)
    return problem, joints


def assert_same(mixture, problem):
    for name in ("weights", "means", "covariances"):
        assert_allclose(getattr(mixture, name + "_"), getattr(problem, name), rtol=1e-8, atol=1e-10, err_msg=name)


# hard -----------------------------------------------------------------------------------------------------------------


@unfinished
@every_structure
@pytest.mark.parametrize("n_iter", [1, 2, 6])
def test_iterations_of_classification_em(structure, n_iter):
    problem = case(structure, 400, 3, 3)
    expected, joints = after(problem, lambda joint, _: np.eye(3)[joint.argmax(axis=1)], n_iter)
    mixture = GaussianMixture(3, covariance_type=structure, e_step="hard", tol=0, reg_covar=0, max_iter=n_iter)
    mixture.set_params(**problem.start).fit(problem.rows, sample_weight=problem.sample_weight)
    assert_same(mixture, expected)
    bounds = [np.average(joint.max(axis=1), weights=problem.sample_weight) for joint in joints]
    assert_allclose(mixture.lower_bounds_, bounds, rtol=1e-10)


@given(
    structure=st.sampled_from(STRUCTURES),
    shape=st.tuples(st.integers(60, 200), st.integers(1, 4), st.integers(1, 3)),
    seed=st.integers(0, 10_000),
)
def test_the_classification_likelihood_never_falls_and_comes_to_rest(structure, shape, seed):
    problem = case(structure, *shape, seed=seed)
    source = as_source(problem.rows, problem.sample_weight)
    model, bounds = problem.model(), []
    for iteration in range(100):
        statistics = model.e_step(source, *Hard().arguments(iteration))
        bounds.append(statistics.lower_bound)
        if len(bounds) > 1 and abs(bounds[-1] - bounds[-2]) < 1e-12 * max(1.0, abs(bounds[-1])):
            break
        model = model.m_step(statistics)
        if model.repairs or (model.weights == 0).any():
            return
    assert (np.diff(bounds) >= -1e-10 * np.maximum(1.0, np.abs(bounds[1:]))).all()
    assert len(bounds) < 100


def test_the_classification_likelihood_is_below_the_likelihood_and_close_for_distant_clusters():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 2)) + 30.0 * (np.arange(200) % 2)[:, None]
    mixture = GaussianMixture(2, e_step="hard", random_state=0).fit(rows)
    assert_allclose(mixture.lower_bounds_[-1], mixture.log_likelihood_, rtol=1e-9)
    closer = GaussianMixture(2, e_step="hard", random_state=0).fit(rows / np.array([1.0, 30.0]) % 3.0)
    assert closer.lower_bounds_[-1] < closer.log_likelihood_


def test_faithful(faithful):
    """The partition of exact EM is nearly that of classification EM: the groups are well apart."""
    hard = GaussianMixture(2, e_step="hard", reg_covar=0, tol=1e-10, random_state=0).fit(faithful)
    soft = GaussianMixture(2, reg_covar=0, tol=1e-10, max_iter=1_000, random_state=0).fit(faithful)
    assert hard.converged_
    labels = hard.predict(faithful)
    expected = reference.m_step("full", faithful, np.eye(2)[labels])
    for name, value in zip(("weights_", "means_", "covariances_"), expected, strict=True):
        assert_allclose(getattr(hard, name), value, rtol=1e-9)
    agreement = (labels == soft.predict(faithful)).mean()
    assert max(agreement, 1 - agreement) > 0.99
    assert hard.log_likelihood_ <= soft.log_likelihood_


def test_from_equal_weights_and_one_spherical_variance_an_iteration_is_lloyds():
    problem = case("spherical", 500, 3, 4)
    kmeans = KMeans(4, tol=0.0, random_state=0).fit(problem.rows)
    for centers in (kmeans.cluster_centers_, problem.rows[:4]):
        labels = ((problem.rows[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
        start = {"weights_init": np.full(4, 0.25), "means_init": centers, "precisions_init": np.full(4, 0.7)}
        mixture = GaussianMixture(4, covariance_type="spherical", e_step="hard", max_iter=1, **start)
        with pytest.warns(ConvergenceWarning, match="max_iter=1"):
            mixture.fit(problem.rows)
        means = np.stack([problem.rows[labels == k].mean(axis=0) for k in range(4)])
        assert_allclose(mixture.means_, means, rtol=1e-10)


@every_structure
def test_clusters_of_one_shape_rest_where_kmeans_does(structure):
    cloud = np.random.default_rng(3).normal(size=(60, 2))
    rows = np.concatenate([cloud + shift for shift in ([0, 0], [6, 1], [1, 7])])
    kmeans = KMeans(3, random_state=0).fit(rows)
    mixture = GaussianMixture(3, covariance_type=structure, e_step="hard", init_params=kmeans.labels_).fit(rows)
    assert_array_equal(mixture.predict(rows), kmeans.labels_)
    assert_allclose(mixture.means_, kmeans.cluster_centers_, rtol=1e-10)


def test_a_component_that_loses_its_rows_is_dropped_with_a_warning():
    rows = np.random.default_rng(0).normal(size=(100, 2))
    start = {"means_init": [[0.0, 0.0], [50.0, 50.0]], "weights_init": [0.5, 0.5], "precisions_init": [np.eye(2)] * 2}
    with pytest.warns(ConvergenceWarning, match=r"Components \[1\] lost all their rows"):
        mixture = GaussianMixture(2, e_step="hard", **start).fit(rows)
    assert_array_equal(mixture.weights_, [1.0, 0.0])
    assert_allclose(mixture.means_[0], rows.mean(axis=0), rtol=1e-10)


def test_a_component_with_one_row_is_repaired_with_a_warning():
    rows = np.concatenate([np.random.default_rng(0).normal(size=(100, 2)), [[50.0, 50.0]]])
    start = {"means_init": [[0.0, 0.0], [50.0, 50.0]], "weights_init": [0.5, 0.5], "precisions_init": [np.eye(2)] * 2}
    with pytest.warns(ConvergenceWarning, match="component 1 became singular at iteration 1"):
        mixture = GaussianMixture(2, e_step="hard", reg_covar=0, **start).fit(rows)
    assert_allclose(mixture.weights_, [100 / 101, 1 / 101])
    assert np.isfinite(mixture.score(rows))


# stochastic -----------------------------------------------------------------------------------------------------------


@every_structure
def test_the_chain_of_stochastic_em(structure):
    problem, seed, n_iter = case(structure, 400, 3, 3), 8, 4

    def assign(joint, iteration):
        return reference.drawn(joint, reference.uniform(problem.rows, seed, iteration))

    expected, joints = after(problem, assign, n_iter)
    source = as_source(problem.rows, problem.sample_weight)
    fit = run_em(Fit(problem.model(), Patience(0.0), e_step=Stochastic(seed)), source, max_iter=n_iter)
    for name in ("weights", "means", "covariances"):
        assert_allclose(getattr(fit.model, name), getattr(expected, name), rtol=1e-8, atol=1e-10)
    bounds = [np.average(reference.log_density(joint), weights=problem.sample_weight) for joint in joints]
    assert_allclose(fit.lower_bounds, bounds, rtol=1e-10)
    best, _ = after(problem, assign, int(np.argmax(bounds)))
    assert_allclose(fit.kept.means, best.means, rtol=1e-8)


def test_a_fit_keeps_the_best_of_its_chain():
    problem = case("full", 300, 2, 3)
    mixture = GaussianMixture(3, e_step="stochastic", max_iter=300, random_state=0).fit(problem.rows)
    assert mixture.converged_
    assert (np.diff(mixture.lower_bounds_) < 0).any()
    assert mixture.lower_bound_ == max(mixture.lower_bounds_)
    assert_allclose(mixture.log_likelihood_, mixture.lower_bound_, rtol=1e-12)
    again = GaussianMixture(3, e_step="stochastic", max_iter=300, random_state=0).fit(problem.rows)
    assert_array_equal(again.means_, mixture.means_)


def test_the_chain_leaves_a_start_that_em_cannot_leave():
    """Equal components have equal responsibilities: EM stays, draws tell them apart."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(300, 1)) + 6.0 * (np.arange(300) % 2)[:, None]
    start = {"weights_init": [0.5, 0.5], "means_init": [[3.0], [3.0]], "precisions_init": [[[0.1]], [[0.1]]]}
    stuck = GaussianMixture(2, **start).fit(rows)
    free = GaussianMixture(2, e_step="stochastic", max_iter=500, random_state=0, **start).fit(rows)
    assert_allclose(stuck.means_[0], stuck.means_[1])
    assert_allclose(np.sort(free.means_.ravel()), [0.0, 6.0], atol=0.3)
    assert free.log_likelihood_ > stuck.log_likelihood_ + 0.2


class Visited(NamedTuple):
    """A model of a chain: its bound, what had to be repaired, and the model after it."""

    lower_bound: float
    repairs: tuple = ()
    following: "Visited | None" = None
    bound_slack: float = 0.0

    def e_step(self, source, assignment):
        return self

    def m_step(self, statistics):
        return self.following


def test_parameters_with_a_collapsed_component_are_not_kept_for_their_likelihood():
    chain = Visited(-3.0, (), Visited(5.0, (1,), Visited(-2.0, (), Visited(-4.0))))
    run = run_em(Fit(chain, Patience(0.0), e_step=Stochastic(0)), None, max_iter=3)
    assert run.kept.lower_bound == run.lower_bound == -2.0
    run = run_em(Fit(chain.following, Patience(0.0), e_step=Stochastic(0)), None, max_iter=1)
    assert run.kept.lower_bound == run.lower_bound == 5.0  # there is no other


def test_patience_waits_for_a_rise_of_the_greatest_bound():
    stop = Patience(0.1)
    waits = [stop(change, None) for change in [np.inf, 0.2] + [0.05, -0.05] * PATIENCE]
    assert waits.index(True) == 1 + PATIENCE
    rising = Patience(0.1)
    assert not any(rising(change, None) for change in [np.inf] + [0.04] * 200)  # small steps add up


# both -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"e_step": "hard", "acceleration": "squarem"}, "acceleration='squarem'"),
        ({"e_step": "stochastic", "acceleration": "squarem"}, "acceleration='squarem'"),
        ({"e_step": "stochastic", "stopping": "gap"}, "stopping='gap'"),
        ({"e_step": "firm"}, "The 'e_step' parameter of GaussianMixture must be"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2, **options).fit(np.random.default_rng(0).normal(size=(50, 2)))


@pytest.mark.parametrize("e_step", ["hard", "stochastic"])
def test_a_fit_without_iterations_keeps_the_start(e_step):
    problem = case("diag", 100, 2, 2)
    mixture = GaussianMixture(2, covariance_type="diag", e_step=e_step, max_iter=0, **problem.start)
    assert_allclose(mixture.fit(problem.rows).means_, problem.means)


@pytest.mark.parametrize("e_step", ["hard", "stochastic"])
def test_learning_from_batches(e_step):
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(4000, 2)) + 8.0 * (np.arange(4000) % 2)[:, None]
    mixture = GaussianMixture(2, e_step=e_step, random_state=0, batch_size=200)
    for part in np.split(rows, 4):
        mixture.partial_fit(part)
    soft = GaussianMixture(2, random_state=0).fit(rows)
    order = np.argsort(mixture.means_[:, 0])
    assert_allclose(mixture.means_[order], soft.means_[np.argsort(soft.means_[:, 0])], atol=0.2)
    online = GaussianMixture(2, e_step=e_step, learning_method="online", random_state=0).fit(rows)
    assert_allclose(online.means_[np.argsort(online.means_[:, 0])], mixture.means_[order], atol=0.2)
