"""The one place that sets Numba's options: how kernels are compiled.

A parallel kernel calls its serial twin by address: what it linked in, LLVM would optimise again (twice, for `prange`).
"""

import gc
import os
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numba import config, types
from numba.core import cgutils, compiler, typing
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from fastem.kernels.machine_code import KernelCache

if hasattr(os, "register_at_fork"):
    # A fork waits for the kernel that another thread is compiling: the child would inherit a lock that nobody opens.
    release = global_compiler_lock.release
    os.register_at_fork(before=global_compiler_lock.acquire, after_in_parent=release, after_in_child=release)


class KernelCompiler(compiler.Compiler):
    """Numba's compiler as far as kernels need it: an eighth faster, for the same speed of what it makes.

    Kernels are emitted as vectors in blocks of registers: beyond its first level LLVM finds nothing to gain in them.
    NUMBA_OPT overrules that. Python's garbage collector, which would go through all that Numba builds up again and
    again, waits until a kernel is done.
    """

    LEVEL = 1

    def compile_extra(self, func):
        """Compile a function. Numba holds its lock on all compilation meanwhile."""
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
    # 'contract' alone: sums may not be reordered (their bits would depend on the vector width), NaN keeps its meaning.
    fixed = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, "pipeline_class": KernelCompiler}
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


# calls by address -----------------------------------------------------------------------------------------------------

_compiled: dict[Any, tuple[int, Any]] = {}  # addresses, and what keeps the code there in memory


def address_of(function, arguments: Sequence[Any]) -> int:
    """Where the machine code of a jitted function without a result, for arguments of these types, starts."""
    key = function, *map(_kind, arguments)
    if key not in _compiled:
        signature = typing.signature(types.none, *map(numba.typeof, arguments))
        compiled = function.get_compile_result(signature)
        _compiled[key] = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name), compiled
    return _compiled[key][0]


def _kind(value: Any) -> Any:
    """What decides `numba.typeof`, which takes a hundred times as long."""
    if isinstance(value, np.ndarray):
        flags = value.flags
        return value.dtype, value.ndim, flags.c_contiguous, flags.f_contiguous, flags.writeable, flags.aligned
    return (type(value), *map(_kind, value)) if isinstance(value, tuple) else type(value)


@intrinsic
def call_at(_context, address, arguments):
    """Call the function that starts at `address_of(function, arguments)`; returns whether it raised an exception.

    The one that kernels can raise is MemoryError, for their tiles.
    """
    signature = types.int64(address, arguments)

    def codegen(context, builder, signature, values):
        kinds = tuple(signature.args[1].types)
        kind = context.call_conv.get_function_type(types.none, kinds)
        function = builder.inttoptr(values[0], kind.as_pointer())
        unpacked = cgutils.unpack_tuple(builder, values[1], len(kinds))
        status, _ = context.call_conv.call_function(builder, function, types.none, kinds, unpacked)
        return builder.zext(status.is_error, context.get_value_type(types.int64))

    return signature, codegen
