"""Models come back from files bit for bit, and no file can do more than fail."""

import json
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from numpy.testing import assert_array_equal
from sklearn.linear_model import LinearRegression

import fastem

COVARIANCES = ["full", "tied", "diag", "spherical"]


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).standard_normal((60, 3)) + np.repeat([[0.0], [4.0]], 30, axis=0)


@pytest.fixture
def model(rows):
    return fastem.GaussianMixture(2, random_state=0).fit(rows)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a model"


def same(a, b):
    """Equal in type, shape, dtype and bits."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and (a.dtype == object or a.tobytes() == b.tobytes())
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_round_trip(rows, path, covariance_type):
    model = fastem.GaussianMixture(2, covariance_type=covariance_type, random_state=0, tol=1e-5).fit(rows)
    fastem.save(model, path)
    loaded = fastem.load(path)
    assert type(loaded) is type(model)
    assert loaded.get_params() == model.get_params()
    fitted = {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
    assert {"weights_", "means_", "covariances_", "precisions_cholesky_", "n_features_in_"} <= fitted
    for name in fitted:
        assert same(getattr(model, name), getattr(loaded, name)), name
    for method in ("predict", "predict_proba", "score_samples"):
        assert_array_equal(getattr(loaded, method)(rows), getattr(model, method)(rows))


def test_loaded_model_can_be_fitted_again(rows, model, path):
    fastem.save(model, path)
    assert_array_equal(fastem.load(path).fit(rows).means_, model.means_)


def test_arrays_as_parameters(rows, path):
    means = np.asfortranarray(rows[[0, -1]])
    model = fastem.GaussianMixture(2, means_init=means, weights_init=[0.25, 0.75])
    fastem.save(model, path)
    loaded = fastem.load(path)
    assert_array_equal(loaded.means_init, means)
    assert loaded.weights_init == [0.25, 0.75]


def test_feature_names(rows, path):
    frame = pd.DataFrame(rows, columns=["x", "y", "é"])
    fastem.save(fastem.GaussianMixture(2, random_state=0).fit(frame), path)
    loaded = fastem.load(path)
    assert loaded.feature_names_in_.dtype == object
    assert list(loaded.feature_names_in_) == ["x", "y", "é"]
    loaded.predict(frame)
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(frame.rename(columns={"x": "z"}))


def test_unfitted_model(path):
    fastem.save(fastem.GaussianMixture(5, tol=0.5), path)
    loaded = fastem.load(path)
    assert loaded.get_params() == fastem.GaussianMixture(5, tol=0.5).get_params()
    assert not hasattr(loaded, "means_")


def test_what_a_file_cannot_hold(model, path):
    model.set_params(random_state=np.random.RandomState(0))
    with pytest.raises(TypeError, match="parameter 'random_state' cannot be saved: a RandomState"):
        fastem.save(model, path)
    model.set_params(random_state=None, init_params=lambda *_: None)
    with pytest.raises(TypeError, match="parameter 'init_params' cannot be saved: a function"):
        fastem.save(model, path)
    assert not path.exists()


def test_only_our_own_estimators(path):
    class GaussianMixture(fastem.GaussianMixture):
        pass

    for foreign in (GaussianMixture(), LinearRegression(), 3):
        with pytest.raises(TypeError, match="only fastem's own estimators"):
            fastem.save(foreign, path)


def test_a_failed_write_leaves_the_old_file(model, path, monkeypatch):
    fastem.save(model, path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        fastem.save(model, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_writes_through_a_symbolic_link(model, path):
    link = path.with_name("link")
    link.symlink_to(path)
    fastem.save(model, link)
    assert link.is_symlink()
    assert_array_equal(fastem.load(path).means_, model.means_)


def test_no_place_for_the_file(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such directory"):
        fastem.save(model, tmp_path / "none" / "model")
    with pytest.raises(FileExistsError, match="not a regular file"):
        fastem.save(model, tmp_path)


# bad files ------------------------------------------------------------------------------------------------------------


def rewrite(path, arrays=None, **changes):
    """Change the texts and arrays of a model file, and leave it without a digest, as fastem 0.1.0 did."""
    with safetensors.safe_open(path, framework="numpy") as file:
        kept = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = {**file.metadata(), **changes}
    del metadata["digest"]
    safetensors.numpy.save_file({**kept, **(arrays or {})}, path, metadata)


def test_a_file_without_a_digest(model, path):
    fastem.save(model, path)
    rewrite(path, fastem_version="0.1.0")
    assert_array_equal(fastem.load(path).means_, model.means_)


def test_every_bit_counts(model, path):
    fastem.save(model, path)
    good = path.read_bytes()
    size = int.from_bytes(good[:8], "little")
    rng, changed = np.random.default_rng(0), 0
    for place in [*rng.integers(8 + size, len(good), 40), *rng.integers(0, 8 + size, 160)]:
        bad = bytearray(good)
        bad[place] ^= 1 << rng.integers(8)
        path.write_bytes(bad)
        with suppress(ValueError):
            fastem.load(path)
            changed += place >= 8 + size or json.loads(bad[8 : 8 + size]) != json.loads(good[8 : 8 + size])
    assert not changed


@pytest.mark.parametrize("covariance_type", COVARIANCES)
@pytest.mark.parametrize("name", ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"])
def test_shapes_must_go_together(rows, path, name, covariance_type):
    model = fastem.GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(rows)
    value = getattr(model, name)
    for other in (value[:-1], value[None], np.zeros_like(value, dtype=np.float32)[..., :1]):
        fastem.save(model, path)
        rewrite(path, arrays={f"attribute.{name}": np.ascontiguousarray(other)})
        with pytest.raises(ValueError, match="a model: damaged, or not a fastem model"):
            fastem.load(path)


def test_levels_and_features_must_go_together(rows, path):
    model = fastem.CategoricalMixture(2, random_state=0).fit((rows > 2).astype(float))
    fastem.save(model, path)
    rewrite(path, arrays={"attribute.n_levels_": np.array([2, 2, 2**40])})
    with pytest.raises(ValueError, match=r"a model: .*n_levels_ is"):
        fastem.load(path)
    attributes = safetensors.safe_open(path, framework="numpy").metadata()["attributes"]
    fastem.save(model, path)
    rewrite(path, attributes=attributes.replace('"n_features_in_": 3', '"n_features_in_": 2'))
    with pytest.raises(ValueError, match=r"a model: .*n_features_in_"):
        fastem.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "not a fastem model"),
        ({"format_version": "x"}, "not a fastem model"),
        ({"format_version": "99", "fastem_version": "8.0"}, "written by fastem 8.0 in format 99"),
        ({"class": "os.system"}, "unknown class of model, 'os.system'"),
        ({"class": "load"}, "unknown class"),
        ({"parameters": "{"}, "damaged"),
        ({"parameters": json.dumps({"nonsense": 1})}, "damaged"),
        ({"parameters": "[1]"}, "damaged"),
        ({"attributes": json.dumps({"predict": 1})}, "'predict' is not the name of a fitted attribute"),
        ({"attributes": json.dumps({"__class__": "x"})}, "is not the name of a fitted attribute"),
    ],
)
def test_bad_metadata(model, path, changes, message):
    fastem.save(model, path)
    rewrite(path, **changes)
    with pytest.raises(ValueError, match="a model: ") as caught:
        fastem.load(path)
    assert message in str(caught.value)


def test_arrays_reach_fitted_attributes_only(model, path):
    fastem.save(model, path)
    rewrite(path, arrays={"attribute.fit": np.zeros(3)})
    with pytest.raises(ValueError, match="'fit' is not the name of a fitted attribute"):
        fastem.load(path)


def test_foreign_and_damaged_files(model, path):
    safetensors.numpy.save_file({"x": np.zeros(3)}, path)
    with pytest.raises(ValueError, match="not a fastem model"):
        fastem.load(path)
    fastem.save(model, path)
    whole = path.read_bytes()
    for content in (b"", b"weights", b"\x80\x04pickle" * 9, *(whole[: len(whole) * i // 7] for i in range(7))):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="damaged, or not a fastem model"):
            fastem.load(path)


def test_missing_file(path):
    with pytest.raises(FileNotFoundError):
        fastem.load(path)
    with pytest.raises(OSError, match=str(path.parent)):
        fastem.load(path.parent)
