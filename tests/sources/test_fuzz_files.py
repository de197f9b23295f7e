"""A short run of the fuzzer; by hand it takes 2,000 mutations of each format."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastem

FUZZER = Path(__file__).parents[1] / "fuzz_files.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs resource limits")
def test_damaged_files_are_read_or_refused():
    environment = {**os.environ, "PYTHONPATH": str(Path(fastem.__file__).parents[1])}
    command = [sys.executable, str(FUZZER), "--mutations", "40", "--seed", "1", "--one-process"]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count(" 0 wrong") == 9
