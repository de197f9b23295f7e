"""py.typed is a promise: `public_types.py` shows type checkers all that users may call; here, that it is all."""

import inspect
import re
from pathlib import Path
from typing import get_args

import pytest

import fastem
from fastem import registry
from fastem.estimators.annotations import CovarianceType, Start
from fastem.families.covariances import STRUCTURES
from fastem.search.seeding import METHODS

PROGRAM = (Path(__file__).parent / "public_types.py").read_text()
SCIKIT_LEARNS = {"get_params", "set_params", "get_metadata_routing", "set_callbacks", "set_output"}


def public_methods():
    for name in registry.ESTIMATORS:
        for attribute, _ in inspect.getmembers(getattr(fastem, name), callable):
            if not attribute.startswith(("_", "set_", "get_")) and attribute not in SCIKIT_LEARNS:
                yield attribute


@pytest.mark.parametrize("name", sorted(registry.PUBLIC))
def test_every_public_name_is_checked(name):
    assert name == "EM" or re.search(rf"\bfastem\.{name}\b", PROGRAM)


@pytest.mark.parametrize("method", sorted(set(public_methods())))
def test_every_public_method_is_checked(method):
    assert re.search(rf"\.{method}\(", PROGRAM)


@pytest.mark.parametrize("name", sorted(registry.ESTIMATORS))
def test_every_signature_says_its_types(name):
    for attribute, method in inspect.getmembers(getattr(fastem, name), inspect.isfunction):
        if attribute.startswith("_") or not method.__module__.startswith("fastem"):
            continue
        hints = inspect.get_annotations(inspect.unwrap(method))
        assert "return" in hints, attribute
        assert set(inspect.signature(inspect.unwrap(method)).parameters) - {"self"} <= set(hints), attribute


def test_literals_are_the_tables():
    assert set(get_args(CovarianceType)) == set(STRUCTURES)
    assert set(get_args(get_args(Start)[0])) == set(METHODS)
