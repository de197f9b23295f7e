"""Noise beside the components."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, multivariate_t

import fastem

MEANS = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 8.0]])
START = {"weights_init": np.full(3, 1 / 3), "means_init": MEANS}
UNIT = {"full": np.stack([np.eye(2)] * 3), "tied": np.eye(2), "diag": np.ones((3, 2)), "spherical": np.ones(3)}


def planted(n_noise=300, seed=0):
    """Three clusters of 300 rows and uniform noise in a wide box, which comes last."""
    rng = np.random.default_rng(seed)
    clusters = MEANS.repeat(300, axis=0) + rng.normal(size=(900, 2))
    return np.concatenate([clusters, rng.uniform(-10, 16, size=(n_noise, 2))])


def em(rows, weights, log_volume, structure, n_iter, known=None):
    """EM with noise in NumPy: bounds, weights of the components and of the noise, means, covariances (K, D, D)."""
    w, noise, mu, sigma, bounds = np.full(3, 0.3), 0.1, MEANS, np.stack([np.eye(2)] * 3), []
    for _ in range(n_iter):
        of_components = [multivariate_normal(mu[k], sigma[k]).logpdf(rows) + np.log(w[k]) for k in range(3)]
        h = np.stack([*of_components, np.full(len(rows), np.log(noise) - log_volume)], axis=1)
        if known is not None:
            h[(known[:, None] >= 0) & (known[:, None] != np.arange(4))] = -np.inf
        density = logsumexp(h, axis=1)
        r = weights[:, None] * np.exp(h - density[:, None])
        n = r.sum(axis=0)
        mu, (*w, noise) = r[:, :3].T @ rows / n[:3, None], n / n.sum()
        scatter = np.stack([(r[:, [k]] * (rows - mu[k])).T @ (rows - mu[k]) for k in range(3)])
        sigma = scatter / n[:3, None, None]
        if structure == "tied":
            sigma = np.stack([scatter.sum(axis=0) / n[:3].sum()] * 3)
        elif structure != "full":
            sigma = np.stack([np.diag(np.diag(s)) for s in sigma])
        if structure == "spherical":
            sigma = np.stack([np.eye(2) * np.trace(s) / 2 for s in sigma])
        bounds.append(weights @ density / weights.sum())
    return bounds, np.array(w), noise, mu, sigma


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_em_with_noise_is_that_of_numpy(structure):
    rows, weights = planted(), np.random.default_rng(1).uniform(0.5, 2.0, size=1200)
    log_volume = np.log(np.ptp(rows, axis=0)).sum()
    bounds, w, noise, mu, sigma = em(rows, weights, log_volume, structure, 6)
    mixture = fastem.GaussianMixture(
        3, covariance_type=structure, noise="uniform", tol=0.0, max_iter=6, reg_covar=0.0,
        precisions_init=UNIT[structure], **START,
    )  # fmt: skip
    with pytest.warns(match="did not converge"):
        mixture.fit(rows, sample_weight=weights)
    assert_allclose(mixture.lower_bounds_, bounds, rtol=1e-12)
    assert_allclose(mixture.weights_, w, rtol=1e-12)
    assert_allclose(mixture.noise_weight_, noise, rtol=1e-12)
    assert_allclose(mixture.noise_log_volume_, log_volume, rtol=1e-14)
    assert_allclose(mixture.means_, mu, rtol=1e-11, atol=1e-12)
    shown = {"full": sigma, "tied": sigma[0], "diag": sigma[:, [0, 1], [0, 1]], "spherical": sigma[:, 0, 0]}
    assert_allclose(mixture.covariances_, shown[structure], rtol=1e-11, atol=1e-12)
    assert_allclose(mixture.weights_.sum() + mixture.noise_weight_, 1.0, rtol=1e-15)


def test_known_labels_are_no_noise():
    rows, known = planted(), np.full(1200, -1)
    known[::7] = np.repeat([0, 1, 2, 0], 300)[::7]  # of the noise too: they are said to be in the first component
    bounds, w, noise, mu, _ = em(rows, np.ones(1200), 5.0, "full", 4, known)
    mixture = fastem.GaussianMixture(
        3, noise=np.exp(5.0), tol=0.0, max_iter=4, reg_covar=0.0, precisions_init=UNIT["full"], **START
    )
    with pytest.warns(match="did not converge"):
        mixture.fit(rows, labels=known)
    assert_allclose(mixture.lower_bounds_, bounds, rtol=1e-12)
    assert_allclose([*mixture.weights_, mixture.noise_weight_], [*w, noise], rtol=1e-12)
    assert_allclose(mixture.means_, mu, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("estimator", [fastem.GaussianMixture, fastem.StudentTMixture])
@pytest.mark.parametrize("n_noise", [30, 900])
def test_planted_noise_is_found(estimator, n_noise):
    rows = planted(n_noise)
    mixture = estimator(3, noise="uniform", random_state=0, max_iter=500).fit(rows)
    labels = mixture.predict(rows)
    far = np.linalg.norm(rows[:, None] - MEANS, axis=2).min(axis=1) > 4.5
    assert np.mean(labels[far] == -1) > 0.94
    assert np.mean(labels[:900] >= 0) > 0.97
    assert_allclose(mixture.noise_weight_, n_noise / len(rows), atol=0.05)
    order = np.argsort(mixture.means_ @ [1.0, 2.0])
    assert_allclose(mixture.means_[order], MEANS, atol=0.25)


def test_densities_labels_and_shares_are_those_of_scipy():
    rows = planted()
    for mixture in (
        fastem.GaussianMixture(3, noise="uniform", random_state=0).fit(rows),
        fastem.StudentTMixture(3, noise=500.0, random_state=0).fit(rows),
    ):
        of = [
            multivariate_t(mixture.means_[k], mixture.scales_[k], mixture.degrees_of_freedom_[k])
            if hasattr(mixture, "scales_")
            else multivariate_normal(mixture.means_[k], mixture.covariances_[k])
            for k in range(3)
        ]
        log_volume = np.log(500.0) if mixture.noise == 500.0 else np.log(np.ptp(rows, axis=0)).sum()
        far = np.concatenate([rows, [[1e4, 0.0], [-1e8, 1e8]]])
        h = [np.log(mixture.weights_[k]) + of[k].logpdf(far) for k in range(3)]
        h = np.stack([*h, np.full(len(far), np.log(mixture.noise_weight_) - log_volume)], axis=1)
        density = logsumexp(h, axis=1)
        assert_allclose(mixture.score_samples(far), density, rtol=1e-10)
        assert_array_equal(mixture.predict(far), np.where(h.argmax(axis=1) == 3, -1, h.argmax(axis=1)))
        assert_allclose(mixture.predict_proba(far), np.exp(h - density[:, None])[:, :3], atol=1e-12)
        assert_allclose(mixture.score(rows), density[: len(rows)].mean(), rtol=1e-12)
        certainty = np.log(np.exp(h - density[:, None]).max(axis=1))[: len(rows)].sum()
        assert_allclose(mixture.icl(rows), mixture.bic(rows) - 2 * certainty, rtol=1e-9)


def test_criteria_count_the_weight_of_the_noise():
    rows = planted()
    plain = fastem.GaussianMixture(3, random_state=0).fit(rows)
    noisy = fastem.GaussianMixture(3, random_state=0, noise="uniform").fit(rows)
    assert noisy.n_parameters_ == plain.n_parameters_ + 1
    assert noisy.bic(rows) < plain.bic(rows)


def test_samples_are_of_the_components_and_the_noise():
    rows = planted()
    mixture = fastem.GaussianMixture(3, random_state=0, noise="uniform").fit(rows)
    drawn, labels = mixture.sample(20_000)
    assert_allclose(np.mean(labels == -1), mixture.noise_weight_, atol=0.015)
    noise = drawn[labels == -1]
    assert_array_equal(noise, np.clip(noise, *mixture.noise_box_))
    assert_allclose(noise.mean(axis=0), mixture.noise_box_.mean(axis=0), atol=0.5)
    for k in range(3):
        assert_allclose(drawn[labels == k].mean(axis=0), mixture.means_[k], atol=0.2)
    assert_array_equal(mixture.noise_box_, [rows.min(axis=0), rows.max(axis=0)])


@pytest.mark.filterwarnings("error::fastem.engine.loop.LowerBoundWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("structure", ["tied", "EII", "VEV"])
def test_the_likelihood_never_falls(structure):
    for acceleration in (None, "squarem"):
        options = {"acceleration": acceleration, "tol": 0.0, "max_iter": 60, "random_state": 0}
        mixture = fastem.GaussianMixture(3, covariance_type=structure, noise="uniform", **options).fit(planted(100))
        assert np.diff(mixture.lower_bounds_).min() > -1e-9


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_same_bits_from_streams_files_and_checkpoints(tmp_path):
    rows = planted()
    options = {"noise": "uniform", "random_state": 0, "tol": 0.0}
    mixture = fastem.GaussianMixture(3, max_iter=6, **options).fit(rows)
    chunks = fastem.Chunks(lambda: np.array_split(rows, 5), n_features=2)
    fastem.save(mixture, tmp_path / "model")
    loaded = fastem.load(tmp_path / "model")
    path = str(tmp_path / "state")
    fastem.GaussianMixture(3, max_iter=2, checkpoint=path, **options).fit(rows)
    streamed = fastem.GaussianMixture(3, max_iter=6, **options).fit(chunks)
    for same in (streamed, loaded):
        assert_array_equal(same.means_, mixture.means_)
        assert same.noise_weight_ == mixture.noise_weight_
        assert_array_equal(same.predict(rows), mixture.predict(rows))
        assert_array_equal(same.score_samples(rows), mixture.score_samples(rows))
    warm = fastem.GaussianMixture(3, max_iter=3, warm_start=True, **options)
    assert_allclose(warm.fit(rows).fit(rows).lower_bound_, mixture.lower_bound_, rtol=1e-12)


def test_in_single_precision():
    rows = planted()
    mixture = fastem.GaussianMixture(3, noise="uniform", random_state=0).fit(rows)
    single = fastem.GaussianMixture(3, noise="uniform", random_state=0, arithmetic="float32").fit(rows)
    assert_allclose(single.log_likelihood_, mixture.log_likelihood_, rtol=1e-5)
    assert_allclose(single.noise_weight_, mixture.noise_weight_, rtol=1e-3)


def test_rows_of_weight_zero_have_no_part_in_the_box():
    rows = np.concatenate([planted(), [[1e6, 1e6]]])
    mixture = fastem.GaussianMixture(3, noise="uniform", random_state=0).fit(rows, sample_weight=np.arange(1201) < 1200)
    assert_array_equal(mixture.noise_box_, [rows[:1200].min(axis=0), rows[:1200].max(axis=0)])


def test_a_stream_learns_the_noise_too():
    rows = np.random.default_rng(3).permutation(planted(900))
    mixture = fastem.GaussianMixture(3, noise="uniform", random_state=0, batch_size=200)
    for part in np.array_split(np.tile(rows, (20, 1)), 20):
        mixture.partial_fit(part)
    assert_allclose(mixture.noise_weight_, 0.5, atol=0.1)
    assert_allclose(mixture.weights_.sum() + mixture.noise_weight_, 1.0, rtol=1e-12)


def test_what_is_not_of_a_mixture_with_noise_is_refused():
    rows = planted()
    mixture = fastem.GaussianMixture(3, noise="uniform", random_state=0).fit(rows)
    for method in (
        lambda: mixture.marginal([0]),
        lambda: mixture.condition({0: 1.0}),
        lambda: mixture.regress(rows[:, :1], [1]),
        lambda: mixture.to_sklearn(),
        lambda: fastem.standard_errors(mixture, rows),
        lambda: fastem.entropy(mixture),
        lambda: fastem.lower_bound(mixture, rows, np.full((len(rows), 3), 1 / 3)),
    ):
        with pytest.raises(ValueError, match=r"of a mixture without noise: this one has noise='uniform'"):
            method()
    with pytest.raises(ValueError, match="impute is of a mixture without noise"):
        mixture.impute(np.where(rows > 15, np.nan, rows))
    for e_step in ("hard", "stochastic"):
        with pytest.raises(ValueError, match="e_step='soft'"):
            fastem.GaussianMixture(3, noise="uniform", e_step=e_step).fit(rows)
    with pytest.raises(ValueError, match="noise is of complete rows"):
        fastem.GaussianMixture(3, noise="uniform", missing="em").fit(rows)
    with pytest.raises(ValueError, match="feature 1 is constant"):
        fastem.GaussianMixture(1, noise="uniform").fit(np.column_stack([np.arange(9.0), np.ones(9)]))
    with pytest.raises(ValueError, match="'noise' parameter"):
        fastem.GaussianMixture(3, noise=0.0).fit(rows)
    with pytest.raises(ValueError, match="noise is None, but"):
        mixture.set_params(noise=None).predict(rows)


def test_the_summary_says_it():
    mixture = fastem.GaussianMixture(3, noise="uniform", random_state=0).fit(planted())
    assert mixture.summary().facts["noise"] == f"{mixture.noise_weight_:.6f}"
