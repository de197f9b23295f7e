"""Files behind addresses like ``s3://bucket/rows.parquet`` and ``https://host/rows.csv``, through fsspec."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from fastem.sources.files import File, chosen_of_folder, damage_named, keys_in, missing, suffix_of


@dataclass(frozen=True)
class RemoteFile(File):
    """A file of a file system of fsspec."""

    filesystem: Any = None
    path: str = ""  # in it

    @property
    def suffix(self) -> str:
        return suffix_of(urlsplit(self.path).path)

    def open(self) -> BinaryIO:
        return cast(BinaryIO, self.filesystem.open(self.path, "rb"))

    def stamp(self) -> Any:
        with damage_named(self.address):
            return self.filesystem.ukey(self.path)


def found(address: str, is_known: Callable[[str], bool]) -> list[File]:
    """The files that an address, a pattern or a folder stands for.

    Raises
    ------
    ImportError
        If fsspec, or what it needs for this kind of address, is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise missing("fsspec", "remote") from error
    with damage_named(address):
        filesystem, path = url_to_fs(address)
        web = address.startswith("http")  # a question mark there begins the query
        if any(mark in path for mark in ("*?[", "*[")[web]):
            paths = sorted(filesystem.glob(path))
            if not paths:
                raise FileNotFoundError(2, "No file matches", address)
        elif not web and filesystem.isdir(path) and suffix_of(path) != ".zarr":
            return _of_folder(filesystem, address, path, is_known)
        else:
            paths = [path]
            if not filesystem.exists(path):
                raise FileNotFoundError(2, "No such file or directory", address)
    return [_file(filesystem, path, {}) for path in paths]


def _of_folder(filesystem: Any, address: str, folder: str, is_known: Callable[[str], bool]) -> list[File]:
    inside = [
        (path, tuple(path.removeprefix(folder).strip("/").split("/"))) for path in sorted(filesystem.find(folder))
    ]
    return chosen_of_folder(address, inside, is_known, lambda path, parts: _file(filesystem, path, keys_in(parts[:-1])))


def _file(filesystem: Any, path: str, keys: dict[str, str]) -> RemoteFile:
    return RemoteFile(filesystem.unstrip_protocol(path), keys, filesystem, path)
