"""What jax.lax, torch and plain Python say each primitive is. Called with 64-bit types of JAX switched on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as tf
from jax import lax

Oracle = Callable[..., Any]


def _exact_cast(op: Any, x: np.ndarray) -> np.ndarray:
    """One number after the other, by Python's integers."""
    target = op.dtype.numpy
    if op.dtype.kind != "int":
        return np.asarray(lax.convert_element_type(x, target))
    low, bits = int(np.iinfo(target).min), 8 * target.itemsize

    def one(value: Any) -> int:
        if x.dtype.kind != "f":
            return (int(value) - low) % 2**bits + low
        if math.isnan(value):
            return 0
        return min(max(low, value), low + 2**bits - 1) if math.isinf(value) else _clamp(int(value), low, bits)

    return np.array([one(value) for value in x.ravel().tolist()], target).reshape(x.shape)


def _clamp(value: int, low: int, bits: int) -> int:
    return min(max(value, low), low + 2**bits - 1)


def _power(op: Any, x: np.ndarray, y: np.ndarray) -> Any:
    if x.dtype.kind == "f":
        return lax.pow(x, y)
    return np.array([a**b for a, b in zip(x.ravel().tolist(), y.ravel().tolist(), strict=True)]).reshape(x.shape)


def _shift_right(op: Any, x: np.ndarray, y: np.ndarray) -> Any:
    return (lax.shift_right_logical if x.dtype.kind == "u" else lax.shift_right_arithmetic)(x, y)


def _axes(op: Any, x: np.ndarray) -> Any:
    return tuple(range(x.ndim)) if op.axes is None else op.axes


def _cumulative_sum(op: Any, x: np.ndarray) -> Any:
    axis = op.axis % x.ndim
    total = lax.cumsum(x, axis, reverse=op.reverse)
    return total - x if op.exclusive else total


def _arg_max(op: Any, x: np.ndarray) -> Any:
    place = lax.argmax(x, op.axis % x.ndim, np.int64)
    return jnp.expand_dims(place, op.axis) if op.keep else place


def _top_k(op: Any, x: np.ndarray) -> Any:
    values, indices = lax.top_k(jnp.moveaxis(x, op.axis, -1), op.k)
    return jnp.moveaxis(values, -1, op.axis), jnp.moveaxis(indices, -1, op.axis).astype(np.int64)


def _dot(op: Any, lhs: np.ndarray, rhs: np.ndarray) -> Any:
    numbers = ((op.lhs_contract, op.rhs_contract), (op.lhs_batch, op.rhs_batch))
    numbers = tuple(
        tuple(tuple(axis % side.ndim for axis in axes) for axes, side in zip(pair, (lhs, rhs), strict=True))
        for pair in numbers
    )
    return lax.dot_general(lhs, rhs, numbers, precision=lax.Precision.HIGHEST)


def _conv(op: Any, x: np.ndarray, w: np.ndarray) -> Any:
    ones = (1,) * (x.ndim - 2)
    return lax.conv_general_dilated(
        x,
        w,
        op.stride or ones,
        op.padding or ((0, 0),) * len(ones),
        op.input_dilation or ones,
        op.window_dilation or ones,
        feature_group_count=op.groups,
        precision=lax.Precision.HIGHEST,
    )


def _window(function: Any, start: Callable[[np.ndarray], Any]) -> Oracle:
    def run(op: Any, x: np.ndarray) -> Any:
        ones = (1,) * x.ndim
        padding = op.padding or ((0, 0),) * x.ndim
        settings = (op.kernel, op.stride or ones, padding, ones, op.dilation or ones)
        return lax.reduce_window(x, start(x), function, *settings)

    return run


def _least(x: np.ndarray) -> Any:
    return np.array(-np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min, x.dtype)


def _window_max_grad(op: Any, x: np.ndarray, dy: np.ndarray) -> Any:
    """torch's max_pool3d over the last three axes; samples never have windows along a fourth."""
    missing = 4 - x.ndim

    def four(values: Any, one: Any) -> list[Any]:
        return [one] * missing + list(values or [one] * x.ndim)

    kernel, stride, dilation = four(op.kernel, 1), four(op.stride, 1), four(op.dilation, 1)
    padding = [side for pair in reversed(four(op.padding, (0, 0))[1:]) for side in pair]
    given = torch.from_numpy(x).reshape([1] * missing + list(x.shape)).unsqueeze(1).requires_grad_()
    padded = tf.pad(given, padding, value=-math.inf)
    pooled = tf.max_pool3d(padded, kernel[1:], stride[1:], 0, dilation[1:])
    pooled.backward(torch.from_numpy(dy).reshape(pooled.shape))
    return given.grad.reshape(x.shape).numpy()


def _scatter(op: Any, x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> Any:
    at = jnp.asarray(x).at[(slice(None),) * (op.axis % x.ndim) + (indices,)]
    return at.set(updates) if op.mode == "set" else at.add(updates)


def _scatter_elements(op: Any, x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> Any:
    given = [torch.from_numpy(array) for array in (x, indices, updates)]
    function = torch.scatter if op.mode == "set" else torch.scatter_add
    return function(given[0], op.axis, given[1], given[2]).numpy()


ORACLES: dict[str, Oracle] = {
    "neg": lambda op, x: lax.neg(x),
    "abs": lambda op, x: lax.abs(x),
    "sign": lambda op, x: lax.sign(x),
    "floor": lambda op, x: lax.floor(x),
    "round": lambda op, x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
    "exp": lambda op, x: lax.exp(x),
    "log": lambda op, x: lax.log(x),
    "sqrt": lambda op, x: lax.sqrt(x),
    "sin": lambda op, x: lax.sin(x),
    "cos": lambda op, x: lax.cos(x),
    "tanh": lambda op, x: lax.tanh(x),
    "erf": lambda op, x: np.vectorize(math.erf)(x).astype(x.dtype),
    "sigmoid": lambda op, x: torch.sigmoid(torch.from_numpy(np.array(x))).numpy(),
    "add": lambda op, x, y: lax.add(x, y),
    "sub": lambda op, x, y: lax.sub(x, y),
    "mul": lambda op, x, y: lax.mul(x, y),
    "div": lambda op, x, y: lax.div(x, y),
    "rem": lambda op, x, y: lax.rem(x, y),
    "pow": _power,
    "max": lambda op, x, y: lax.max(x, y),
    "min": lambda op, x, y: lax.min(x, y),
    "and": lambda op, x, y: lax.bitwise_and(x, y),
    "or": lambda op, x, y: lax.bitwise_or(x, y),
    "xor": lambda op, x, y: lax.bitwise_xor(x, y),
    "not": lambda op, x: lax.bitwise_not(x),
    "shift_left": lambda op, x, y: lax.shift_left(x, y),
    "shift_right": _shift_right,
    "compare": lambda op, x, y: getattr(lax, op.direction)(x, y),
    "where": lambda op, condition, x, y: lax.select(condition, x, y),
    "constant": lambda op: np.frombuffer(op.value.data, op.value.type.dtype.numpy).reshape(op.value.type.shape),
    "iota": lambda op: lax.iota(op.dtype.numpy, op.length),
    "dimension": lambda op: np.int64(op.size),
    "cast": _exact_cast,
    "bitcast": lambda op, x: lax.bitcast_convert_type(x, op.dtype.numpy),
    "stop_gradient": lambda op, x: lax.stop_gradient(x),
    "reshape": lambda op, x: lax.reshape(x, op.shape),
    "transpose": lambda op, x: jnp.transpose(x, op.axes),
    "broadcast": lambda op, x: lax.broadcast_in_dim(x, op.shape, op.axes),
    "concat": lambda op, xs: lax.concatenate(xs, op.axis % xs[0].ndim),
    "slice": lambda op, x: lax.slice(x, op.start, op.stop, op.stride or None),
    "reverse": lambda op, x: lax.rev(x, [axis % x.ndim for axis in op.axes]),
    "pad": lambda op, x, fill: lax.pad(x, fill, list(zip(op.low, op.high, op.interior or [0] * x.ndim, strict=True))),
    "reduce_sum": lambda op, x: jnp.sum(x, _axes(op, x), keepdims=op.keep),
    "reduce_prod": lambda op, x: jnp.prod(x, _axes(op, x), keepdims=op.keep),
    "reduce_max": lambda op, x: jnp.max(x, _axes(op, x), keepdims=op.keep),
    "reduce_min": lambda op, x: jnp.min(x, _axes(op, x), keepdims=op.keep),
    "arg_max": _arg_max,
    "cumulative_sum": _cumulative_sum,
    "top_k": _top_k,
    "dot": _dot,
    "conv": _conv,
    "window_sum": _window(lax.add, lambda x: np.array(0, x.dtype)),
    "window_max": _window(lax.max, _least),
    "window_max_grad": _window_max_grad,
    "gather": lambda op, x, indices: jnp.take(x, indices, op.axis),
    "gather_elements": lambda op, x, i: torch.gather(torch.from_numpy(x), op.axis, torch.from_numpy(i)).numpy(),
    "scatter": _scatter,
    "scatter_elements": _scatter_elements,
    "dynamic_slice": lambda op, x, starts: lax.dynamic_slice(x, starts, op.sizes, allow_negative_indices=False),
    "dynamic_update_slice": lambda op, x, update, starts: lax.dynamic_update_slice(
        x, update, starts, allow_negative_indices=False
    ),
    "random_bits": lambda op, seed, step: jax.random.bits(
        jax.random.fold_in(jax.random.key(seed), step), op.shape, "uint32"
    ),
}
