"""States as JSON and arrays."""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastem.engine.stopping import Gap
from fastem.families.covariances import STRUCTURES
from fastem.storage.packing import pack, unpack


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclass
class Nested:
    inner: Any
    number: float = 0.0


def round_trip(value, modules=(__name__,)):
    arrays = {}
    text = json.dumps(pack(value, arrays))
    return unpack(json.loads(text), arrays, modules)


def test_what_comes_back_is_what_went_in():
    value = Nested([Pair(1, "a"), None, (2.5, True)], -np.inf)
    assert round_trip(value) == value
    assert np.isnan(round_trip(np.nan))
    assert round_trip({None: 3, 2: (1,)}) == {None: 3, 2: (1,)}
    assert round_trip(Gap(0.1, [1.0, 0.5])) == Gap(0.1, [1.0, 0.5])
    assert round_trip(0.1 + 0.2) == 0.1 + 0.2


def test_arrays_keep_their_bits_and_types():
    for array in (np.array([[0.1, np.nan]]), np.arange(3, dtype=np.uint32), np.array([], dtype=np.float32)):
        found = round_trip(Nested(array)).inner
        assert found.dtype == array.dtype
        assert_array_equal(found, array)
    scalar = round_trip(np.float64(0.1))
    assert isinstance(scalar, np.float64)
    assert scalar == 0.1


def test_an_object_without_state_is_made_again():
    assert type(round_trip(STRUCTURES["tied"])) is type(STRUCTURES["tied"])


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()]), lambda: None, 1j])
def test_the_rest_is_refused(value):
    with pytest.raises(TypeError, match="cannot be kept"):
        pack([value], {})


def test_nothing_but_records_is_made():
    with pytest.raises(ValueError, match="class of the module 'os'"):
        unpack({"class": "os:system", "fields": {"command": "true"}}, {})
    with pytest.raises(ValueError, match="no record"):
        unpack({"class": "fastem.storage.models:load", "fields": {"path": "x"}}, {})
    with pytest.raises(ValueError, match="class of the module"):
        round_trip(Pair(1, 2), modules=())
