"""Laws that every estimator obeys, from the table of families."""

import pickle

import numpy as np
import pytest
from families_table import every_estimator
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import fastem

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
OPTIONS = {"tol": 0.0, "max_iter": 4}


def numbers(estimator):
    """What a fit has found, but for how it came there."""
    path = ("n_passes_", "labels_", "feature_names_in_")
    return {name: value for name, value in vars(estimator).items() if name.endswith("_") and name not in path}


def assert_same(found, expected, rtol=0.0):
    found, expected = numbers(found), numbers(expected)
    assert expected.keys() - found.keys() <= {"log_likelihood_"}
    for name in found:
        value = expected[name]
        for one, other in zip(parts(found[name]), parts(value), strict=True):
            if rtol:
                assert_allclose(one, other, rtol=rtol, atol=rtol * np.abs(other).max(), err_msg=name)
            else:  # results of single precision are in single precision
                assert_array_equal(one, other.astype(one.dtype), err_msg=name)


def parts(value):
    """One array, or those of the columns of categorical data."""
    ragged = isinstance(value, list) and np.ndim(value[0]) == 2
    return value if ragged else [np.asarray(value)]


@every_estimator
def test_integer_weights_are_repeated_rows(family):
    problem = family.case(200, 3, 3)
    times = np.random.default_rng(1).integers(0, 4, size=200)
    repeated_rows = np.repeat(problem.rows, times, axis=0)
    options = OPTIONS | getattr(problem, "same_start", {})
    weighted = problem.mixture(**options).fit(problem.rows, sample_weight=times)
    repeated = problem.mixture(**options).fit(repeated_rows)
    assert_same(weighted, repeated, rtol=1e-8)
    for method in ("score", "bic", "aic"):
        if hasattr(weighted, method):
            found = getattr(weighted, method)(problem.rows, sample_weight=times)
            assert_allclose(found, getattr(repeated, method)(repeated_rows), rtol=1e-8)


@every_estimator
def test_the_same_numbers_in_any_container_give_the_same_bits(family):
    problem = family.case(300, 3, 3)
    rows = problem.rows.astype(np.float32)

    def chunks():
        for first in range(0, 300, 37):
            yield rows[first : first + 37].astype(float)

    expected = problem.mixture(**OPTIONS).fit(rows.astype(float))
    for same in (
        np.asfortranarray(rows.astype(float)),
        rows.astype(">f8"),
        np.repeat(rows.astype(float), 2, axis=0)[::2],
    ):
        assert_same(problem.mixture(**OPTIONS).fit(same), expected)
    single = problem.mixture(**OPTIONS).fit(rows)
    vars(single).pop("log_likelihood_", None)  # that of the parameters in single precision
    assert_same(single, expected)
    assert_same(problem.mixture(**OPTIONS).fit(fastem.Chunks(chunks, n_features=3)), expected)
    assert_array_equal(expected.predict(rows), expected.predict(rows.astype(float)))


@every_estimator
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused(family, value):
    problem = family.case(60, 3, 2)
    spoiled = problem.rows.copy()
    spoiled[17, 2] = value
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        problem.mixture(**OPTIONS).fit(spoiled)
    mixture = problem.mixture(**OPTIONS).fit(problem.rows)
    with pytest.raises(ValueError, match=r"contains (NaN|infinity)"):
        mixture.predict(spoiled)


@every_estimator
def test_copies_and_files_predict_the_same(family, tmp_path):
    problem = family.case(100, 3, 2)
    rows, mixture = problem.rows, problem.mixture(**OPTIONS)
    with pytest.raises(NotFittedError):
        mixture.predict(rows)
    mixture.fit(rows)
    fastem.save(mixture, tmp_path / "model")
    loaded = fastem.load(tmp_path / "model")
    for name, value in mixture.get_params().items():
        for one, other in zip(parts(loaded.get_params()[name]), parts(value), strict=True):
            assert_array_equal(one, other, err_msg=name)
    copies = [pickle.loads(pickle.dumps(mixture)), clone(mixture).fit(rows), loaded]
    for copy in copies:
        assert type(copy) is type(mixture)
        assert_same(copy, mixture)
        assert_array_equal(copy.predict(rows), mixture.predict(rows))
    assert clone(mixture).get_params().keys() == mixture.get_params().keys()
    assert not numbers(clone(mixture))


@every_estimator
def test_warm_starts_go_on(family):
    problem = family.case(300, 3, 3)
    if "warm_start" not in problem.mixture().get_params():
        pytest.skip("k-means has none")
    options = {"tol": 0.0, "acceleration": None}
    at_once = problem.mixture(max_iter=6, **options).fit(problem.rows)
    in_two = problem.mixture(max_iter=3, warm_start=True, **options)
    in_two.fit(problem.rows).fit(problem.rows)
    for name in ("means_", "rates_", "weights_", "log_likelihood_", "lower_bound_"):
        if hasattr(at_once, name):
            assert_allclose(getattr(in_two, name), getattr(at_once, name), rtol=1e-10, err_msg=name)
