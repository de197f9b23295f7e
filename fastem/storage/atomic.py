"""Files that are either the old ones or the new ones, never half of one."""

import errno
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows, where files can neither be renamed nor removed while they are open
    fcntl = None


def writable_target(path: str | os.PathLike[str]) -> Path:
    """The file that a write to `path` would replace; OSError if there is no place for it."""
    target = Path(path).resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such directory", str(target.parent))
    if target.exists() and not target.is_file():
        raise FileExistsError(errno.EEXIST, "not a regular file", str(path))
    return target


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` when the block ends, and vanishes if it raises.

    What writers left behind that were killed is removed.
    """
    target = writable_target(path)
    _remove_leftovers(target)
    with _new_file(target) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()
            os.replace(file.name, target)
            _sync_folder(target.parent)
        finally:
            if fcntl is None:
                file.close()
            Path(file.name).unlink(missing_ok=True)


def _new_file(target: Path) -> BinaryIO:
    """A file beside `target`, locked as long as its writer lives."""
    while True:
        file = open(target.with_name(f".{target.name}.{token_hex(4)}.tmp"), "xb")  # noqa: SIM115 (it is returned)
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        if Path(file.name).exists():  # else another process took it for a leftover before it was locked
            return file
        file.close()


def _remove_leftovers(target: Path) -> None:
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        with suppress(OSError):
            if fcntl is None:
                leftover.unlink()
                continue
            with open(leftover, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an error while its writer is alive
                leftover.unlink()


def _sync_folder(folder: Path) -> None:
    """The new name of the file on the disk too, where the system can do that."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
