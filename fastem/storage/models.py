"""Models on disk: arrays and JSON in a safetensors file. Nothing in such a file is ever run."""

import json
import os
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastem.registry import ESTIMATORS
from fastem.storage.tensors import Arrays, Kind, named, read_tensors, write_tensors

MODEL = Kind("fastem model", "fastem", 1, 1, ("class", "parameters", "attributes"), digested=False)


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a model to a file.

    The file holds the name of the class, the constructor's parameters and the fitted attributes (those whose names end
    with an underscore). It replaces `path` in one step.

    Parameters
    ----------
    model : estimator
        One of fastem's estimators.
    path : path
        The file to write.

    Raises
    ------
    TypeError
        If the model is not one of fastem's, or holds what a file of numbers cannot (a random generator, a function).
    """
    parts, arrays = _taken_apart(model)
    texts = {name: part if isinstance(part, str) else json.dumps(part) for name, part in parts.items()}
    write_tensors(path, MODEL, arrays, texts)


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model that `save` has written.

    Parameters
    ----------
    path : path
        The file to read.

    Returns
    -------
    estimator
        A model with the same parameters and fitted attributes, bit for bit.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged, not a fastem model, or of a later format than this version knows; or if the shapes of its
        arrays do not go together.
    """
    texts, arrays = read_tensors(path, MODEL)
    with named(path, MODEL):
        parts = {name: json.loads(texts[name]) for name in ("parameters", "attributes")} | {"class": texts["class"]}
        return _put_together(parts, arrays)


def _taken_apart(model: Any) -> tuple[dict[str, Any], Arrays]:
    """The name of the class, the parameters and the attributes of a model as JSON has them, and their arrays."""
    name = type(model).__name__
    if name not in ESTIMATORS or type(model) is not estimator_class(name):
        raise TypeError(f"only fastem's own estimators can be saved ({', '.join(ESTIMATORS)}), not {name}")
    fitted = {key: value for key, value in vars(model).items() if _is_fitted_name(key)}
    parameters, parameter_arrays = _split(model.get_params(deep=False), "parameter")
    attributes, attribute_arrays = _split(fitted, "attribute")
    parts = {"class": name, "parameters": parameters, "attributes": attributes}
    return parts, parameter_arrays | attribute_arrays


def _put_together(parts: dict[str, Any], arrays: Arrays) -> Any:
    """The model of these parts, if they go together."""
    if parts["class"] not in ESTIMATORS:
        raise ValueError(f"it holds an unknown class of model, {parts['class']!r}")
    parameters = _join(parts["parameters"], arrays, "parameter")
    attributes = _join(parts["attributes"], arrays, "attribute")
    for key in attributes:
        if not _is_fitted_name(key):
            raise ValueError(f"{key!r} is not the name of a fitted attribute")
    model = estimator_class(parts["class"])(**parameters)
    vars(model).update(attributes)
    if model.__sklearn_is_fitted__():
        _check(model)
    return model


def _check(model: Any) -> None:
    """Raise ValueError if parameters and fitted attributes from a file do not go together."""
    model._validate_params()
    found = model._model()
    found.check()
    expected = type(model)(**model.get_params(deep=False))
    expected._keep_model(found)
    expected.n_features_in_ = found.n_features
    for name, value in vars(expected).items():
        if hasattr(model, name) and _is_fitted_name(name) and _shape(getattr(model, name)) != _shape(value):
            raise ValueError(f"{name} has the shape {_shape(getattr(model, name))}, expected {_shape(value)}")
    names = getattr(model, "feature_names_in_", None)
    if model.n_features_in_ != found.n_features or (names is not None and np.shape(names) != (found.n_features,)):
        raise ValueError(f"the model has {found.n_features} features, but not so many in n_features_in_ or their names")


def _shape(value: Any) -> Any:
    return list(map(np.shape, value)) if _is_list_of_arrays(value) else np.shape(value)


def estimator_class(name: str) -> Any:
    """The estimator of this name in the registry."""
    return getattr(import_module(ESTIMATORS[name]), name)


def _is_fitted_name(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")


# Arrays and NumPy scalars keep their bits and types as tensors called "group.name", those of lists of arrays as
# "group.name.0" and so on, those of models in lists "group.name.0.group.name"; all else is JSON.


def _split(values: dict[str, Any], group: str) -> tuple[dict[str, Any], Arrays]:
    plain: dict[str, Any] = {}
    arrays: Arrays = {}
    for name, value in values.items():
        if _is_numeric(value):
            arrays[f"{group}.{name}"] = _little_endian(value)
        elif _is_list_of_arrays(value):
            plain[name] = {"arrays": len(value)}
            arrays |= {f"{group}.{name}.{i}": _little_endian(part) for i, part in enumerate(value)}
        elif _is_list_of_models(value):
            taken = [_taken_apart(model) for model in value]
            plain[name] = {"models": [parts for parts, _ in taken]}
            for i, (_, own) in enumerate(taken):
                arrays |= {f"{group}.{name}.{i}.{key}": array for key, array in own.items()}
        else:
            try:
                plain[name] = _plain(value)
            except TypeError as error:
                raise TypeError(f"the {group} {name!r} cannot be saved: {error}; replace it first") from None
    return plain, arrays


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf" and value.dtype.itemsize <= 8


def _is_list_of_models(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(part).__name__ in ESTIMATORS for part in value)


def _is_list_of_arrays(value: Any) -> bool:
    parts = value if isinstance(value, list | tuple) else []
    return bool(parts) and all(isinstance(part, np.ndarray) and _is_numeric(part) for part in parts)


def _little_endian(value: Any) -> NDArray[Any]:
    return np.asarray(value, dtype=value.dtype.newbyteorder("<"), order="C")


def _join(plain: dict[str, Any], arrays: Arrays, group: str) -> dict[str, Any]:
    left = {key.removeprefix(f"{group}."): array for key, array in arrays.items() if key.startswith(f"{group}.")}
    values: dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, dict) and "arrays" in value:
            values[name] = [left.pop(f"{name}.{i}") for i in range(value["arrays"])]
        elif isinstance(value, dict) and "models" in value:
            values[name] = [_put_together(of, _popped(left, f"{name}.{i}.")) for i, of in enumerate(value["models"])]
        elif isinstance(value, dict):
            values[name] = np.array(value["strings"], dtype=object)
        else:
            values[name] = _revived(value)
    return values | {name: array[()] for name, array in left.items()}  # a scalar again if it was one


def _popped(arrays: Arrays, prefix: str) -> Arrays:
    names = [name for name in arrays if name.startswith(prefix)]
    return {name.removeprefix(prefix): arrays.pop(name) for name in names}


def _plain(value: Any) -> Any:
    """The value as JSON has it. Our own are an array of strings, {"strings": [...]}, and what a list may hold."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value.item()
    if isinstance(value, list | tuple):
        return [_plain_in_list(element) for element in value]
    if isinstance(value, np.ndarray) and all(isinstance(element, str) for element in value.tolist()):
        return {"strings": value.tolist()}
    raise TypeError(f"a {type(value).__name__} is neither a number, nor text, nor an array of these")


# What lists may hold besides: slices, dictionaries of options, short arrays of numbers, which become lists.


def _plain_in_list(value: Any) -> Any:
    if isinstance(value, slice):
        return {"slice": [_plain(part) for part in (value.start, value.stop, value.step)]}
    if isinstance(value, dict):
        return {"options": {str(name): _plain_in_list(option) for name, option in value.items()}}
    return value.tolist() if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" else _plain(value)


def _revived(value: Any) -> Any:
    if isinstance(value, list):
        return [_revived(element) for element in value]
    if isinstance(value, dict) and "slice" in value:
        return slice(*value["slice"])
    return {name: _revived(option) for name, option in value["options"].items()} if isinstance(value, dict) else value
