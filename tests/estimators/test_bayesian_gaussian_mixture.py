"""The variational mixture against scikit-learn, and its bound against the terms of the textbook."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import betaln, digamma, gammaln, logsumexp, multigammaln
from scipy.stats import beta, dirichlet, wishart
from sklearn.mixture import BayesianGaussianMixture as SklearnMixture
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastem
from fastem import BayesianGaussianMixture
from fastem.families.bayesian_gaussian import as_matrix

pytestmark = pytest.mark.filterwarnings("ignore:The fit did not converge", "ignore:.*did not converge")

STRUCTURES = ("full", "tied", "diag", "spherical")
TYPES = ("dirichlet_process", "dirichlet_distribution")
SHAPED_LIKE_SKLEARN = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
    "weight_concentration_",
    "mean_precision_",
    "mean_prior_",
    "degrees_of_freedom_",
    "covariance_prior_",
    "weight_concentration_prior_",
    "mean_precision_prior_",
    "degrees_of_freedom_prior_",
)


def rows(n=350, d=3, seed=0):
    rng = np.random.default_rng(seed)
    apart = 3.0 * rng.integers(0, 2, size=(n, 1))
    return rng.normal(size=(n, d)) * np.linspace(1.0, 2.0, d) + apart


X = rows()
RESPONSIBILITIES = np.random.default_rng(1).dirichlet(np.ones(4), size=len(X))


class FromResponsibilities(SklearnMixture):
    """scikit-learn's mixture, started from given responsibilities."""

    def _initialize_parameters(self, X, random_state, xp=None):
        self._initialize(X, self.responsibilities)


def both(iterations, responsibilities=RESPONSIBILITIES, data=X, **options):
    options = {"n_components": responsibilities.shape[1], "max_iter": iterations, "tol": 0.0, **options}
    theirs = FromResponsibilities(**options)
    theirs.responsibilities = responsibilities
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.fit(data)
        ours = BayesianGaussianMixture(init_params=responsibilities, **options).fit(data)
    return ours, theirs


PRIORS = {
    "default priors": lambda structure: {},
    "own priors": lambda structure: {
        "weight_concentration_prior": 0.3,
        "mean_precision_prior": 2.5,
        "mean_prior": [0.5, -0.5, 1.0],
        "degrees_of_freedom_prior": 4.7,
        "covariance_prior": {
            "full": np.diag([1.0, 2.0, 3.0]) + 0.2,
            "tied": np.diag([1.0, 2.0, 3.0]) + 0.2,
            "diag": [1.0, 2.0, 3.0],
            "spherical": 1.7,
        }[structure],
    },
}


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("weights", TYPES)
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("iterations", [1, 7])
def test_the_parameters_are_those_of_scikit_learn(structure, weights, prior, iterations):
    options = {"covariance_type": structure, "weight_concentration_prior_type": weights}
    ours, theirs = both(iterations, **options, **PRIORS[prior](structure))
    for name in SHAPED_LIKE_SKLEARN:
        assert_allclose(np.asarray(getattr(ours, name)), np.asarray(getattr(theirs, name)), rtol=1e-8, atol=1e-10)
        assert np.shape(getattr(ours, name)) == np.shape(getattr(theirs, name))
    fresh = rows(seed=5)
    assert_allclose(ours.score_samples(fresh), theirs.score_samples(fresh), rtol=1e-9)
    assert_allclose(ours.predict_proba(fresh), theirs.predict_proba(fresh), atol=1e-9)
    assert_array_equal(ours.predict(fresh), theirs.predict(fresh))


# the bound ------------------------------------------------------------------------------------------------------------


def evidence_lower_bound(model, data):
    """Bishop's (10.71) to (10.77), term by term, at the model's factors and the q(Z) that follows from them."""
    d, k = data.shape[1], model.n_components
    nu, b, m, prior = model.degrees_of_freedom, model.mean_precision, model.means, model.prior
    w = np.linalg.inv(np.stack([as_matrix(c, d) for c in np.broadcast_to(*covariances_and_shape(model))]))
    w = w / nu[:, None, None]
    w_0_inverse = as_matrix(prior.covariance, d)
    log_det = np.array(
        [digamma(0.5 * (nu[j] - np.arange(d))).sum() + d * np.log(2) + np.linalg.slogdet(w[j])[1] for j in range(k)]
    )
    if prior.process:
        sticks = [beta(*parameters) for parameters in model.concentration.T]
        a, c = model.concentration
        log_v, log_rest = digamma(a) - digamma(a + c), digamma(c) - digamma(a + c)
        log_pi = log_v + np.concatenate([[0.0], np.cumsum(log_rest)[:-1]])
        of_weights = (-betaln(1.0, prior.concentration) + (prior.concentration - 1) * log_rest).sum()
        of_weights += sum(stick.entropy() for stick in sticks)
    else:
        alpha, alpha_0 = model.concentration, prior.concentration
        log_pi = digamma(alpha) - digamma(alpha.sum())
        of_weights = gammaln(k * alpha_0) - k * gammaln(alpha_0) + ((alpha_0 - 1) * log_pi).sum()
        of_weights += dirichlet(alpha).entropy() if k > 1 else 0.0
    deviations = data[:, None, :] - m
    squares = np.einsum("nki,kij,nkj->nk", deviations, w, deviations)
    log_rho = log_pi + 0.5 * (log_det - d * np.log(2 * np.pi) - d / b - nu * squares)
    r = np.exp(log_rho - logsumexp(log_rho, axis=1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy_of_z = -np.where(r > 0, r * np.log(r), 0.0).sum()
    of_rows = (r * log_rho).sum() + entropy_of_z
    from_prior = m - prior.mean
    distances = np.einsum("ki,kij,kj->k", from_prior, w, from_prior)
    nu_0, b_0 = prior.degrees_of_freedom, prior.mean_precision
    log_norm = 0.5 * nu_0 * (np.linalg.slogdet(w_0_inverse)[1] - d * np.log(2)) - multigammaln(0.5 * nu_0, d)
    prior_terms = 0.5 * (d * np.log(b_0 / (2 * np.pi)) + log_det - d * b_0 / b - b_0 * nu * distances)
    prior_terms = prior_terms + log_norm + 0.5 * (nu_0 - d - 1) * log_det
    prior_terms = prior_terms - 0.5 * nu * np.einsum("ij,kji->k", w_0_inverse, w)
    entropies = [wishart(nu[j], w[j]).entropy() for j in range(k)]
    of_q = 0.5 * log_det + 0.5 * d * np.log(b / (2 * np.pi)) - 0.5 * d - entropies
    return of_rows + of_weights + (prior_terms - of_q).sum()


def covariances_and_shape(model):
    shape = model.covariances.shape if model.structure.shared else model.covariances.shape[1:]
    return model.covariances, (model.n_components, *shape)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("weights", TYPES)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_bound_has_all_its_terms(structure, weights, prior):
    options = {"covariance_type": structure, "weight_concentration_prior_type": weights, **PRIORS[prior](structure)}
    ours, _ = both(3, **options)
    from fastem.sources import as_source

    model = ours._model()
    found = model.e_step(as_source(X)).lower_bound
    assert_allclose(found, evidence_lower_bound(model, X), rtol=1e-10)


@pytest.mark.parametrize("d", [1, 3])
def test_of_one_component_it_is_the_evidence(d):
    data = rows(40, d)
    options = {"weight_concentration_prior_type": "dirichlet_distribution", "reg_covar": 0.0, "tol": 0.0}
    fit = BayesianGaussianMixture(covariance_prior=np.eye(d), mean_prior=np.zeros(d), max_iter=3, **options).fit(data)
    n, mean = len(data), data.mean(axis=0)
    b_0, nu_0 = 1.0, float(d)
    b, nu = b_0 + n, nu_0 + n
    scatter = np.eye(d) + (data - mean).T @ (data - mean) + b_0 * n / b * np.outer(mean, mean)
    evidence = (
        -0.5 * n * d * np.log(np.pi)
        + multigammaln(0.5 * nu, d)
        - multigammaln(0.5 * nu_0, d)
        - 0.5 * nu * np.linalg.slogdet(scatter)[1]
        + 0.5 * d * np.log(b_0 / b)
    )
    assert_allclose(fit.lower_bound_, evidence, rtol=1e-12)


def constant(model, n, d):
    """What scikit-learn leaves out, as the docstring has it."""
    k, prior = model.n_components, model.prior
    nu_0 = prior.degrees_of_freedom
    log_det = np.linalg.slogdet(as_matrix(prior.covariance, d))[1]
    log_norm = 0.5 * nu_0 * (log_det - d * np.log(2)) - gammaln(0.5 * (nu_0 - np.arange(d))).sum()
    of_weights = k * np.log(prior.concentration)
    if not prior.process:
        of_weights = gammaln(k * prior.concentration) - k * gammaln(prior.concentration)
    return -0.5 * n * d * np.log(2 * np.pi) + k * (log_norm + 0.5 * d * np.log(prior.mean_precision)) + of_weights


@pytest.mark.parametrize("weights", TYPES)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_scikit_learns_bound_differs_by_the_documented_constant(structure, weights):
    options = {"covariance_type": structure, "weight_concentration_prior_type": weights, "reg_covar": 0.0}
    sides = (X.mean(axis=1) > 1.5).astype(int)  # from near the optimum: sixty iterations bring both to rest
    ours, theirs = both(60, np.eye(2)[sides], **options)
    expected = float(np.squeeze(theirs.lower_bound_)) + constant(ours._model(), *X.shape)
    assert_allclose(ours.lower_bound_, expected, rtol=1e-9)


def test_the_published_bound_of_old_faithful(faithful):
    theirs = -684.1718675025  # scikit-learn 1.9.1, which leaves the constants out
    labels = (faithful[:, 0] >= 3).astype(int)  # a process sees the order of its components: the smaller is first
    options = {"n_components": 2, "reg_covar": 0.0, "tol": 1e-10, "max_iter": 1_000}
    fit = BayesianGaussianMixture(init_params=labels, **options).fit(faithful)
    assert fit.converged_
    assert_allclose(fit.lower_bound_ - constant(fit._model(), *faithful.shape), theirs, atol=1e-7)


@pytest.mark.parametrize("weights", TYPES)
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("reg_covar", [0.0, 1e-6, 0.5])
def test_the_bound_never_falls(structure, weights, reg_covar):
    options = {"covariance_type": structure, "weight_concentration_prior_type": weights, "reg_covar": reg_covar}
    fit = BayesianGaussianMixture(n_components=8, random_state=0, tol=0.0, max_iter=60, **options).fit(X)
    slack = fit._model().bound_slack if reg_covar else 1e-8  # a larger fall would have been a LowerBoundWarning
    assert (np.diff(fit.lower_bounds_) > -slack).all()


# behaviour ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", TYPES)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_counts_means_and_covariances_are_all_of_the_factors(structure, weights):
    options = {"covariance_type": structure, "weight_concentration_prior_type": weights}
    model = BayesianGaussianMixture(n_components=3, max_iter=3, random_state=0, **options).fit(X)._model()
    same = model.unflatten(model.flatten(model))
    for name in ("concentration", "mean_precision", "means", "degrees_of_freedom", "covariances", "whiteners"):
        assert_allclose(getattr(same, name), getattr(model, name), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("weights", TYPES)
def test_acceleration_takes_fewer_passes_to_no_lower_a_bound(weights):
    options = {"weight_concentration_prior_type": weights, "init_params": RESPONSIBILITIES, "max_iter": 2_000}
    plain, fast = (
        BayesianGaussianMixture(n_components=4, acceleration=choice, **options).fit(X) for choice in ("auto", "squarem")
    )
    assert fast.n_iter_ < 0.7 * plain.n_iter_
    assert fast.lower_bound_ > plain.lower_bound_ - 0.1
    assert (np.diff(fast.lower_bounds_) > -1e-9 * abs(fast.lower_bound_)).all()
    with pytest.raises(ValueError, match="acceleration"):
        BayesianGaussianMixture(acceleration="none").fit(X)


@pytest.mark.parametrize("weights", TYPES)
def test_superfluous_components_are_emptied(weights):
    data = np.vstack([rows(400, 2), rows(300, 2, seed=1) + np.array([10.0, -10.0])])
    fit = BayesianGaussianMixture(
        n_components=12,
        random_state=0,
        max_iter=2_000,
        weight_concentration_prior=1e-3,
        weight_concentration_prior_type=weights,
    ).fit(data)
    assert (fit.weights_ > 0.01).sum() <= 4
    assert np.isfinite(fit.covariances_).all()
    assert np.isfinite(fit.score_samples(1e3 * data)).all()
    sampled, labels = fit.sample(500)
    assert sampled.shape == (500, 2)
    assert labels.max() < 12


def test_float32():
    options = {"n_components": 3, "random_state": 0, "max_iter": 20, "tol": 0.0}
    exact = BayesianGaussianMixture(**options).fit(X)
    single = BayesianGaussianMixture(arithmetic="float32", **options).fit(X.astype(np.float32))
    assert_allclose(single.lower_bound_, exact.lower_bound_, rtol=1e-5)
    assert_allclose(single.means_, exact.means_, atol=1e-3)


def test_models_survive_the_disk(tmp_path):
    for structure in STRUCTURES:
        for weights in TYPES:
            fit = BayesianGaussianMixture(
                n_components=3, covariance_type=structure, weight_concentration_prior_type=weights, random_state=0
            ).fit(X)
            fastem.save(fit, tmp_path / "model")
            assert_array_equal(fastem.load(tmp_path / "model").score_samples(X), fit.score_samples(X))


def test_what_it_does_not_have():
    fit = BayesianGaussianMixture(n_components=2)
    for name in ("bic", "aic", "partial_fit"):
        assert not hasattr(fit, name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degrees_of_freedom_prior": 1.5}, "'degrees_of_freedom_prior' should be greater than 2, but got 1.5"),
        ({"covariance_prior": -np.eye(3)}, "'covariance_prior' should be symmetric, positive-definite"),
        ({"covariance_prior": np.eye(2)}, "'covariance_prior' should have the shape of"),
        ({"mean_prior": [1.0]}, "'mean_prior' should have the shape of"),
        ({"weight_concentration_prior": 0.0}, "weight_concentration_prior"),
    ],
)
def test_bad_priors(options, message):
    with pytest.raises(ValueError, match=message):
        BayesianGaussianMixture(n_components=2, **options).fit(X)


def test_a_constant_feature_without_a_prior():
    data = np.column_stack([X, np.ones(len(X))])
    with pytest.raises(ValueError, match="is constant"):
        BayesianGaussianMixture(n_components=2, reg_covar=0.0).fit(data)


@parametrize_with_checks([BayesianGaussianMixture(random_state=0)])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(estimator, check):
    check(estimator)
