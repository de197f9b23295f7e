"""`select` against loops over fits, published tables, and data whose answer is known."""

import io
import warnings
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import xlogy

from fastem import BayesianGaussianMixture, BernoulliMixture, Chunks, GaussianMixture, KMeans, select
from fastem.selection.progress import followed
from fastem.selection.race import sample_sizes


@pytest.fixture(scope="module")
def of_faithful(faithful):
    return select(faithful, range(1, 5), random_state=0)


@pytest.fixture(scope="module")
def many_rows():
    """Four groups of correlated features."""
    rng = np.random.default_rng(0)
    means = 4 * rng.normal(size=(4, 3))
    root = np.linalg.cholesky(0.5 * np.eye(3) + 0.5)
    return means[rng.integers(4, size=45_000)] + rng.normal(size=(45_000, 3)) @ root.T


def test_the_best_of_old_faithful_is_that_of_mclust(of_faithful):
    """EEE,3 with BIC 2314.316 (mclust 6.0.0, at its tolerance)."""
    best = of_faithful.best_estimator_
    assert (best.covariance_type, best.n_components) == ("tied", 3)
    assert of_faithful.results_[0].bic <= 2314.316


def test_results_are_those_of_fits_one_by_one(of_faithful, faithful):
    assert len(of_faithful.results_) == 16
    alone_bics = []
    for trial in of_faithful.results_:
        alone = GaussianMixture(trial.n_components, covariance_type=trial.model, random_state=0).fit(faithful)
        alone_bics.append(alone.bic(faithful))
        assert trial.n_parameters == alone.n_parameters_
        assert_allclose(trial.aic, 2 * trial.n_parameters - 2 * trial.log_likelihood, rtol=1e-12)
        assert trial.converged
        assert not trial.error
    assert of_faithful.results_[0].bic <= min(alone_bics)


def test_the_best_comes_first_and_is_fitted_with_the_settings_given(faithful):
    found = select(faithful, [2, 1], covariance_type="diag", estimator=GaussianMixture(reg_covar=1e-4), random_state=3)
    assert [trial.n_components for trial in found.results_] == [2, 1]
    best = found.best_estimator_
    assert best.get_params() == GaussianMixture(2, covariance_type="diag", reg_covar=1e-4, random_state=3).get_params()
    assert_allclose(best.bic(faithful), found.results_[0].bic, rtol=1e-12)
    assert best.predict(faithful).shape == (272,)


def test_icl_asks_for_clusters(faithful):
    by_icl = select(faithful, range(1, 4), covariance_type=["full", "tied"], criterion="icl", random_state=0)
    assert by_icl.best_estimator_.n_components == 2
    mixture = by_icl.best_estimator_
    certainty = np.log(mixture.predict_proba(faithful).max(axis=1))
    assert_allclose(mixture.icl(faithful), mixture.bic(faithful) - 2 * certainty.sum(), rtol=1e-10)
    weights = np.arange(272) % 3
    weighted = mixture.icl(faithful, sample_weight=weights)
    assert_allclose(weighted, mixture.icl(np.repeat(faithful, weights, axis=0)), rtol=1e-10)


def test_held_out_likelihood(faithful):
    found = select(faithful, [1, 2], covariance_type=["full"], criterion="cv", random_state=0)
    assert found.best_estimator_.n_components == 2
    values = {trial.n_components: trial.cv for trial in found.results_}
    assert values[2] < values[1]
    covariance = np.cov(faithful.T, bias=True)
    in_sample = 272 * (2 * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1] + 2)
    assert in_sample < values[1] < in_sample + 30  # five parameters cost about ten


def test_many_rows_race(many_rows):
    found = select(many_rows, range(3, 6), random_state=0)
    best = found.best_estimator_
    assert (best.covariance_type, best.n_components) == ("tied", 4)
    assert found.results_[0].n_rows == 45_000
    behind = [trial for trial in found.results_ if trial.n_rows < 45_000]
    assert {trial.model for trial in behind} >= {"spherical", "diag"}
    for trial in behind[:2]:  # estimates from a part of the rows
        whole = GaussianMixture(trial.n_components, covariance_type=trial.model, random_state=0).fit(many_rows)
        assert_allclose(trial.bic, whole.bic(many_rows), rtol=0.02)
    chunks = Chunks(lambda: np.array_split(many_rows, 7), n_features=3)
    assert select(chunks, range(3, 6), random_state=0).results_[0].bic == found.results_[0].bic


def test_samples_are_worth_it():
    assert sample_sizes(9_999, 2) == []
    assert sample_sizes(200_000, 2) == [2_500, 10_000, 40_000]
    assert sample_sizes(10**9, 1024) == [2_500]


def test_nobody_is_left_behind_on_few_rows_for_the_parameters():
    """On 2,500 rows of 20 features nothing is said of full covariances: their hundreds of parameters overfit there."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(20, 20))
    rows = np.concatenate([rng.normal(size=(6_000, 20)) @ factor, rng.normal(size=(6_000, 20)) @ factor.T + 1.0])
    found = select(rows, [3, 4], covariance_type=["full", "diag"], random_state=0)
    assert {trial.n_rows for trial in found.results_ if trial.model == "full"} == {12_000}


def test_weights_count_as_rows(faithful):
    weights = 1 + np.arange(272) % 2
    weighted = select(faithful, [2], covariance_type="full", sample_weight=weights, random_state=0)
    repeated = select(np.repeat(faithful, weights, axis=0), [2], covariance_type="full", random_state=0)
    assert_allclose(weighted.results_[0].bic, repeated.results_[0].bic, rtol=1e-6)


def test_other_families():
    rng = np.random.default_rng(1)
    shares = np.array([[0.9] * 4 + [0.1] * 4, [0.1] * 4 + [0.9] * 4])
    rows = (rng.random((400, 8)) < shares[rng.integers(2, size=400)]).astype(int)
    found = select(rows, range(1, 4), estimator=BernoulliMixture(), random_state=0)
    assert found.best_estimator_.n_components == 2
    assert {trial.model for trial in found.results_} == {"BernoulliMixture"}
    p = rows.mean(axis=0)
    single = next(trial for trial in found.results_ if trial.n_components == 1)
    assert_allclose(single.log_likelihood, 400 * (xlogy(p, p) + xlogy(1 - p, 1 - p)).sum(), rtol=1e-3)


def test_failures_are_rows_of_the_table():
    rows = np.random.default_rng(2).normal(size=(12, 2))
    rows[:, 1] = 1.0  # constant: without reg_covar the likelihood is unbounded
    estimator = GaussianMixture(reg_covar=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = select(rows, [1, 2], covariance_type=["full", "spherical"], estimator=estimator, random_state=0)
    assert found.best_estimator_.covariance_type == "spherical"
    failed = [trial for trial in found.results_ if trial.error]
    assert {trial.model for trial in failed} == {"full"}
    assert "constant" in failed[0].error
    with pytest.raises(ValueError, match=r"Every model failed.*constant"):
        select(rows, [1], covariance_type="full", estimator=estimator)


@pytest.mark.slow
def test_processes_change_nothing(faithful):
    alone = select(faithful, [1, 2], covariance_type=["full", "tied"], random_state=0)
    beside = select(faithful, [1, 2], covariance_type=["full", "tied"], random_state=0, n_jobs=2)
    assert [t.bic for t in alone.results_] == [t.bic for t in beside.results_]


def test_as_a_frame_as_text_and_as_a_picture(of_faithful):
    frame = of_faithful.results_.to_frame()
    assert frame.shape == (16, 13)
    assert frame["bic"].is_monotonic_increasing
    assert repr(of_faithful.results_).splitlines()[1].split()[:2] == ["tied", "3"]
    display = of_faithful.plot()
    assert display.ax_.get_ylabel() == "BIC"
    assert display.n_components.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"estimator": KMeans()}, TypeError, "mixtures, got KMeans"),
        ({"estimator": BayesianGaussianMixture()}, TypeError, "criterion='cv'"),
        ({"criterion": "mdl"}, ValueError, "criterion must be one of bic, aic, icl, cv"),
        ({"n_components": []}, ValueError, "n_components must hold positive integers"),
        ({"n_components": [0, 1]}, ValueError, "n_components must hold positive integers"),
        ({"estimator": BernoulliMixture(), "covariance_type": "full"}, ValueError, "has no covariance_type"),
        ({"covariance_type": "round"}, ValueError, "covariance_type"),
        ({"estimator": GaussianMixture(checkpoint="x")}, ValueError, "checkpoint is for one fit"),
    ],
)
def test_invalid_settings(settings, error, words):
    with pytest.raises(error, match=words):
        select(np.eye(4), **settings)


def test_a_bar_follows_on_a_terminal(monkeypatch):
    console = pytest.importorskip("rich.console")
    written = io.StringIO()
    monkeypatch.setattr(console, "Console", partial(console.Console, file=written, force_terminal=True, width=80))
    assert list(followed(iter("abc"), 3)) == ["a", "b", "c"]
    assert "3/3" in written.getvalue()


def test_nothing_is_shown_elsewhere(capsys):
    assert list(followed(iter("abc"), 3)) == ["a", "b", "c"]
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
