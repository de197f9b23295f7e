"""The state of a fit as JSON and arrays, and back, without pickle: reading one runs nothing that it holds.

What can be packed: numbers, text, None, arrays, lists, tuples, dictionaries, and dataclasses or named tuples of them.
"""

import dataclasses
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any, get_type_hints

import numpy as np

from fastem.storage.hints import conforms

OWN = "fastem"


def pack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The value as JSON has it; its arrays go into `arrays`.

    Raises
    ------
    TypeError
        If it holds something else.
    """
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.hasobject:
            raise TypeError("an array of Python objects cannot be kept")
        name = f"array{len(arrays)}"
        arrays[name], dtype = _as_numbers(np.asarray(value))
        return {"array" if isinstance(value, np.ndarray) else "scalar": name, "dtype": dtype}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [pack(element, arrays) for element in value]
    if isinstance(value, dict):
        return {"pairs": [[pack(key, arrays), pack(element, arrays)] for key, element in value.items()]}
    names = _fields(value)
    if names is None:
        if isinstance(value, tuple):
            return {"tuple": [pack(element, arrays) for element in value]}
        raise TypeError(f"a {type(value).__name__} cannot be kept")
    fields = {name: pack(getattr(value, name), arrays) for name in names}
    return {"class": f"{type(value).__module__}:{type(value).__qualname__}", "fields": fields}


def unpack(value: Any, arrays: dict[str, np.ndarray], modules: Iterable[str] = ()) -> Any:
    """The value that `pack` has taken apart.

    Parameters
    ----------
    value : JSON
    arrays : dict of ndarray
    modules : names of modules
        Whose classes may be made besides fastem's own.

    Raises
    ------
    ValueError
        If it names a class from elsewhere, or a field of one of fastem's is not of the type that it should be.
    """
    if isinstance(value, list):
        return [unpack(element, arrays, modules) for element in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return _from_numbers(arrays[value["array"]], value["dtype"])
    if "scalar" in value:
        return _from_numbers(arrays[value["scalar"]], value["dtype"])[()]
    if "tuple" in value:
        return tuple(unpack(element, arrays, modules) for element in value["tuple"])
    if "pairs" in value:
        return {unpack(key, arrays, modules): unpack(element, arrays, modules) for key, element in value["pairs"]}
    made_of = _class(value["class"], modules)
    fields = {name: unpack(field, arrays, modules) for name, field in value["fields"].items()}
    if made_of.__module__.split(".")[0] == OWN:
        _check_types(made_of, fields)
    return made_of(**fields)


def _check_types(made_of: type, fields: dict[str, Any]) -> None:
    hints = get_type_hints(made_of)
    for name, value in fields.items():
        if not conforms(value, hints[name]):
            raise ValueError(f"{name} of a {made_of.__name__} is a {type(value).__name__}")


def _as_numbers(array: np.ndarray) -> tuple[np.ndarray, str]:
    """The array, or its bytes where a file of numbers does not have the type, and the type."""
    if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
        return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C"), array.dtype.str
    raw = np.frombuffer(array.tobytes(), dtype=np.uint8)
    return raw.reshape(*array.shape, array.dtype.itemsize), array.dtype.str


def _from_numbers(numbers: np.ndarray, dtype: str) -> np.ndarray:
    wanted = np.dtype(dtype)
    if wanted.hasobject:
        raise ValueError("it holds Python objects")
    if wanted.kind in "biuf" and wanted.itemsize <= 8:
        return numbers.astype(wanted, casting="equiv")
    return np.frombuffer(numbers.tobytes(), dtype=wanted).reshape(numbers.shape[:-1])


def _fields(value: Any) -> list[str] | None:
    """Names of the fields of a record; empty for an object without any state."""
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value) if field.init]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(value._fields)
    stateless = type(value).__module__.split(".")[0] == OWN and not getattr(value, "__dict__", None)
    return [] if stateless and not isinstance(value, tuple) else None


def _class(name: str, modules: Iterable[str]) -> type:
    module, _, qualname = name.partition(":")
    if module.split(".")[0] != OWN and module not in modules:
        raise ValueError(f"it names a class of the module {module!r}")
    found: Any = sys.modules.get(module) or import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    record = dataclasses.is_dataclass(found) or hasattr(found, "_fields") or found.__init__ is object.__init__
    if not (isinstance(found, type) and record):
        raise ValueError(f"{name} is no record")
    return found
