"""Paths: what they stand for, and whether their files have changed."""

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PARQUET = {".parquet", ".pq"}


def expanded(paths: Any) -> list[Path]:
    """The files that a path, a pattern or a list of them stands for.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    found: list[Path] = []
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        text = os.fspath(path)
        if glob.has_magic(text) and not Path(text).exists():
            matches = sorted(glob.glob(text))  # noqa: PTH207 (patterns with a root)
            if not matches:
                raise FileNotFoundError(2, "No file matches", text)
            found += map(Path, matches)
        else:
            found.append(Path(text))
    if not found:
        raise ValueError("An empty list of files holds no rows.")
    for path in found:
        if not path.exists():
            raise FileNotFoundError(2, "No such file or directory", str(path))
    return found


def stamp_of(paths: Iterable[Path]) -> Any:
    """Sizes and times of change."""
    return [(status.st_size, status.st_mtime_ns) for status in map(os.stat, paths)]


def missing(library: str, extra: str) -> ImportError:
    return ImportError(f'reading these data needs {library}: pip install "fastem[{extra}]"')
