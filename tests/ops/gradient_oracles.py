"""What torch and jax say the gradients of each op are, by their own differentiation of the oracles of its meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from netwright.compiler.ir import Sample

from .oracles import ORACLES
from .primitive_oracles import ORACLES as PRIMITIVES
from .pulling import Seeds, flat, floats, wide

Function = Callable[..., Any]


def pulled(sample: Sample, seeds: Seeds) -> list[np.ndarray]:
    """The gradients of the float operands in float64 from those of the results."""
    function = torch_function(sample.op.name)
    return by_jax(sample, seeds) if function is None else by_torch(function, sample, seeds)


def torch_function(name: str) -> Function | None:
    """What an op is in torch; None if the tests know it in jax."""
    return TORCH.get(name) or getattr(ORACLES.get(name), "torch", None)


def by_torch(function: Function, sample: Sample, seeds: Seeds) -> list[np.ndarray]:
    """By torch.autograd."""
    op, _ = flat(sample)
    leaves = [torch.from_numpy(np.array(array)) for array in wide(sample)]
    for k in floats(sample):
        leaves[k].requires_grad_()
    # The oracles take the operands of a list one by one.
    lined = [each for given in op.arguments(leaves) for each in (given if isinstance(given, list) else [given])]
    answer = function(op, *lined)
    answers = answer if isinstance(answer, (list, tuple)) else [answer]
    pairs = [(y, seed) for y, seed in zip(answers, seeds, strict=True) if seed is not None and y.requires_grad]
    ends, starts = [y for y, _ in pairs], [torch.from_numpy(seed.astype(np.float64)) for _, seed in pairs]
    found = torch.autograd.grad(ends, [leaves[k] for k in floats(sample)], starts, allow_unused=True)
    return [
        np.zeros(leaves[k].shape) if gradient is None else gradient.numpy()
        for k, gradient in zip(floats(sample), found, strict=True)
    ]


def by_jax(sample: Sample, seeds: Seeds) -> list[np.ndarray]:
    """By jax.vjp."""
    op, _ = flat(sample)
    arrays, moved = wide(sample), floats(sample)

    def function(*given: Any) -> list[Any]:
        operands = list(arrays)
        for k, array in zip(moved, given, strict=True):
            operands[k] = array
        answer = (PRIMITIVES.get(op.name) or ORACLES[op.name])(op, *op.arguments(operands))
        answers = answer if isinstance(answer, (list, tuple)) else [answer]
        return [y for y, seed in zip(answers, seeds, strict=True) if seed is not None]

    with jax.enable_x64(True):
        _, pull = jax.vjp(function, *(jnp.asarray(arrays[k]) for k in moved))
        return [np.asarray(g) for g in pull([jnp.asarray(seed, np.float64) for seed in seeds if seed is not None])]


def _axes(op: Any, x: torch.Tensor) -> Any:
    return tuple(range(x.ndim)) if op.axes is None else op.axes


def _cropped(op: Any, x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    (h, w), (a, b) = x.shape[-2:], like.shape[-2:]
    return x[..., (h - a) // 2 :, (w - b) // 2 :][..., :a, :b]


def _padded(op: Any, x: torch.Tensor) -> torch.Tensor:
    sides = [side for pair in reversed(list(zip(op.low, op.high, strict=True))) for side in pair]
    return torch.nn.functional.pad(x, sides, value=op.fill)


def _written(op: Any, x: torch.Tensor, update: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    axis, size = op.axis % x.ndim, update.shape[op.axis]
    first = max(min(int(start), x.shape[axis] - size), 0)
    return torch.slice_scatter(x, update, axis, first, first + size)


def _rotary(op: Any, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    split = x.unflatten(2, (op.heads, -1))
    dims = op.dims or split.shape[-1]
    turned, rest = split[..., :dims], split[..., dims:]
    pairs = turned.unflatten(3, (dims // 2, 2)) if op.interleaved else turned.unflatten(3, (2, dims // 2)).mT
    angle = positions[..., None, None] / op.base ** (2 * torch.arange(dims // 2, dtype=x.dtype) / dims)
    numbers = torch.complex(pairs[..., 0], pairs[..., 1]) * torch.polar(torch.ones_like(angle), angle)
    both = torch.view_as_real(numbers)
    return torch.cat([(both if op.interleaved else both.mT).flatten(3), rest], 3).flatten(2)


def _dropped(op: Any, x: torch.Tensor, *key: torch.Tensor | None) -> torch.Tensor:
    kept = ORACLES["dropout"](op, np.ones(x.shape), *(None if each is None else each.numpy() for each in key))
    return x * torch.from_numpy(np.asarray(kept))


def _overlaps(op: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    a, b = x[..., :, None, :], y[..., None, :, :]
    sides = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    both = sides.clamp(min=0).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b)]
    union = areas[0] + areas[1] - both
    return torch.where(union > 0, both / torch.where(union > 0, union, 1), 0)


def _scattered(op: Any, x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor) -> torch.Tensor:
    return (torch.scatter if op.mode == "set" else torch.scatter_add)(x, op.axis, indices, updates)


def _moved_batch(op: Any, x: Any, scale: Any, shift: Any, mean: Any, variance: Any) -> list[torch.Tensor]:
    axes = (0, *range(2, x.ndim))
    shape = (1, -1) + (1,) * (x.ndim - 2)
    y = torch.nn.functional.batch_norm(x, None, None, scale, shift, training=True, eps=op.eps)
    count = x.numel() // x.shape[1]
    sample = x.var(axes, correction=0).reshape(shape).flatten() * count / max(count - 1, 1)
    seen = (x.mean(axes), sample)
    return [y, *(old * (1 - op.momentum) + new * op.momentum for old, new in zip((mean, variance), seen, strict=True))]


def _batch_norm(op: Any, x: Any, scale: Any, shift: Any, mean: Any, variance: Any) -> torch.Tensor:
    """By its formula: tf.batch_norm has no gradients of given statistics."""

    def along(vector: torch.Tensor) -> torch.Tensor:
        return vector.reshape(-1, *(1,) * (x.ndim - 2))

    y = (x - along(mean)) / torch.sqrt(along(variance) + op.eps)
    y = y if scale is None else y * along(scale)
    return y if shift is None else y + along(shift)


def _group_norm(op: Any, x: torch.Tensor, scale: Any, shift: Any) -> torch.Tensor:
    # A shift without a scale fails in torch's own gradient.
    scale = torch.ones(x.shape[1], dtype=x.dtype) if scale is None else scale
    return torch.nn.functional.group_norm(x, op.groups, scale, shift, op.eps)


def _window_max(op: Any, x: torch.Tensor) -> torch.Tensor:
    """The largest of the places of a window, one after the other: jax has no gradient of windows with gaps."""
    ones = (1,) * x.ndim
    padding = op.padding or ((0, 0),) * x.ndim
    padded = torch.nn.functional.pad(x, [side for pair in reversed(padding) for side in pair], value=-np.inf)
    views = []
    for place in np.ndindex(*op.kernel):
        read = []
        for size, at, k, stride, gap in zip(
            padded.shape, place, op.kernel, op.stride or ones, op.dilation or ones, strict=True
        ):
            read.append(slice(at * gap, at * gap + size - gap * (k - 1), stride))
        views.append(padded[tuple(read)])
    return torch.stack(views).max(0).values


TORCH: dict[str, Function] = {
    "cast": lambda op, x: x.double(),
    "erf": lambda op, x: torch.erf(x),
    "sigmoid": lambda op, x: torch.sigmoid(x),
    "gather_elements": lambda op, x, indices: torch.gather(x, op.axis, indices),
    "scatter_elements": _scattered,
    "max": lambda op, x, y: torch.maximum(x, y),
    "min": lambda op, x, y: torch.minimum(x, y),
    "pow": lambda op, x, y: torch.pow(x, y),
    "reduce_max": lambda op, x: torch.amax(x, _axes(op, x), op.keep) if _axes(op, x) != () else x,
    "reduce_min": lambda op, x: torch.amin(x, _axes(op, x), op.keep) if _axes(op, x) != () else x,
    "expm1": lambda op, x: torch.expm1(x),
    "log1p": lambda op, x: torch.log1p(x),
    "square": lambda op, x: torch.square(x),
    "mod": lambda op, x, y: torch.remainder(x, y),
    "reduce_mean": lambda op, x: torch.mean(x, _axes(op, x), op.keep),
    "reduce_variance": lambda op, x: torch.var(x, _axes(op, x), correction=op.correction, keepdim=op.keep),
    "sort": lambda op, x: torch.sort(x, dim=op.axis, descending=op.descending, stable=True),
    "cumulative_product": lambda op, x: torch.cumprod(x, op.axis),
    "matmul": lambda op, x, y: torch.matmul(x, y),
    "expand": lambda op, x: torch.broadcast_to(x, op.shape),
    "squeeze": lambda op, x: torch.squeeze(x) if op.axes is None else torch.squeeze(x, op.axes),
    "unsqueeze": lambda op, x: x.reshape(np.expand_dims(np.empty(x.shape), op.axes).shape),
    "stack": lambda op, *xs: torch.stack(xs, op.axis),
    "tile": lambda op, x: torch.tile(x, op.repeats),
    "repeat_elements": lambda op, x: torch.repeat_interleave(x, op.repeats, op.axis),
    "center_crop2d": _cropped,
    "roll": lambda op, x: torch.roll(x, op.shift, op.axis),
    "pad_constant": _padded,
    "lower_triangle": lambda op, x: torch.tril(x, op.diagonal),
    "upper_triangle": lambda op, x: torch.triu(x, op.diagonal),
    "update_slice": _written,
    "rotary": _rotary,
    "dropout": _dropped,
    "box_iou": _overlaps,
    "normalize_batch": _batch_norm,
    "normalize_group": _group_norm,
    "normalize_batch_training": _moved_batch,
    "window_max": _window_max,
}
