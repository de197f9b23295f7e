"""Whether values are what type hints say: what comes from a file is not believed."""

from collections.abc import Mapping
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import numpy as np

NUMBERS: Mapping[Any, tuple[type, ...]] = {float: (Real,), int: (Integral,), bool: (bool, np.bool_)}


def conforms(value: Any, hint: Any) -> bool:
    """Whether a value is of the type of a hint; protocols and type variables stand for anything.

    Examples
    --------
    >>> conforms([1.0, 2], list[float]), conforms("1", float | None)
    (True, False)
    """
    origin: Any = get_origin(hint)
    arguments = get_args(hint)
    if hint is Any or isinstance(hint, TypeVar) or getattr(hint, "_is_protocol", False):
        return True
    if hint in NUMBERS:
        return isinstance(value, NUMBERS[hint]) and (hint is bool or not isinstance(value, bool))
    if origin in (Union, UnionType):
        return any(conforms(value, argument) for argument in arguments)
    kind: Any = NoneType if hint is None else origin or hint
    if not isinstance(value, kind):
        return False
    if origin is list:
        return all(conforms(element, arguments[0]) for element in value)
    if origin is dict:
        return all(conforms(key, arguments[0]) and conforms(value[key], arguments[1]) for key in value)
    if origin is tuple and arguments[-1:] == (...,):
        return all(conforms(element, arguments[0]) for element in value)
    if origin is tuple:
        return len(value) == len(arguments) and all(map(conforms, value, arguments))
    return True
