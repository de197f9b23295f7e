"""Explicit vectors: the words in which the hot loops are written.

Numba's arrays may alias, so LLVM keeps accumulators of plain loops in memory and checks for overlap at run time. Here
the loops are emitted as LLVM IR on vectors of eight doubles, with every accumulator in a register. The eight *logical*
lanes are the same on every machine (LLVM splits them on narrower ones), multiplications and additions are fused, and
nothing may be reassociated: the bits of a sum do not depend on the instruction set.
"""

import functools
from collections.abc import Callable, Sequence

from llvmlite import binding, ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic

WIDTH = 8  # doubles per vector
PANEL_VECTORS = 4
PANEL = WIDTH * PANEL_VECTORS  # rows that travel together: the features of 32 rows are stored side by side

F64, I32, I64 = ir.DoubleType(), ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(F64, WIDTH)
INTEGERS = ir.VectorType(I64, WIDTH)


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
    """LLVM IR on vectors of eight doubles and on pointers to doubles."""

    def __init__(self, builder: ir.IRBuilder):
        self.builder = builder

    def index(self, value: int) -> ir.Value:
        return ir.Constant(I64, value)

    def constant(self, value: float) -> ir.Value:
        return ir.Constant(VECTOR, [ir.Constant(F64, value)] * WIDTH)

    def integers(self, value: int) -> ir.Value:
        return ir.Constant(INTEGERS, [ir.Constant(I64, value)] * WIDTH)

    def splat(self, scalar: ir.Value) -> ir.Value:
        undefined = ir.Constant(VECTOR, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, WIDTH), [0] * WIDTH))

    def shuffle(self, a: ir.Value, b: ir.Value, lanes: Sequence[int]) -> ir.Value:
        """Pick `lanes` of the concatenation of `a` and `b`."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes)))

    # memory -----------------------------------------------------------------------------------------------------------

    def at(self, pointer: ir.Value, offset: ir.Value | int) -> ir.Value:
        """The pointer `offset` elements further on."""
        return self.builder.gep(pointer, [self.index(offset) if isinstance(offset, int) else offset])

    def load(self, pointer: ir.Value, offset: ir.Value | int = 0) -> ir.Value:
        return self.builder.load(self.builder.bitcast(self.at(pointer, offset), VECTOR.as_pointer()), align=8)

    def store(self, value: ir.Value, pointer: ir.Value, offset: ir.Value | int = 0) -> None:
        self.builder.store(value, self.builder.bitcast(self.at(pointer, offset), VECTOR.as_pointer()), align=8)

    def broadcast(self, pointer: ir.Value, offset: ir.Value | int = 0) -> ir.Value:
        """The double at `pointer[offset]` in every lane."""
        return self.splat(self.builder.load(self.at(pointer, offset)))

    def load_all(self, pointer: ir.Value, count: int) -> list[ir.Value]:
        return [self.load(pointer, c * WIDTH) for c in range(count)]

    # arithmetic -------------------------------------------------------------------------------------------------------

    def _call(self, name: str, *operands: ir.Value) -> ir.Value:
        kind = ir.FunctionType(VECTOR, [VECTOR] * len(operands))
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}.v{WIDTH}f64")
        return self.builder.call(function, operands)

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.fadd(a, b)

    def subtract(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.fsub(a, b)

    def multiply(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.fmul(a, b)

    def divide(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.fdiv(a, b)

    def fma(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c in one rounding."""
        return self._call("fma", a, b, c)

    def sqrt(self, a: ir.Value) -> ir.Value:
        return self._call("sqrt", a)

    def maximum(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def any_above(self, a: ir.Value, threshold: float) -> ir.Value:
        """One bit: is any lane of `a` above `threshold`?"""
        mask = self.builder.fcmp_ordered(">", a, self.constant(threshold))
        return self.builder.icmp_unsigned("!=", self.builder.bitcast(mask, ir.IntType(WIDTH)), ir.IntType(WIDTH)(0))

    def sums(self, vectors: Sequence[ir.Value]) -> list[ir.Value]:
        """The sums over the lanes of up to eight vectors a group, packed in order, eight to a vector.

        A tree of pairwise additions that transposes as it adds: 1.75 additions per sum where one horizontal sum at a
        time would take three. Missing members of the last group count as zero.
        """
        even, odd = range(0, 2 * WIDTH, 2), range(1, 2 * WIDTH, 2)
        packed = []
        for first in range(0, len(vectors), WIDTH):
            level = list(vectors[first : first + WIDTH])
            for _ in range(3):  # log2(WIDTH)
                level += [self.constant(0.0)] * (len(level) % 2)
                pairs = zip(level[::2], level[1::2], strict=True)
                level = [self.add(self.shuffle(a, b, even), self.shuffle(a, b, odd)) for a, b in pairs]
            packed.append(level[0])
        return packed

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

    def blocks(self, total: ir.Value, size: int, body: Callable[[ir.Value, int], None]) -> None:
        """Emit ``body(first, count)`` for 0 <= first < total in blocks of `size` and one of what remains.

        `count` is known when the code is emitted: there is one copy of the body for every possible remainder.
        """

        def whole(i):
            body(self.builder.mul(i, self.index(size)), size)
            return ()

        def rest(count):
            body(self.builder.sub(total, self.index(count)), count)
            return ()

        self.loop(self.builder.sdiv(total, self.index(size)), (), whole)
        remainder = self.builder.srem(total, self.index(size))
        for count in range(1, size):
            matches = self.builder.icmp_signed("==", remainder, self.index(count))
            self.when(matches, (), lambda count=count: rest(count))

    def panels(self, n_panels: ir.Value, n_features: ir.Value, state, body):
        """Emit a loop over register blocks of the rows; ``body(offset, rows, *state)``.

        `offset` is where the block starts in panels of `n_features` features, `rows` where it starts in the tile.
        """
        b, parts = self.builder, PANEL_VECTORS // BLOCK_VECTORS

        def step(i, *carried):
            panel, part = b.sdiv(i, self.index(parts)), b.srem(i, self.index(parts))
            within = b.mul(part, self.index(BLOCK_VECTORS * WIDTH))
            offset = b.add(b.mul(b.mul(panel, n_features), self.index(PANEL)), within)
            return body(offset, b.mul(i, self.index(BLOCK_VECTORS * WIDTH)), *carried)

        return self.loop(b.mul(n_panels, self.index(parts)), state, step)


def vectorised(emit: Callable[..., ir.Value | None]) -> Callable[..., int]:
    """Make `emit(v, *arguments)` callable from a jitted function.

    Arrays (one-dimensional, contiguous, float64) reach `emit` as pointers to their first element, numbers as LLVM
    scalars. What `emit` returns, if anything, is an int64.
    """

    def typing(_context, *argument_types):
        signature = types.int64(*argument_types)

        def codegen(context, builder, signature, arguments):
            def lowered(kind, value):
                is_array = isinstance(kind, types.Array)
                return cgutils.create_struct_proxy(kind)(context, builder, value).data if is_array else value

            result = emit(Vectors(builder), *map(lowered, signature.args, arguments))
            return ir.Constant(I64, 0) if result is None else result

        return signature, codegen

    functools.update_wrapper(typing, emit)  # Numba reads names and number of the arguments from the signature
    return intrinsic(typing)
