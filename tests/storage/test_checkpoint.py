"""Fits that are killed, interrupted and continued."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning

import fastem
from fastem import CategoricalMixture, GaussianMixture, KMeans
from fastem.engine import loop as em
from fastem.storage import tensors
from fastem.storage.atomic import atomic_write
from fastem.storage.checkpoint import CHECKPOINT
from fastem.storage.tensors import read_tensors, write_tensors

pytestmark = pytest.mark.filterwarnings("ignore:The fit did not converge")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def rows(seed=0, n=400):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) * [1.0, 2.0] + 1.5 * rng.integers(0, 3, size=(n, 1))


X = rows()
CASES = {
    "gaussian": lambda **o: GaussianMixture(3, random_state=0, tol=1e-5, **o),
    "two starts, accelerated": lambda **o: GaussianMixture(
        3, random_state=1, n_init=2, tol=1e-7, max_iter=40, acceleration="squarem", stopping="gap", **o
    ),
    "tied": lambda **o: GaussianMixture(2, covariance_type="tied", random_state=0, tol=1e-6, **o),
    "stochastic": lambda **o: GaussianMixture(2, random_state=0, e_step="stochastic", max_iter=8, **o),
    "online": lambda **o: GaussianMixture(
        2, random_state=0, learning_method="online", batch_size=50, max_iter=8, tol=0.0, **o
    ),
    "k-means": lambda **o: KMeans(5, init="random", n_init=2, random_state=0, tol=0.0, **o),
    "k-means online": lambda **o: KMeans(
        3, random_state=0, learning_method="online", batch_size=50, max_iter=6, tol=0.0, **o
    ),
}


def fitted(estimator):
    """Fitted attributes that must have the same bits."""
    estimator.fit(X)
    return {k: v for k, v in vars(estimator).items() if k.endswith("_") and k not in ("n_passes_",)}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        if name == "lower_bounds_of_starts_":  # lists of different lengths
            assert found[name] == expected[name]
        else:
            assert_array_equal(found[name], expected[name], err_msg=name)


def killed(estimator, moment, number, monkeypatch):
    """Fit in a child that kills itself at the number-th such moment; whether it came that far."""
    calls = 0

    def dying(function, *, before):
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == number and before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*args, **kwargs)
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    child = os.fork()
    if not child:
        try:
            if moment == "before the new file takes its place":
                os.replace = dying(os.replace, before=True)
            elif moment == "after it has":
                os.replace = dying(os.replace, before=False)
            else:
                em._advance = dying(em._advance, before=True)
            estimator.fit(X)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.slow
@forks
@pytest.mark.parametrize("moment", ["before the new file takes its place", "after it has", "in an iteration"])
@pytest.mark.parametrize("case", CASES)
def test_killed_fits_end_with_the_same_bits(case, moment, tmp_path, monkeypatch):
    monkeypatch.setattr("fastem.search.seeding.SMALL_WORK", 0)
    expected = fitted(CASES[case]())
    for number in (1, 2, 4, 9):
        path = tmp_path / f"{number}.checkpoint"
        died = killed(CASES[case](checkpoint=path), moment, number, monkeypatch)
        assert died or number > 4
        assert_same(fitted(CASES[case](checkpoint=path)), expected)
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.slow
@forks
def test_a_fit_killed_again_and_again(tmp_path, monkeypatch):
    case = CASES["two starts, accelerated"]
    path = tmp_path / "fit.checkpoint"
    deaths = 0
    while killed(case(checkpoint=path), "after it has", 3, monkeypatch):
        deaths += 1
        assert deaths < 60
    assert deaths > 3
    assert_same(fitted(case(checkpoint=path)), fitted(case()))


@forks
@pytest.mark.parametrize("random_state", [None, "instance"])
def test_randomness_is_kept(random_state, tmp_path, monkeypatch):
    path = tmp_path / "fit.checkpoint"

    def estimator():
        state = None if random_state is None else np.random.RandomState(7)
        return GaussianMixture(3, random_state=state, n_init=2, tol=1e-6, checkpoint=path)

    assert killed(estimator(), "in an iteration", 4, monkeypatch)
    copy = path.read_bytes()
    first = fitted(estimator())
    path.write_bytes(copy)
    np.random.seed(np.random.randint(2**31 - 1))  # noqa: NPY002 (that of random_state=None)
    assert_same(fitted(estimator()), first)


def test_a_finished_fit_is_not_run_again(tmp_path, monkeypatch):
    path = tmp_path / "fit.checkpoint"
    expected = fitted(GaussianMixture(3, random_state=0, checkpoint=path))
    monkeypatch.setattr(em, "_advance", None)
    found = GaussianMixture(3, random_state=0, checkpoint=path).fit(X)
    assert_array_equal(found.means_, expected["means_"])
    assert found.n_passes_ == 1  # the likelihood


def test_writes_are_as_rare_as_wanted(tmp_path, monkeypatch):
    writes = []
    plain = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: writes.append(1) or plain(*paths))
    options = {"random_state": 0, "max_iter": 7, "tol": 0.0, "subsampling": False}
    GaussianMixture(3, checkpoint=tmp_path / "a", checkpoint_every=3, **options).fit(X)
    assert len(writes) == 1 + 2 + 1  # before the first pass, after the third and sixth, at the end
    with pytest.raises(ValueError, match="checkpoint_every"):
        GaussianMixture(3, checkpoint=tmp_path / "a", checkpoint_every=0).fit(X)


# what is refused ------------------------------------------------------------------------------------------------------


def test_other_settings_are_refused(tmp_path):
    path = tmp_path / "fit.checkpoint"
    GaussianMixture(3, random_state=0, checkpoint=path).fit(X)
    with pytest.raises(
        ValueError, match=r"fit\.checkpoint: the checkpoint of a fit with tol=0\.001, this one has tol=0\.1"
    ):
        GaussianMixture(3, random_state=0, tol=0.1, checkpoint=path).fit(X)
    with pytest.raises(ValueError, match=r"with means_init=None, this one has means_init=array of shape \(3, 2\)"):
        GaussianMixture(3, random_state=0, means_init=X[:3], checkpoint=path).fit(X)
    with pytest.raises(ValueError, match="the checkpoint of a fit with"):
        KMeans(3, random_state=0, checkpoint=path).fit(X)
    GaussianMixture(3, random_state=0, verbose=0, checkpoint_every=5, checkpoint=path).fit(X)


def test_other_data_are_refused(tmp_path):
    path = tmp_path / "fit.checkpoint"
    GaussianMixture(3, random_state=0, checkpoint=path).fit(X)
    corrected = np.vstack([X, rows(2, n=5_000)])
    GaussianMixture(3, random_state=0, checkpoint=tmp_path / "large").fit(corrected)
    corrected[4_321, 1] += 1e-9
    with pytest.raises(ValueError, match="large: the checkpoint of a fit to other data"):
        GaussianMixture(3, random_state=0, checkpoint=tmp_path / "large").fit(corrected)
    for other, weights in ((rows(1), None), (X[:-1], None), (X, np.arange(1.0, len(X) + 1))):
        with pytest.raises(ValueError, match="the checkpoint of a fit to other data"):
            GaussianMixture(3, random_state=0, checkpoint=path).fit(other, sample_weight=weights)


def zip_of_a_giant(path):
    """A few bytes that say they are 800 GB."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("meta.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


def with_header(header, rest=b""):
    return lambda path: path.write_bytes(len(header).to_bytes(8, "little") + header + rest)


def one_tensor(dtype, shape, begin, end):
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    metadata = {"format": "fastem checkpoint", "format_version": "3"}
    return with_header(json.dumps({"__metadata__": metadata, "a": entry}).encode(), bytes(16))


NO_CHECKPOINTS = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"nothing"),
    "half a zip": lambda path: path.write_bytes(b"PK\x03\x04 half"),
    "zip bomb": zip_of_a_giant,
    "npy": lambda path: path.write_bytes(b"\x93NUMPY\x01\x00" + bytes(200)),
    "hdf5": lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200)),
    "deep": with_header(b"[" * 100_000),
    "giant": one_tensor("F64", [2**40], 0, 2**43),
    "overflow": one_tensor("F64", [2**32, 2**32, 2], 0, 16),
    "negative": one_tensor("F64", [-2], 0, 16),
    "elsewhere": one_tensor("F64", [2], 8, 24),
    "unknown type": one_tensor("BF16", [8], 0, 16),
    "unsigned": one_tensor("F64", [2], 0, 16),
    "a model": lambda path: fastem.save(GaussianMixture(2), path),
}


@pytest.mark.parametrize("kind", NO_CHECKPOINTS)
def test_files_that_are_no_checkpoints_are_refused(kind, tmp_path):
    path = tmp_path / "fit.checkpoint"
    NO_CHECKPOINTS[kind](path)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"fit\.checkpoint: .*not a checkpoint"):
        GaussianMixture(3, checkpoint=path).fit(X)
    assert path.read_bytes() == content


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(OSError, match=f"{tmp_path}: not a regular file"):
        GaussianMixture(3, checkpoint=tmp_path).fit(X)


def rewrite(path, change):
    """Forge a checkpoint: its digest is right."""
    texts, arrays = read_tensors(path, CHECKPOINT)
    state = json.loads(texts["state"])
    change(state, arrays)
    texts = {name: texts[name] for name in ("settings", "fingerprint")} | {"state": json.dumps(state)}
    write_tensors(path, CHECKPOINT, arrays, texts)


GAIN = {"class": "fastem.engine.stopping:Gain", "fields": {"tol": 1.0}}
FORGERIES = {
    "no record": lambda state, arrays: state.clear(),
    "another class": lambda state, arrays: state.update(GAIN),
    "not a count": lambda state, arrays: state["fields"].update(finished="1"),
    "a missing array": lambda state, arrays: arrays.clear(),
    "beyond the numbers of the generator": lambda state, arrays: state["fields"]["random_state"]["tuple"].__setitem__(
        2, 10**6
    ),
    "deep": lambda state, arrays: state.update(fields=deep(500)),
}


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("kind", FORGERIES)
def test_forged_states_are_refused(kind, tmp_path):
    path = tmp_path / "fit.checkpoint"
    GaussianMixture(3, random_state=0, checkpoint=path).fit(X)
    rewrite(path, FORGERIES[kind])
    with pytest.raises(ValueError, match=r"fit\.checkpoint: damaged, or not a checkpoint"):
        GaussianMixture(3, random_state=0, checkpoint=path).fit(X)


@pytest.mark.parametrize("levels", [[2**30] * 2, [-5, 7], [1, 1], [[2, 2]], [2.0, 2.0]])
def test_levels_that_would_lead_a_kernel_astray(levels, tmp_path, monkeypatch):
    answers, path = (X > 1).astype(float), tmp_path / "fit.checkpoint"
    options = {"random_state": 0, "tol": 0.0, "max_iter": 4, "subsampling": False, "checkpoint": path}
    with monkeypatch.context() as patch:
        interrupting(patch, em, "_advance", 3)
        with pytest.raises(KeyboardInterrupt):
            CategoricalMixture(2, **options).fit(answers)

    def change(state, arrays):
        name = state["fields"]["running"]["fields"]["model"]["fields"]["n_levels"]["array"]
        arrays[name] = np.array(levels)

    rewrite(path, change)
    with pytest.raises(ValueError, match=r"fit\.checkpoint: damaged, or not a checkpoint"):
        CategoricalMixture(2, **options).fit(answers)


@forks
def test_what_killed_writers_leave_is_removed(tmp_path):
    path = tmp_path / "fit.checkpoint"
    child = os.fork()
    if not child:
        with atomic_write(path):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (tmp_path / ".fit.checkpoint-2.0000.tmp").touch()  # of another file
    assert len(list(tmp_path.glob(".*.tmp"))) == 2
    with atomic_write(path) as alive:
        with atomic_write(path) as file:
            file.write(b"second")
        assert path.read_bytes() == b"second"
        alive.write(b"first")
    assert path.read_bytes() == b"first"
    assert [file.name for file in tmp_path.glob(".*.tmp")] == [".fit.checkpoint-2.0000.tmp"]


def test_warm_starts_have_no_checkpoint(tmp_path):
    mixture = GaussianMixture(2, warm_start=True, random_state=0, checkpoint=tmp_path / "a").fit(X)
    with pytest.raises(ValueError, match="warm_start=True"):
        mixture.fit(X)


def test_a_full_disk_leaves_the_file_before(tmp_path, monkeypatch):
    path = tmp_path / "fit.checkpoint"
    plain, calls = os.fsync, []

    def full(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return plain(descriptor)
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return plain(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"the checkpoint cannot be written \(No space left on device\)") as caught:
        GaussianMixture(3, random_state=0, tol=1e-6, checkpoint=path).fit(X)
    assert caught.value.filename == str(path)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [path]
    assert_same(
        fitted(GaussianMixture(3, random_state=0, tol=1e-6, checkpoint=path)),
        fitted(GaussianMixture(3, random_state=0, tol=1e-6)),
    )


def test_a_folder_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(em, "_advance", None)  # it is found out before the first pass
    with pytest.raises(FileNotFoundError, match="absent"):
        GaussianMixture(3, checkpoint=tmp_path / "absent" / "a").fit(X)
    monkeypatch.setattr(tensors, "atomic_write", refusing)
    with pytest.raises(PermissionError, match=r"cannot be written \(Permission denied\)"):
        GaussianMixture(3, checkpoint=tmp_path / "a").fit(X)


def refusing(path):
    raise PermissionError(errno.EACCES, "Permission denied")


# Ctrl-C ---------------------------------------------------------------------------------------------------------------


def interrupting(monkeypatch, module, name, number):
    plain, calls = getattr(module, name), []

    def call(*args):
        calls.append(1)
        if len(calls) == number:
            raise KeyboardInterrupt
        return plain(*args)

    monkeypatch.setattr(module, name, call)


def test_an_interrupted_fit_keeps_the_best_so_far(monkeypatch):
    options = {"random_state": 0, "tol": 0.0, "subsampling": False, "acceleration": None}
    expected = GaussianMixture(3, max_iter=4, **options).fit(X)
    mixture = GaussianMixture(3, max_iter=50, **options)
    interrupting(monkeypatch, em, "_advance", 5)
    with pytest.warns(ConvergenceWarning, match="interrupted after iteration 4: the parameters are the best so far"):
        assert mixture.fit(X) is mixture
    assert not mixture.converged_
    assert mixture.n_iter_ == 4
    assert_array_equal(mixture.means_, expected.means_)
    assert_array_equal(mixture.predict(X), expected.predict(X))


def test_an_interrupt_before_anything_is_reached(monkeypatch):
    interrupting(monkeypatch, em, "_advance", 1)
    with pytest.raises(KeyboardInterrupt):
        GaussianMixture(3, random_state=0, subsampling=False).fit(X)


def test_interrupted_kmeans(monkeypatch):
    data = rows(n=3_000)
    monkeypatch.setattr("fastem.search.seeding.SMALL_WORK", 0)
    expected = KMeans(8, random_state=0, max_iter=3, tol=0.0).fit(data)
    interrupting(monkeypatch, em, "_advance", 4)
    with pytest.warns(ConvergenceWarning, match="interrupted after iteration 3"):
        kmeans = KMeans(8, random_state=0, tol=0.0).fit(data)
    assert_array_equal(kmeans.cluster_centers_, expected.cluster_centers_)
    assert_array_equal(kmeans.labels_, expected.labels_)


def test_with_a_checkpoint_nothing_is_lost(tmp_path, monkeypatch):
    path = tmp_path / "fit.checkpoint"
    options = {"random_state": 0, "tol": 1e-7, "subsampling": False, "checkpoint_every": 1_000}
    with monkeypatch.context() as patch:
        interrupting(patch, em, "_advance", 6)
        with pytest.raises(KeyboardInterrupt):
            GaussianMixture(3, checkpoint=path, **options).fit(X)
    passes = []
    plain = em._advance
    monkeypatch.setattr(em, "_advance", lambda *args: passes.append(1) or plain(*args))
    continued = fitted(GaussianMixture(3, checkpoint=path, **options))
    assert len(passes) == continued["n_iter_"] - 5
    assert_same(continued, fitted(GaussianMixture(3, **options)))


INTERRUPTED = """
import sys, warnings
import numpy as np
from fastem import Chunks, GaussianMixture
def chunks():
    print("pass", flush=True)
    for n in range(50):
        yield np.random.default_rng(n).normal(size=(2_000, 4))
warnings.simplefilter("error")
try:
    GaussianMixture(4, random_state=0, tol=0.0, max_iter=10**6, subsampling=False).fit(Chunks(chunks, n_features=4))
except Warning as warning:
    print(warning)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_real_signal():
    environment = {**os.environ, "PYTHONPATH": str(Path(fastem.__file__).parents[1])}
    command = [sys.executable, "-c", INTERRUPTED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as run:
        for _ in range(4):  # the survey, two passes, and another that has begun
            assert run.stdout.readline() == "pass\n"
        time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        answer, errors = run.communicate(timeout=60)
    assert "The fit was interrupted after iteration" in answer, errors
