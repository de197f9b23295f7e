"""Files of arrays and text with a digest of both: safetensors, in which nothing can be run and no size is believed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastem.registry import __version__
from fastem.storage.atomic import atomic_write

Arrays = dict[str, NDArray[Any]]

# What comes of believing a forged file, besides safetensors' own error.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ImportError, ArithmeticError, RecursionError)


class Kind(NamedTuple):
    """A kind of files.

    Attributes
    ----------
    name : str
        For messages.
    format : str
        What a file says of itself.
    oldest, newest : int
        Versions of the format that are read; the newest is written.
    texts : tuple of str
        What a file has besides arrays.
    digested : bool
        Whether a file must have a digest; models of fastem 0.1.0 have none.
    """

    name: str
    format: str
    oldest: int
    newest: int
    texts: tuple[str, ...]
    digested: bool


def write_tensors(path: str | os.PathLike[str], kind: Kind, arrays: Arrays, texts: dict[str, str]) -> None:
    """Write arrays of numbers and texts to a file, in place of what is there, in one step."""
    import safetensors.numpy

    heading = {"format": kind.format, "format_version": str(kind.newest), "fastem_version": __version__}
    metadata = heading | texts
    content = safetensors.numpy.save(arrays, metadata | {"digest": digest_of(arrays, metadata)})
    with atomic_write(path) as file:
        file.write(content)


def read_tensors(path: str | os.PathLike[str], kind: Kind) -> tuple[dict[str, str], Arrays]:
    """The texts and the arrays of a file.

    Raises
    ------
    OSError
        If it cannot be opened, or is no regular file.
    ValueError
        If it is damaged, of another kind, or of a version that is not read.
    """
    import safetensors

    if Path(path).exists() and not Path(path).is_file():
        raise OSError(f"{path}: not a regular file")
    open(path, "rb").close()  # its errors name the file, those of safetensors do not
    with named(path, kind, safetensors.SafetensorError), safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        _check_version(kind, metadata)
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (the file is no mapping)
        digest = metadata.pop("digest", None)
        if digest not in (digest_of(arrays, metadata), *([] if kind.digested else [None])):
            raise ValueError("its digest is not that of its content")
        if metadata.keys() != {"format", "format_version", "fastem_version", *kind.texts}:
            raise ValueError(f"it says {', '.join(sorted(metadata))}")
    return metadata, arrays


class _Refused(Exception):
    """An error that says all that there is to say."""


@contextmanager
def named(path: str | os.PathLike[str], kind: Kind, *errors: type[Exception]) -> Iterator[None]:
    """Whatever comes of believing a damaged or forged file is a ValueError that names it."""
    caught: tuple[type[Exception], ...] = (*errors, *UNREADABLE)
    try:
        yield
    except _Refused as error:
        raise ValueError(f"{path}: {error}") from None
    except caught as error:
        reason = str(error) if isinstance(error, ValueError) else repr(error)
        raise ValueError(f"{path}: damaged, or not a {kind.name} ({reason})") from None


def _check_version(kind: Kind, metadata: dict[str, str]) -> None:
    version = metadata.get("format_version", "")
    if metadata.get("format") != kind.format or not version.isdecimal():
        raise _Refused(f"not a {kind.name}")
    if not kind.oldest <= int(version) <= kind.newest:
        raise _Refused(
            f"written by fastem {metadata.get('fastem_version', '?')} in format {version}, this is fastem "
            f"{__version__}, which reads formats up to {kind.newest}"
        )


def digest_of(arrays: Arrays, metadata: dict[str, str]) -> str:
    """A digest of all that a file says, in whatever order."""
    digest = blake2b(json.dumps(metadata, sort_keys=True).encode(), digest_size=16)
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
