"""What must work with every promised version of Python and of the dependencies: `.ci/run` runs it with each of them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats

import fastem
from fastem.registry import ESTIMATORS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
GROUP = RNG.integers(0, 2, size=(300, 1))
CONTINUOUS = RNG.normal(size=(300, 2)) + 6.0 * GROUP
COUNTS = RNG.poisson(2.0 + 5.0 * GROUP, size=(300, 3)).astype(float)
BINARY = (COUNTS > 4).astype(float)
ANSWERS = RNG.multinomial(9, [0.2, 0.3, 0.5], size=300).astype(float)
ROWS = {
    "BernoulliMixture": BINARY,
    "CategoricalMixture": BINARY,
    "MultinomialMixture": ANSWERS,
    "PoissonMixture": COUNTS,
}


def log_density(model, rows, k):
    """ln p(x | k) of rows, by SciPy."""
    match type(model).__name__:
        case "GaussianMixture":
            return stats.multivariate_normal(model.means_[k], model.covariances_[k]).logpdf(rows)
        case "StudentTMixture":
            freedom = model.degrees_of_freedom_[k]
            return stats.multivariate_t(model.means_[k], model.scales_[k], df=freedom).logpdf(rows)
        case "BernoulliMixture":
            return stats.bernoulli(model.probabilities_[k]).logpmf(rows).sum(axis=1)
        case "CategoricalMixture":
            chosen = [p[k][column.astype(int)] for p, column in zip(model.probabilities_, rows.T, strict=True)]
            return np.log(chosen).sum(axis=0)
        case "MultinomialMixture":
            return stats.multinomial(9, model.probabilities_[k]).logpmf(rows)
        case "MixedMixture":
            return log_density(model.estimators_[0], rows, k)
        case "PoissonMixture":
            return stats.poisson(model.rates_[k]).logpmf(rows).sum(axis=1)


def fitted(name, **options):
    size = {"n_clusters": 2} if name == "KMeans" else {"n_components": 2}
    if name == "MixedMixture":
        size["blocks"] = [("gaussian", slice(0, 2))]
    rows = ROWS.get(name, CONTINUOUS)
    return getattr(fastem, name)(**size, random_state=0, **options).fit(rows), rows


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator(name, tmp_path):
    model, rows = fitted(name)
    if name == "KMeans":
        distances = ((rows[:, None] - model.cluster_centers_) ** 2).sum(axis=2)
        assert_array_equal(model.labels_, distances.argmin(axis=1))
        assert_allclose(model.inertia_, distances.min(axis=1).sum())
    elif name == "BayesianGaussianMixture":
        assert_array_equal(model.predict(rows) == model.predict(rows[:1]), GROUP[:, 0] == GROUP[0])
    else:
        joint = [np.log(weight) + log_density(model, rows, k) for k, weight in enumerate(model.weights_)]
        assert_allclose(model.score_samples(rows), special.logsumexp(joint, axis=0), rtol=1e-9)
        assert_array_equal(model.predict(rows), np.argmax(joint, axis=0))
    fastem.save(model, tmp_path / "model")
    assert_array_equal(fastem.load(tmp_path / "model").predict(rows), model.predict(rows))
    again, _ = fitted(name, checkpoint=tmp_path / "checkpoint")
    once_more, _ = fitted(name, checkpoint=tmp_path / "checkpoint")
    assert_array_equal(once_more.predict(rows), again.predict(rows))


@pytest.mark.parametrize("kind", ["npy", "csv", "parquet", "zarr", "h5", "dask"])
def test_every_kind_of_data(kind, tmp_path):
    path = tmp_path / f"rows.{kind}"
    match kind:
        case "npy":
            np.save(path, CONTINUOUS)
        case "csv":
            np.savetxt(path, CONTINUOUS, delimiter=",", fmt="%.17g", header="a,b", comments="")
        case "parquet":
            arrow = pytest.importorskip("pyarrow")
            parquet = pytest.importorskip("pyarrow.parquet")
            parquet.write_table(arrow.table(dict(zip("ab", CONTINUOUS.T, strict=True))), path)
        case "zarr":
            zarr = pytest.importorskip("zarr")
            zarr.save_array(str(path), CONTINUOUS)
        case "h5":
            h5py = pytest.importorskip("h5py")
            with h5py.File(path, "w") as file:
                file["rows"] = CONTINUOUS
        case "dask":
            path = pytest.importorskip("dask.array").from_array(CONTINUOUS, chunks=(100, 2))
    model = fastem.GaussianMixture(2, random_state=0).fit(path)
    assert_allclose(model.means_, fitted("GaussianMixture")[0].means_, rtol=1e-12)


def test_the_command_line(tmp_path, capsys):
    pytest.importorskip("click")
    pytest.importorskip("rich")
    from fastem.cli import main

    np.save(tmp_path / "rows.npy", CONTINUOUS)
    assert main(["fit", str(tmp_path / "rows.npy"), "-k", "2", "-o", str(tmp_path / "model")]) == 0
    assert "log-likelihood" in capsys.readouterr().out
    assert_allclose(fastem.load(tmp_path / "model").means_, fitted("GaussianMixture")[0].means_)


def test_the_first_block_of_the_readme(tmp_path, monkeypatch):
    root = Path(__file__).parent.parent
    shutil.copytree(root / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    block = (root / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(compile(block, "README.md", "exec"), {})


def test_standard_errors_and_entropy():
    model, rows = fitted("GaussianMixture")
    assert fastem.standard_errors(model, rows).means.shape == (2, 2)
    estimate = fastem.entropy(model, random_state=0)
    assert estimate.lower <= estimate.value <= estimate.upper
