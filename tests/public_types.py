"""Every public method of every estimator, as a user's program calls it: for type checkers, who must find nothing.

It is never run; `tests/test_types.py` sees to it that no method is missing, CI that `mypy --strict` and pyright pass.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import fastem
from fastem import inference, plotting
from fastem.estimators.summary import Summary
from fastem.inference import ConfidenceIntervals, StandardErrors
from fastem.inference.divergences import Estimate
from fastem.selection import Selection

Labels = NDArray[np.int64]
Doubles = NDArray[np.float64]
Reals = NDArray[np.float64] | NDArray[np.float32]

X = np.random.default_rng(0).normal(size=(100, 2))
weights = [1.0] * 100


def data(path: Path) -> None:
    """Whatever holds rows is data."""
    fastem.GaussianMixture(2).fit(X).fit(X.tolist()).fit("rows.npy").fit(path)
    fastem.GaussianMixture(2).fit(fastem.Table(path, columns=["a", "b"], weight="c"))
    fastem.GaussianMixture(2).fit(fastem.Chunks(lambda: iter([X]), n_features=2))
    fastem.GaussianMixture(2).fit(fastem.ArrayFile(path, "rows"))


def gaussian_mixture() -> None:
    mixture = fastem.GaussianMixture(2, covariance_type="VEI", random_state=0, acceleration=None, e_step="hard")
    mixture = assert_type(mixture.fit(X, sample_weight=weights), fastem.GaussianMixture)
    mixture = assert_type(mixture.partial_fit(X, sample_weight=weights), fastem.GaussianMixture)
    assert_type(mixture.fit_predict(X), Labels)
    assert_type(mixture.predict(X, out=np.empty(100, dtype=np.int64)), Labels)
    assert_type(mixture.predict_proba(X), Reals)
    assert_type(mixture.score_samples(X), Reals)
    assert_type(mixture.score(X, sample_weight=weights), float)
    assert_type(mixture.in_blocks(X, "predict_proba"), Iterator[NDArray[Any]])
    assert_type(mixture.sample(10), tuple[Doubles, Labels])
    assert_type(mixture.bic(X) + mixture.aic(X) + mixture.icl(X), float)
    assert_type(mixture.n_parameters_, int)
    assert_type(mixture.mahalanobis(X), Reals)
    assert_type(mixture.impute(X, random_state=0), Reals)
    assert_type(mixture.is_outlier(X, level=0.9), NDArray[np.bool_])
    assert_type(mixture.marginal([0]).cdf([0.0]), Doubles)
    assert_type(mixture.marginal(0).quantile([0.5]), Doubles)
    assert_type(mixture.condition({0: 1.0}), fastem.GaussianMixture)
    assert_type(mixture.regress(X[:, :1], [1]), Doubles)
    assert_type(mixture.regress(X[:, :1], 1, return_cov=True), tuple[Doubles, Doubles])
    assert_type(fastem.GaussianMixture.from_sklearn(mixture.to_sklearn()), fastem.GaussianMixture)
    given = fastem.GaussianMixture.from_parameters([1.0], [[0.0]], [[[1.0]]], covariance_type="full")
    assert_type(given.means_ + given.covariances_ + given.precisions_ + given.precisions_cholesky_, Doubles)
    assert_type(mixture.weights_, Doubles)
    assert_type((mixture.converged_, mixture.n_iter_), tuple[bool, int])
    assert_type(mixture.lower_bound_ + mixture.log_likelihood_ + mixture.n_samples_seen_, float)
    assert_type(mixture.lower_bounds_, list[float])
    assert_type(mixture.n_passes_ + mixture.n_features_in_, int)
    assert_type(mixture.feature_names_in_, NDArray[np.object_])
    assert_type(mixture.summary(), Summary)


def other_mixtures() -> None:
    student = fastem.StudentTMixture(2, degrees_of_freedom="shared", random_state=np.random.RandomState(0)).fit(X)
    assert_type(student.fit_predict(X), Labels)
    assert_type(student.scales_ + student.covariances_ + student.degrees_of_freedom_, Doubles)
    assert_type(student.marginal([0]), fastem.StudentTMixture)
    assert_type(student.condition({"height": 1.0}), fastem.StudentTMixture)
    assert_type(student.regress(X[:, :1], [1]), Doubles)
    assert_type(fastem.StudentTMixture.from_parameters([1.0], [[0.0]], [[[1.0]]], 3.0), fastem.StudentTMixture)
    bayesian = fastem.BayesianGaussianMixture(
        2, weight_concentration_prior_type="dirichlet_distribution", mean_prior=[0.0, 0.0]
    ).fit(X)
    assert_type(bayesian.to_gaussian(), fastem.GaussianMixture)
    assert_type(bayesian.marginal(0).condition({0: 0.0}), fastem.GaussianMixture)
    assert_type(bayesian.condition({0: 0.0}), fastem.GaussianMixture)
    assert_type(bayesian.regress(X[:, :1], 1, return_cov=True), tuple[Doubles, Doubles])
    assert_type(bayesian.mean_precision_ + bayesian.mean_prior_, Doubles)
    answers = (X > 0).astype(int)
    assert_type(fastem.BernoulliMixture(2, weights_init=[0.5, 0.5]).fit(answers).probabilities_, Doubles)
    assert_type(fastem.MultinomialMixture(2, pseudo_count=0.1).fit(answers).probabilities_, Doubles)
    assert_type(fastem.PoissonMixture(2, fit_weights=False).fit(answers).rates_, Doubles)
    classes = fastem.CategoricalMixture(2, n_levels=[2, 2]).fit(answers)
    assert_type(classes.probabilities_, list[Doubles])
    assert_type((classes.n_levels_, classes.n_observed_levels_), tuple[Labels, Labels])
    mixed = fastem.MixedMixture([("gaussian", 0, {"covariance_type": "full"}), ("poisson", [1])], 2).fit(
        X, labels=[0, 1]
    )
    assert_type(mixed.weights_, Doubles)
    assert_type(mixed.columns_, list[Labels])
    assert_type(mixed.predict_proba(X), Reals)


def kmeans() -> None:
    clusters = fastem.KMeans(2, init="random", n_init="auto", algorithm="lloyd", random_state=0).fit(X)
    assert_type(clusters.partial_fit(X), fastem.KMeans)
    assert_type(clusters.fit_predict(X, sample_weight=weights), NDArray[np.int32])
    assert_type(clusters.fit_transform(X), Reals)
    assert_type(clusters.predict(X), NDArray[np.int32])
    assert_type(clusters.transform(X), Reals)
    assert_type(clusters.score(X), float)
    assert_type(clusters.in_blocks(X, "transform"), Iterator[NDArray[Any]])
    assert_type(clusters.cluster_centers_ + clusters.counts_[:, None], Doubles)
    assert_type(clusters.labels_, NDArray[np.int32])
    assert_type(clusters.inertia_, float)
    assert_type(fastem.KMeans.from_sklearn(clusters.to_sklearn()), fastem.KMeans)


def around_them(path: Path) -> None:
    selection = fastem.select(X, range(1, 4), covariance_type=["full", "EEI"], criterion="icl", random_state=0)
    assert_type(selection, Selection)
    mixture: fastem.GaussianMixture = fastem.load(path)
    fastem.save(mixture, path)
    assert_type(fastem.standard_errors(mixture, X, "sandwich"), StandardErrors)
    assert_type(inference.confidence_intervals(mixture, X, level=0.9), ConfidenceIntervals)
    assert_type(inference.observed_information(mixture, X, kind="opg"), NDArray[Any])
    inference.score(mixture, X)
    inference.bootstrap(mixture, X, n_boot=10, kind="weighted", random_state=0)
    assert_type(fastem.entropy(mixture, n_samples=100, random_state=0), Estimate)
    assert_type(fastem.kl_divergence(mixture, mixture), Estimate)
    shares = mixture.predict_proba(X)
    assert_type(fastem.lower_bound(mixture, X, shares) + fastem.free_energy(mixture, X), float)
    assert_type(fastem.kl_gap(mixture, X, shares), float)
    plotting.MixtureDisplay.from_estimator(mixture, X, features=[0, 1])
    plotting.ResponsibilityDisplay.from_estimator(mixture, X)
    plotting.ConvergenceDisplay.from_estimator(mixture, gap=True)
    selection.plot()
