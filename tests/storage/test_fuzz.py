"""A few of the mutations of `fuzz.py`, which makes any number of them."""

import sys

import pytest
from fuzz import run


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(sys.platform == "win32", reason="leaves files open")
def test_no_file_is_believed(tmp_path):
    outcomes, wrong = run(160, tmp_path, names=("full", "tied", "categorical", "k-means"))
    assert not wrong
    assert outcomes["refused"] > 80
