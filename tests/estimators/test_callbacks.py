"""scikit-learn's callbacks."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastem import GaussianMixture, KMeans

callback = pytest.importorskip("sklearn.callback")

X = np.random.default_rng(0).normal(size=(300, 2)) + 3.0 * (np.arange(300) % 3)[:, None]


class Recorder:
    def __init__(self, stop_after=None):
        self.events, self.fitted, self.stop_after = [], [], stop_after

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, metadata=None):
        self.events.append(f"begin {context.task_name}")
        self.seen = X, metadata

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.events.append(f"end {context.task_name}")
        if context.task_name == "iteration":
            self.fitted.append(fitted_estimator)
            return context.task_id + 1 == self.stop_after
        return False


@pytest.mark.filterwarnings("ignore:The fit did not converge")
def test_starts_and_iterations_are_tasks():
    recorder, weights = Recorder(), np.ones(300)
    mixture = GaussianMixture(2, n_init=2, max_iter=2, tol=0.0, random_state=0, subsampling=False)
    mixture.set_callbacks(recorder).fit(X, sample_weight=weights)
    one = ["begin start", *["begin iteration", "end iteration"] * 2, "end start"]
    assert recorder.events == ["setup", "begin fit", *one, *one, "end fit", "teardown"]
    assert recorder.seen[0] is X
    assert recorder.seen[1]["sample_weight"] is weights


@pytest.mark.filterwarnings("ignore:The fit did not converge")
def test_a_callback_sees_a_usable_estimator():
    recorder = Recorder()
    mixture = GaussianMixture(3, max_iter=3, tol=0.0, random_state=0).set_callbacks(recorder).fit(X)
    assert len(recorder.fitted) == 3
    # The order of components is made when the fit has ended.
    last = recorder.fitted[-1]
    place = np.array([np.flatnonzero((mixture.means_ == mean).all(axis=1))[0] for mean in last.means_])
    assert_array_equal(place[last.predict(X)], mixture.predict(X))
    scores = [fitted.score(X) for fitted in recorder.fitted]
    assert scores == sorted(scores)


@pytest.mark.filterwarnings("ignore:The fit did not converge")
def test_a_callback_can_end_a_start():
    mixture = GaussianMixture(3, tol=0.0, random_state=0).set_callbacks(Recorder(stop_after=2)).fit(X)
    assert mixture.n_iter_ == 2
    assert not mixture.converged_


def test_kmeans_has_them_too(monkeypatch):
    monkeypatch.setattr("fastem.search.seeding.SMALL_WORK", 0)
    recorder = Recorder()
    kmeans = KMeans(3, random_state=0, tol=0.0).set_callbacks(recorder).fit(X)
    assert recorder.events.count("end iteration") == kmeans.n_iter_
    last = recorder.fitted[-1].cluster_centers_
    assert sorted(last.tolist()) == sorted(kmeans.cluster_centers_.tolist())


def test_the_progress_bar(capsys):
    pytest.importorskip("rich")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(3, random_state=0).set_callbacks(callback.ProgressBar()).fit(X)
    assert "GaussianMixture" in capsys.readouterr().out
