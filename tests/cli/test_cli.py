"""The command line, called as the console script calls it."""

import inspect
import io
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from numpy.testing import assert_allclose, assert_array_equal
from rich.console import Console

import fastem
from fastem.cli import main
from fastem.cli.fitting import fit
from fastem.cli.progress import watched

FAITHFUL = Path(__file__).parents[2] / "examples" / "faithful.csv"
ROWS = np.loadtxt(FAITHFUL, delimiter=",", skiprows=1)


def value(out, name):
    """A value from the printed summary."""
    return re.search(rf"^ *{name} +(\S+)", out, re.MULTILINE)[1]


def assert_fails(result, *words):
    """One line on stderr, with these words in it, and exit code 2."""
    code, out, err = result
    assert code == 2
    assert out == ""
    assert len(err) == 1
    assert err[0].startswith("fastem: error: ")
    for word in words:
        assert str(word) in err[0]


# fit ------------------------------------------------------------------------------------------------------------------


def test_fit_prints_what_it_found(run):
    code, out, err = run("fit", FAITHFUL, "--components", 2, "--tol", 1e-9, "--reg-covar", 0, "--max-iter", 1000)
    assert code == 0
    assert err == []
    assert "eruptions" in out
    assert "waiting" in out
    # Published values (mclust and mixtools agree on them).
    assert_allclose(float(value(out, "log-likelihood")), -1130.2639601847, atol=1e-5)
    assert_allclose(float(value(out, "BIC")), 2322.1917430987, atol=1e-5)
    components = np.array([line.split() for line in out.splitlines() if re.match(r" +[01]  ", line)], dtype=float)
    expected = [[0.355872857, 2.036388455, 54.478516377], [0.644127143, 4.289661973, 79.968115174]]
    assert_allclose(components[components[:, 1].argsort(), 1:], expected, rtol=1e-4)
    assert value(out, "converged") == "yes"
    assert int(value(out, "iterations")) > 1
    assert float(value(out, "seconds")) >= 0


def test_every_option_reaches_the_model(run, tmp_path):
    path = tmp_path / "model"
    options = {
        "covariance_type": "diag",
        "tol": 0.25,
        "max_iter": 7,
        "n_init": 2,
        "reg_covar": 1e-3,
        "random_state": 5,
        "init_params": "random",
    }
    flags = ["--covariance", "--tol", "--max-iter", "--n-init", "--reg-covar", "--seed", "--init"]
    arguments = [word for pair in zip(flags, options.values(), strict=True) for word in pair]
    assert run("fit", FAITHFUL, "-k", 3, *arguments, "-o", path)[0] == 0
    parameters = fastem.load(path).get_params()
    assert {name: parameters[name] for name in options} == options
    assert parameters["n_components"] == 3


def test_defaults_are_those_of_the_estimator():
    estimator = inspect.signature(fastem.GaussianMixture).parameters
    for option in fit.params:
        if option.name in estimator and option.name not in ("n_components", "random_state", "checkpoint"):
            assert option.default == estimator[option.name].default


def test_weights_equal_repeated_rows(run, tmp_path):
    rows = ROWS
    times = np.arange(len(rows)) % 3
    weighted, repeated = tmp_path / "weighted.csv", tmp_path / "repeated.npy"
    np.savetxt(weighted, np.c_[rows, times], delimiter=",", header="a,b,times", comments="", fmt="%.17g")
    np.save(repeated, np.repeat(rows, times, axis=0))
    # Responsibilities of a fixed seed would differ between the two; the optimum does not.
    options = ("-k", 2, "--tol", 1e-10, "--max-iter", 1000)
    code, one, err = run("fit", weighted, *options, "--weights", "times")
    assert (code, err) == (0, [])
    code, other, err = run("fit", repeated, *options)
    assert (code, err) == (0, [])
    for name in ("log-likelihood", "BIC"):
        assert_allclose(float(value(one, name)), float(value(other, name)), rtol=1e-7)
    assert "times" not in one
    assert f"of total weight {times.sum()}" in one


def test_a_fit_that_does_not_converge_says_so_in_one_line(run):
    code, out, err = run("fit", FAITHFUL, "-k", 5, "--max-iter", 1, "--tol", 0)
    assert code == 0
    assert value(out, "converged") == "no"
    assert len(err) == 1
    assert err[0].startswith("fastem: warning: ")


def test_many_columns_and_odd_names_fit_the_page(run, tmp_path):
    path = tmp_path / "wide.csv"
    names = ["[red]x[/red]", ":smile:", *(f"column {i}" for i in range(40))]
    rows = np.random.default_rng(0).standard_normal((60, len(names)))
    np.savetxt(path, rows, delimiter=",", header=",".join(names), comments="")
    code, out, _ = run("fit", path, "-k", 1, "--covariance", "diag")
    assert code == 0
    assert "[red]x[/red]" in out
    assert ":smile:" in out
    assert "more columns" in out
    assert max(map(len, out.splitlines())) <= 120


# predict --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["npy", "csv", "txt"])
def test_predict(run, model, tmp_path, suffix):
    output = tmp_path / f"labels.{suffix}"
    mixture = fastem.load(model)
    del mixture.feature_names_in_  # the rows have no names to compare
    for flags, expected in (((), "predict"), (("--probabilities",), "predict_proba")):
        assert run("predict", model, FAITHFUL, "-o", output, *flags) == (0, "", [])
        answer = np.load(output) if suffix == "npy" else np.loadtxt(output, delimiter=",")
        assert_array_equal(answer, getattr(mixture, expected)(ROWS))
    assert sorted(tmp_path.iterdir()) == sorted([model, output])


def test_predict_leaves_out_the_weights(run, tmp_path):
    data, model, labels = tmp_path / "data.csv", tmp_path / "model", tmp_path / "labels.txt"
    np.savetxt(data, np.c_[np.ones(len(ROWS)), ROWS], delimiter=",", header="w,x,y", comments="")
    assert run("fit", data, "-k", 2, "--weights", "w", "-o", model)[0] == 0
    assert list(fastem.load(model).feature_names_in_) == ["x", "y"]
    assert run("predict", model, data, "--weights", "w", "-o", labels)[0] == 0
    assert_fails(run("predict", model, data, "-o", labels), f"{data}: X has 3 features", "expecting 2")


def test_predict_checks_names_where_there_are_any(run, model, tmp_path):
    other, bare, labels = tmp_path / "other.csv", tmp_path / "bare.csv", tmp_path / "labels.npy"
    other.write_text("waiting,eruptions\n79,3.6\n54,1.8\n")
    bare.write_text("3.6,79\n1.8,54\n")
    assert_fails(
        run("predict", model, other, "-o", labels),
        f"{other}: The feature names should match",
        "eruptions, waiting, not waiting, eruptions",
    )
    assert run("predict", model, bare, "-o", labels) == (0, "", [])


# what goes wrong ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", (), "the file is empty"),
        ("a,b\n1,x\n", (), "line 2, column 'b': 'x' is not a number"),
        ("1,2\n3\n", (), "line 2 has 1 columns instead of 2"),
        ("1,2\n3,nan\n", (), "line 2, column 2: nan is not finite"),
        ("a,b\n1,2\n", ("--weights", "c"), "no column 'c'"),
        ("a,b\n1,-2\n", ("--weights", "b"), "row 0: the weight -2 is not a non-negative number"),
        ("a;b\n1,5;2\n", (), "separator=';'"),
    ],
)
def test_bad_tables(run, tmp_path, content, options, message):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    assert_fails(run("fit", path, "-k", 1, *options), f"{path}: ", message)


def test_fewer_rows_than_components(run, tmp_path):
    path = tmp_path / "small.csv"
    path.write_text("1,2\n3,4\n")
    assert_fails(run("fit", path, "-k", 3), "n_samples = 2")


def test_missing_files(run, model, tmp_path):
    missing, labels = tmp_path / "none.csv", tmp_path / "labels.npy"
    assert_fails(run("fit", missing, "-k", 2), f"{missing}: No such file")
    assert_fails(run("predict", missing, FAITHFUL, "-o", labels), f"{missing}: No such file")
    assert_fails(run("predict", model, missing, "-o", labels), f"{missing}: No such file")
    assert_fails(run("predict", FAITHFUL, FAITHFUL, "-o", labels), f"{FAITHFUL}: damaged, or not a fastem model")
    assert_fails(run("predict", tmp_path, FAITHFUL, "-o", labels), f"{tmp_path}: ")
    assert not labels.exists()


def test_bad_outputs_fail_before_the_work(run, model, tmp_path):
    (tmp_path / "data.npy").write_bytes(b"")  # would itself be an error
    data = tmp_path / "data.npy"
    assert_fails(run("fit", data, "-k", 2, "-o", tmp_path / "none" / "model"), "no such directory")
    assert_fails(run("fit", data, "-k", 2, "-o", tmp_path), "not a regular file")
    assert_fails(run("fit", data, "-k", 2, "-o", data), "would overwrite an input")
    assert_fails(run("predict", model, data, "-o", tmp_path / "labels.xls"), "unknown suffix '.xls'")


@pytest.mark.parametrize(
    "arguments",
    [
        ("fit",),
        ("fit", FAITHFUL),
        ("fit", FAITHFUL, "-k", 0),
        ("fit", FAITHFUL, "-k", "two"),
        ("fit", FAITHFUL, "-k", 2, "--covariance", "round"),
        ("fit", FAITHFUL, "-k", 2, "--nonsense"),
        ("predict", "model", FAITHFUL),
        ("nonsense",),
    ],
)
def test_bad_arguments(run, arguments):
    assert_fails(run(*arguments))


def test_help_and_version(run):
    assert run("--version") == (0, f"fastem, version {fastem.__version__}\n", [])
    for arguments in ((), ("--help",), ("fit", "--help"), ("predict", "--help")):
        code, out, err = run(*arguments)
        assert (code, err) == (0, [])
        assert out.startswith("Usage: fastem")


def test_without_the_extra(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "click", None)
    assert main(["--help"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == 'fastem: error: the command line needs click: pip install "fastem[cli]"\n'


@pytest.mark.slow
def test_as_a_process(tmp_path):
    """Outside of pytest, with its streams and warnings filters."""
    command = [sys.executable, "-c", "import sys; from fastem.cli import main; sys.exit(main())"]
    fitted = subprocess.run([*command, "fit", str(FAITHFUL), "-k", "2"], capture_output=True, text=True)
    assert (fitted.returncode, fitted.stderr) == (0, "")
    assert "log-likelihood" in fitted.stdout
    failed = subprocess.run([*command, "fit", str(tmp_path / "none.csv"), "-k", "2"], capture_output=True, text=True)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet", "npy", "h5", "zarr"])
def test_weights_by_number_in_every_format(run, tmp_path, suffix):
    path, times = tmp_path / f"rows.{suffix}", 1 + np.arange(len(ROWS)) % 3
    frame = pd.DataFrame({"w": times, "a": ROWS[:, 0], "b": ROWS[:, 1]})
    if suffix.startswith("csv"):
        frame.to_csv(path, index=False)
    elif suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "npy":
        np.save(path, frame.to_numpy())
    elif suffix == "zarr":
        zarr.save_array(str(path), frame.to_numpy())
    else:
        with h5py.File(path, "w") as file:
            file["rows"] = frame.to_numpy()
    code, out, err = run("fit", path, "-k", 1, "--weights", 1)
    assert (code, err) == (0, [])
    assert f"of total weight {times.sum()}" in out
    expected = fastem.GaussianMixture(1).fit(ROWS, sample_weight=times)
    assert_allclose(float(value(out, "log-likelihood")), expected.log_likelihood_ * times.sum(), rtol=1e-9)
    assert_fails(run("fit", path, "-k", 1, "--weights", 4), f"{path}: no column '4', the columns are ")


def test_text_of_other_layouts(run, tmp_path):
    path = tmp_path / "excel.csv"
    path.write_text("a;b\n1,5;2,5\n2,5;4,5\n")
    code, out, _ = run("fit", path, "-k", 1, "--separator", ";", "--decimal", ",")
    assert code == 0
    assert re.search(r"1\.000000 +2 +3\.5", out)


def test_a_folder_and_a_pattern(run, tmp_path):
    for part in range(2):
        pd.DataFrame(ROWS[part::2], columns=["a", "b"]).to_parquet(tmp_path / f"{part}.parquet")
    expected = float(value(run("fit", FAITHFUL, "-k", 1)[1], "log-likelihood"))
    for data in (tmp_path, tmp_path / "*.parquet"):
        code, out, _ = run("fit", data, "-k", 1)
        assert code == 0
        assert_allclose(float(value(out, "log-likelihood")), expected, rtol=1e-9)


def test_a_checkpoint_and_a_model(run, tmp_path):
    """The path of the checkpoint is a parameter of the model that is saved."""
    arguments = "fit", FAITHFUL, "-k", 2, "--checkpoint", tmp_path / "state", "-o", tmp_path / "model"
    assert run(*arguments)[0] == 0
    assert fastem.load(tmp_path / "model").checkpoint == str(tmp_path / "state")


@pytest.mark.parametrize("error", [KeyError("a"), TypeError("no"), RuntimeError("C library"), ImportError("needs x")])
def test_no_error_is_a_traceback(run, monkeypatch, error):
    def broken(*_):
        raise error

    monkeypatch.setattr("fastem.cli.data.data_of", broken)
    assert_fails(run("fit", FAITHFUL, "-k", 2), str(error))


def test_a_model_without_probabilities(run, tmp_path):
    fastem.save(fastem.KMeans(2, random_state=0).fit(ROWS), tmp_path / "model")
    arguments = "predict", tmp_path / "model", FAITHFUL, "-o", tmp_path / "labels.csv"
    assert run(*arguments)[0] == 0
    assert_fails(run(*arguments, "--probabilities"), "KMeans has no probabilities")


# data read anew in every pass, and long fits --------------------------------------------------------------------------


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "faithful.parquet"
    pd.read_csv(FAITHFUL).assign(weight=2.0).to_parquet(path)
    return path


def test_parquet_is_fitted_as_csv_is(run, parquet, tmp_path):
    _, expected, _ = run("fit", FAITHFUL, "--components", 2)
    code, out, err = run("fit", parquet, "--components", 2, "--weights", "weight", "-o", tmp_path / "model")
    assert code == 0, err
    assert value(out, "iterations") == value(expected, "iterations")
    assert float(value(out, "log-likelihood")) == pytest.approx(2 * float(value(expected, "log-likelihood")))
    assert "of total weight 544" in out
    assert run("predict", tmp_path / "model", parquet, "--weights", "weight", "-o", tmp_path / "labels.csv")[0] == 0
    labels = np.loadtxt(tmp_path / "labels.csv", dtype=int)
    assert_array_equal(labels, fastem.load(tmp_path / "model").predict(pd.read_csv(FAITHFUL)))
    assert_fails(run("predict", tmp_path / "model", parquet, "-o", tmp_path / "labels.csv"), "X has 3 features")


def test_a_fit_with_a_checkpoint_goes_on(run, tmp_path):
    arguments = "fit", FAITHFUL, "--components", 2, "--checkpoint", tmp_path / "fit.checkpoint"
    first, second = run(*arguments), run(*arguments)
    assert first[0] == second[0] == 0
    assert value(first[1], "log-likelihood") == value(second[1], "log-likelihood")
    assert_fails(run(*arguments, "--tol", 1e-9), "fit.checkpoint", "tol=0.001", "tol=1e-09")


def test_progress_is_for_terminals():
    rows = pd.read_csv(FAITHFUL)
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
        mixture = fastem.GaussianMixture(2, random_state=0, tol=1e-8)
        with watched(mixture, console):
            mixture.fit(rows)
        shown = console.file.getvalue()
        assert bool(re.search(r"pass \d+, [\d,]+ rows/s, -?\d+\.\d+ nats per row", shown)) is terminal
        assert bool(shown) is terminal
        assert not hasattr(mixture, "_skl_callbacks")
