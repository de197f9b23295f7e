"""The same predictions in scikit-learn, there and back."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import cluster, mixture

from fastem import BayesianGaussianMixture, GaussianMixture, KMeans

TYPES = ("full", "tied", "diag", "spherical")


@pytest.mark.parametrize("structure", [*TYPES, "EII", "VEI", "VVE", "EEE"])
@pytest.mark.parametrize("ours", [GaussianMixture, BayesianGaussianMixture])
def test_mixtures_go_to_scikit_learn(ours, structure, faithful):
    if ours is BayesianGaussianMixture and structure not in TYPES:
        return
    own = ours(n_components=2, covariance_type=structure, random_state=0).fit(faithful)
    twin = own.to_sklearn()
    assert type(twin) is getattr(mixture, ours.__name__)
    assert_array_equal(twin.predict(faithful), own.predict(faithful))
    assert_allclose(twin.predict_proba(faithful), own.predict_proba(faithful), atol=1e-9)
    assert_allclose(twin.score_samples(faithful), own.score_samples(faithful), rtol=1e-9)
    assert twin.random_state == 0


@pytest.mark.parametrize("structure", TYPES)
@pytest.mark.parametrize("ours", [GaussianMixture, BayesianGaussianMixture])
def test_mixtures_come_from_scikit_learn(ours, structure, faithful):
    table = pd.DataFrame(faithful, columns=["eruptions", "waiting"])
    theirs = getattr(mixture, ours.__name__)(n_components=2, covariance_type=structure, random_state=0, tol=1e-2).fit(
        table
    )
    own = ours.from_sklearn(theirs)
    assert_array_equal(own.predict(table), theirs.predict(table))
    assert_allclose(own.predict_proba(table), theirs.predict_proba(table), atol=1e-9)
    assert_allclose(own.score_samples(table), theirs.score_samples(table), rtol=1e-9)
    assert own.get_params()["tol"] == 1e-2
    assert own.feature_names_in_.tolist() == ["eruptions", "waiting"]
    back = own.to_sklearn()
    assert_array_equal(back.means_, theirs.means_)
    assert back.means_ is not theirs.means_


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_mixture_from_scikit_learn_learns_on(faithful):
    theirs = mixture.GaussianMixture(2, random_state=0, max_iter=2).fit(faithful)
    own = GaussianMixture.from_sklearn(theirs).set_params(warm_start=True, max_iter=100)
    assert own.fit(faithful).score(faithful) >= theirs.score(faithful)


def test_k_means_goes_and_comes(faithful):
    own = KMeans(3, random_state=0).fit(faithful)
    twin = own.to_sklearn()
    assert type(twin) is cluster.KMeans
    assert_array_equal(twin.predict(faithful), own.predict(faithful))
    assert_allclose(twin.transform(faithful), own.transform(faithful), rtol=1e-9)
    back = KMeans.from_sklearn(cluster.KMeans(3, n_init=1, random_state=0).fit(faithful))
    assert_array_equal(back.counts_, np.bincount(back.labels_))
    assert_array_equal(back.partial_fit(faithful[:5]).cluster_centers_.shape, (3, 2))


def test_others_are_refused(faithful):
    with pytest.raises(TypeError, match="expected scikit-learn's GaussianMixture, got KMeans"):
        GaussianMixture.from_sklearn(cluster.KMeans(2, n_init=1).fit(faithful))
