"""`select`, `score`, `sample`, `plot`, `info`, `warm-up`, and what `fit` and `predict` do for other families."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_cli import FAITHFUL, ROWS, assert_fails, value

import fastem


@pytest.fixture
def counts(tmp_path):
    path = tmp_path / "counts.csv"
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.poisson(2, size=(60, 2)), rng.poisson(20, size=(40, 2))])
    np.savetxt(path, rows, delimiter=",", fmt="%d", header="a,b", comments="")
    return path


def test_fit_other_families(run, counts, tmp_path):
    code, out, err = run("fit", counts, "-k", 2, "--family", "poisson", "--tol", 1e-9, "-o", tmp_path / "model")
    assert (code, err) == (0, [])
    mixture = fastem.load(tmp_path / "model")
    assert type(mixture) is fastem.PoissonMixture
    assert mixture.tol == 1e-9
    assert float(value(out, "BIC")) == pytest.approx(mixture.bic(np.loadtxt(counts, delimiter=",", skiprows=1)))
    assert "PoissonMixture" in out
    assert_fails(run("fit", counts, "-k", 2, "--family", "poisson", "--covariance", "full"), "--covariance is not for")


def test_fit_as_json_and_to_standard_output(run, tmp_path):
    code, out, _ = run("fit", FAITHFUL, "-k", 2, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["class"] == "GaussianMixture"
    assert sum(component["weight"] for component in found["components"]) == pytest.approx(1.0)
    assert {"eruptions", "waiting"} <= set(found["components"][0])
    command = [sys.executable, "-m", "fastem.cli", "fit", str(FAITHFUL), "-k", "2", "-o", "-"]
    written = subprocess.run(command, capture_output=True, check=True).stdout
    (tmp_path / "model").write_bytes(written)
    assert fastem.load(tmp_path / "model").n_components == 2


def test_select(run, tmp_path):
    code, out, err = run("select", FAITHFUL, "-k", "1-3", "--covariance", "full,tied", "-o", tmp_path / "best")
    assert (code, err) == (0, [])
    assert out.splitlines()[1].split()[:2] == ["tied", "3"]
    best = fastem.load(tmp_path / "best")
    assert (best.n_components, best.covariance_type) == (3, "tied")
    found = json.loads(run("select", FAITHFUL, "-k", "2", "--covariance", "full", "--json")[1])
    assert found["results"][0]["bic"] == pytest.approx(2322.19, abs=0.01)
    assert found["results"][0]["cv"] is None
    assert_fails(run("select", FAITHFUL, "-k", "1:3"), "expected numbers, such as 1-9")


def test_score(run, model, tmp_path):
    code, out, _ = run("score", model, FAITHFUL, "--json", "-o", tmp_path / "densities.npy")
    mixture, found = fastem.load(model), json.loads(out)
    assert code == 0
    assert found["log-likelihood per row"] == pytest.approx(mixture.score(ROWS))
    assert found["ICL"] == pytest.approx(mixture.icl(ROWS))
    assert_allclose(np.load(tmp_path / "densities.npy"), mixture.score_samples(ROWS))
    assert float(value(run("score", model, FAITHFUL)[1], "BIC")) == pytest.approx(mixture.bic(ROWS))


def test_sample(run, model, tmp_path):
    path = tmp_path / "rows.csv"
    assert run("sample", model, "-n", 50, "--seed", 3, "-o", path)[0] == 0
    expected, _ = fastem.load(model).set_params(random_state=3).sample(50)
    assert_allclose(np.loadtxt(path, delimiter=","), expected, rtol=1e-12)


def test_plot(run, model, tmp_path):
    assert run("plot", model, FAITHFUL, "-o", tmp_path / "picture.png")[0] == 0
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert run("plot", model, "--features", "waiting", "-o", tmp_path / "one.svg")[0] == 0
    assert "<svg" in (tmp_path / "one.svg").read_text()
    assert_fails(run("plot", model, "--features", "height", "-o", tmp_path / "x.png"), "Unknown feature 'height'")


def test_info(run, model):
    code, out, _ = run("info", model)
    assert code == 0
    assert out.startswith("GaussianMixture")
    assert value(out, "parameters") == "11"
    found = json.loads(run("info", "--json")[1])
    assert found["fastem"] == fastem.__version__
    assert int(found["threads"]) >= 1


def test_labels_to_standard_output(model):
    command = [sys.executable, "-m", "fastem.cli", "predict", str(model), str(FAITHFUL), "-o", "-", "--threads", "1"]
    out = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert_array_equal(np.array(out.split(), dtype=int), fastem.load(model).predict(ROWS))


def test_threads_are_those_asked_for():
    environment = {name: text for name, text in os.environ.items() if name != "NUMBA_NUM_THREADS"}
    code = (
        "from fastem.cli import main; main(['fit', '--threads', '1', 'none.csv', '-k', '1']); "
        "import numba; print(numba.get_num_threads())"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert answer.stdout.strip() == "1"


def test_warm_up_compiles(run):
    code, out, err = run("warm-up", "--family", "k-means")
    assert (code, out, err) == (0, "k-means: compiled\n", [])


def test_completion(run):
    code, out, _ = run("completion", "bash")
    assert code == 0
    assert "_FASTEM_COMPLETE=bash_complete" in out


@pytest.mark.parametrize("command", ["fit", "select", "predict", "score", "sample", "plot", "info", "warm-up"])
def test_every_command_has_help(run, command):
    code, out, err = run(command, "--help")
    assert (code, err) == (0, [])
    assert out.startswith("Usage: fastem")


def test_impute(run, tmp_path):
    path, filled = tmp_path / "gaps.csv", tmp_path / "filled.npy"
    rows = np.loadtxt(FAITHFUL, delimiter=",", skiprows=1)
    rows[::7, 0] = np.nan
    lines = [",".join("" if np.isnan(number) else repr(float(number)) for number in row) for row in rows]
    path.write_text("\n".join(["eruptions,waiting", *lines]))
    assert_fails(run("fit", path, "-k", 2, "-o", tmp_path / "model"), "the cell is empty")
    code, _, err = run("fit", path, "-k", 2, "--missing", "em", "-o", tmp_path / "model")
    assert (code, err) == (0, [])
    mixture = fastem.load(tmp_path / "model")
    assert run("impute", tmp_path / "model", path, "-o", filled)[0] == 0
    assert_array_equal(np.load(filled), mixture.impute(rows))
    assert run("impute", tmp_path / "model", path, "-o", filled, "--seed", 3)[0] == 0
    assert_array_equal(np.load(filled), mixture.impute(rows, random_state=3))
