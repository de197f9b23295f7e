"""The one place that sets Numba's options: how kernels are compiled and where the results are kept."""

import functools
import hashlib
import os
from pathlib import Path

import numba
from numba import config

HERE = Path(__file__).parent


@functools.cache
def cache_folder() -> str:
    """The folder for compiled kernels, named by a digest of their sources.

    Numba looks at the file of the outermost function only: without the digest it would go on using machine code from
    before an edit (or an upgrade) of a function that it calls.
    """
    digest = hashlib.sha256()
    for path in sorted(HERE.glob("*.py")):
        digest.update(path.read_bytes())
    if config.CACHE_DIR:
        base = Path(config.CACHE_DIR)
    elif os.access(HERE, os.W_OK):
        base = HERE / "__pycache__"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastem"
    return str(base / f"kernels-{digest.hexdigest()[:16]}")


def _compile(function, **options):
    # 'contract' alone: sums may not be reordered (their bits would depend on the vector width), NaN keeps its meaning.
    options = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}} | options
    before, config.CACHE_DIR = config.CACHE_DIR, cache_folder()
    try:
        return numba.njit(**options)(function)
    finally:
        config.CACHE_DIR = before


def jitted(function):
    """Compile on first use, release the interpreter lock while running, keep the machine code on disk."""
    return _compile(function)


def parallel(function):
    """Like `jitted`, with `prange` over threads."""
    return _compile(function, parallel=True)
