"""Paths: the files that they stand for, and whether these have changed."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

ZARR_NODES = ("zarr.json", ".zarray", ".zgroup")  # what makes a folder one array or group


@dataclass(frozen=True)
class File:
    """A file, or the folder of a Zarr array.

    Attributes
    ----------
    address : str
        A path, or the address of a remote file.
    keys : mapping of str to str
        Values of the folders ``key=value/`` that it was found in.
    """

    address: str
    keys: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return self.address

    @property
    def suffix(self) -> str:
        """In lower case, that of a compressed file with both its parts; that of Zarr whatever its folder is called."""
        return ".zarr" if is_zarr(Path(self.address)) else suffix_of(self.address)

    def open(self) -> BinaryIO:
        return open(self.address, "rb", buffering=0)

    def stamp(self) -> Any:
        """Something that changes when the file does."""
        status = os.stat(self.address)  # noqa: PTH116 (a string)
        return status.st_size, status.st_mtime_ns, status.st_ino


def suffix_of(address: str) -> str:
    path = Path(address)
    inner = Path(path.stem).suffix if path.suffix.lower() == ".gz" else ""
    return (inner + path.suffix).lower()


def is_zarr(path: Path) -> bool:
    return path.is_dir() and (
        suffix_of(path.name) == ".zarr" or any(path.joinpath(node).exists() for node in ZARR_NODES)
    )


def is_path(data: Any) -> bool:
    return isinstance(data, str | os.PathLike)


def found(paths: Any, is_known: Callable[[str], bool]) -> list[File]:
    """The files that a path, a pattern, a folder or a list of them stands for, in the order of their names.

    Files and folders in a folder whose names begin with ``_`` or ``.`` are left out, as Spark and pyarrow do: they hold
    what is being written, or is known of the others.

    Parameters
    ----------
    paths : path or list of paths
        Also addresses like ``s3://bucket/rows.parquet``.
    is_known : callable
        Whether a name in a folder is that of a file with rows.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    files: list[File] = []
    for path in [paths] if is_path(paths) else paths:
        if not is_path(path):
            raise TypeError(f"Expected paths, got a {type(path).__name__}.")
        text = os.fspath(path)
        if isinstance(text, bytes):
            text = os.fsdecode(text)
        if "://" in text:
            from fastem.sources import remote

            files += remote.found(text, is_known)
        elif glob.has_magic(text) and not os.path.lexists(text):
            files += _matching(text, is_known)
        else:
            files += _at(Path(text), Path(text), is_known)
    if not files:
        raise ValueError("An empty list of files holds no rows.")
    return files


def _matching(pattern: str, is_known: Callable[[str], bool]) -> Iterator[File]:
    wanted = Path(pattern)
    parts = wanted.parts
    root = Path(*parts[: next(n for n, part in enumerate(parts) if glob.has_magic(part))])
    matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 (has a root)
    matches = [match for match in matches if not is_hidden(match.name) or is_hidden(wanted.name)]
    if not matches:
        raise FileNotFoundError(2, "No file matches", pattern)
    for match in matches:
        yield from _at(match, root, is_known)


def _at(path: Path, root: Path, is_known: Callable[[str], bool]) -> list[File]:
    """What lies at a path; folders ``key=value/`` count from `root`."""
    if not path.exists():
        raise FileNotFoundError(2, "No such file or directory", str(path))
    if not path.is_dir() or is_zarr(path):
        return [File(str(path), keys_in(path.parts[len(root.parts) : -1]))]
    inside = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    return chosen_of_folder(
        str(path),
        [(str(file), file.relative_to(path).parts) for file in sorted(inside)],
        is_known,
        lambda address, parts: File(address, keys_in((*path.parts[len(root.parts) :], *parts[:-1]))),
    )


def chosen_of_folder(
    name: str,
    inside: Iterable[tuple[str, tuple[str, ...]]],
    is_known: Callable[[str], bool],
    file_of: Callable[[str, tuple[str, ...]], File],
) -> list[File]:
    """Those of the files in a folder, given by address and parts below the folder, that hold rows."""
    files = [file_of(*entry) for entry in inside if not any(map(is_hidden, entry[1])) and is_known(entry[1][-1])]
    if not files:
        raise FileNotFoundError(2, "No file with rows in the folder", name)
    parquet = [file for file in files if file.suffix in (".parquet", ".pq")]
    return parquet or files  # beside Parquet files others are notes


def is_hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def keys_in(folders: Iterable[str]) -> dict[str, str]:
    """The columns that folders ``key=value`` stand for."""
    pairs = (folder.split("=", 1) for folder in folders if "=" in folder)
    return {unquote(key): unquote(value) for key, value in pairs}


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Whatever a library says of a file that is damaged becomes a ValueError that names it.

    Libraries raise KeyError, RuntimeError, MemoryError and more when a file lies about itself.
    """
    try:
        yield
    except (ImportError, Warning):  # a user may turn warnings into errors
        raise
    except Exception as error:
        if isinstance(error, ValueError | OSError) and (name in str(error) or getattr(error, "filename", None)):
            raise
        if isinstance(error, OSError) and error.errno:
            raise OSError(error.errno, error.strerror, name) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{name}: damaged, or not what its name says ({reason})") from error


def missing(library: str, extra: str) -> ImportError:
    return ImportError(f'reading these data needs {library}: pip install "fastem[{extra}]"')
