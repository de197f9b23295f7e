"""Rows of levels and counts of which some are missing: they are left out of the product."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from missing_reference import discrete_e_step, discrete_em_step, log_masses, with_gaps
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import fastem
from fastem import BernoulliMixture, CategoricalMixture, Chunks, PoissonMixture
from fastem.families import independent
from fastem.kernels.threads import serial_passes

N_LEVELS = np.array([2, 4, 3, 2])
CLASSES = {"bernoulli": BernoulliMixture, "categorical": CategoricalMixture, "poisson": PoissonMixture}
every_family = pytest.mark.parametrize("family", CLASSES)
unfinished = pytest.mark.filterwarnings("ignore:The fit did not converge")


def problem(family, n_rows=400, n_components=3, share=0.25, seed=0):
    """Rows of a mixture with gaps, its weights and its table of parameters (K, C)."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(n_components, 5.0))
    labels = rng.choice(n_components, size=n_rows, p=weights)
    if family == "bernoulli":
        table = rng.uniform(0.05, 0.95, size=(n_components, 4))
        rows = rng.random((n_rows, 4)) < table[labels]
    elif family == "poisson":
        table = rng.gamma(2.0, 4.0, size=(n_components, 4))
        rows = rng.poisson(table[labels])
    else:
        parts = [rng.dirichlet(np.ones(n), size=n_components) for n in N_LEVELS]
        table = np.hstack(parts)
        drawn = [[rng.choice(n, p=part[label]) for label in labels] for n, part in zip(N_LEVELS, parts, strict=True)]
        rows = np.stack(drawn, axis=1)
    return with_gaps(rows.astype(float), share, rng), weights, table


def mixture_at(family, weights, table, **options):
    """An estimator that begins with these parameters."""
    names = {"poisson": "rates_init"}
    means = np.split(table, np.cumsum(N_LEVELS)[:-1], axis=1) if family == "categorical" else table
    if family == "categorical":
        options = {"n_levels": N_LEVELS, **options}
    start = {"weights_init": weights, names.get(family, "probabilities_init"): means}
    return CLASSES[family](len(weights), missing="em", **start, **options)


def table_of(mixture):
    if isinstance(mixture, CategoricalMixture):
        return np.hstack(mixture.probabilities_)
    return mixture.rates_ if isinstance(mixture, PoissonMixture) else mixture.probabilities_


def assert_same_bits(one, other):
    assert_array_equal(one.weights_, other.weights_)
    assert_array_equal(table_of(one), table_of(other))
    assert one.lower_bounds_ == other.lower_bounds_
    assert one.log_likelihood_ == other.log_likelihood_


@unfinished
@every_family
@pytest.mark.parametrize("pseudo_count", [0.0, 0.7])
def test_iterations_are_those_of_em_without_what_is_missing(family, pseudo_count):
    rows, weights, table = problem(family)
    sample_weight = np.random.default_rng(1).integers(0, 4, size=len(rows)).astype(float)
    mixture = mixture_at(family, weights, table, pseudo_count=pseudo_count, max_iter=3, tol=0.0)
    mixture.fit(rows, sample_weight=sample_weight)
    for _ in range(3):
        weights, table = discrete_em_step(family, rows, sample_weight, weights, table, N_LEVELS, pseudo_count)
    log_density, shares = discrete_e_step(family, rows, weights, table, N_LEVELS)
    assert_allclose(mixture.weights_, weights, rtol=1e-12)
    assert_allclose(table_of(mixture), table, rtol=1e-12)
    assert_allclose(mixture.score_samples(rows), log_density, rtol=1e-12)
    assert_allclose(mixture.predict_proba(rows), shares, rtol=1e-12, atol=1e-14)
    assert_array_equal(mixture.predict(rows), shares.argmax(axis=1))
    mean = sample_weight @ log_density / sample_weight.sum()
    assert mixture.score(rows, sample_weight=sample_weight) == pytest.approx(mean, rel=1e-12)
    assert mixture.log_likelihood_ == pytest.approx(mean, rel=1e-12)


@unfinished
@pytest.mark.filterwarnings("ignore:Components")
def test_certain_values_need_not_be_there():
    """Probabilities of zero and one: what would be impossible is missing in some rows."""
    table = np.array([[0.0, 1.0, 0.3], [1.0, 0.2, 0.5]])
    rows = np.array([[0, 1, 1], [np.nan, 1, 0], [0, np.nan, 1], [1, 0, np.nan], [np.nan, np.nan, 1]])
    mixture = mixture_at("bernoulli", np.array([0.4, 0.6]), table, max_iter=0, pseudo_count=0.0).fit(rows)
    with np.errstate(divide="ignore"):
        log_joint = np.log([0.4, 0.6]) + log_masses("bernoulli", rows, table, None).sum(axis=2)
    assert_allclose(mixture.score_samples(rows), np.logaddexp.reduce(log_joint, axis=1), rtol=1e-13)
    assert mixture.score_samples([[1, 0, np.nan]]) > -np.inf
    assert (
        mixture_at("bernoulli", [1.0], table[:1], max_iter=0).fit(rows[:2]).score_samples([[1, np.nan, 0]]) == -np.inf
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@given(st.integers(0, 2**16), st.floats(0.0, 0.7), st.sampled_from(list(CLASSES)), st.sampled_from([0.0, 1e-10, 1.0]))
def test_the_bound_never_falls(seed, share, family, pseudo_count):
    rows, *_ = problem(family, 60, 2, share, seed)
    mixture = CLASSES[family](2, missing="em", pseudo_count=pseudo_count, max_iter=30, tol=0.0, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=RuntimeWarning)
        mixture.fit(rows)
    assert np.diff(mixture.lower_bounds_).min(initial=0.0) > -1e-9


@every_family
def test_complete_rows_are_fitted_as_without_the_option(family):
    rows, *_ = problem(family, 1_000, share=0.0)
    ordinary = CLASSES[family](2, random_state=0).fit(rows)
    mixture = CLASSES[family](2, random_state=0, missing="em").fit(rows)
    assert_same_bits(mixture, ordinary)


@every_family
def test_bits_do_not_depend_on_where_rows_come_from(family, tmp_path, monkeypatch):
    monkeypatch.setattr(independent, "PIECE", 700)
    rows, *_ = problem(family, 3_000)
    frame = pd.DataFrame(rows, columns=list("abcd"))
    frame.astype("Int64").to_parquet(tmp_path / "rows.parquet")
    frame.astype("Int64").to_csv(tmp_path / "rows.csv", index=False)
    mixture = CLASSES[family](2, missing="em", random_state=0).fit(rows)
    for source in (
        np.asfortranarray(rows),
        frame.astype("Int64"),
        tmp_path / "rows.csv",
        tmp_path / "rows.parquet",
        Chunks(lambda: iter(np.array_split(rows, 23)), n_features=4),
    ):
        found = CLASSES[family](2, missing="em", random_state=0).fit(source)
        assert_same_bits(found, mixture)
        assert_array_equal(found.impute(source), mixture.impute(rows))
        assert_array_equal(found.impute(source, random_state=3), mixture.impute(rows, random_state=3))
    with serial_passes():
        assert_same_bits(CLASSES[family](2, missing="em", random_state=0).fit(rows), mixture)


@every_family
def test_rows_without_numbers_count_for_nothing(family):
    rows, weights, table = problem(family)
    mixture = mixture_at(family, weights, table).fit(rows)
    more = np.insert(rows, [0, 100], np.nan, axis=0)
    with pytest.warns(UserWarning, match="2 rows have no number at all"):
        found = mixture_at(family, weights, table).fit(more)
    assert found.n_samples_seen_ == len(rows)
    assert_allclose(table_of(found), table_of(mixture), rtol=1e-12)
    assert found.score(more) == pytest.approx(mixture.score(rows), rel=1e-12)
    assert_allclose(found.predict_proba(more)[0], found.weights_, rtol=1e-13)


@every_family
def test_what_is_filled_in(family):
    rows, weights, table = problem(family)
    mixture = mixture_at(family, weights, table, max_iter=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixture.fit(rows)
    _, shares = discrete_e_step(family, rows, weights, table, N_LEVELS)
    expected = shares @ table
    if family == "bernoulli":
        expected = np.round(expected)
    elif family == "categorical":
        parts = np.split(expected, np.cumsum(N_LEVELS)[:-1], axis=1)
        expected = np.stack([part.argmax(axis=1) for part in parts], axis=1)
    filled = mixture.impute(rows)
    assert_allclose(filled, np.where(np.isnan(rows), expected, rows), rtol=1e-12)


@every_family
def test_draws_are_those_of_the_conditional_distribution(family):
    rows, weights, table = problem(family)
    mixture = mixture_at(family, weights, table, max_iter=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixture.fit(rows)
    row = np.array([1.0, np.nan, 0.0, 1.0])
    shares = discrete_e_step(family, row[None], weights, table, N_LEVELS)[1][0]
    drawn = mixture.impute(np.tile(row, (20_000, 1)), random_state=0)
    assert_array_equal(drawn[:, [0, 2, 3]], np.tile(row[[0, 2, 3]], (20_000, 1)))
    values = np.arange(int(drawn[:, 1].max()) + 1)
    masses = {
        "bernoulli": lambda: stats.bernoulli.pmf(values, table[:, [1]]),
        "poisson": lambda: stats.poisson.pmf(values, table[:, [1]]),
        "categorical": lambda: table[:, 2:6],
    }[family]()
    frequencies = np.bincount(drawn[:, 1].astype(int), minlength=masses.shape[1]) / 20_000
    assert_allclose(frequencies, shares @ masses, atol=4 * np.sqrt(0.25 / 20_000))


@every_family
def test_streams_files_and_selection_take_gaps(family, tmp_path):
    rows, *_ = problem(family, 3_000, 2)
    settings = {"n_levels": N_LEVELS} if family == "categorical" else {}
    whole = CLASSES[family](2, missing="em", random_state=0, **settings).fit(rows)
    stream = CLASSES[family](2, missing="em", random_state=0, **settings)
    for part in np.split(rows, 6):
        stream.partial_fit(part)
    assert stream.score(rows) == pytest.approx(whole.score(rows), abs=0.05)
    fastem.save(whole, tmp_path / "mixture")
    assert_array_equal(fastem.load(tmp_path / "mixture").predict_proba(rows), whole.predict_proba(rows))
    best = fastem.select(
        rows, [1, 2], estimator=CLASSES[family](missing="em", **settings), random_state=0
    ).best_estimator_
    assert best.missing == "em"
    with pytest.raises(ValueError, match=f"With missing='em' a {CLASSES[family].__name__} takes NaN"):
        CLASSES[family](2).fit(rows)


def test_levels_are_those_of_the_numbers_that_are_there():
    rows = np.array([[0, np.nan], [2, 1], [np.nan, 0], [1, np.nan]])
    mixture = CategoricalMixture(missing="em").fit(rows)
    assert_array_equal(mixture.n_levels_, [3, 2])
    with pytest.raises(ValueError, match="knows the levels"):
        mixture.predict([[np.nan, 2]])
    with pytest.raises(ValueError, match="zeros and ones only: row 1, column 1"):
        BernoulliMixture(missing="em").fit([[np.nan, 1], [0, 0.5]])
