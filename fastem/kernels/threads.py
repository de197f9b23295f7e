"""Who runs a pass: all threads where that is worth it and nobody else is inside one, else the calling one.

Threads call a kernel by address: what their loop linked in, LLVM would optimise again (twice, for `prange`).
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils, typing
from numba.extending import intrinsic

from fastem.kernels.compilation import jitted, parallel

I64 = ir.IntType(64)
PARALLEL_WORK = 200_000  # rows * components * features from which a second thread gains more than it costs

_here = threading.local()
_one_parallel_pass = threading.Lock()  # some threading layers abort the process when two threads enter them at once
_forked = False


def _after_fork() -> None:
    global _forked, _one_parallel_pass
    _forked, _one_parallel_pass = True, threading.Lock()  # a forked OpenMP aborts when it is used


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def serial_passes() -> Iterator[None]:
    """Passes of this thread take no others: it is one of many already."""
    before = getattr(_here, "serial", False)
    _here.serial = True
    try:
        yield
    finally:
        _here.serial = before


def run(function: Callable[..., None], arguments: tuple, n_shares: int, work: int) -> None:
    """Call ``function(*arguments, begin, end)`` for all of 0, ..., `n_shares` - 1, in pieces or at once.

    `function` is jitted; `work` is how many rows meet how many components in how many features.
    """
    if work < PARALLEL_WORK or not _enter():
        function(*arguments, 0, n_shares)
        return
    try:
        run_parallel(function, arguments, n_shares)
    finally:
        _one_parallel_pass.release()


class Team(NamedTuple):
    """Who works on the shares of some functions that a jitted function calls again and again: see `team`."""

    loop: int  # 0: the calling thread alone, by plain calls
    functions: tuple[int, ...]  # for `run_shares`


@contextmanager
def team(*calls: tuple[Callable[..., None], tuple], work: int) -> Iterator[Team]:
    """All threads or the calling one, as `run` would have it, for functions with arguments of the types of these.

    Compiled, a call of the i-th is ``run_shares(team.loop, team.functions[i], arguments, n_shares)`` if there is a
    loop, ``function(*arguments, 0, n_shares)`` if there is none.
    """
    if work < PARALLEL_WORK or not _enter():
        yield Team(0, (0,) * len(calls))
        return
    try:
        yield Team(address_of(_loop, (0, 0, 0)), tuple(address_of(f, (*arguments, 0, 1)) for f, arguments in calls))
    finally:
        _one_parallel_pass.release()


def _enter() -> bool:
    return (
        not getattr(_here, "serial", False)
        and not _forked
        and numba.get_num_threads() > 1
        and _one_parallel_pass.acquire(blocking=False)
    )


# the parallel loop ----------------------------------------------------------------------------------------------------

_compiled: dict[Any, tuple[int, Any]] = {}  # addresses, and what keeps the code there in memory


def run_parallel(function, arguments: tuple, n_shares: int) -> None:
    """Call ``function(*arguments, i, i + 1)`` for 0 <= i < `n_shares` over threads.

    Parameters
    ----------
    function : callable
        Jitted, without a result.
    arguments : tuple
        NamedTuples, in one another too, arrays and numbers.

    Raises
    ------
    MemoryError
        The one exception that kernels can raise, for their tiles.
    """
    share, loop = address_of(function, (*arguments, 0, 1)), address_of(_loop, (0, 0, 0))
    run_shares(loop, share, arguments, n_shares)


@jitted
def run_shares(loop, share, arguments, n_shares):
    """`run_parallel` for addresses."""
    call, environment = _bound(share, arguments)
    if call_at(loop, (call, environment, n_shares)):
        raise MemoryError


@parallel
def _loop(call, environment, n_shares):
    """The one parallel loop: compiled once, for any kernel and arguments."""
    failures = 0
    for i in prange(n_shares):
        failures += _call_bound(call, environment, np.int64(i))
    if failures:
        raise MemoryError


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


def _emit_call(
    context, builder, address: ir.Value, kinds: Sequence[types.Type], values: Sequence[ir.Value]
) -> ir.Value:
    """Call the jitted function at `address`, which has no result; whether it raised an exception."""
    kind = context.call_conv.get_function_type(types.none, kinds)
    function = builder.inttoptr(address, kind.as_pointer())
    status, _ = context.call_conv.call_function(builder, function, types.none, kinds, values)
    return builder.zext(status.is_error, I64)


@intrinsic
def call_at(_context, address, arguments):
    """Call the function that starts at `address_of(function, arguments)`; returns whether it raised an exception."""
    signature = types.int64(address, arguments)

    def codegen(context, builder, signature, values):
        kinds = tuple(signature.args[1].types)
        return _emit_call(context, builder, values[0], kinds, cgutils.unpack_tuple(builder, values[1], len(kinds)))

    return signature, codegen


@intrinsic
def _bound(_context, address, arguments):
    """A function of an environment and i that calls the one at `address` with `arguments`, i, i + 1; the environment.

    Both are addresses, of machine code and of memory of the calling function. What type the arguments have is the
    function's business: who calls it need not be compiled for them.
    """
    signature = types.UniTuple(types.int64, 2)(address, arguments)

    def codegen(context, builder, signature, values):
        kinds = (*signature.args[1].types, types.int64, types.int64)
        environment = cgutils.alloca_once_value(builder, cgutils.pack_struct(builder, values))
        kind = ir.FunctionType(I64, [environment.type, I64])
        function = ir.Function(builder.module, kind, builder.module.get_unique_name("bound"))
        function.linkage = "internal"
        inside = ir.IRBuilder(function.append_basic_block())
        where, i = function.args
        address, bound = cgutils.unpack_tuple(inside, inside.load(where), 2)
        each = [*cgutils.unpack_tuple(inside, bound, len(kinds) - 2), i, inside.add(i, I64(1))]
        inside.ret(_emit_call(context, inside, address, kinds, each))
        pair = [builder.ptrtoint(pointer, I64) for pointer in (function, environment)]
        return context.make_tuple(builder, signature.return_type, pair)

    return signature, codegen


@intrinsic
def _call_bound(_context, function, environment, i):
    """Call a function that `_bound` made; returns whether an exception was raised."""
    signature = types.int64(types.int64, types.int64, types.int64)

    def codegen(_context, builder, _signature, values):
        kind = ir.FunctionType(I64, [I64, I64])
        return builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])

    return signature, codegen
