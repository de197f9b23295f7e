from pathlib import Path

import pytest

from fastem.cli import main

FAITHFUL = Path(__file__).parents[2] / "examples" / "faithful.csv"


@pytest.fixture
def run(capsys):
    """Run a command; return its exit code, stdout and the lines of stderr."""

    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return call


@pytest.fixture
def model(run, tmp_path):
    path = tmp_path / "faithful.model"
    assert run("fit", FAITHFUL, "--components", 2, "-o", path)[0] == 0
    return path
