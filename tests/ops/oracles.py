"""What torch and NumPy say each composite is; arrays come as float64 where they are floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
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

    run.torch = function  # type: ignore[attr-defined]
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
        "sharding_constraint": lambda op, x: x,
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


# ---- aggregates, matrix product


def _axes(op: Any, x: Any) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if op.axes is None else (op.axes,) if isinstance(op.axes, int) else op.axes


def _sort(op: Any, x: np.ndarray) -> list[np.ndarray]:
    if not op.descending:
        return [np.sort(x, op.axis), np.argsort(x, op.axis, kind="stable")]
    values, indices = torch.sort(torch.from_numpy(x), dim=op.axis, descending=True, stable=True)
    return [values.numpy(), indices.numpy()]


ORACLES |= {
    "reduce_mean": lambda op, x: np.mean(x, axis=_axes(op, x), keepdims=op.keep),
    "reduce_variance": lambda op, x: np.var(x, axis=_axes(op, x), keepdims=op.keep, ddof=op.correction),
    "norm": _torch(lambda op, x: torch.linalg.vector_norm(x, op.order, _axes(op, x), op.keep)),
    "all": lambda op, x: np.all(x, axis=_axes(op, x), keepdims=op.keep),
    "any": lambda op, x: np.any(x, axis=_axes(op, x), keepdims=op.keep),
    "arg_min": lambda op, x: np.argmin(x, axis=op.axis, keepdims=op.keep),
    "sort": _sort,
    "cumulative_product": lambda op, x: np.cumprod(x, axis=op.axis),
    "matmul": lambda op, x, y: np.matmul(x, y),
}

# ---- made, moved, edited


def _written(op: Any, x: np.ndarray, update: np.ndarray, start: np.ndarray) -> np.ndarray:
    result, size = x.copy(), update.shape[op.axis]
    first = min(int(start), x.shape[op.axis] - size)
    index = [slice(None)] * x.ndim
    index[op.axis] = slice(first, first + size)
    result[tuple(index)] = update
    return result


def _cropped(op: Any, x: np.ndarray, like: np.ndarray) -> np.ndarray:
    (h, w), (a, b) = x.shape[-2:], like.shape[-2:]
    return x[..., (h - a) // 2 :, (w - b) // 2 :][..., :a, :b]


ORACLES |= {
    "full": lambda op: np.full(op.shape, op.fill, op.dtype.numpy),
    "linspace": lambda op: torch.linspace(op.start, op.stop, op.length, dtype=torch.float64).numpy(),
    "one_hot": lambda op, x: np.eye(op.classes + 2)[np.clip(x, -1, op.classes) + 1][..., 1:-1],
    "flatten": _torch(lambda op, x: torch.flatten(x, op.start, op.end)),
    "expand": lambda op, x: np.broadcast_to(x, op.shape),
    "squeeze": lambda op, x: np.squeeze(x, op.axes),
    "unsqueeze": lambda op, x: np.expand_dims(x, op.axes),
    "stack": lambda op, *xs: np.stack(xs, op.axis),
    "split": _torch(lambda op, x: torch.split(x, op.sizes or x.shape[op.axis] // op.parts, op.axis)),
    "tile": lambda op, x: np.tile(x, op.repeats),
    "repeat_elements": lambda op, x: np.repeat(x, op.repeats, op.axis),
    "clip": _torch(lambda op, x: torch.clamp(x, op.low, op.high).to(x.dtype)),
    "center_crop2d": _cropped,
    "roll": lambda op, x: np.roll(x, op.shift, op.axis),
    "pad_constant": lambda op, x: np.pad(x, list(zip(op.low, op.high, strict=True)), constant_values=op.fill),
    "lower_triangle": lambda op, x: np.tril(x, op.diagonal),
    "upper_triangle": lambda op, x: np.triu(x, op.diagonal),
    "update_slice": _written,
}

# ---- normalisation, attention


def _batch_norm(op: Any, x: Any, scale: Any, shift: Any, mean: Any, variance: Any) -> Any:
    return tf.batch_norm(x, mean, variance, scale, shift, training=False, eps=op.eps)


def _batch_statistics(op: Any, x: Any, scale: Any, shift: Any, mean: Any, variance: Any) -> Any:
    mean, variance = mean.clone(), variance.clone()
    y = tf.batch_norm(x, mean, variance, scale, shift, training=True, momentum=op.momentum, eps=op.eps)
    return y, mean, variance


def _attention(op: Any, q: Any, k: Any, v: Any, start: Any = None, mask: Any = None, bias: Any = None) -> torch.Tensor:
    shared = op.kv_heads or op.heads
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x, heads in ((q, op.heads), (k, shared), (v, shared)))
    k, v = (x.repeat_interleave(op.heads // shared, 1) for x in (k, v))
    added = torch.zeros(q.shape[2], k.shape[2], dtype=q.dtype)
    if op.causal:
        place = torch.arange(q.shape[2])[:, None] + (0 if start is None else start)
        added = added.masked_fill(torch.arange(k.shape[2]) > place, -torch.inf)
    if bias is not None:
        added = added + bias
    if mask is not None:
        added = added.masked_fill(~mask, -torch.inf)
    y = tf.scaled_dot_product_attention(q, k, v, attn_mask=added, scale=op.scale)
    return torch.nan_to_num(y).transpose(1, 2).flatten(2)


def _rotary(op: Any, x: np.ndarray, positions: np.ndarray) -> np.ndarray:
    split = x.reshape(*x.shape[:2], op.heads, -1)
    dims = op.dims or split.shape[-1]
    turned = split[..., :dims]
    if op.interleaved:
        numbers = turned[..., ::2] + 1j * turned[..., 1::2]
    else:
        numbers = turned[..., : dims // 2] + 1j * turned[..., dims // 2 :]
    angle = positions[..., None, None] / op.base ** (2 * np.arange(dims // 2) / dims)
    numbers = numbers * np.exp(1j * angle)
    result = split.copy()
    if op.interleaved:
        result[..., 0:dims:2], result[..., 1:dims:2] = numbers.real, numbers.imag
    else:
        result[..., : dims // 2], result[..., dims // 2 : dims] = numbers.real, numbers.imag
    return result.reshape(x.shape)


ORACLES |= {
    "normalize_layer": _torch(lambda op, x, w, b: tf.layer_norm(x, x.shape[op.axis :], w, b, op.eps)),
    "normalize_rms": _torch(lambda op, x, w: tf.rms_norm(x, x.shape[op.axis :], w, op.eps)),
    "normalize_group": _torch(lambda op, x, w, b: tf.group_norm(x, op.groups, w, b, op.eps)),
    "normalize_batch": _torch(_batch_norm),
    "normalize_batch_training": _torch(_batch_statistics),
    "local_response_norm": _torch(lambda op, x: tf.local_response_norm(x, op.size, op.alpha, op.beta, op.k)),
    "attention": _torch(_attention),
    "rotary": _rotary,
}

# ---- pooling, resampling


def _pool_arguments(op: Any) -> dict[str, Any]:
    return {"kernel_size": op.kernel, "stride": op.kernel if op.stride is None else op.stride, "ceil_mode": op.ceil}


def _max_pool(op: Any, x: torch.Tensor) -> torch.Tensor:
    arguments = _pool_arguments(op) | {"dilation": op.dilation}
    whole = x.dtype == torch.int64
    x, arguments["padding"] = _around(op, x.double(), -torch.inf)
    y = getattr(tf, op.name)(x, **arguments)
    return y.long() if whole else y


def _avg_pool(op: Any, x: torch.Tensor) -> torch.Tensor:
    arguments = _pool_arguments(op)
    if not isinstance(op.padding, int) and not op.count_include_pad:
        ones, _ = _around(op, torch.ones_like(x), 0)
        sums, _ = _around(op, x, 0)
        pool = getattr(tf, op.name)
        return pool(sums, **arguments) / pool(ones, **arguments)
    x, arguments["padding"] = _around(op, x, 0)
    return getattr(tf, op.name)(x, **arguments, count_include_pad=op.count_include_pad)


def _around(op: Any, x: torch.Tensor, fill: float) -> tuple[torch.Tensor, int]:
    if isinstance(op.padding, int):
        return x, op.padding
    if op.padding == "same":  # of an odd kernel with stride 1
        pairs = [((op.kernel - 1) // 2, (op.kernel - 1) // 2)] * op.spatial
    else:
        pairs = list(zip(op.padding[: op.spatial], op.padding[op.spatial :], strict=True))
    return tf.pad(x, [size for pair in reversed(pairs) for size in pair], value=fill), 0


ORACLES |= {f"max_pool{n}d": _torch(_max_pool) for n in (1, 2, 3)}
ORACLES |= {f"avg_pool{n}d": _torch(_avg_pool) for n in (1, 2, 3)}
ORACLES["adaptive_avg_pool2d"] = _torch(lambda op, x: tf.adaptive_avg_pool2d(x, op.size))


def _upsample(op: Any, x: torch.Tensor) -> torch.Tensor:
    corners = op.align_corners if op.mode == "bilinear" else None
    scale = float(op.scale) if isinstance(op.scale, int) else tuple(map(float, op.scale))
    y = tf.interpolate(x.double(), scale_factor=scale, mode=op.mode, align_corners=corners)
    return y.to(x.dtype)


ORACLES |= {
    "upsample2d": _torch(_upsample),
    "pixel_shuffle": _torch(lambda op, x: tf.pixel_shuffle(x, op.factor)),
}

# ---- random numbers


def _key(seed: np.ndarray, step: np.ndarray) -> jax.Array:
    with jax.enable_x64(True):
        return jax.random.fold_in(jax.random.key(int(seed)), int(step))


def _normals(op: Any, seed: np.ndarray, step: np.ndarray) -> np.ndarray:
    # The exact function of jax's uniform numbers: its own float32 polynomial is 1e-5 off in the tails.
    lowest = np.nextafter(np.float32(-1), np.float32(0))
    even = np.asarray(jax.random.uniform(_key(seed, step), op.shape, "float32", lowest, 1), np.float64)
    return torch.erfinv(torch.from_numpy(even)).numpy() * np.sqrt(2) * op.deviation + op.mean


def _uniforms(op: Any, seed: np.ndarray, step: np.ndarray) -> np.ndarray:
    numbers = jax.random.uniform(_key(seed, step), op.shape, "float32", op.low, op.high)
    return np.asarray(numbers, np.float64)


def _coins(op: Any, p: np.ndarray, seed: np.ndarray, step: np.ndarray) -> np.ndarray:
    return np.asarray(jax.random.bernoulli(_key(seed, step), p.astype(np.float32)))


def _classes(op: Any, logits: np.ndarray, seed: np.ndarray, step: np.ndarray) -> np.ndarray:
    drawn = jax.random.categorical(_key(seed, step), logits.astype(np.float32), op.axis)
    return np.asarray(drawn, np.int64)


def _dropped(op: Any, x: np.ndarray, seed: np.ndarray | None = None, step: np.ndarray | None = None) -> np.ndarray:
    if seed is None or step is None:
        return x
    drawn = jax.random.uniform(_key(seed, step), x.shape)
    return np.where(np.asarray(drawn) >= op.rate, x / (1 - op.rate), 0)


ORACLES |= {
    "random_uniform": _uniforms,
    "random_normal": _normals,
    "bernoulli": _coins,
    "categorical": _classes,
    "dropout": _dropped,
}

# ---- losses


def _cross_entropy(op: Any, scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    scores = scores.movedim(op.axis, 0 if scores.ndim == 1 else 1)
    if labels.is_floating_point():
        labels = labels.movedim(op.axis, 0 if labels.ndim == 1 else 1)
    else:
        labels = labels.long()
    ignored = -100 if op.ignore is None else op.ignore
    return tf.cross_entropy(scores, labels, ignore_index=ignored, label_smoothing=op.smoothing, reduction=op.reduction)


def _hinge(op: Any, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    losses = (1 - x * target).clamp(min=0)
    return losses if op.reduction == "none" else getattr(losses, op.reduction)()


def _divergence(op: Any, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    losses = tf.kl_div(x, target, reduction="none" if op.reduction == "mean" else op.reduction)
    return losses.mean() if op.reduction == "mean" else losses


def _contrastive(op: Any, scores: torch.Tensor) -> torch.Tensor:
    place = torch.arange(len(scores))
    return (tf.cross_entropy(scores, place) + tf.cross_entropy(scores.T, place)) / 2


def _gaussian_kl(op: Any, mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    standard = torch.distributions.Normal(torch.zeros_like(mean), 1)
    given = torch.distributions.Normal(mean, torch.exp(logvar / 2))
    return torch.distributions.kl_divergence(given, standard).sum() / len(mean)


ORACLES |= {
    name: _torch(function)
    for name, function in {
        "squared_error": lambda op, x, y: tf.mse_loss(x, y, reduction=op.reduction),
        "absolute_error": lambda op, x, y: tf.l1_loss(x, y, reduction=op.reduction),
        "huber": lambda op, x, y: tf.huber_loss(x, y, reduction=op.reduction, delta=op.delta),
        "hinge": _hinge,
        "binary_cross_entropy": lambda op, x, y: tf.binary_cross_entropy(x, y.double(), reduction=op.reduction),
        "binary_cross_entropy_scores": lambda op, x, y: tf.binary_cross_entropy_with_logits(
            x, y.double(), reduction=op.reduction
        ),
        "kl_divergence": _divergence,
        "gaussian_kl": _gaussian_kl,
        "cross_entropy": _cross_entropy,
        "zero_one": lambda op, x, y: (x.argmax(op.axis) != y).double().mean(),
        "contrastive": _contrastive,
    }.items()
}

# ---- boxes


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _box_iou(op: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.ndim == 3:
        return np.stack([_box_iou(op, a, b) for a, b in zip(x, y, strict=True)])
    return np.array([[_overlap(a, b) for b in y] for a in x])


def _suppressed(op: Any, boxes: np.ndarray, scores: np.ndarray) -> list[np.ndarray]:
    """Each class by itself, then the best of all."""
    pictures, limit = len(boxes), op.limit
    kept_boxes, kept_scores = np.zeros((pictures, limit, 4)), np.zeros((pictures, limit))
    classes, count = np.full((pictures, limit), -1), np.zeros(pictures, np.int64)
    for n in range(pictures):
        order = sorted(np.ndindex(scores[n].shape), key=lambda at: -scores[n][at])[: op.candidates]
        kept = []
        for kind in range(scores.shape[2]):
            mine: list[int] = []
            for box in (at[0] for at in order if at[1] == kind and scores[n][at] > op.score):
                if all(_overlap(boxes[n, box], boxes[n, other]) <= op.iou for other in mine):
                    mine.append(box)
            kept += [(-scores[n, box, kind], box, kind) for box in mine]
        for place, (score, box, kind) in enumerate(sorted(kept)[:limit]):
            kept_boxes[n, place], kept_scores[n, place], classes[n, place] = boxes[n, box], -score, kind
        count[n] = min(len(kept), limit)
    return [kept_boxes, kept_scores, classes, count]


ORACLES |= {"box_iou": _box_iou, "non_max_suppression": _suppressed}

# ---- layouts


def _conv_channels_last(op: Any, x: Any, w: Any) -> Any:
    spatial = "DHW"[5 - x.ndim :]
    ones = (1,) * len(spatial)
    return jax.lax.conv_general_dilated(
        x,
        w,
        op.stride or ones,
        op.padding or ((0, 0),) * len(spatial),
        op.input_dilation or ones,
        op.window_dilation or ones,
        dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
        feature_group_count=op.groups,
        precision=jax.lax.Precision.HIGHEST,
    )


ORACLES["conv_channels_last"] = _conv_channels_last
