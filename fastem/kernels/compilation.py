"""The one place that sets Numba's options: how kernels are compiled."""

import gc
import os
from collections.abc import Callable
from contextvars import ContextVar

import numba
from numba import config
from numba.core import compiler
from numba.core.compiler_lock import global_compiler_lock

from fastem.kernels.machine_code import KernelCache

if hasattr(os, "register_at_fork"):
    # A fork waits for the kernel that another thread is compiling: the child would inherit a lock that nobody opens.
    release = global_compiler_lock.release
    os.register_at_fork(before=global_compiler_lock.acquire, after_in_parent=release, after_in_child=release)


_announcement: ContextVar[Callable[[], None] | None] = ContextVar("announcement", default=None)


def announce(say: Callable[[], None]) -> None:
    """Call `say` before the next kernel that this thread has to compile, once: it takes seconds."""
    _announcement.set(say)


class KernelCompiler(compiler.Compiler):
    """Numba's compiler as far as kernels need it: an eighth faster, for the same speed of what it makes.

    Kernels are emitted as vectors in blocks of registers: beyond its first level LLVM finds nothing to gain in them.
    NUMBA_OPT overrules that. Python's garbage collector, which would go through all that Numba builds up again and
    again, waits until a kernel is done.
    """

    LEVEL = 1

    def compile_extra(self, func):
        """Compile a function. Numba holds its lock on all compilation meanwhile."""
        say = _announcement.get()
        if say is not None:
            _announcement.set(None)
            say()
        level, collecting = config.OPT, gc.isenabled()
        if "NUMBA_OPT" not in os.environ:
            config.OPT = type(level)(self.LEVEL)
        gc.disable()
        try:
            return super().compile_extra(func)
        finally:
            config.OPT = level
            if collecting:
                gc.enable()


def _compile(function, **options):
    # No 'fastmath': sums may not be reordered (their bits would depend on the vector width), NaN keeps its meaning, and
    # products and sums are fused where the kernels say so, not where a machine can.
    fixed = {"nogil": True, "error_model": "numpy", "pipeline_class": KernelCompiler}
    dispatcher = numba.njit(**fixed, **options)(function)
    dispatcher._cache = KernelCache(function)
    return dispatcher


def jitted(function):
    """Compile on first use, release the interpreter lock while running, keep the machine code on disk."""
    return _compile(function)


def inlined(function):
    """For helpers of jitted functions: compiled with each of their callers instead of before them and once more."""
    return numba.njit(inline="always")(function)


def parallel(function):
    """Like `jitted`, with `prange` over threads."""
    return _compile(function, parallel=True)
