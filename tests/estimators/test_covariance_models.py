"""Mixtures with the covariance models of mclust: whatever a mixture does, they do."""

import numpy as np
import pytest
import reference
from cases import MODELS
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

import fastem
from fastem import GaussianMixture, StudentTMixture, standard_errors
from fastem.engine import loop
from fastem.families.covariances import STRUCTURES

NEW = tuple(name for name in MODELS if STRUCTURES[name].repeated or STRUCTURES[name].constrains)
FITTED = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_", "lower_bounds_")
every_model = pytest.mark.parametrize("name", MODELS)
every_new_model = pytest.mark.parametrize("name", NEW)
pytestmark = pytest.mark.filterwarnings("ignore:The fit did not converge")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    groups = [rng.normal(size=(n, 3)) @ rng.normal(size=(3, 3)) + 6 * rng.normal(size=3) for n in (80, 120)]
    return np.concatenate(groups)


@pytest.fixture(scope="module")
def fits(rows):
    return {name: fit(rows, name) for name in MODELS}


def fit(rows, name, **options):
    options = {"random_state": 0, "max_iter": 30, "tol": 1e-8} | options
    return GaussianMixture(2, covariance_type=name, **options).fit(rows)


def labels_of(rows):
    return (np.arange(len(rows)) >= 80).astype(int)


def as_matrices(arrays, n_features=3):
    return arrays if arrays.ndim == 3 else arrays.reshape(2, -1, 1) * np.eye(n_features)


def assert_same_bits(mixture, expected, names=FITTED):
    for name in names:
        assert_array_equal(getattr(mixture, name), getattr(expected, name), err_msg=name)


@every_model
def test_attributes_have_an_entry_for_each_component(name, fits):
    mixture = fits[name]
    shape = {"EII": (2,), "VII": (2,)}.get(name, (2, 3) if name.endswith("I") else (2, 3, 3))
    assert mixture.covariances_.shape == mixture.precisions_.shape == mixture.precisions_cholesky_.shape == shape
    covariances = as_matrices(mixture.covariances_)
    assert_allclose(as_matrices(mixture.precisions_) @ covariances, [np.eye(3)] * 2, atol=1e-9)
    factors = as_matrices(mixture.precisions_cholesky_)
    assert_allclose(factors @ factors.swapaxes(1, 2), as_matrices(mixture.precisions_), rtol=1e-9, atol=1e-12)
    volumes, spectra = np.linalg.det(covariances), np.linalg.eigvalsh(covariances)
    shapes = spectra / volumes[:, None] ** (1 / 3)
    for letter, parts in zip(name, (volumes, shapes), strict=False):
        assert (letter == "V") == (not np.allclose(parts[0], parts[1], rtol=1e-6)), letter
    assert (name[2] == "E") <= np.allclose(covariances[0] @ covariances[1], covariances[1] @ covariances[0], rtol=1e-6)


@every_model
def test_densities_and_samples(name, fits, rows):
    mixture = fits[name]
    joint = reference.log_joint(rows, mixture.weights_, mixture.means_, as_matrices(mixture.covariances_))
    assert_allclose(mixture.score_samples(rows), reference.log_density(joint), rtol=1e-9)
    assert_allclose(mixture.predict_proba(rows), reference.responsibilities(joint), atol=1e-9)
    drawn, labels = mixture.sample(20_000)
    for k in range(2):
        expected = as_matrices(mixture.covariances_)[k]
        assert_allclose(np.cov(drawn[labels == k].T), expected, atol=0.05 * np.abs(expected).max())


@every_model
def test_an_interrupted_fit_goes_on_with_the_same_bits(name, rows, tmp_path, monkeypatch):
    options = {"init_params": labels_of(rows), "acceleration": "squarem", "tol": 1e-10}
    expected = fit(rows, name, **options)
    calls, iterate = [], loop._advance

    def interrupted(*arguments):
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return iterate(*arguments)

    monkeypatch.setattr(loop, "_advance", interrupted)
    options["checkpoint"] = tmp_path / "fit.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        fit(rows, name, **options)
    assert_same_bits(fit(rows, name, **options), expected)


@every_new_model
def test_parameters_make_a_mixture_that_learns_on(name, fits, rows):
    mixture = fits[name]
    options = {"covariance_type": name, "warm_start": True, "max_iter": 1, "acceleration": None}
    for given in ({"covariances": mixture.covariances_}, {"precisions": mixture.precisions_}):
        copy = GaussianMixture.from_parameters(mixture.weights_, mixture.means_, **given, **options)
        assert_allclose(copy.score_samples(rows), mixture.score_samples(rows), rtol=1e-9)
    assert copy.fit(rows).log_likelihood_ >= mixture.log_likelihood_ - 1e-9


@every_new_model
def test_parameters_of_another_model_are_refused(name):
    rng = np.random.default_rng(0)
    shape = STRUCTURES[name].shown_shape(2, 2)
    strange = (
        rng.uniform(1, 2, size=shape) if len(shape) < 3 else np.stack([np.diag([1.0, 3.0]), [[2.0, 1.3], [1.3, 1.5]]])
    )
    with pytest.raises(ValueError, match=f"not those of a mixture with covariance_type='{name}'"):
        GaussianMixture.from_parameters([0.5, 0.5], np.eye(2), strange, covariance_type=name)
    with pytest.raises(ValueError, match="precisions_init"):
        GaussianMixture(2, covariance_type=name, precisions_init=strange).fit(rng.normal(size=(20, 2)))


@every_new_model
def test_explicit_starts(name, fits, rows):
    mixture = fits[name]
    start = {"weights_init": mixture.weights_, "means_init": mixture.means_, "precisions_init": mixture.precisions_}
    again = GaussianMixture(2, covariance_type=name, max_iter=0, **start).fit(rows)
    assert_allclose(again.log_likelihood_, mixture.log_likelihood_, rtol=1e-9)


@every_new_model
def test_squarem_ends_where_em_does(name, rows):
    start = {"init_params": labels_of(rows), "tol": 1e-12, "max_iter": 500}
    plain, fast = (fit(rows, name, acceleration=a, **start) for a in (None, "squarem"))
    assert_allclose(fast.log_likelihood_, plain.log_likelihood_, rtol=0, atol=1e-9)
    assert STRUCTURES[name].holds(fast.covariances_)


@every_new_model
def test_marginal_conditional_and_regression(name, fits, rows):
    mixture = fits[name]
    free = GaussianMixture.from_parameters(mixture.weights_, mixture.means_, as_matrices(mixture.covariances_))
    for found, expected in (
        (mixture.marginal([2, 0]), free.marginal([2, 0])),
        (mixture.condition({1: 0.5}), free.condition({1: 0.5})),
    ):
        assert_allclose(found.weights_, expected.weights_, rtol=1e-9)
        assert_allclose(found.means_, expected.means_, rtol=1e-9)
        assert_allclose(as_matrices(found.covariances_, 2), expected.covariances_, rtol=1e-8, atol=1e-9)
    closed = {"EII", "EEI", "EEE", "VEI", "VEE"}
    assert found.covariance_type == (name if name in closed else "VVI" if name == "EVI" else "VVV")
    parts = zip(*(m.regress(rows[:, 1:], 0, return_cov=True) for m in (mixture, free)), strict=True)
    for found, expected in parts:
        assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in NEW if STRUCTURES[name].constrains])
def test_standard_errors_are_refused(name, fits, rows):
    with pytest.raises(ValueError, match=f"full, tied, diag, spherical, .*, not {name}"):
        standard_errors(fits[name], rows)


def test_shared_names_share_everything(fits, rows):
    for name, own in (("VVV", "full"), ("VVI", "diag"), ("VII", "spherical")):
        assert_same_bits(fits[name], fit(rows, own))
        assert_array_equal(standard_errors(fits[name], rows).means, standard_errors(fit(rows, own), rows).means)
    tied = fit(rows, "tied")
    assert_array_equal(fits["EEE"].covariances_, np.stack([tied.covariances_] * 2))


@every_new_model
@pytest.mark.parametrize("options", [{"e_step": "hard"}, {"e_step": "stochastic"}, {"learning_method": "online"}])
def test_other_ways_to_learn(name, options, rows):
    order = np.random.default_rng(2).permutation(len(rows))
    mixture = fit(rows[order], name, tol=1e-4, **options)
    assert STRUCTURES[name].holds(mixture.covariances_)
    assert mixture.log_likelihood_ > fit(rows, "EII").log_likelihood_ - 0.05


@every_new_model
def test_a_stream_stays_at_the_optimum(name, rows):
    order = np.random.default_rng(2).permutation(len(rows))
    mixture = fit(rows, name, batch_size=50)
    best = mixture.log_likelihood_
    for _ in range(4):
        mixture.partial_fit(rows[order])
    assert best - 0.05 < mixture.score(rows) < best + 1e-3
    assert STRUCTURES[name].holds(mixture.covariances_)


@every_new_model
def test_single_precision(name, rows, fits):
    single = fit(rows, name, arithmetic="float32", init_params=labels_of(rows))
    double = fit(rows, name, init_params=labels_of(rows))
    assert_allclose(single.log_likelihood_, double.log_likelihood_, rtol=1e-5)


@every_new_model
def test_tails(name, rows):
    """With next to no tails, Student's t is Gaussian, and with tails the likelihood rises."""
    start = {"init_params": labels_of(rows), "max_iter": 20, "tol": 1e-9}
    options = {"covariance_type": name, "reg_covar": 0.0} | start
    gaussian = GaussianMixture(2, **options).fit(rows)
    robust = StudentTMixture(2, degrees_of_freedom=1e6, **options).fit(rows)
    assert_allclose(robust.log_likelihood_, gaussian.log_likelihood_, rtol=1e-4)
    assert robust.scales_.shape == robust.covariances_.shape == gaussian.covariances_.shape
    assert_allclose(robust.scales_, gaussian.covariances_, rtol=1e-3, atol=1e-3)
    spoiled = np.concatenate([rows, 30 * np.random.default_rng(3).normal(size=(10, 3))])
    options |= {"init_params": labels_of(spoiled), "degrees_of_freedom": 3.0}
    for acceleration in (None, "squarem"):
        robust = StudentTMixture(2, acceleration=acceleration, **options).fit(spoiled)
        assert (np.diff(robust.lower_bounds_) >= -1e-10).all()
        assert STRUCTURES[name].holds(robust.scales_)
    start = {"weights_init": robust.weights_, "means_init": robust.means_, "scales_init": robust.scales_}
    again = StudentTMixture(2, **options | start | {"max_iter": 1}).fit(spoiled)
    assert robust.log_likelihood_ - 1e-9 <= again.log_likelihood_ < robust.log_likelihood_ + 0.01


@every_new_model
def test_a_turn_or_a_change_of_units_shifts_the_log_likelihood(name, rows):
    start = {"init_params": labels_of(rows), "reg_covar": 0.0, "tol": 0.0, "max_iter": 5, "acceleration": None}
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    units = np.diag([0.5, 2.0, 3.0])
    changes = [1.7 * np.eye(3)]
    changes += [turn] if name[2] != "I" or name == "EII" else []
    changes += [units] if name in ("EEI", "VEI", "EVI", "EEE", "VEE", "EVV") else []
    changes += [turn @ units] if name in ("EEE", "VEE", "EVV") else []
    expected = fit(rows, name, **start).log_likelihood_
    for change in changes:
        found = fit(rows @ change, name, **start).log_likelihood_
        assert_allclose(found, expected - np.log(abs(np.linalg.det(change))), rtol=0, atol=1e-6)


@every_new_model
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_collapsed_components_are_repaired(name):
    rng = np.random.default_rng(5)
    rows = np.concatenate([rng.normal(size=(40, 2)), np.full((20, 2), 50.0)])
    options = {"init_params": np.repeat([0, 1], [40, 20]), "reg_covar": 0.0, "max_iter": 5}
    mixture = GaussianMixture(2, covariance_type=name, **options)
    if name in ("EII", "EEI", "EEE", "EEV", "EVE"):  # what the others have keeps up a component of equal rows
        mixture.fit(rows)
    else:
        with pytest.warns(ConvergenceWarning, match="component 1 became singular"):
            mixture.fit(rows)
    assert_array_equal(mixture.predict(rows), options["init_params"])
    assert np.isfinite(mixture.covariances_).all()
    assert STRUCTURES[name].holds(mixture.covariances_)


def test_capabilities_are_what_estimators_offer(rows):
    for name in NEW:
        with pytest.raises(ValueError, match="covariance_type"):
            fastem.BayesianGaussianMixture(n_components=2, covariance_type=name).fit(rows)
