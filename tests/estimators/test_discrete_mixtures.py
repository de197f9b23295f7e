"""The estimators of discrete mixtures: interface, published numbers, starts, what they refuse."""

import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from discrete_reference import FAMILIES, case
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastem
from fastem import BernoulliMixture, CategoricalMixture, MultinomialMixture, PoissonMixture

every_family = pytest.mark.parametrize("family", FAMILIES)
unfinished = pytest.mark.filterwarnings("ignore:The fit did not converge")
never_mind = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fitted_table(mixture):
    if isinstance(mixture, PoissonMixture):
        return mixture.rates_
    if isinstance(mixture, CategoricalMixture):
        return np.hstack(mixture.probabilities_)
    return mixture.probabilities_


def well_separated(family, n_rows=3_000, seed=0):
    """Three components that any search finds."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=n_rows, p=[0.5, 0.3, 0.2])
    high = np.zeros((3, 12))
    for k in range(3):
        high[k, 4 * k : 4 * k + 4] = 1.0
    if family == "bernoulli":
        rows = rng.random((n_rows, 12)) < 0.05 + 0.9 * high[labels]
    elif family == "poisson":
        rows = rng.poisson(0.5 + 6.0 * high[labels])
    elif family == "multinomial":
        p = (0.02 + high) / (0.02 + high).sum(axis=1, keepdims=True)
        rows = np.stack([rng.multinomial(20, p[k]) for k in labels])
    else:
        rows = np.where(rng.random((n_rows, 12)) < 0.9, 2 * high[labels], rng.integers(0, 4, size=(n_rows, 12)))
    return rows.astype(float), labels


# scikit-learn ---------------------------------------------------------------------------------------------------------


class Thresholded(BernoulliMixture):
    """scikit-learn's checks know of no data of zeros and ones only: they get what is above one."""

    def _source(self, X, *args, **options):
        if isinstance(X, np.ndarray) and X.dtype.kind in "iuf" and np.isfinite(X).all() and (X >= 0).all():
            X = (X > 1).astype(X.dtype)
        return super()._source(X, *args, **options)


def refused(estimator):
    """Checks whose data are nothing that the family has."""
    if isinstance(estimator, Thresholded):
        not_an_array = "the data is no array and escapes the threshold"
        return {"check_sample_weights_pandas_series": not_an_array, "check_sample_weights_not_an_array": not_an_array}
    return {"check_sample_weight_equivalence_on_dense_data": "fractions; our own test has counts"}


@parametrize_with_checks(
    [Thresholded(), CategoricalMixture(), MultinomialMixture(), PoissonMixture()], expected_failed_checks=refused
)
@never_mind
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@every_family
@unfinished
@pytest.mark.parametrize("n_iter", [1, 7])
def test_fits_are_the_oracles(family, n_iter):
    problem = case(family, 250, 4, 3)
    mixture = problem.mixture(max_iter=n_iter, tol=0.0, pseudo_count=0).fit(
        problem.rows, sample_weight=problem.sample_weight
    )
    now = problem
    for _ in range(n_iter):
        last, now = now, now.em_step()
    assert_allclose(mixture.weights_, now.weights, rtol=1e-10)
    assert_allclose(fitted_table(mixture), now.table, rtol=1e-10, atol=1e-14)
    assert mixture.n_iter_ == len(mixture.lower_bounds_) == n_iter
    shares = problem.sample_weight
    assert_allclose(mixture.lower_bound_, np.average(last.log_density, weights=shares), rtol=1e-11)
    assert_allclose(mixture.log_likelihood_, np.average(now.log_density, weights=shares), rtol=1e-11)
    assert_allclose(mixture.score(problem.rows, sample_weight=shares), mixture.log_likelihood_, rtol=1e-13)
    assert_allclose(mixture.score_samples(problem.rows), now.log_density, rtol=1e-11, atol=1e-12)
    assert_array_equal(mixture.predict(problem.rows), now.log_joint.argmax(axis=1))
    assert_allclose(mixture.predict_proba(problem.rows), np.exp(now.log_joint - now.log_density[:, None]), atol=1e-11)
    total, weight = shares @ now.log_density, shares.sum()
    free = problem.n_parameters
    assert_allclose(mixture.bic(problem.rows, shares), -2 * total + free * np.log(weight), rtol=1e-10)
    assert_allclose(mixture.aic(problem.rows, shares), -2 * total + 2 * free, rtol=1e-10)


def test_starts_of_several_arrays_in_files(tmp_path):
    problem = case("categorical", 100, 3, 2)
    fastem.save(problem.mixture(), tmp_path / "model")
    for found, expected in zip(fastem.load(tmp_path / "model").probabilities_init, problem.columns, strict=True):
        assert_array_equal(found, expected)


@every_family
def test_samples_come_from_the_mixture(family):
    rows, _ = well_separated(family)
    mixture = FAMILIES[family].estimator(3, random_state=0).fit(rows)
    drawn, labels = mixture.sample(3_000)
    assert drawn.shape == (3_000, 12)
    assert (mixture.predict(drawn) == labels).mean() > 0.95
    assert_allclose(mixture.score(drawn), mixture.score(rows), rtol=0.05)


# published numbers ----------------------------------------------------------------------------------------------------


def three_coins(pi, p, q):
    """One step in exact fractions for y = 1,1,0,1,0,0,1,0,1,1."""
    heads, tails = 6, 4
    of_head, of_tail = pi * p / (pi * p + (1 - pi) * q), pi * (1 - p) / (pi * (1 - p) + (1 - pi) * (1 - q))
    from_b = heads * of_head + tails * of_tail
    return from_b / 10, heads * of_head / from_b, heads * (1 - of_head) / (10 - from_b)


@unfinished
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("1/2", "1/2", "1/2"), ("1/2", "3/5", "3/5")),
        (("2/5", "3/5", "7/10"), ("76/187", "51/95", "119/185")),
    ],
)
@pytest.mark.parametrize(("pseudo_count", "rtol"), [(0, 1e-15), (1e-10, 1e-10)])
def test_three_coins(before, after, pseudo_count, rtol):
    pi, p, q = map(Fraction, before)
    assert three_coins(pi, p, q) == tuple(map(Fraction, after))
    tosses = np.array([1, 1, 0, 1, 0, 0, 1, 0, 1, 1])[:, np.newaxis]
    begin = {"weights_init": [float(pi), float(1 - pi)], "probabilities_init": [[float(p)], [float(q)]]}
    mixture = BernoulliMixture(2, max_iter=1, pseudo_count=pseudo_count, **begin).fit(tosses)
    pi, p, q = (float(Fraction(number)) for number in after)
    assert_allclose(mixture.weights_, [pi, 1 - pi], rtol=rtol)
    assert_allclose(mixture.probabilities_, [[p], [q]], rtol=rtol)
    assert_allclose(10 * mixture.log_likelihood_, -6.7301166701, atol=5e-11)
    ended = BernoulliMixture(2, tol=1e-12, pseudo_count=pseudo_count, **begin).fit(tosses)
    assert ended.converged_
    assert_allclose(ended.probabilities_, [[p], [q]], rtol=1e-9)


HEADS = np.array([5, 9, 8, 4, 7])
TOSSES = np.stack([HEADS, 10 - HEADS], axis=1)
COINS = {"probabilities_init": [[0.6, 0.4], [0.5, 0.5]], "pseudo_count": 0}


@unfinished
@pytest.mark.parametrize(
    ("n_iter", "expected"),
    [
        (1, (0.713012235401, 0.581339308314)),
        (10, (0.796744149475, 0.519658662204)),
        (200, (0.796789066923, 0.519583120145)),
    ],
)
def test_two_coins_chosen_evenly(n_iter, expected):
    mixture = MultinomialMixture(2, fit_weights=False, tol=0, max_iter=n_iter, **COINS).fit(TOSSES)
    assert_allclose(mixture.probabilities_[:, 0], expected, atol=5e-13)
    assert_array_equal(mixture.weights_, [0.5, 0.5])


@unfinished
def test_two_coins_chosen_unevenly():
    mixture = MultinomialMixture(2, weights_init=[0.5, 0.5], tol=0, max_iter=500, **COINS).fit(TOSSES)
    assert_allclose(mixture.probabilities_[:, 0], [0.793367649613, 0.513916591214], atol=5e-13)
    assert_allclose(mixture.weights_, [0.522751316897, 0.477248683103], atol=5e-13)


DEATHS = np.array([162, 267, 271, 185, 111, 61, 27, 8, 3, 1])  # Hasselblad (1969): days with 0, 1, ..., 9 deaths


def deaths(acceleration, **options):
    begin = {"weights_init": [0.3, 0.7], "rates_init": [[1.0], [2.5]]}
    mixture = PoissonMixture(2, tol=1e-13, max_iter=10_000, acceleration=acceleration, **begin, **options)
    return mixture.fit(np.arange(10)[:, np.newaxis], sample_weight=DEATHS)


def test_deaths_in_the_times():
    """Estimates of 0.3599, 1.2561 and 2.6634: Titterington, Smith and Makov (1985)."""
    plain, squarem = deaths(None), deaths("squarem")
    assert plain.converged_
    assert squarem.converged_
    assert squarem.n_iter_ * 3 <= plain.n_iter_
    assert squarem.lower_bound_ >= plain.lower_bound_ - 1e-12
    assert_allclose(squarem.weights_[0], 0.3599, atol=5e-5)
    assert_allclose(squarem.rates_.ravel(), [1.2561, 2.6634], atol=5e-5)


# starts ---------------------------------------------------------------------------------------------------------------


@every_family
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random_from_data", "random"])
def test_well_separated_components_are_found(family, init_params):
    rows, labels = well_separated(family)
    mixture = (
        FAMILIES[family]
        .estimator(3, init_params=init_params, n_init=3, tol=1e-6, random_state=0, max_iter=500)
        .fit(rows)
    )
    table = pd.crosstab(labels, mixture.predict(rows)).to_numpy()
    assert table.max(axis=1).sum() > 0.97 * len(rows)
    assert_allclose(np.sort(mixture.weights_), [0.2, 0.3, 0.5], atol=0.04)


@every_family
def test_growing_samples(family):
    rows, _ = well_separated(family, 100_000)
    mixture = FAMILIES[family].estimator(3, random_state=0).fit(rows)
    assert mixture.converged_
    assert mixture.n_iter_ < 6
    assert_allclose(np.sort(mixture.weights_), [0.2, 0.3, 0.5], atol=0.02)


@every_family
def test_a_partition_as_start(family):
    rows, labels = well_separated(family, 300)
    options = {"random_state": 0, "max_iter": 0, "pseudo_count": 0}
    by_label = FAMILIES[family].estimator(3, init_params=labels, **options).fit(rows)
    responsibilities = (labels[:, None] == np.arange(3)).astype(float)
    by_share = FAMILIES[family].estimator(3, init_params=responsibilities, **options).fit(rows)
    by_function = (
        FAMILIES[family].estimator(3, init_params=lambda rows, k, rng: rows[:, :3].argmax(axis=1), **options).fit(rows)
    )
    assert_allclose(fitted_table(by_label), fitted_table(by_share), rtol=1e-12)
    assert_allclose(by_label.weights_, (np.bincount(labels) + 1) / 303, rtol=1e-12)
    assert np.isfinite(by_function.score_samples(rows)).all()


def test_a_start_of_weights_alone_is_kept():
    rows, _ = well_separated("bernoulli", 300)
    mixture = BernoulliMixture(3, weights_init=[0.2, 0.2, 0.6], max_iter=0, random_state=0).fit(rows)
    assert_array_equal(mixture.weights_, [0.2, 0.2, 0.6])


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (BernoulliMixture(2, weights_init=[0.5, 0.6]), "should be normalized"),
        (BernoulliMixture(2, probabilities_init=[[0.5] * 3, [1.1] * 3]), "in the range"),
        (BernoulliMixture(2, probabilities_init=[[0.5], [0.5]]), "should have the shape"),
        (PoissonMixture(2, rates_init=[[1.0] * 3, [-1.0] * 3]), "should not be negative"),
        (MultinomialMixture(2, probabilities_init=[[0.5] * 3] * 2), "sum to one"),
        (CategoricalMixture(2, probabilities_init=[[[0.5, 0.5]] * 2] * 2), "one array per column, 3 in all"),
        (CategoricalMixture(2, probabilities_init=[[[0.5, 0.4]] * 2] * 3), "sum to one"),
        (CategoricalMixture(2, n_levels=[2, 2]), "n_levels should be a positive integer or one per column"),
        (CategoricalMixture(2, n_levels=1), "Column 0 has the level 1, but n_levels=1"),
        (BernoulliMixture(2, pseudo_count=-1.0), "pseudo_count"),
    ],
)
def test_invalid_starts(estimator, message):
    rows = np.random.default_rng(0).integers(0, 2, size=(20, 3))
    rows[0], rows[1] = 0, 1
    with pytest.raises(ValueError, match=message):
        estimator.fit(rows)


# what rows may hold ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "value", "message"),
    [
        ("bernoulli", 2.0, "takes zeros and ones only: row 17, column 2 has 2.0"),
        ("bernoulli", 0.5, "takes zeros and ones only: row 17, column 2 has 0.5"),
        ("poisson", -1.0, "Negative values in data passed to PoissonMixture: row 17, column 2 has -1.0"),
        ("poisson", 1.5, "takes whole numbers only: row 17, column 2 has 1.5"),
        ("multinomial", -3.0, "Negative values in data passed to MultinomialMixture: row 17, column 2"),
        ("categorical", -1.0, "Negative values in data passed to CategoricalMixture: row 17, column 2"),
        ("categorical", 0.5, "takes whole numbers only: row 17, column 2 has 0.5"),
        ("categorical", 1e7, "takes levels below 65536: row 17, column 2"),
    ],
)
def test_foreign_values_are_named(family, value, message):
    rows, _ = well_separated(family, 60)
    mixture = FAMILIES[family].estimator(2, random_state=0)
    bad = rows.copy()
    bad[17, 2] = value
    with pytest.raises(ValueError, match=message):
        mixture.fit(bad)
    mixture.fit(rows)
    with pytest.raises(ValueError, match="row 17, column 2"):
        mixture.predict(bad)


def test_unseen_levels():
    rows = np.array([[0, 1], [1, 2], [0, 0], [1, 1]])
    mixture = CategoricalMixture(1).fit(rows)
    assert_array_equal(mixture.n_levels_, [2, 3])
    with pytest.raises(ValueError, match=r"knows the levels 0, ..., 1 of a column \(see n_levels\): row 1, column 0"):
        mixture.predict(np.array([[1, 2], [2, 2]]))
    with pytest.raises(ValueError, match="2 features"):
        mixture.predict(np.array([[1]]))
    roomy = CategoricalMixture(1, n_levels=[4, 3], pseudo_count=1.0).fit(rows)
    assert_allclose(roomy.probabilities_[0], [[3 / 8, 3 / 8, 1 / 8, 1 / 8]], rtol=1e-14)
    assert np.isfinite(roomy.score_samples([[3, 0]])).all()
    assert_array_equal(mixture.fit(np.array([[3, 0], [0, 0]])).n_levels_, [4, 1])


def test_levels_in_chunks():
    problem = case("categorical", 500, 3, 2)
    chunked = fastem.Chunks(lambda: iter([problem.rows[:123], problem.rows[123:]]), n_features=3)
    whole, parts = (problem.mixture(n_levels=None).fit(data) for data in (problem.rows, chunked))
    for a, b in zip(whole.probabilities_, parts.probabilities_, strict=True):
        assert_array_equal(a, b)


@every_family
@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, np.float32])
def test_any_dtype(family, dtype):
    rows, _ = well_separated(family, 200)
    rows = np.minimum(rows, 1) if dtype is bool or family == "bernoulli" else np.minimum(rows, 100)
    expected = FAMILIES[family].estimator(2, random_state=0).fit(rows)
    found = FAMILIES[family].estimator(2, random_state=0).fit(rows.astype(dtype))
    assert_array_equal(fitted_table(found), fitted_table(expected))


def test_zeros_of_maximum_likelihood():
    """With pseudo_count=0 a value that is never seen is impossible: a density of zero, a clear error in a fit."""
    rows = np.array([[0, 1], [0, 0], [0, 1], [0, 0]])
    mixture = BernoulliMixture(2, pseudo_count=0, random_state=0).fit(rows)
    assert mixture.score_samples([[1, 0]]) == -np.inf
    assert mixture.score([[1, 0]]) == -np.inf
    assert_array_equal(mixture.predict_proba([[1, 0]]), [[0.5, 0.5]])
    with pytest.raises(ValueError, match="impossible under every component"):
        mixture.set_params(warm_start=True).fit(np.array([[1, 0], [0, 0]]))
    assert np.isfinite(BernoulliMixture(2, random_state=0).fit(rows).score_samples([[1, 0]])).all()


def test_smoothing_is_laplaces():
    rows = np.array([[1, 0], [1, 1], [1, 0]])
    assert_allclose(BernoulliMixture(1, pseudo_count=1.0).fit(rows).probabilities_, [[4 / 5, 2 / 5]], rtol=1e-14)
    assert_allclose(MultinomialMixture(1, pseudo_count=1.0).fit(rows).probabilities_, [[4 / 6, 2 / 6]], rtol=1e-14)
    assert_allclose(PoissonMixture(1, pseudo_count=1.0).fit(rows).rates_, [[(3 + 3.5 / 3) / 4, (1 + 1.5 / 3) / 4]])


def test_rows_of_zeros_say_nothing_of_shares():
    mixture = MultinomialMixture(2, random_state=0, pseudo_count=0).fit(np.zeros((5, 3)))
    assert_allclose(mixture.probabilities_.sum(axis=1), 1.0)
    assert_allclose(mixture.score_samples(np.zeros((2, 3))), 0.0, atol=1e-14)


def test_components_that_die_are_named():
    rows = np.array([[0], [0], [1], [1]])
    begin = {"weights_init": [0.5, 0.5, 0.0], "probabilities_init": [[0.2], [0.8], [0.5]]}
    with pytest.warns(ConvergenceWarning, match=r"Components \[2\] lost all their rows"):
        mixture = BernoulliMixture(3, **begin).fit(rows)
    assert mixture.weights_[2] == 0.0
    assert mixture.probabilities_[2, 0] == 0.5


# variants of EM -------------------------------------------------------------------------------------------------------


@given(st.data())
@never_mind
def test_no_bound_falls(data):
    family = data.draw(st.sampled_from(sorted(FAMILIES)))
    problem = case(
        family, data.draw(st.integers(3, 80)), data.draw(st.integers(1, 5)), 3, data.draw(st.integers(0, 99))
    )
    options = {"acceleration": data.draw(st.sampled_from([None, "auto", "squarem"])), "tol": 0.0, "max_iter": 40}
    options["pseudo_count"] = data.draw(st.sampled_from([0, 1e-10, 1.0]))
    mixture = FAMILIES[family].estimator(3, random_state=0, subsampling=False, **options).fit(problem.rows)
    bounds = np.array(mixture.lower_bounds_)
    assert (np.diff(bounds) >= -1e-10 * np.maximum(1.0, np.abs(bounds[1:]))).all()


@every_family
@pytest.mark.parametrize("e_step", ["hard", "stochastic"])
def test_other_e_steps(family, e_step):
    rows, labels = well_separated(family)
    mixture = FAMILIES[family].estimator(3, e_step=e_step, random_state=0).fit(rows)
    table = pd.crosstab(labels, mixture.predict(rows)).to_numpy()
    assert table.max(axis=1).sum() > 0.97 * len(rows)
    if e_step == "hard":
        log_joint = np.log(mixture.predict_proba(rows).max(axis=1)) + mixture.score_samples(rows)
        assert_allclose(mixture.lower_bound_, log_joint.mean(), rtol=1e-3)


@every_family
def test_streams_end_near_the_fit_of_all_rows(family):
    rows, _ = well_separated(family, 20_000)
    expected = FAMILIES[family].estimator(3, random_state=0).fit(rows)
    mixture = FAMILIES[family].estimator(3, random_state=0)
    for first in range(0, len(rows), 2_000):
        mixture.partial_fit(rows[first : first + 2_000])
    assert mixture.n_samples_seen_ == len(rows)
    assert_allclose(mixture.score(rows), expected.score(rows), atol=0.01)
    online = FAMILIES[family].estimator(3, random_state=0, learning_method="online").fit(rows)
    assert_allclose(online.score(rows), expected.score(rows), atol=0.01)


def test_streams_refuse_levels_that_come_late():
    rows, _ = well_separated("categorical", 200)
    mixture = CategoricalMixture(2, random_state=0).partial_fit(np.minimum(rows, 2))
    with pytest.raises(ValueError, match=r"knows the levels 0, \.\.\., 2"):
        mixture.partial_fit(np.maximum(rows, 3))
    CategoricalMixture(2, random_state=0, n_levels=4).partial_fit(np.minimum(rows, 2)).partial_fit(np.maximum(rows, 3))


@every_family
def test_a_fit_that_is_killed_goes_on(family, tmp_path, monkeypatch):
    problem = case(family, 400, 4, 3)
    options = {"tol": 0.0, "max_iter": 12, "acceleration": "squarem"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = problem.mixture(**options).fit(problem.rows)
        model_type = type(expected._model())
        e_step, calls = model_type.e_step, []

        def killed(*args):
            calls.append(1)
            if len(calls) == 6:
                raise OSError("killed")
            return e_step(*args)

        monkeypatch.setattr(model_type, "e_step", killed)
        mixture = problem.mixture(checkpoint=tmp_path / "state", **options)
        with pytest.raises(OSError, match="killed"):
            mixture.fit(problem.rows)
        again = problem.mixture(checkpoint=tmp_path / "state", **options).fit(problem.rows)
    assert len(calls) < 6 + 12
    assert again.lower_bounds_ == expected.lower_bounds_
    assert_array_equal(fitted_table(again), fitted_table(expected))


@every_family
@never_mind
def test_the_log_likelihood_is_the_bound_plus_the_divergence(family):
    problem = case(family, 50, 3, 3)
    mixture = problem.mixture().fit(problem.rows)
    q = np.random.default_rng(0).dirichlet(np.ones(3), size=50)
    bound, gap = fastem.lower_bound(mixture, problem.rows, q), fastem.kl_gap(mixture, problem.rows, q)
    assert gap > 0.1
    assert_allclose(bound + gap, mixture.score(problem.rows), rtol=1e-12)
    assert_allclose(fastem.lower_bound(mixture, problem.rows), mixture.score(problem.rows), rtol=1e-12)
