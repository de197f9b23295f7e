"""Branch-free exponential and logarithm on vectors; libm's stay scalar calls (ten times slower per element)."""

from llvmlite import ir

from fastem.kernels.vectors.simd import F64, I64, INTEGERS, VECTOR, Vectors

# Minimax in the relative error on [-ln 2 / 2, ln 2 / 2]: 0.9 ulp with fused multiply-adds. The highest degree first.
EXP_COEFFICIENTS = (
    2.49943048848172073e-8,
    2.76322932794598754e-7,
    2.75576225308722547e-6,
    2.48014865214264639e-5,
    1.98412694326792369e-4,
    1.38888889512239883e-3,
    8.33333333355927134e-3,
    0.0416666666664927673,
    0.166666666666661687,
    0.500000000000001769,
    1.0,
    1.0,
)
# log Gamma(z) = (z - 1/2) log z - z + log(2 pi) / 2 + Stirling's series: these times z^-1, z^-3, ..., the highest
# first. From z = 9 on the first term left out is below 2e-16.
STIRLING_COEFFICIENTS = (
    1 / 156,
    -691 / 360360,
    1 / 1188,
    -1 / 1680,
    1 / 1260,
    -1 / 360,
    1 / 12,
)
STIRLING_SHIFT = 8
HALF_LOG_2_PI = 0.91893853320467274178
LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
ROUNDING = 1.5 * 2.0**52  # adding it leaves the nearest integer in the low bits of the sum
EXP_FLOOR = -340.0  # exp's square underflows soon below: there the result is exactly zero

# The same for floats, to 1 ulp.
EXP_COEFFICIENTS_SINGLE = (1.383684613e-3, 8.374815778e-3, 0.04166822557, 0.1666642017, 0.4999999208, 1.0, 1.0)
LN2_HIGH_SINGLE, LN2_LOW_SINGLE = 0.693359375, -2.12194440054690583e-04
ROUNDING_SINGLE = 1.5 * 2.0**23
EXP_FLOOR_SINGLE = -43.0

# log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)) with s = f / (2 + f), |f| <= sqrt(2) - 1: R is this polynomial in s^2,
# times s^2 (the classical fdlibm form, below 1 ulp).
LOG_COEFFICIENTS = (
    1.479819860511658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
)


def _horner(v: Vectors, coefficients: tuple[float, ...], x: ir.Value) -> ir.Value:
    p = v.constant(coefficients[0])
    for c in coefficients[1:]:
        p = v.fma(p, x, v.constant(c))
    return p


def lowest_floor(v: Vectors) -> ir.Value:
    """The square of exp would underflow soon below."""
    return v.constant(EXP_FLOOR if v.real == F64 else EXP_FLOOR_SINGLE)


def exp_floor(v: Vectors, floor: ir.Value) -> ir.Value:
    """A floor for `exp` in every lane: this number, but not below the lowest."""
    return v.maximum(v.splat(floor if v.real == F64 else v.builder.fptrunc(floor, v.real)), lowest_floor(v))


def exp(v: Vectors, x: ir.Value, floor: ir.Value | None = None) -> ir.Value:
    """exp(x) for x <= 0, to 1 ulp; exactly zero where x is not above a floor of `exp_floor`, by default the lowest."""
    builder = v.builder
    floor = lowest_floor(v) if floor is None else floor
    if v.real == F64:
        coefficients, rounding, mantissa = EXP_COEFFICIENTS, ROUNDING, 52
        high, low = LN2_HIGH, LN2_LOW
    else:
        coefficients, rounding, mantissa = EXP_COEFFICIENTS_SINGLE, ROUNDING_SINGLE, 23
        high, low = LN2_HIGH_SINGLE, LN2_LOW_SINGLE
    shifted = v.fma(x, v.constant(LOG2_E), v.constant(rounding))
    n = v.subtract(shifted, v.constant(rounding))
    s = v.fma(n, v.constant(-low), v.fma(n, v.constant(-high), x))
    p = _horner(v, coefficients, s)
    # 2^n by adding n to the exponent bits: p is near one, so nothing overflows into the sign. Below the floor it is
    # nonsense, which is not chosen.
    exponent = builder.shl(builder.bitcast(shifted, v.integer_vector), v.integers(mantissa))
    y = builder.bitcast(builder.add(builder.bitcast(p, v.integer_vector), exponent), v.vector)
    return builder.select(builder.fcmp_ordered(">", x, floor), y, v.constant(0.0))


def log(v: Vectors, x: ir.Value) -> ir.Value:
    """log(x) for vectors of normal positive doubles, below 1 ulp."""
    builder = v.builder
    bits = builder.bitcast(x, INTEGERS)
    # x = 2^n m with m in [sqrt(1/2), sqrt(2)): bring the boundary of the exponent to sqrt(1/2) before cutting it off.
    offset = v.integers(0x3FE6A09E667F3BCD)
    shifted = builder.sub(bits, offset)
    n = builder.ashr(shifted, v.integers(52))
    m = builder.bitcast(builder.sub(bits, builder.shl(n, v.integers(52))), VECTOR)
    # n as a double without the conversion that AVX2 lacks: n sits in the low bits of 1.5 * 2^52 + n.
    magic = ir.Constant(I64, 0x4338000000000000)
    low = builder.add(n, ir.Constant(INTEGERS, [magic] * INTEGERS.count))
    exponent = v.subtract(builder.bitcast(low, VECTOR), v.constant(ROUNDING))
    f = v.subtract(m, v.constant(1.0))
    s = v.divide(f, v.add(f, v.constant(2.0)))
    z = v.multiply(s, s)
    half_square = v.multiply(v.multiply(f, f), v.constant(0.5))
    together = v.fma(_horner(v, LOG_COEFFICIENTS, z), z, half_square)
    small = v.fma(s, together, v.multiply(exponent, v.constant(LN2_LOW)))
    return v.fma(exponent, v.constant(LN2_HIGH), v.subtract(f, v.subtract(half_square, small)))


def log_factorial(v: Vectors, x: ir.Value) -> ir.Value:
    """log x! for vectors of doubles from 0 to 1e38, to an absolute 1e-14 or a relative 1e-15.

    log Gamma(x + 1) = log Gamma(z) - log((x + 1) ... (x + 8)) with z = x + 9, where Stirling's series is exact.
    """
    z = v.add(x, v.constant(STIRLING_SHIFT + 1.0))
    product = v.add(x, v.constant(1.0))
    for n in range(2, STIRLING_SHIFT + 1):
        product = v.multiply(product, v.add(x, v.constant(float(n))))
    inverse = v.divide(v.constant(1.0), z)
    series = _horner(v, STIRLING_COEFFICIENTS, v.multiply(inverse, inverse))
    main = v.fma(v.subtract(z, v.constant(0.5)), log(v, z), v.subtract(v.constant(HALF_LOG_2_PI), z))
    return v.subtract(v.fma(series, inverse, main), log(v, product))
