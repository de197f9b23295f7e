"""Fits of many components in few features, whose passes leave most of them out of most tiles."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastem import BayesianGaussianMixture, Chunks, GaussianMixture
from fastem.kernels import memory
from fastem.kernels.memory import PassMemory

K, N_ROWS = 64, 20_000
RNG = np.random.default_rng(0)
CENTRES = RNG.uniform(-30, 30, size=(K, 2))
ROWS = CENTRES[RNG.integers(K, size=N_ROWS)] + RNG.normal(size=(N_ROWS, 2))
OPTIONS = {"max_iter": 8, "tol": 0.0, "random_state": 0, "acceleration": "squarem"}
NAMES = ["weights_", "means_", "covariances_", "lower_bounds_", "log_likelihood_"]

pytestmark = pytest.mark.filterwarnings("ignore")


def fitted(data=ROWS, **options):
    return GaussianMixture(K, **OPTIONS, **options).fit(data)


def assert_same(found, expected):
    for name in NAMES:
        assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.fixture(scope="module")
def expected():
    return fitted()


def test_the_bits_of_a_dense_fit(expected, monkeypatch):
    shares = []
    learn = PassMemory.learn

    def watched(self, n_evaluated):
        shares.append(n_evaluated / (-(-self.n_rows // memory.LEAF) * K))
        learn(self, n_evaluated)

    monkeypatch.setattr(PassMemory, "learn", watched)
    assert_same(fitted(), expected)
    assert 0 < min(shares) < 0.5
    monkeypatch.setattr(memory, "BOUND_MEMORY", 0)
    shares.clear()
    assert_same(fitted(), expected)
    assert not any(shares)


def test_chunks_and_layouts(expected):
    assert_same(fitted(np.asfortranarray(ROWS)), expected)
    wide = np.repeat(ROWS, 2, axis=1)[:, ::2]
    assert_same(fitted(wide), expected)


def test_chunks_have_the_bits_of_arrays():
    options = {"means_init": CENTRES + 0.5, **OPTIONS}
    whole = GaussianMixture(K, **options).fit(ROWS)
    chunks = Chunks(lambda: (ROWS[i : i + 777] for i in range(0, N_ROWS, 777)), n_features=2)
    assert_same(GaussianMixture(K, **options).fit(chunks), whole)


def test_a_fit_that_is_continued(expected, tmp_path):
    path, n_passes = tmp_path / "fit", []

    def stop(self, n_evaluated):
        n_passes.append(n_evaluated)
        if len(n_passes) > 23:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PassMemory, "learn", stop)
        with pytest.raises(KeyboardInterrupt):
            fitted(checkpoint=path, checkpoint_every=1)
    assert_same(fitted(checkpoint=path, checkpoint_every=1), expected)


def test_variational_mixtures(monkeypatch):
    options = {"max_iter": 5, "tol": 0.0, "random_state": 0, "covariance_type": "diag"}
    found = BayesianGaussianMixture(n_components=K, **options).fit(ROWS)
    monkeypatch.setattr(memory, "BOUND_MEMORY", 0)
    assert_array_equal(BayesianGaussianMixture(n_components=K, **options).fit(ROWS).means_, found.means_)
