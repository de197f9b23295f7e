from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

DATA = Path(__file__).parent / "data"

# The first example may compile kernels, so no deadline; few examples, the same in every run.
settings.register_profile("fastem", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("fastem")


@pytest.fixture(scope="session")
def faithful():
    """Eruptions of Old Faithful: minutes, and minutes to the next; (272, 2)."""
    return read_only(np.loadtxt(DATA / "faithful.csv", delimiter=",", skiprows=1))


@pytest.fixture(scope="session")
def iris():
    """Lengths and widths of sepals and petals, (150, 4): fifty flowers of each of three species, one after another."""
    return read_only(np.loadtxt(DATA / "iris.csv", delimiter=",", skiprows=1, usecols=range(4)))


def read_only(array):
    array.flags.writeable = False
    return array
