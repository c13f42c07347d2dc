"""Functions that kernels call. Their text is copied into emitted modules; nothing imports this module.

A name that stands in another function's text is copied with it. `tl.max` and `tl.maximum` drop NaN unless told.
"""

# mypy: ignore-errors

import triton
import triton.language as tl


@triton.jit
def larger(x, y):
    """The larger; NaN if either is."""
    return tl.maximum(x, y, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def smaller(x, y):
    """The smaller; NaN if either is."""
    return tl.minimum(x, y, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def multiplied(x, y):
    """The product."""
    return x * y


@triton.jit
def row_max(x, axis: tl.constexpr, INTERPRETED: tl.constexpr):
    """The largest along an axis, which stays with size 1; NaN if any is."""
    if INTERPRETED:
        found = tl.max(tl.where(x == x, x, float("-inf")), axis, keep_dims=True)
        return tl.where(tl.sum((x != x).to(tl.int32), axis, keep_dims=True) > 0, float("nan"), found)
    else:
        return tl.reduce(x, axis, larger, keep_dims=True)


@triton.jit
def row_min(x, axis: tl.constexpr, INTERPRETED: tl.constexpr):
    """The smallest along an axis, which stays with size 1; NaN if any is."""
    if INTERPRETED:
        found = tl.min(tl.where(x == x, x, float("inf")), axis, keep_dims=True)
        return tl.where(tl.sum((x != x).to(tl.int32), axis, keep_dims=True) > 0, float("nan"), found)
    else:
        return tl.reduce(x, axis, smaller, keep_dims=True)


@triton.jit
def row_product(x, axis: tl.constexpr):
    """The product along an axis, which stays with size 1."""
    return tl.reduce(x, axis, multiplied, keep_dims=True)


@triton.jit
def sign(x):
    """-1, 0 or 1; NaN gives NaN."""
    return tl.where(x > 0, 1.0, tl.where(x < 0, -1.0, x)).to(x.dtype)


@triton.jit
def round_even(x):
    """The nearest whole number, halves to even."""
    below = tl.floor(x)
    rest = x - below
    odd = tl.floor(below * 0.5) * 2 != below
    return tl.where((rest > 0.5) | ((rest == 0.5) & odd), below + 1, below)


@triton.jit
def tanh(x):
    """The hyperbolic tangent: near 0 its series, elsewhere through exp."""
    a = tl.abs(x)
    q = x * x
    near = 0.000590027440945586 - 0.00023912911424355248 * q
    near = 0.003592128036572481 + q * (-0.0014558343870513183 + q * near)
    near = 0.021869488536155203 + q * (-0.008863235529902197 + q * near)
    near = 0.13333333333333333 + q * (-0.05396825396825397 + q * near)
    near = x + x * q * (-0.3333333333333333 + q * near)
    far = 1 - 2 / (tl.exp(2 * a) + 1)
    return tl.where(a < 0.3, near, tl.where(x < 0, -far, far))


@triton.jit
def power(x, y):
    """x to the y: NaN for negative x to a fraction, 1 for y = 0 and for x = 1."""
    # Both as tiles: the interpreter takes no bool that is a scalar.
    y = tl.where(x == x, y, y)
    x = tl.where(y == y, x, x)
    whole = tl.floor(y) == y
    odd = whole & (tl.floor(y * 0.5) * 2 != y)
    size = tl.exp(y * tl.log(tl.abs(x)))
    size = tl.where((y == 0) | (x == 1), 1.0, size)
    size = tl.where((x < 0) & (tl.abs(x) != float("inf")) & (whole == 0), float("nan"), size)
    return tl.where((x < 0) & odd, -size, size).to(x.dtype)


@triton.jit
def power_of_int(x, y):
    """x to the y for whole numbers, wrapping."""
    result = x * 0 + 1
    for _ in range(32):
        result = tl.where((y & 1) == 1, result * x, result)
        x = x * x
        y = y >> 1
    return result


@triton.jit
def saturated(x, low, high, least: tl.constexpr, most: tl.constexpr, dtype: tl.constexpr):
    """Floats as whole numbers: the fraction drops, what lies outside (low, high) gives an edge, NaN gives 0."""
    inside = (x > low) & (x < high)
    zero = tl.full((), 0, dtype)
    edge = tl.where(x >= high, tl.full((), most, dtype), tl.where(x <= low, tl.full((), least, dtype), zero))
    return tl.where(inside, tl.where(inside, x, 0.0).to(dtype), edge)


@triton.jit
def to_bfloat16(x, INTERPRETED: tl.constexpr):
    """float32 rounded to the nearest bfloat16, halves to even. The interpreter's cast drops bits."""
    if INTERPRETED:
        bits = x.to(tl.uint32, bitcast=True)
        rounded = (bits + 32767 + ((bits >> 16) & 1)) >> 16 << 16
        return tl.where(x == x, rounded.to(tl.float32, bitcast=True), x).to(tl.bfloat16)
    else:
        return x.to(tl.bfloat16)


@triton.jit
def ordered(x):
    """A whole number for each float32, rising with it: NaN is the largest, -0 equals 0."""
    bits = tl.where(x == 0, 0.0, x).to(tl.int32, bitcast=True)
    return tl.where(x != x, 0x7FFFFFFF, bits ^ ((bits >> 31) & 0x7FFFFFFF))


@triton.jit
def ordered_double(x):
    """As `ordered`, for float64."""
    bits = tl.where(x == 0, 0.0, x).to(tl.int64, bitcast=True)
    return tl.where(x != x, 0x7FFFFFFFFFFFFFFF, bits ^ ((bits >> 63) & 0x7FFFFFFFFFFFFFFF))


@triton.jit
def threefry_rounds(x, y, a: tl.constexpr, b: tl.constexpr, c: tl.constexpr, d: tl.constexpr):
    """Four rounds of Threefry-2x32 with these rotations."""
    x += y
    y = ((y << a) | (y >> (32 - a))) ^ x
    x += y
    y = ((y << b) | (y >> (32 - b))) ^ x
    x += y
    y = ((y << c) | (y >> (32 - c))) ^ x
    x += y
    y = ((y << d) | (y >> (32 - d))) ^ x
    return x, y


@triton.jit
def threefry(first, second, x, y):
    """Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw, SC 2011): a key of two words, a counter of two."""
    third = first ^ second ^ 0x1BD11BDA
    x += first
    y += second
    x, y = threefry_rounds(x, y, 13, 15, 26, 6)
    x += second
    y += third + 1
    x, y = threefry_rounds(x, y, 17, 29, 16, 24)
    x += third
    y += first + 2
    x, y = threefry_rounds(x, y, 13, 15, 26, 6)
    x += first
    y += second + 3
    x, y = threefry_rounds(x, y, 17, 29, 16, 24)
    x += second
    y += third + 4
    x, y = threefry_rounds(x, y, 13, 15, 26, 6)
    x += third
    y += first + 5
    return x, y
