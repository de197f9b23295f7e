"""`import fastem` is cheap and its public names are there."""

import subprocess
import sys

import pytest

import fastem
from fastem.registry import ESTIMATORS

HEAVY = ("numpy", "numba", "scipy", "sklearn", "click", "rich", "safetensors")


def test_import_brings_in_nothing_heavy():
    code = f"import sys, fastem; dir(fastem); print([m for m in {HEAVY} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_public_names_resolve_and_are_listed():
    for name in fastem.__all__:
        assert getattr(fastem, name) is getattr(fastem, name)
        assert name in dir(fastem)


def test_every_estimator_is_public():
    for name in ESTIMATORS:
        assert name in fastem.__all__
        assert getattr(fastem, name).__name__ == name


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        fastem.nonsense  # noqa: B018
