"""The state of a fit as JSON and arrays, and back, without pickle: reading one runs nothing that it holds.

What can be pack: numbers, text, None, arrays, lists, tuples, dictionaries, and dataclasses or named tuples of them.
"""

import dataclasses
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np

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
        arrays[name] = np.asarray(value)
        return {"array": name} if isinstance(value, np.ndarray) else {"scalar": name}
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
        If it names a class from elsewhere.
    """
    if isinstance(value, list):
        return [unpack(element, arrays, modules) for element in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "scalar" in value:
        return arrays[value["scalar"]][()]
    if "tuple" in value:
        return tuple(unpack(element, arrays, modules) for element in value["tuple"])
    if "pairs" in value:
        return {unpack(key, arrays, modules): unpack(element, arrays, modules) for key, element in value["pairs"]}
    made_of = _class(value["class"], modules)
    return made_of(**{name: unpack(field, arrays, modules) for name, field in value["fields"].items()})


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
