"""Laws that every mixture model obeys, from the table of families."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from families_table import FAMILIES, every_family, families, linear_change
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import chisquare

from fastem.engine.acceleration import accelerator
from fastem.engine.loop import Fit, run_em
from fastem.engine.stopping import Gain
from fastem.families.covariances import STRUCTURES
from fastem.kernels import accumulation, threads
from fastem.sources import as_source


def source_of(problem, part=slice(None)):
    return as_source(problem.rows[part], problem.sample_weight[part])


def em_step(model, source):
    return model.m_step(model.e_step(source))


def evaluated(model, rows):
    out = {
        "log_density": np.full(len(rows), np.nan),
        "labels": np.full(len(rows), -1),
        "responsibilities": np.full((len(rows), model.n_components), np.nan),
    }
    model.evaluate(rows, **out)
    return out


def assert_parameters(model, expected, rtol):
    """Parameters of a model are those of a case, or of another model."""
    for name, value in expected.items():
        atol = rtol * np.abs(value).max()
        assert_allclose(getattr(model, name), value, rtol=rtol, atol=atol, err_msg=name)


def parameters(model, problem):
    return {name: getattr(model, name) for name in problem.parameters}


# rows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "shape"),
    [pytest.param(f, shape, id=f"{f.name}-{'x'.join(map(str, shape))}") for f in FAMILIES for shape in f.shapes],
)
def test_densities_are_scipys(family, shape):
    problem = family.case(*shape)
    joint, found = problem.log_joint, evaluated(problem.model(), problem.rows)
    density = logsumexp(joint, axis=1)
    assert_allclose(found["log_density"], density, rtol=1e-12, atol=1e-12)
    assert_allclose(found["responsibilities"], np.exp(joint - density[:, None]), rtol=1e-10, atol=1e-14)
    assert_allclose(found["responsibilities"].sum(axis=1), 1.0, rtol=1e-12)
    chosen = np.take_along_axis(joint, found["labels"][:, None], axis=1)[:, 0]
    assert_allclose(chosen, joint.max(axis=1), rtol=1e-12, atol=1e-12)
    statistics = problem.model().e_step(source_of(problem))
    total, weight = problem.sample_weight @ density, problem.sample_weight.sum()
    assert_allclose(statistics.log_likelihood, total, rtol=1e-12, atol=1e-13)
    assert_allclose(statistics.weight, weight, rtol=1e-12)
    assert_allclose(problem.model().log_likelihood(source_of(problem)), (total, weight), rtol=1e-12, atol=1e-13)


@every_family
def test_a_component_of_weight_zero_takes_no_part_and_keeps_its_place(family):
    """Its log-weight is -inf."""
    problem = family.case(60, 3, 4).permuted(np.arange(4))
    model = with_weights(problem.model(), np.array([0.5, 0.0, 0.3, 0.2]))
    alive, joint = [0, 2, 3], problem.log_joint - np.log(problem.weights) + np.log([0.5, 1.0, 0.3, 0.2])
    found = evaluated(model, problem.rows)
    density = logsumexp(joint[:, alive], axis=1)
    assert_allclose(found["log_density"], density, rtol=1e-11, atol=1e-12)
    assert_array_equal(found["responsibilities"][:, 1], 0.0)
    after = em_step(model, source_of(problem))
    assert after.weights[1] == 0.0
    assert_array_equal(after.means[1], model.means[1])
    assert np.isfinite(after.means).all()
    again = em_step(after, source_of(problem))
    back = after.unflatten(again.flatten(after))
    assert back.weights[1] == 0.0
    assert_allclose(back.means, again.means, rtol=1e-9, atol=1e-9)


def with_weights(model, weights):
    if hasattr(model, "gaussian"):
        return replace(model, gaussian=replace(model.gaussian, weights=weights))
    return replace(model, weights=weights)


@families(lambda family: family.closed_under)
def test_full_covariances_that_have_the_structure_give_the_same_density(family):
    problem = family.case(200, 4, 3)
    model = problem.model()
    gaussian = getattr(problem, "gaussian", problem)
    full = gaussian._replace(structure="full", covariances=gaussian.matrices)
    full = full.model() if gaussian is problem else problem._replace(gaussian=full).model()
    here, there = (evaluated(each, problem.rows)["log_density"] for each in (model, full))
    assert_allclose(here, there, rtol=1e-12)


@every_family
def test_samples_are_of_the_mixture(family):
    """Their components come as often as the weights say, and an EM step on them stays at the parameters."""
    problem = family.case(10, 2, 3)
    model = problem.model()
    rows, labels = model.sample(30_000, np.random.RandomState(0))
    assert chisquare(np.bincount(labels), 30_000 * problem.weights).pvalue > 1e-3
    responsibilities = evaluated(model, rows.astype(float))["responsibilities"]
    apart = (np.eye(3)[labels] - responsibilities).sum(axis=0)
    assert (np.abs(apart) < 4 * np.sqrt((responsibilities * (1 - responsibilities)).sum(axis=0) + 1)).all()
    after = em_step(model, as_source(rows.astype(float)))
    for name, value in problem.parameters.items():
        if name != "degrees_of_freedom":
            assert_allclose(getattr(after, name), value, rtol=0.1, atol=0.05 * np.abs(value).max(), err_msg=name)


# steps ----------------------------------------------------------------------------------------------------------------


@families(lambda family: family.has_em_step)
@pytest.mark.parametrize("shape", [(60, 1, 1), (127, 6, 2), (300, 3, 3), (400, 9, 4)], ids=str)
def test_iterations_are_the_oracles(family, shape):
    problem = family.case(*shape)
    model = problem.model()
    for _ in range(3):
        model = em_step(model, source_of(problem))
        problem = problem.em_step()
    assert_parameters(model, problem.parameters, family.tolerance)


@every_family
def test_the_m_step_of_expected_statistics_returns_the_parameters(family):
    problem = family.case(10, 4, 3)
    model, statistics = problem.model(), problem.expected_statistics(50.0)
    assert_parameters(model.m_step(statistics), problem.parameters, 1e-9)
    assert_parameters(model.stepwise(statistics, 0.3), problem.parameters, 1e-9)


@every_family
def test_statistics_of_two_parts_add_up(family):
    problem = family.case(300, 3, 4)
    model = problem.model()
    whole, *parts = (
        dict(sums_in(model, model.e_step(source_of(problem, part))))
        for part in (slice(None), slice(0, 101), slice(101, None))
    )
    for name, value in whole.items():
        added = sum(part[name] for part in parts)
        assert_allclose(added, value, rtol=1e-9, atol=1e-10 * np.abs(value).max(), err_msg=name)


def sums_in(model, statistics):
    """The sums over rows in statistics; but the scatter of a shared covariance, which is about the mean of the rows."""
    shared = hasattr(model, "structure") and model.structure.shared
    for name, value in statistics._asdict().items():
        if name == "moments":
            yield from sums_in(model, value)
        elif value is not None and name not in ("scatter", "log_prior") and not (shared and name == "second"):
            yield name, value


@every_family
def test_integer_weights_are_repeated_rows(family):
    problem = family.case(100, 3, 3)
    times = np.random.default_rng(0).integers(0, 4, size=100)
    weighted = em_step(problem.model(), as_source(problem.rows, times.astype(float)))
    repeated = em_step(problem.model(), as_source(np.repeat(problem.rows, times, axis=0)))
    assert_parameters(weighted, parameters(repeated, problem), 1e-9)


@every_family
def test_permuted_components_give_permuted_results(family):
    problem, order = family.case(300, 3, 5), np.array([3, 0, 4, 2, 1])
    here, there = (em_step(p.model(), source_of(p)) for p in (problem, problem.permuted(order)))
    for name, value in parameters(here, problem).items():
        expected = value[order] if len(value) == 5 else value
        assert_allclose(getattr(there, name), expected, rtol=1e-8, atol=1e-9 * np.abs(value).max(), err_msg=name)


@families(lambda family: family.closed_under)
def test_an_affine_change_of_the_rows_shifts_the_likelihood_by_its_determinant(family):
    problem = family.case(300, 3, 4)
    matrix, offset = linear_change(family.closed_under, 3), np.array([1.0, -2.0, 0.5])
    moved = problem.moved(matrix, offset)
    here, there = (p.model().e_step(as_source(p.rows)) for p in (problem, moved))
    shift = 300 * np.linalg.slogdet(matrix)[1]
    assert_allclose(there.log_likelihood, here.log_likelihood - shift, rtol=1e-10)
    assert_allclose(there.moments.counts, here.moments.counts, rtol=1e-8)


@every_family
@settings(max_examples=4)
@given(data=st.data())
def test_the_bound_never_falls(family, data):
    """pytest makes LowerBoundWarning an error."""
    shape = data.draw(st.integers(40, 200)), data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    problem = family.case(*shape, seed=data.draw(st.integers(0, 10_000)))
    options = {name: data.draw(st.sampled_from(values)) for name, values in family.options.items()}
    model, source, bounds = problem.model(**options), source_of(problem), []
    for _ in range(8):
        statistics = model.e_step(source)
        bounds.append(statistics.lower_bound)
        model = model.m_step(statistics)
        assert_allclose(model.weights.sum(), 1.0, rtol=1e-12)
        if getattr(model, "repairs", ()):
            break
    assert (np.diff(bounds) >= -1e-10 * np.maximum(1.0, np.abs(bounds[1:]))).all()
    acceleration = data.draw(st.sampled_from(["squarem", "auto"]))
    fit = Fit(problem.model(**options), Gain(0.0), accelerator(acceleration))
    run_em(fit, source, max_iter=12)
    assert np.isfinite(fit.model.means).all()


# the same bits --------------------------------------------------------------------------------------------------------


@every_family
def test_neither_blocks_nor_threads_nor_layouts_change_a_bit(family, monkeypatch):
    problem = family.case(700, 3, 4)
    model, rows, weights = problem.model(), problem.rows.astype(np.float32).astype(float), problem.sample_weight

    def results(blocks):
        return accumulation.accumulated(model.kernel_parameters, blocks), *evaluated(model, blocks[0][0]).values()

    expected = results([(rows, weights)])
    edges = [range(701), range(0, 701, 100), (0, 256, 512, 700), (0, 13, 13, 300, 557, 700)]
    for cuts in edges:
        cut = [(rows[a:b], weights[a:b]) for a, b in pairwise(cuts)]
        assert_array_equal(accumulation.accumulated(model.kernel_parameters, cut), expected[0])
    for same in (np.asfortranarray(rows), rows.astype(np.float32), np.repeat(rows, 2, axis=0)[::2]):
        for found, value in zip(results([(same, weights)]), expected, strict=True):
            assert_array_equal(found, value)
    monkeypatch.setattr(threads, "PARALLEL_WORK", 0)
    for found, value in zip(results([(rows, weights)]), expected, strict=True):
        assert_array_equal(found, value)


# coordinates ----------------------------------------------------------------------------------------------------------


@every_family
def test_coordinates_lead_back_to_the_model(family):
    """Those of a shared covariance take the scatter of all rows from the reference."""
    problem = family.case(200, 3, 4)
    reference = em_step(problem.model(), source_of(problem))
    model = em_step(reference, source_of(problem))
    assert_parameters(reference.unflatten(model.flatten(reference)), parameters(model, problem), 1e-9)
    beyond = model.flatten(reference)
    beyond[(0,) * beyond.ndim] = -0.1
    assert reference.unflatten(beyond) is None


@every_family
def test_parameters_are_counted(family):
    problem = family.case(10, 4, 3)
    expected = problem.n_parameters if family.n_parameters is None else family.n_parameters
    assert problem.model().n_parameters == expected


def test_every_structure_has_a_row():
    rows = {getattr(family.case(1, 1, 1), "structure", None) for family in FAMILIES}
    assert {id(STRUCTURES[name]) for name in rows if name} == {id(structure) for structure in STRUCTURES.values()}
