"""Explicit vectors: the words in which the hot loops are written.

Numba's arrays may alias, so LLVM keeps accumulators of plain loops in memory and checks for overlap at run time. Here
the loops are emitted as LLVM IR on vectors of eight doubles (or sixteen floats), with every accumulator in a register.
These *logical* lanes are the same on every machine (LLVM splits them on narrower ones), multiplications and additions
are fused, and nothing may be reassociated: the bits of a sum do not depend on the instruction set.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic

WIDTH = 8  # doubles per vector
PANEL_VECTORS = 4
PANEL = WIDTH * PANEL_VECTORS  # rows that travel together: the features of 32 rows are stored side by side

F32, F64, I32, I64 = ir.FloatType(), ir.DoubleType(), ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(F64, WIDTH)
INTEGERS = ir.VectorType(I64, WIDTH)


def padded(count: int) -> int:
    """`count` doubles, rounded up to whole vectors."""
    return -(-count // WIDTH) * WIDTH


def _has_avx512() -> bool:
    features = config.CPU_FEATURES
    if features is not None:
        return "+avx512f" in features
    if config.CPU_NAME not in (None, "host"):
        return False
    return binding.get_host_cpu_features().get("avx512f", False)


# Vectors of one register block. 4 rows x 4 vectors of accumulators need the 32 registers of AVX-512; a narrower machine
# has 16 of half the width or less. The shape decides the speed, never the bits.
BLOCK_VECTORS = PANEL_VECTORS if _has_avx512() else 1


class Vectors:
    """LLVM IR on vectors of 64 bytes, eight doubles or sixteen floats, and on pointers to their elements."""

    def __init__(self, builder: ir.IRBuilder, real: ir.Type = F64, sizes: dict[ir.Value, ir.Value] | None = None):
        self.builder, self.real = builder, real
        self.width = WIDTH if real == F64 else 2 * WIDTH
        self.panel = PANEL_VECTORS * self.width
        self.vector = ir.VectorType(real, self.width)
        self.integer = I64 if real == F64 else I32
        self.integer_vector = ir.VectorType(self.integer, self.width)
        self.sizes = {} if sizes is None else sizes  # of the arrays among the arguments

    @property
    def doubles(self) -> "Vectors":
        """The same builder on vectors of doubles."""
        return self if self.real == F64 else Vectors(self.builder, F64, self.sizes)

    def padded(self, count: ir.Value, size: int = WIDTH) -> ir.Value:
        """`count` rounded up to a multiple of `size`."""
        b, whole = self.builder, self.index(size)
        return b.mul(b.sdiv(b.add(count, self.index(size - 1)), whole), whole)

    def size(self, array: ir.Value) -> ir.Value:
        """How many elements an array has that was an argument."""
        return self.sizes[array]

    def index(self, value: int) -> ir.Value:
        return ir.Constant(I64, value)

    def constant(self, value: float) -> ir.Value:
        return ir.Constant(self.vector, [ir.Constant(self.real, value)] * self.width)

    def integers(self, value: int) -> ir.Value:
        return ir.Constant(self.integer_vector, [ir.Constant(self.integer, value)] * self.width)

    def splat(self, scalar: ir.Value) -> ir.Value:
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        return self.shuffle(first, undefined, [0] * self.width)

    def shuffle(self, a: ir.Value, b: ir.Value, lanes: Sequence[int]) -> ir.Value:
        """Pick `lanes` of the concatenation of `a` and `b`."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes)))

    # memory -----------------------------------------------------------------------------------------------------------

    def at(self, pointer: ir.Value, offset: ir.Value | int) -> ir.Value:
        """The pointer `offset` elements further on."""
        return self.builder.gep(pointer, [self.index(offset) if isinstance(offset, int) else offset])

    def load(self, pointer: ir.Value, offset: ir.Value | int = 0) -> ir.Value:
        return self.builder.load(self.builder.bitcast(self.at(pointer, offset), self.vector.as_pointer()), align=4)

    def store(self, value: ir.Value, pointer: ir.Value, offset: ir.Value | int = 0) -> None:
        self.builder.store(value, self.builder.bitcast(self.at(pointer, offset), self.vector.as_pointer()), align=4)

    def broadcast(self, pointer: ir.Value, offset: ir.Value | int = 0) -> ir.Value:
        """The number at `pointer[offset]` in every lane."""
        return self.splat(self.builder.load(self.at(pointer, offset)))

    def gather(self, pointers: Sequence[ir.Value]) -> ir.Value:
        """The numbers at `pointers`, one a lane."""
        vector = ir.Constant(self.vector, ir.Undefined)
        for lane, pointer in enumerate(pointers):
            vector = self.builder.insert_element(vector, self.builder.load(pointer), ir.Constant(I32, lane))
        return vector

    def mask(self, bits: Sequence[ir.Value]) -> ir.Value:
        """A vector of conditions, one a lane."""
        vector = ir.Constant(ir.VectorType(ir.IntType(1), self.width), ir.Undefined)
        for lane, bit in enumerate(bits):
            vector = self.builder.insert_element(vector, bit, ir.Constant(I32, lane))
        return vector

    def load_all(self, pointer: ir.Value, count: int) -> list[ir.Value]:
        return [self.load(pointer, c * self.width) for c in range(count)]

    def to_doubles(self, vector: ir.Value) -> list[ir.Value]:
        """The same numbers as one or two vectors of doubles."""
        if self.real == F64:
            return [vector]
        halves = [self.shuffle(vector, vector, range(first, first + WIDTH)) for first in (0, WIDTH)]
        return [self.builder.fpext(half, VECTOR) for half in halves]

    def from_doubles(self, vectors: Sequence[ir.Value]) -> ir.Value:
        """One vector of rounded numbers from one or two vectors of doubles."""
        if self.real == F64:
            return vectors[0]
        rounded = [self.builder.fptrunc(vector, ir.VectorType(F32, WIDTH)) for vector in vectors]
        return self.shuffle(rounded[0], rounded[1], range(2 * WIDTH))

    # arithmetic -------------------------------------------------------------------------------------------------------

    def _call(self, name: str, *operands: ir.Value) -> ir.Value:
        kind = ir.FunctionType(self.vector, [self.vector] * len(operands))
        suffix = f"v{self.width}f{64 if self.real == F64 else 32}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}.{suffix}")
        return self.builder.call(function, operands)

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.fadd(a, b)

    def subtract(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.fsub(a, b)

    def multiply(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.fmul(a, b)

    def divide(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.fdiv(a, b)

    def negate(self, a: ir.Value) -> ir.Value:
        return self.builder.fneg(a)

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c in one rounding."""
        return self._call("fma", a, b, c)

    def sqrt(self, a: ir.Value) -> ir.Value:
        return self._call("sqrt", a)

    def maximum(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def any_above(self, a: ir.Value, b: ir.Value) -> ir.Value:
        """One bit: is any lane of `a` above that of `b`?"""
        mask = self.builder.fcmp_ordered(">", a, b)
        bits = ir.IntType(self.width)
        return self.builder.icmp_unsigned("!=", self.builder.bitcast(mask, bits), bits(0))

    def sums(self, vectors: Sequence[ir.Value]) -> list[ir.Value]:
        """The sums over the lanes, packed in order as doubles, eight to a vector.

        A tree of pairwise additions that transposes as it adds: 1.75 additions per sum where one horizontal sum at a
        time would take three. Missing members of the last group count as zero.
        """
        even, odd = range(0, 2 * self.width, 2), range(1, 2 * self.width, 2)
        packed = []
        for first in range(0, len(vectors), self.width):
            level = list(vectors[first : first + self.width])
            for _ in range(self.width.bit_length() - 1):
                level += [self.constant(0.0)] * (len(level) % 2)
                pairs = zip(level[::2], level[1::2], strict=True)
                level = [self.add(self.shuffle(a, b, even), self.shuffle(a, b, odd)) for a, b in pairs]
            packed += self.to_doubles(level[0])
        return packed[: -(-len(vectors) // WIDTH)]

    # control ----------------------------------------------------------------------------------------------------------

    def loop(
        self, trips: ir.Value | int, state: Sequence[ir.Value], body: Callable[..., Sequence[ir.Value]]
    ) -> list[ir.Value]:
        """Emit ``for i in range(trips): state = body(i, *state)``, the state in registers; return the last state."""
        builder = self.builder
        trips = self.index(trips) if isinstance(trips, int) else trips
        before = builder.block
        head, inside, after = (builder.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        i = builder.phi(I64)
        i.add_incoming(self.index(0), before)
        carried = [builder.phi(value.type) for value in state]
        for phi, value in zip(carried, state, strict=True):
            phi.add_incoming(value, before)
        builder.cbranch(builder.icmp_signed("<", i, trips), inside, after)
        builder.position_at_end(inside)
        result = list(body(i, *carried))
        i.add_incoming(builder.add(i, self.index(1)), builder.block)
        for phi, value in zip(carried, result, strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return carried

    def when(self, condition: ir.Value, state: Sequence[ir.Value], body: Callable[..., Sequence[ir.Value]]):
        """Emit ``if condition: state = body(*state)``; return the state."""
        once = self.builder.zext(condition, I64)
        return self.loop(once, state, lambda _, *carried: body(*carried))

    def blocks(
        self,
        total: ir.Value,
        size: int,
        body: Callable[[ir.Value, int], None],
        remainders: Sequence[int] | None = None,
    ) -> None:
        """Emit ``body(first, count)`` for 0 <= first < total in blocks of `size` and one of what remains.

        `count` is known when the code is emitted: there is one copy of the body for every possible remainder, all
        below `size` unless `remainders` names those that can occur. Code is compile time.
        """

        def whole(i):
            body(self.builder.mul(i, self.index(size)), size)
            return ()

        def rest(count):
            body(self.builder.sub(total, self.index(count)), count)
            return ()

        self.loop(self.builder.sdiv(total, self.index(size)), (), whole)
        remainder = self.builder.srem(total, self.index(size))
        for count in range(1, size) if remainders is None else remainders:
            matches = self.builder.icmp_signed("==", remainder, self.index(count))
            self.when(matches, (), lambda count=count: rest(count))

    def halving_blocks(self, total: ir.Value, size: int, body: Callable[[ir.Value, int], None]) -> None:
        """Like `blocks` for a `size` of 2^n, the rest in pieces of size / 2, ..., 2, 1: fewer copies of the body."""
        self.blocks(total, size, body, remainders=())

        def piece(first, count):
            body(first, count)
            return ()

        while size > 1:
            whole, size = self.index(size), size // 2
            first = self.builder.mul(self.builder.sdiv(total, whole), whole)
            some = self.builder.icmp_signed("!=", self.builder.and_(total, self.index(size)), self.index(0))
            self.when(some, (), lambda first=first, size=size: piece(first, size))

    def panels(self, n_panels: ir.Value, n_features: ir.Value, state, body):
        """Emit a loop over register blocks of the rows; ``body(offset, rows, *state)``.

        `offset` is where the block starts in panels of `n_features` features, `rows` where it starts in the tile.
        """
        b, parts = self.builder, PANEL_VECTORS // BLOCK_VECTORS

        def step(i, *carried):
            panel, part = b.sdiv(i, self.index(parts)), b.srem(i, self.index(parts))
            within = b.mul(part, self.index(BLOCK_VECTORS * self.width))
            offset = b.add(b.mul(b.mul(panel, n_features), self.index(self.panel)), within)
            return body(offset, b.mul(i, self.index(BLOCK_VECTORS * self.width)), *carried)

        return self.loop(b.mul(n_panels, self.index(parts)), state, step)


@intrinsic
def fused(_context, a, b, c):
    """a * b + c of numbers in one rounding, whatever the machine has for it."""

    def codegen(_context, builder, _signature, arguments):
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), codegen


def vectorised(emit: Callable[..., ir.Value | None]) -> Callable[..., int]:
    """Make `emit(v, *arguments)` callable from a jitted function.

    Arrays (one-dimensional, contiguous) reach `emit` as pointers to their first element, whose number `v.size` knows,
    numbers as LLVM scalars, and NamedTuples of all these as objects with the same fields. The vectors hold floats if
    any of the arrays does, else doubles. What `emit` returns, if anything, is an int64.
    """

    def typing(_context, *argument_types):
        signature = types.int64(*argument_types)

        def codegen(context, builder, signature, arguments):
            single = any(kind.dtype == types.float32 for kind in _arrays(signature.args))
            v = Vectors(builder, F32 if single else F64)
            pairs = zip(signature.args, arguments, strict=True)
            result = emit(v, *(_lowered(context, v, kind, value) for kind, value in pairs))
            return ir.Constant(I64, 0) if result is None else result

        return signature, codegen

    functools.update_wrapper(typing, emit)  # Numba reads names and number of the arguments from the signature
    return intrinsic(typing)


def _arrays(kinds: Iterable[types.Type]) -> Iterator[types.Array]:
    for kind in kinds:
        if isinstance(kind, types.Array):
            yield kind
        elif isinstance(kind, types.BaseNamedTuple):
            yield from _arrays(kind.types)


def _lowered(context: Any, v: Vectors, kind: types.Type, value: ir.Value) -> Any:
    if isinstance(kind, types.Array):
        fields = context.data_model_manager[kind]
        data = fields.get(v.builder, value, "data")
        v.sizes[data] = fields.get(v.builder, value, "nitems")
        return data
    if isinstance(kind, types.BaseNamedTuple):
        parts = zip(kind.fields, kind.types, cgutils.unpack_tuple(v.builder, value, len(kind.types)), strict=True)
        return SimpleNamespace(**{field: _lowered(context, v, *part) for field, *part in parts})
    return value
