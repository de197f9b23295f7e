"""Dask collections, behind the local scheduler and on clusters of processes and threads."""

import os
import pickle
import signal
import threading
import time
from functools import partial

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numba
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from numpy.testing import assert_allclose, assert_array_equal

from fastem import BernoulliMixture, GaussianMixture, KMeans
from fastem.kernels import threads
from fastem.kernels.accumulation import accumulated
from fastem.sources import Block
from fastem.sources.clusters import Collection, DaskSource, _serially

pytestmark = pytest.mark.filterwarnings("ignore:The fit did not converge")
NAMES = list("abc")


def made_rows(n=5_001):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)) + 4.0 * rng.integers(0, 2, size=(n, 1))


ROWS = made_rows()
WEIGHTS = np.random.default_rng(1).integers(0, 3, len(ROWS)).astype(float)
ARRAY = da.from_array(ROWS, chunks=(700, 2))
FRAME = dd.from_pandas(pd.DataFrame(ROWS, columns=NAMES), npartitions=5)


def fitted(data, **options):
    weight = options.pop("sample_weight", None)
    return GaussianMixture(2, random_state=0, tol=1e-8, **options).fit(data, sample_weight=weight)


def assert_close(found, expected):
    for name in ("weights_", "means_", "covariances_", "log_likelihood_"):
        assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-10)
    assert found.n_iter_ == expected.n_iter_


def assert_same_bits(found, expected):
    for name in ("weights_", "means_", "covariances_", "lower_bounds_", "log_likelihood_"):
        assert_array_equal(getattr(found, name), getattr(expected, name))


# the local scheduler --------------------------------------------------------------------------------------------------

COLLECTIONS = {
    "array": ARRAY,
    "array of unknown lengths": ARRAY[da.from_array(np.ones(len(ROWS), dtype=bool), chunks=700)],
    "float32": ARRAY.astype(np.float32),
    "data frame": FRAME,
}


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_a_fit_is_that_of_the_rows_in_memory(kind):
    expected = fitted(ROWS.astype(np.float32) if kind == "float32" else ROWS)
    assert_close(fitted(COLLECTIONS[kind]), expected)


def test_names_of_columns_are_kept():
    mixture = fitted(FRAME)
    assert mixture.feature_names_in_.tolist() == NAMES
    with pytest.raises(ValueError, match="feature names should match"):
        mixture.predict(FRAME[["b", "a", "c"]])


@pytest.mark.parametrize("kind", ["collection", "array"])
def test_weights(kind):
    expected = fitted(ROWS, sample_weight=WEIGHTS)
    weights = da.from_array(WEIGHTS, chunks=700) if kind == "collection" else WEIGHTS
    assert_close(fitted(ARRAY, sample_weight=weights), expected)
    series = dd.from_pandas(pd.Series(WEIGHTS), npartitions=5)
    assert_close(fitted(FRAME, sample_weight=series if kind == "collection" else WEIGHTS), expected)


def test_results_are_lazy_collections():
    mixture, calls = fitted(ARRAY), []

    def counted(block):
        calls.append(1)
        return block

    lazy = ARRAY.map_blocks(counted, dtype=float, meta=np.empty((0, 0)))
    results = {name: getattr(mixture, name)(lazy) for name in ("predict", "predict_proba", "score_samples")}
    assert not calls
    for name, result in results.items():
        assert isinstance(result, da.Array)
        expected = getattr(mixture, name)(ROWS)
        assert result.shape == expected.shape
        assert result.dtype == expected.dtype
        assert_array_equal(result.compute(), expected)
    assert np.isnan(mixture.predict(FRAME).shape[0])
    assert_array_equal(mixture.predict(FRAME).compute(), mixture.predict(ROWS))
    assert_allclose(mixture.score(ARRAY), mixture.score(ROWS), rtol=1e-12)
    assert_allclose(mixture.bic(FRAME), mixture.bic(ROWS), rtol=1e-12)
    with pytest.raises(TypeError, match="out is for data"):
        mixture.predict(ARRAY, out=np.empty(len(ROWS), dtype=np.int64))


def test_the_data_are_read_once():
    calls = []

    def counted(block):
        calls.append(1)
        return block

    fitted(ARRAY.rechunk({1: 3}).map_blocks(counted, dtype=float, meta=np.empty((0, 0))), subsampling=False)
    assert len(calls) == 8  # of 8 partitions, whatever the passes


def test_kmeans():
    expected, found = (KMeans(4, random_state=0, tol=0.0).fit(data) for data in (ROWS, ARRAY))
    assert_allclose(found.cluster_centers_, expected.cluster_centers_, rtol=1e-9)
    assert_allclose(found.inertia_, expected.inertia_, rtol=1e-10)
    assert isinstance(found.labels_, da.Array)
    assert_array_equal(found.labels_.compute(), expected.labels_)
    assert_allclose(found.transform(ARRAY).compute(), expected.transform(ROWS), rtol=1e-9)


def test_empty_clusters_are_filled_from_all_partitions():
    start = [[0.0, 0.0, 0.0], [1e3, 0.0, 0.0], [2e3, 0.0, 0.0]]
    expected, found = (KMeans(3, init=start, n_init=1, tol=0.0).fit(data) for data in (ROWS, ARRAY))
    assert_allclose(found.cluster_centers_, expected.cluster_centers_, rtol=1e-9)


def test_other_families_and_explicit_starts():
    coins = (ROWS > 2.0).astype(float)
    options = {"random_state": 0, "tol": 1e-8}
    expected = BernoulliMixture(2, **options).fit(coins)
    found = BernoulliMixture(2, **options).fit(da.from_array(coins, chunks=(999, 3)))
    assert_allclose(found.probabilities_, expected.probabilities_, rtol=1e-9)
    labels = (ROWS[:, 0] > 2).astype(int)
    assert_close(fitted(ARRAY, init_params=labels), fitted(ROWS, init_params=labels))


def test_stochastic_and_online_steps_work_too():
    for options in ({"e_step": "stochastic"}, {"learning_method": "online"}):
        mixture = GaussianMixture(2, random_state=0, max_iter=5, **options).fit(ARRAY)
        assert mixture.score(ROWS) > fitted(ROWS).score(ROWS) - 0.05


def test_what_is_wrong_is_named():
    spoiled = ROWS.copy()
    spoiled[1_500, 1] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN\. partition 2: row 100, column 1 "):
        fitted(da.from_array(spoiled, chunks=(700, 3)))
    with pytest.raises(ValueError, match=r"partition \d: column .b. holds"):
        fitted(FRAME.assign(b=FRAME.b.astype(str)))
    with pytest.raises(ValueError, match="they must be cut alike"):
        fitted(ARRAY, sample_weight=da.from_array(WEIGHTS, chunks=500))
    with pytest.raises(ValueError, match=r"partition \d: weights of shape"):
        fitted(ARRAY, sample_weight=da.from_array(WEIGHTS, chunks=[(699, 701, *[700] * 5, 101)]))
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(7,\), expected \(5001,\)"):
        fitted(FRAME, sample_weight=np.ones(7))
    with pytest.raises(ValueError, match="X has 2 features, but GaussianMixture is expecting 3"):
        fitted(ARRAY).predict(ARRAY[:, :2])
    for flat in (ARRAY[:, 0], FRAME.a, db.from_sequence(range(3))):
        with pytest.raises(ValueError, match="Expected a Dask array or data frame of two dimensions"):
            fitted(flat)
    with pytest.raises(ValueError, match="two columns have the same name, 'b'"):
        fitted(FRAME.rename(columns={"a": "b"}))
    with pytest.raises(ValueError, match=r"partition \d: .*row \d+, column \d"):
        BernoulliMixture(2).fit(ARRAY)


def test_the_sample_is_that_of_the_array():
    from fastem.sources import as_source

    source, expected = DaskSource(Collection(ARRAY), seed=3), as_source(ROWS, seed=3)
    for size in (10, 1_000, 10_000):
        assert_array_equal(source.sample(size).rows, expected.sample(size).rows)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_the_scheduler_changes_no_bit(scheduler, monkeypatch):
    expected = fitted(ARRAY)
    monkeypatch.setattr(threads, "PARALLEL_WORK", 0)  # where every pass would take all threads
    with dask.config.set(scheduler=scheduler, num_workers=4):
        assert_same_bits(fitted(ARRAY), expected)


def test_tasks_take_one_thread(monkeypatch):
    monkeypatch.setattr(threads, "PARALLEL_WORK", 0)
    entered = []
    monkeypatch.setattr(threads, "run_parallel", lambda *arguments: entered.append("parallel"))
    model = fitted(ARRAY)._model()
    add_up = partial(accumulated, model.kernel_parameters)
    _serially(add_up, Block(ROWS, None))
    assert not entered
    add_up([Block(ROWS, None)])
    assert bool(entered) == (numba.get_num_threads() > 1)


def test_columns_of_any_names_and_types():
    expected = fitted(ROWS)
    numbered = dd.from_pandas(pd.DataFrame(ROWS), npartitions=3)
    nullable = dd.from_pandas(pd.DataFrame(ROWS, columns=NAMES).astype("Float64"), npartitions=3)
    for frame in (numbered, nullable):
        assert_close(fitted(frame), expected)


# clusters -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local_cluster():
    options = {"processes": True, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(n_workers=2, **options) as cluster, Client(cluster) as client:
        yield cluster, client


@pytest.mark.slow
def test_workers_change_no_bit(local_cluster):
    cluster, client = local_cluster
    with dask.config.set(scheduler="synchronous"):
        expected = fitted(ARRAY)
    assert_same_bits(fitted(ARRAY), expected)
    labels = fitted(ARRAY).predict(ARRAY)
    assert_array_equal(labels.compute(), fitted(ARRAY).predict(ROWS))
    for n_workers in (1, 4, 2):
        cluster.scale(n_workers)
        end = time.monotonic() + 30
        while len(client.scheduler_info(n_workers=-1)["workers"]) != n_workers:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert_same_bits(fitted(ARRAY), expected)


class Killer:
    """A callback that kills a worker while the next pass is under way."""

    def __init__(self, client):
        self.client, self.killed = client, []

    def setup(self, estimator, context): ...

    def teardown(self, estimator, context): ...

    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "iteration" and context.task_id == 1:
            threading.Thread(target=self.kill, args=[self.client.run(os.getpid)]).start()

    def kill(self, pids):
        """Wait until the scheduler says that a worker has tasks, those of the next pass."""
        end = time.monotonic() + 20
        while time.monotonic() < end and not self.killed:
            busy = [worker for worker, tasks in self.client.processing().items() if tasks and worker in pids]
            if busy:
                os.kill(pids[busy[0]], signal.SIGKILL)
                self.killed.append(busy[0])


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_worker_that_dies_changes_no_bit(local_cluster):
    pytest.importorskip("sklearn.callback")
    _, client = local_cluster
    data = da.random.default_rng(0).normal(size=(1_000_000, 3), chunks=(50_000, 3))
    options = {"random_state": 0, "tol": 0.0, "max_iter": 12, "subsampling": False}
    expected = GaussianMixture(8, **options).fit(data)
    killer = Killer(client)
    found = GaussianMixture(8, **options).set_callbacks(killer).fit(data)
    assert killer.killed
    assert_same_bits(found, expected)


@pytest.mark.slow
def test_threads_of_one_worker(monkeypatch):
    with dask.config.set(scheduler="synchronous"):
        expected = fitted(ARRAY)
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0"):
        monkeypatch.setattr(threads, "PARALLEL_WORK", 0)
        assert_same_bits(fitted(ARRAY), expected)


def test_little_is_moved():
    model = fitted(ARRAY)._model()
    add_up = partial(accumulated, model.kernel_parameters)
    k, d = model.means.shape
    assert len(pickle.dumps(add_up)) < 8 * (k * d * d + 3 * k * d + 4 * k + d) + 4_000
    statistics = _serially(add_up, next(DaskSource(Collection(ARRAY)).blocks()))
    assert statistics.nbytes < 8 * (2 * k * (d + 3) ** 2 + 200)
