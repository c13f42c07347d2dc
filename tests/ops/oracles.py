"""What torch and NumPy say each composite is; arrays come as float64 where they are floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as tf

Oracle = Callable[..., Any]
ORACLES: dict[str, Oracle] = {}


def _torch(function: Callable[..., Any]) -> Oracle:
    """An oracle from a function of the op and torch tensors."""

    def run(op: Any, *arrays: Any) -> Any:
        given = [None if array is None else torch.from_numpy(np.array(array)) for array in arrays]
        answer = function(op, *given)
        return [item.numpy() for item in answer] if isinstance(answer, (list, tuple)) else answer.numpy()

    return run


ORACLES |= {
    "expm1": lambda op, x: np.expm1(x),
    "log1p": lambda op, x: np.log1p(x),
    "ceil": lambda op, x: np.ceil(x),
    "square": lambda op, x: np.square(x),
    "rsqrt": _torch(lambda op, x: torch.rsqrt(x)),
    "reciprocal": _torch(lambda op, x: torch.reciprocal(x)),
    "mod": lambda op, x, y: np.mod(x, y),
    "floor_div": lambda op, x, y: np.floor_divide(x, y),
}

# ---- activations

ORACLES |= {
    name: _torch(function)
    for name, function in {
        "identity": lambda op, x: x,
        "step": lambda op, x: torch.where(x >= 0, 1.0, 0.0).to(x.dtype),
        "relu": lambda op, x: tf.relu(x),
        "relu6": lambda op, x: tf.relu6(x),
        "leaky_relu": lambda op, x: tf.leaky_relu(x, op.slope),
        "parametric_relu": lambda op, x, slope: torch.where(x > 0, x, x * slope),
        "rrelu": lambda op, x: tf.rrelu(x, op.lower, op.upper, training=False),
        "elu": lambda op, x: tf.elu(x, op.alpha),
        "selu": lambda op, x: tf.selu(x),
        "celu": lambda op, x: tf.celu(x, op.alpha),
        "gelu": lambda op, x: tf.gelu(x, approximate=op.approximate),
        "quick_gelu": lambda op, x: x * torch.sigmoid(1.702 * x),
        "silu": lambda op, x: tf.silu(x),
        "swish": lambda op, x: x / (1 + torch.exp(-op.beta * x)),
        "softplus": lambda op, x: tf.softplus(x, op.beta, threshold=1e3),
        "softsign": lambda op, x: tf.softsign(x),
        "mish": lambda op, x: tf.mish(x),
        "log_sigmoid": lambda op, x: tf.logsigmoid(x),
        "hard_sigmoid": lambda op, x: tf.hardsigmoid(x),
        "hard_swish": lambda op, x: tf.hardswish(x),
        "hard_tanh": lambda op, x: tf.hardtanh(x, op.low, op.high),
        "tanh_shrink": lambda op, x: tf.tanhshrink(x),
        "soft_shrink": lambda op, x: tf.softshrink(x, op.threshold),
        "hard_shrink": lambda op, x: tf.hardshrink(x, op.threshold),
        "gaussian": lambda op, x: torch.exp(-((x / op.sigma) ** 2) / 2),
        "multiquadric": lambda op, x: torch.hypot(x, torch.tensor(op.scale, dtype=x.dtype)),
        "softmax": lambda op, x: tf.softmax(x, op.axis),
        "log_softmax": lambda op, x: tf.log_softmax(x, op.axis),
        "logsumexp": lambda op, x: torch.logsumexp(x, tuple(range(x.ndim)) if op.axes is None else op.axes, op.keep),
        "glu": lambda op, x: tf.glu(x, op.axis),
        "reglu": lambda op, x: _halves(op, x)[0] * tf.relu(_halves(op, x)[1]),
        "geglu": lambda op, x: _halves(op, x)[0] * tf.gelu(_halves(op, x)[1]),
        "swiglu": lambda op, x: _halves(op, x)[0] * tf.silu(_halves(op, x)[1]),
        "bilinear": lambda op, x: _halves(op, x)[0] * _halves(op, x)[1],
    }.items()
}


def _halves(op: Any, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.chunk(x, 2, op.axis)
