"""Elementwise functions that NumPy lacks or computes slowly. ``out`` may be one of the operands."""

import numpy as np


def sigmoid(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x). Where e^-x overflows, the result is 0, as it should be."""
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    return np.reciprocal(out, out=out)


def erf(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The error function as tanh(x p(x^2)).

    p is a minimax fit: the relative error is 4e-7 in float32. It grows beyond 4, where erf is 1.
    """
    np.copyto(out, x)
    flat = out.reshape(-1)
    for start in range(0, flat.size, 32768):
        part = flat[start : start + 32768]
        square = part * part
        total = square * 1.4185251018261624e-07
        for factor in (-5.668480298481882e-06, 8.763735240790993e-05, -6.197846960276365e-04, -1.9183075346518308e-04):
            total += factor
            total *= square
        total += 0.10276905447244644
        total *= square
        total += 1.128379225730896
        part *= total
        np.tanh(part, out=part)
    return out


def erf64(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The error function to 1e-15: 2/sqrt(pi) e^(-x^2) times a series whose terms all have one sign."""
    x = np.clip(x, -6, 6)
    square = x * x
    total = np.zeros_like(square)
    for n in range(140, 0, -1):
        total += 1
        total *= square
        total *= 2 / (2 * n + 1)
    total += 1
    np.multiply(total, x, out=out)
    out *= np.exp(-square)
    out *= 2 / np.sqrt(np.pi)
    return out


def cube(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """x * x * x."""
    return np.multiply(x * x, x, out=out)


def integer_power(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
    """x to the y of integers; a negative exponent counts as 0."""
    return np.power(x, np.maximum(y, 0), out=out)


def truncated_quotient(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
    """x / y of integers, rounded toward zero; NumPy's rounds down."""
    up = np.not_equal(np.fmod(x, y), 0)
    up &= np.not_equal(np.less(x, 0), np.less(y, 0))
    np.floor_divide(x, y, out=out)
    return np.add(out, up, out=out, casting="unsafe")


def select(condition: np.ndarray, x: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
    """x where the condition holds, y elsewhere."""
    first, second = np.asarray(x, out.dtype), np.asarray(y, out.dtype)
    alike = all(s.ndim == 0 or (s.shape == out.shape and s.flags.c_contiguous) for s in (first, second))
    if alike and out.size >= 4096 and out.itemsize in (4, 8) and condition.shape == out.shape:
        return select_bits(condition, first, second, out)
    if np.may_share_memory(first, out):
        np.copyto(out, y, where=np.logical_not(condition))
        return out
    np.copyto(out, y)
    np.copyto(out, x, where=condition)
    return out


def select_bits(condition: np.ndarray, x: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
    """x or y, bit by bit: unlike a masked copy, as fast for a ragged condition as for a smooth one."""
    dtype = np.int32 if out.itemsize == 4 else np.int64
    flags, result = condition.reshape(-1), out.reshape(-1).view(dtype)
    first, second = (side.reshape(-1).view(dtype) if side.ndim else side.view(dtype) for side in (x, y))
    for start in range(0, result.size, 32768):
        part = slice(start, start + 32768)
        mask = flags[part].astype(dtype)
        np.negative(mask, out=mask)
        other = second[part] if second.ndim else second
        np.bitwise_and(mask, np.bitwise_xor(first[part] if first.ndim else first, other), out=mask)
        np.bitwise_xor(mask, other, out=result[part])
    return out


def gelu(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """x/2 (1 + erf(x / sqrt(2))) of float32, with the fit of `erf`."""
    source, result = x.reshape(-1), out.reshape(-1)
    for start in range(0, source.size, 32768):
        part = source[start : start + 32768]
        square = part * part
        total = square * 1.5672636231009647e-09
        for factor in (-1.252569018149651e-07, 3.8730603858042705e-06, -5.478174517959811e-05, -3.391120665383894e-05):
            total += factor
            total *= square
        total += 0.036334347656798285
        total *= square
        total += 0.7978846022643427
        gated(part, total, result[start : start + 32768])
    return out


def tanh_gelu(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""
    source, result = x.reshape(-1), out.reshape(-1)
    for start in range(0, source.size, 32768):
        part = source[start : start + 32768]
        total = part * part
        total *= 0.044715 * 0.7978845608028654
        total += 0.7978845608028654
        gated(part, total, result[start : start + 32768])
    return out


def gated(x: np.ndarray, factor: np.ndarray, out: np.ndarray) -> None:
    """x/2 (1 + tanh(x factor)); the factor is overwritten."""
    factor *= x
    np.tanh(factor, out=factor)
    factor += 1
    factor *= 0.5
    np.multiply(x, factor, out=out)


def convert(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """x in the dtype of ``out``; integers keep their low bits."""
    np.copyto(out, x, casting="unsafe")
    return out


def truth(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """x != 0."""
    return np.not_equal(x, 0, out=out)


def saturate(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Floats as integers: the fraction is dropped, what lies outside the range stops at its end, NaN gives 0."""
    limits = np.iinfo(out.dtype)
    wide = np.asarray(x, np.float64)
    # The ends of a 64-bit range are no float64; what reaches them is set apart.
    inside = (wide > limits.min) & (wide < limits.max)
    np.copyto(out, np.where(inside, wide, 0), casting="unsafe")
    np.copyto(out, limits.max, where=wide >= limits.max)
    np.copyto(out, limits.min, where=wide <= limits.min)
    return out


def from_bfloat16(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """bfloat16, held as uint16, as float32: its bits are the upper half."""
    bits = out.view(np.uint32)
    np.copyto(bits, x)
    np.left_shift(bits, 16, out=bits)
    return out


def to_bfloat16(x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """float32 as bfloat16, held as uint16: rounded to the nearest, halves to even; NaN stays NaN."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = bits >> 16
    rounded &= 1
    rounded += bits
    rounded += 0x7FFF
    rounded >>= 16
    np.copyto(out, rounded, casting="unsafe")
    np.copyto(out, 0x7FC0, where=np.isnan(x))
    return out


KERNELS = (
    sigmoid, erf, erf64, gelu, tanh_gelu, gated, cube, integer_power, truncated_quotient, select, select_bits, convert,
    truth, saturate, from_bfloat16, to_bfloat16,
)  # fmt: skip
