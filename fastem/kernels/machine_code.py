"""Where compiled kernels are kept: in folders of this user's own, or nowhere; never a reason for a fit to fail."""

import functools
import hashlib
import os
import pickle
import stat
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
from numba import config
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    _CacheLocator,
    _SourceFileBackedLocatorMixin,
)

HERE = Path(__file__).parent

# What a file of machine code may raise that was cut short, or written by another Numba.
UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    pickle.UnpicklingError,
    LookupError,
    TypeError,
    AttributeError,
    ImportError,
)


@functools.cache
def sources_digest() -> str:
    """A digest of the sources of all kernels, which names the folders.

    Numba looks at the file of the outermost function only: without the digest it would go on using machine code from
    before an edit (or an upgrade) of a function that it calls.
    """
    digest = hashlib.sha256()
    for path in sorted(HERE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def folders() -> tuple[Path, ...]:
    """Folders that may hold machine code, in the order in which they are looked at; none need exist.

    NUMBA_CACHE_DIR, else the installation and the cache of the user, as far as the system knows one; at last the folder
    for temporary files.
    """
    found = [Path(config.CACHE_DIR)] if config.CACHE_DIR else [HERE / "__pycache__"]
    with suppress(RuntimeError):  # a user without a home
        found += (
            [] if config.CACHE_DIR else [Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "fastem")]
        )
    with suppress(FileNotFoundError):  # no folder for temporary files either
        found.append(temporary_folder())
    return tuple(folder / f"kernels-{sources_digest()}" for folder in found)


def temporary_folder() -> Path:
    return Path(tempfile.gettempdir(), f"fastem-{os.getuid() if hasattr(os, 'getuid') else 'cache'}")


def is_safe(folder: Path) -> bool:
    """Whether nobody else can have put machine code there, which will be run.

    Asked of the folder for temporary files alone, where all users can make anything.
    """
    if folder.parent != temporary_folder() or not hasattr(os, "getuid"):
        return True
    status = os.lstat(folder.parent)
    writable_for_others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not writable_for_others


@functools.cache
def folder_to_write_to() -> Path | None:
    """The first folder that can be written to; a warning if that is none that lasts."""
    for folder in folders():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            if not is_safe(folder):
                continue
        except OSError:
            continue
        if folder.parent == temporary_folder():
            _warn(f"The folders for compiled kernels cannot be written to: they are kept in {folder.parent}.")
        return folder
    _warn("The folders for compiled kernels cannot be written to: they are compiled anew in each process.")
    return None


def machine() -> dict[str, str]:
    """What kernels are compiled with, for what, and where they are kept."""
    return {
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "processor": config.CPU_NAME or llvmlite.binding.get_host_cpu_name(),
        "threads": str(config.NUMBA_NUM_THREADS),
        "machine code": str(folder_to_write_to() or "is not kept"),
    }


def _warn(what: str) -> None:
    warnings.warn(f"{what} Set NUMBA_CACHE_DIR to a folder that can be written to.", UserWarning, stacklevel=2)


class _Locator(_SourceFileBackedLocatorMixin, _CacheLocator):
    """Names the files of a function, the same ones in each of our folders."""

    def __init__(self, py_func, py_file):
        self._py_file, self._lineno = py_file, py_func.__code__.co_firstlineno

    def get_cache_path(self):
        return ""  # it is asked for, but not used

    @classmethod
    def from_function(cls, py_func, py_file):
        return cls(py_func, py_file)


class _Files(CompileResultCacheImpl):
    _locator_classes = (_Locator,)


class KernelCache(FunctionCache):
    """Numba's cache of one function, in `folders`: read from all of them, also from those that cannot be written to."""

    _impl_class = _Files

    def _load_overload(self, sig: Any, target_context: Any) -> Any:
        key = self._index_key(sig, target_context.codegen())
        for file in self._files():
            try:
                data = file.load(key)
                if data is not None:
                    return self._impl.rebuild(target_context, data)
            except UNREADABLE:
                self._forget(file)
        return None

    def _save_overload(self, sig: Any, data: Any) -> None:
        folder = folder_to_write_to()
        if folder is None or not self._impl.check_cachable(data):
            return
        file = self._file(folder)
        try:
            Path(file._cache_path).mkdir(exist_ok=True)
            file.save(self._index_key(sig, data.codegen), self._impl.reduce(data))
        except OSError as error:  # a full disk, perhaps
            _warn(f"A compiled kernel cannot be kept in {folder} ({error.strerror or error}).")

    def _files(self) -> Iterator[IndexDataCacheFile]:
        for folder in folders():
            file = self._file(folder)
            if Path(file._index_path).exists() and is_safe(folder):
                yield file

    def _file(self, folder: Path) -> IndexDataCacheFile:
        locator = self._impl.locator
        path = folder / locator.get_suitable_cache_subpath(locator._py_file)
        return IndexDataCacheFile(str(path), self._impl.filename_base, locator.get_source_stamp())

    def _forget(self, file: IndexDataCacheFile) -> None:
        """Let a function whose files are damaged be compiled and kept again."""
        with suppress(OSError):
            file.flush()
