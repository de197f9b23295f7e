"""Rows of which numbers are missing: what EM makes of them, and what is filled in."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from missing_reference import as_matrices, gaussian_e_step, gaussian_m_step, rows_of_gaussians, with_gaps
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

import fastem
from fastem import Chunks, GaussianMixture, Table
from fastem.families import incomplete
from fastem.inference import standard_errors
from fastem.kernels import gaps
from fastem.kernels.threads import serial_passes

STRUCTURES = ("full", "tied", "diag", "spherical")
every_structure = pytest.mark.parametrize("structure", STRUCTURES)
unfinished = pytest.mark.filterwarnings("ignore:The fit did not converge")
unit = {
    "full": lambda k, d: np.tile(np.eye(d), (k, 1, 1)),
    "tied": lambda k, d: np.eye(d),
    "diag": lambda k, d: np.ones((k, d)),
    "spherical": lambda k, d: np.ones(k),
}


def start_of(structure, weights, means):
    """Explicit parameters to begin with."""
    precisions = unit[structure](*means.shape)
    return {"weights_init": weights, "means_init": means, "precisions_init": precisions}


def parameters(mixture):
    return mixture.weights_, mixture.means_, mixture.covariances_


def assert_same_bits(one, other):
    for a, b in zip(parameters(one), parameters(other), strict=True):
        assert_array_equal(a, b)
    assert one.lower_bounds_ == other.lower_bounds_
    assert one.log_likelihood_ == other.log_likelihood_


# the fit --------------------------------------------------------------------------------------------------------------


@unfinished
@every_structure
@pytest.mark.parametrize("many", [10, 10**9], ids=["passes of patterns", "rare patterns"])
def test_iterations_are_those_of_em_row_by_row(structure, many, monkeypatch):
    monkeypatch.setattr(incomplete, "MANY", many)
    rows, weights, means, _ = rows_of_gaussians(200, 4, 3, share=0.2)
    sample_weight = np.random.default_rng(1).integers(0, 4, size=len(rows)).astype(float)
    mixture = GaussianMixture(
        3,
        covariance_type=structure,
        missing="em",
        reg_covar=0.0,
        tol=0.0,
        max_iter=3,
        **start_of(structure, weights, means),
    ).fit(rows, sample_weight=sample_weight)
    covariances = unit[structure](*means.shape)
    for _ in range(3):
        expected = gaussian_e_step(
            rows, sample_weight, weights, means, as_matrices(structure, covariances, *means.shape)
        )
        weights, means, covariances = gaussian_m_step(structure, expected, means)
    bound = sample_weight @ expected.log_density / sample_weight.sum()
    assert mixture.lower_bound_ == pytest.approx(bound, rel=1e-12)
    for found, wanted in zip(parameters(mixture), (weights, means, covariances), strict=True):
        assert_allclose(found, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


@every_structure
def test_what_is_said_of_rows_is_what_the_numbers_that_are_there_say(structure):
    rows, weights, means, covariances = rows_of_gaussians(150, 5, 3, share=0.4)
    if structure == "tied":
        covariances = covariances[0]
    elif structure == "diag":
        covariances = np.einsum("kjj->kj", covariances)
    elif structure == "spherical":
        covariances = covariances[:, 0, 0]
    mixture = GaussianMixture.from_parameters(weights, means, covariances, covariance_type=structure, missing="em")
    matrices = as_matrices(structure, covariances, *means.shape)
    expected = gaussian_e_step(rows, np.ones(len(rows)), weights, means, matrices)
    assert_allclose(mixture.score_samples(rows), expected.log_density, rtol=1e-12)
    assert_allclose(mixture.predict_proba(rows), expected.responsibilities, rtol=1e-12, atol=1e-13)
    assert_array_equal(mixture.predict(rows), expected.responsibilities.argmax(axis=1))
    assert_allclose(mixture.impute(rows), expected.completed, rtol=1e-12, atol=1e-12)
    assert mixture.score(rows) == pytest.approx(expected.log_density.mean(), rel=1e-12)


def test_the_apple_crop():
    """Little and Rubin: size of crop and percentage of wormy fruits of 18 trees, six percentages missing."""
    size = [8, 6, 11, 22, 14, 17, 18, 24, 19, 23, 26, 40, 4, 4, 5, 6, 8, 10]
    wormy = [59, 58, 56, 53, 50, 45, 43, 42, 39, 38, 30, 27, *[np.nan] * 6]
    crop = GaussianMixture(missing="em", reg_covar=0.0, tol=1e-15, max_iter=2_000).fit(np.column_stack([size, wormy]))
    assert_allclose(crop.means_[0], [14.72222, 49.33333], atol=5e-6)
    assert_allclose(crop.covariances_[0], [[89.53395062, -90.69672920], [-90.69672920, 114.69495512]], rtol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@given(
    st.integers(0, 2**16), st.floats(0.0, 0.7), st.sampled_from([*STRUCTURES, "EEI", "EII", "VVE", "EEV", "EVI", "EEE"])
)
def test_the_likelihood_never_falls(seed, share, structure):
    rows, *_ = rows_of_gaussians(60, 3, 2, share, seed)
    mixture = GaussianMixture(2, covariance_type=structure, missing="em", max_iter=30, tol=0.0, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=RuntimeWarning)
        mixture.fit(rows)
    if not mixture._model().repairs:
        assert np.diff(mixture.lower_bounds_).min(initial=0.0) > -1e-5 * mixture.reg_covar - 1e-6


@every_structure
def test_the_mixture_is_found_again(structure):
    rng = np.random.default_rng(0)
    means = np.array([[0.0, 0.0, 0.0], [8.0, 0.0, 4.0], [0.0, 8.0, -4.0]])
    labels = rng.integers(3, size=3_000)
    rows = with_gaps(means[labels] + rng.normal(size=(3_000, 3)), 0.25, rng)
    mixture = GaussianMixture(3, covariance_type=structure, missing="em", random_state=0).fit(rows)
    order = np.argsort(mixture.means_ @ [1.0, 2.0, 0.0])
    assert_allclose(mixture.means_[order], means, atol=0.2)
    variances = as_matrices(structure, mixture.covariances_, 3, 3)
    assert_allclose(variances, np.tile(np.eye(3), (3, 1, 1)), atol=0.25)


@unfinished
@pytest.mark.parametrize("e_step", ["hard", "stochastic"])
def test_rows_are_given_to_components(e_step):
    rows, *_ = rows_of_gaussians(400, 3, 2, share=0.2)
    mixture = GaussianMixture(2, missing="em", e_step=e_step, random_state=0, max_iter=50).fit(rows)
    assert mixture.log_likelihood_ > GaussianMixture(1, missing="em").fit(rows).log_likelihood_


@unfinished
def test_known_labels_are_kept():
    """A label takes the others of a row out of its mixture, missing numbers or not."""
    rows, weights, means, covariances = rows_of_gaussians(300, 3, 2, share=0.3)
    labels = np.where(np.arange(300) < 60, np.arange(300) % 2, -1)
    start = {"weights_init": weights, "means_init": means, "precisions_init": np.linalg.inv(covariances)}
    mixture = GaussianMixture(2, missing="em", max_iter=1, reg_covar=0.0, **start).fit(rows, labels=labels)
    expected = [
        gaussian_e_step(rows[labels == label], np.ones((labels == label).sum()), *only, means, covariances)
        for label, *only in ((-1, weights), (0, weights * [1, 0]), (1, weights * [0, 1]))
    ]
    counts = sum(each.counts for each in expected)
    assert_allclose(mixture.weights_, counts / 300, rtol=1e-12)
    assert_allclose(mixture.means_, means + sum(each.first for each in expected) / counts[:, None], rtol=1e-12)


def test_acceleration_ends_where_em_does():
    rows, *_ = rows_of_gaussians(1_000, 3, 3, share=0.3)
    for structure in ("full", "tied"):
        settings = {"covariance_type": structure, "missing": "em", "random_state": 0, "max_iter": 5_000}
        plain = GaussianMixture(3, acceleration=None, tol=1e-11, **settings).fit(rows)
        fast = GaussianMixture(3, acceleration="squarem", tol=1e-11, **settings).fit(rows)
        assert fast.log_likelihood_ == pytest.approx(plain.log_likelihood_, abs=1e-7)
        assert fast.n_iter_ < plain.n_iter_


@pytest.mark.parametrize("init", ["labels", "responsibilities", "callable", "random"])
def test_every_start(init):
    rows, weights, means, covariances = rows_of_gaussians(500, 3, 2, share=0.2)
    responsibilities = gaussian_e_step(rows, np.ones(500), weights, means, covariances).responsibilities
    start = {
        "labels": responsibilities.argmax(axis=1),
        "responsibilities": responsibilities,
        "callable": lambda rows, n_components, random_state: (np.nan_to_num(rows[:, 0]) > means[:, 0].mean()).astype(
            int
        ),
        "random": "random",
    }[init]
    mixture = GaussianMixture(2, missing="em", init_params=start, random_state=0, tol=1e-8, max_iter=1_000).fit(rows)
    best = GaussianMixture(2, missing="em", random_state=0, tol=1e-8, max_iter=1_000).fit(rows)
    assert mixture.log_likelihood_ == pytest.approx(best.log_likelihood_, abs=1e-4)


def test_partial_fit_learns_from_rows_with_gaps():
    rows, *_ = rows_of_gaussians(6_000, 3, 2, share=0.2)
    stream = GaussianMixture(2, missing="em", random_state=0)
    for part in np.split(rows, 6):
        stream.partial_fit(part)
    assert stream.score(rows) == pytest.approx(GaussianMixture(2, missing="em").fit(rows).score(rows), abs=0.01)


# the same bits --------------------------------------------------------------------------------------------------------


@every_structure
def test_complete_rows_are_fitted_as_without_the_option(structure):
    rows, *_ = rows_of_gaussians(3_000, 3, 2, share=0.0)
    settings = {"covariance_type": structure, "random_state": 0}
    ordinary = GaussianMixture(2, **settings).fit(rows)
    mixture = GaussianMixture(2, missing="em", **settings).fit(rows)
    assert_same_bits(mixture, ordinary)
    assert mixture.n_passes_ == ordinary.n_passes_
    assert_array_equal(mixture.score_samples(rows), ordinary.score_samples(rows))
    assert mixture.score(Chunks(lambda: iter(np.array_split(rows, 7)), n_features=3)) == ordinary.score(rows)


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_bits_do_not_depend_on_where_rows_come_from(structure, tmp_path, monkeypatch):
    monkeypatch.setattr(incomplete, "SORTED_NUMBERS", 1_024 * 3)
    monkeypatch.setattr(incomplete, "MANY", 300)
    monkeypatch.setattr(gaps, "PIECE_NUMBERS", 3 * 300)
    rows, *_ = rows_of_gaussians(5_000, 3, 2, share=0.2)
    frame = pd.DataFrame(rows, columns=["a", "b", "c"])
    frame.to_parquet(tmp_path / "rows.parquet")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    np.save(tmp_path / "rows.npy", rows)
    settings = {"covariance_type": structure, "missing": "em", "random_state": 0}
    mixture = GaussianMixture(2, **settings).fit(rows)
    for source in (
        np.asfortranarray(rows),
        frame,
        tmp_path / "rows.npy",
        tmp_path / "rows.csv",
        tmp_path / "rows.parquet",
        Chunks(lambda: iter(np.array_split(rows, 23)), n_features=3),
    ):
        found = GaussianMixture(2, **settings).fit(source)
        assert_same_bits(found, mixture)
        assert_array_equal(found.impute(source), mixture.impute(rows))
        assert_array_equal(found.impute(source, random_state=3), mixture.impute(rows, random_state=3))
        assert found.score(source) == mixture.score(rows)
    with serial_passes():
        assert_same_bits(GaussianMixture(2, **settings).fit(rows), mixture)


def test_rows_of_a_cluster():
    da = pytest.importorskip("dask.array")
    rows, weights, means, _ = rows_of_gaussians(1_000, 3, 2, share=0.2)
    settings = {"missing": "em", **start_of("full", weights, means)}
    mixture, collection = GaussianMixture(2, **settings).fit(rows), da.from_array(rows, chunks=(300, 3))
    found = GaussianMixture(2, **settings).fit(collection)
    assert_allclose(found.means_, mixture.means_, rtol=1e-10)
    assert_allclose(found.impute(collection).compute(), mixture.impute(rows), rtol=1e-9)
    with pytest.raises(TypeError, match="not for Dask"):
        found.impute(collection, random_state=0)


@pytest.mark.parametrize("reader", ["pyarrow", "csv"])
def test_what_stands_for_a_missing_number_in_a_text(reader, tmp_path, monkeypatch):
    if reader == "csv":
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n,NA\n3,nan\n?,5\n\n null ,7\n,\n-,.\n")
    mixture = GaussianMixture.from_parameters([1.0], [[0.0, 1.0]], [np.eye(2)], missing="em")
    expected = [[1, 2], [0, 1], [3, 1], [0, 5], [0, 7], [0, 1], [0, 1]]
    assert_allclose(mixture.impute(path), expected)
    with pytest.raises(ValueError, match=r"line 3, column 'a': the cell is empty; mixtures with missing='em'"):
        GaussianMixture().fit(path)


# rows and columns without numbers -------------------------------------------------------------------------------------


@every_structure
def test_rows_without_numbers_count_for_nothing(structure):
    rows, weights, means, _ = rows_of_gaussians(300, 3, 2, share=0.2)
    settings = {"covariance_type": structure, "missing": "em", "random_state": 0, **start_of(structure, weights, means)}
    mixture = GaussianMixture(2, **settings).fit(rows)
    more = np.insert(rows, [0, 100, 300], np.nan, axis=0)
    with pytest.warns(UserWarning, match="3 rows have no number at all"):
        found = GaussianMixture(2, **settings).fit(more)
    assert_same_bits(found, mixture)
    assert found.n_samples_seen_ == 300
    assert_array_equal(found.predict_proba(more)[0], found.predict_proba(more)[-1])
    assert_allclose(found.predict_proba(more)[0], found.weights_, rtol=1e-14)
    assert_allclose(found.score_samples(more)[0], 0.0, atol=1e-15)
    assert_allclose(found.impute(more)[0], found.weights_ @ found.means_)
    for criterion in ("score", "bic", "aic", "icl"):
        assert getattr(found, criterion)(more) == getattr(mixture, criterion)(rows)


def test_a_column_without_numbers_is_refused():
    rows, *_ = rows_of_gaussians(50, 3, 2, share=0.1)
    rows[:, 1] = np.nan
    with pytest.raises(ValueError, match="contains NaN only in column 1"):
        GaussianMixture(2, missing="em").fit(rows)
    with pytest.raises(ValueError, match="contains NaN only in column 'b'"):
        GaussianMixture(2, missing="em").fit(pd.DataFrame(rows, columns=["a", "b", "c"]))


# what is filled in ----------------------------------------------------------------------------------------------------


def test_what_is_filled_in_is_the_mean_of_the_conditional_mixture():
    _, weights, means, covariances = rows_of_gaussians(1, 4, 3, share=0.0)
    mixture = GaussianMixture.from_parameters(weights, means, covariances)
    row = np.array([[1.0, np.nan, -2.0, np.nan]])
    conditional = mixture.condition({0: 1.0, 2: -2.0})
    assert_allclose(mixture.impute(row)[0, [1, 3]], conditional.weights_ @ conditional.means_, rtol=1e-12)
    assert_array_equal(mixture.impute(row)[0, [0, 2]], [1.0, -2.0])


def test_draws_are_those_of_the_conditional_mixture():
    _, weights, means, covariances = rows_of_gaussians(1, 4, 3, share=0.0)
    mixture = GaussianMixture.from_parameters(weights, 0.3 * means, covariances)
    row = [1.0, np.nan, -1.0, np.nan]
    conditional = mixture.condition({0: 1.0, 2: -1.0})
    drawn = mixture.impute(np.tile(row, (40_000, 1)), random_state=0)[:, [1, 3]]
    mean = conditional.weights_ @ conditional.means_
    centred = conditional.means_ - mean
    covariance = np.einsum(
        "k,kij->ij", conditional.weights_, conditional.covariances_ + centred[:, :, None] * centred[:, None]
    )
    assert_allclose(drawn.mean(axis=0), mean, atol=4 * np.sqrt(covariance.max() / 40_000))
    assert_allclose(np.cov(drawn.T), covariance, atol=0.04 * covariance.max())
    assert_array_equal(
        mixture.impute([row], random_state=0), mixture.impute([row], random_state=np.random.RandomState(0))
    )


def test_single_precision_stays_and_out_is_filled():
    rows, *_ = rows_of_gaussians(100, 3, 2, share=0.3)
    mixture = GaussianMixture(2, missing="em").fit(rows.astype(np.float32))
    filled = mixture.impute(rows.astype(np.float32))
    assert filled.dtype == np.float32
    present = ~np.isnan(rows)
    assert_array_equal(filled[present], rows.astype(np.float32)[present])
    out = np.empty(rows.shape)
    assert mixture.impute(rows, out=out) is out
    assert not np.isnan(out).any()


def test_nothing_is_filled_in_before_a_fit():
    with pytest.raises(NotFittedError):
        GaussianMixture().impute([[np.nan]])


# the option -----------------------------------------------------------------------------------------------------------


def test_the_error_names_the_option(tmp_path):
    rows, *_ = rows_of_gaussians(50, 2, 1, share=0.3)
    np.save(tmp_path / "rows.npy", rows)
    option = "contains NaN.*With missing='em' a GaussianMixture takes NaN for a number that is missing"
    for data in (rows, rows.tolist(), pd.DataFrame(rows), tmp_path / "rows.npy", Table(pd.DataFrame(rows))):
        with pytest.raises(ValueError, match=option):
            GaussianMixture().fit(data)
    mixture = GaussianMixture(missing="em").fit(rows).set_params(missing="error")
    with pytest.raises(ValueError, match=option):
        mixture.predict(rows)


def test_infinity_is_no_missing_number():
    rows = np.array([[1.0, np.nan], [np.inf, 1.0], [2.0, 3.0]])
    with pytest.raises(ValueError, match="infinity"):
        GaussianMixture(missing="em").fit(rows)
    with pytest.raises(ValueError, match="infinity"):
        GaussianMixture(missing="em").fit(Chunks(lambda: iter([rows]), n_features=2))


def test_tags_and_files_know_the_option(tmp_path):
    rows, *_ = rows_of_gaussians(100, 2, 2, share=0.3)
    mixture = GaussianMixture(2, missing="em").fit(rows)
    assert mixture.__sklearn_tags__().input_tags.allow_nan
    assert not GaussianMixture().__sklearn_tags__().input_tags.allow_nan
    fastem.save(mixture, tmp_path / "mixture")
    assert_array_equal(fastem.load(tmp_path / "mixture").predict_proba(rows), mixture.predict_proba(rows))


def test_a_checkpoint_goes_on(tmp_path):
    rows, *_ = rows_of_gaussians(500, 3, 2, share=0.3)
    settings = {"missing": "em", "random_state": 0, "tol": 1e-9, "max_iter": 500}
    whole = GaussianMixture(2, **settings).fit(rows)

    class Stop(BaseException):
        pass

    passes = []

    def chunks():
        passes.append(None)
        if len(passes) == 6:
            raise Stop
        return iter(np.array_split(rows, 3))

    mixture = GaussianMixture(2, checkpoint=tmp_path / "state", **settings)
    with pytest.raises(Stop):
        mixture.fit(Chunks(chunks, n_features=3))
    assert_same_bits(mixture.fit(Chunks(chunks, n_features=3)), whole)


def test_what_needs_complete_rows_says_so():
    rows, *_ = rows_of_gaussians(100, 2, 2, share=0.3)
    mixture = GaussianMixture(2, missing="em").fit(rows)
    for method in (mixture.mahalanobis, mixture.is_outlier, lambda X: standard_errors(mixture, X)):
        with pytest.raises(ValueError, match="takes complete rows only"):
            method(rows)
    assert mixture.mahalanobis(mixture.impute(rows)).shape == (100, 2)


def test_a_model_is_selected():
    rng = np.random.default_rng(0)
    rows = with_gaps(np.concatenate([rng.normal(size=(200, 2)), rng.normal(7, 1, size=(200, 2))]), 0.2, rng)
    for criterion in ("bic", "icl", "cv"):
        found = fastem.select(
            rows,
            range(1, 4),
            covariance_type=("full", "EEI"),
            criterion=criterion,
            estimator=GaussianMixture(missing="em"),
            random_state=0,
        )
        assert found.best_estimator_.n_components == 2
        assert found.best_estimator_.missing == "em"
