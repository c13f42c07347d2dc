"""Gradients where sizes are known at the run only: one graph of the gradient for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as tf

from netwright.compiler.differentiate import differentiable, pullback
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, DType, Entry, Graph, Op, OpError, Port, Program, TensorType, Value
from netwright.compiler.ir.dims import substitute, symbol
from netwright.compiler.ops import OPS
from netwright.compiler.ops.samples import types
from netwright.compiler.ops.tensor import Tensor

from .pulling import differentiable_samples, flat, floats, gradients, random_seeds, wide

KNOWN = ("adaptive_avg_pool2d", "rotary", "scan", "cond")
"""Ops that want to know their sizes, or whose regions have types of their own."""


def backward(op: Op, given: list[TensorType]) -> Graph:
    """From operands of these types and the gradients of the results to the gradients of the float operands."""
    build = Builder()
    inputs = [Value(type) for type in given]
    graph = build.graph(inputs, build.emit(op, inputs))
    ports = tuple(Port(f"x{k}", value.type) for k, value in enumerate(graph.inputs))
    names = tuple(f"y{k}" for k in range(len(graph.outputs)))
    graph = differentiable(Program("p", {"main": Entry("main", graph, ports, (), (), names)})).entries["main"].graph
    build = Builder(nodes=list(graph.nodes))
    seeds = {value: Value(value.type) for value in graph.outputs if value.type.dtype.is_float}
    wrt = [value for value in graph.inputs if value.type.dtype.is_float]
    found = pullback(build, {value: Tensor(build, seed) for value, seed in seeds.items()}, wrt)
    outputs = [
        Tensor(build, value).like(0).value if tensor is None else tensor.value
        for tensor, value in zip(found, wrt, strict=True)
    ]
    return build.graph((*graph.inputs, *seeds.values()), outputs)


def test_every_gradient_with_all_sizes_unknown() -> None:
    """Each size of 2 or more becomes a symbol; put in again, they give the gradient of the known sizes."""
    covered, refused = set(), set()
    for name, sample in differentiable_samples():
        op, arrays = flat(sample)
        if op.name in KNOWN or any(array.size == 0 for array in arrays):
            continue
        sizes = {f"S{size}": size for array in arrays for size in array.shape if size > 1}
        given = [
            TensorType(DType.of(array), tuple(symbol(f"S{size}", 1) if size > 1 else size for size in array.shape))
            for array in arrays
        ]
        try:
            graph = backward(op, given)
        except OpError:
            refused.add(op.name)
            continue
        covered.add(op.name)
        seeds = random_seeds(sample)
        inputs = [*wide(sample), *(seed.astype(np.float64) for seed in seeds if seed is not None)]
        with np.errstate(all="ignore"):
            found = evaluate(graph, inputs, sizes, wide=True)
            wanted = gradients(sample, seeds)
        numbers = [k for k, value in enumerate(graph.inputs) if value.type.dtype.is_float and k < len(arrays)]
        assert [k for k in numbers if arrays[k].size] == floats(sample)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, 1e-9, 1e-12, err_msg=name)
    assert refused - covered == set()
    assert {name for name, op in OPS.items() if op.gradient == "differentiable"} - covered == {*KNOWN, "call"}


WINDOWS: dict[str, tuple[str, dict[str, Any], Callable[..., torch.Tensor]]] = {
    "conv": ("conv", {"stride": (2, 3), "padding": ((1, 1), (0, 0))}, lambda x, w: tf.conv2d(x, w, None, (2, 3), (1, 0))),
    "conv_dilated": ("conv", {"stride": (3, 1), "window_dilation": (2, 1)}, lambda x, w: tf.conv2d(x, w, None, (3, 1), 0, (2, 1))),
    "conv_groups": ("conv", {"stride": (2, 2), "groups": 2}, lambda x, w: tf.conv2d(x, w, None, 2, 0, 1, 2)),
    "max_pool2d": ("max_pool2d", {"kernel": 3, "stride": 2, "padding": 1}, lambda x: tf.max_pool2d(x, 3, 2, 1)),
    "max_pool2d_ceil": ("max_pool2d", {"kernel": 3, "stride": 2, "ceil": True}, lambda x: tf.max_pool2d(x, 3, 2, ceil_mode=True)),
    "avg_pool2d": ("avg_pool2d", {"kernel": 3, "stride": 2}, lambda x: tf.avg_pool2d(x, 3, 2)),
    "avg_pool2d_ceil": (
        "avg_pool2d",
        {"kernel": 2, "stride": 2, "ceil": True},
        lambda x: tf.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False),
    ),
    "upsample": ("upsample2d", {"scale": 2, "mode": "bilinear"}, lambda x: tf.interpolate(x, scale_factor=2.0, mode="bilinear")),
    "mean": ("adaptive_avg_pool2d", {"size": 1}, lambda x: tf.adaptive_avg_pool2d(x, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_over_pictures_of_any_size(name: str) -> None:
    op, fields, function = WINDOWS[name]
    texts = ["float32[N, 4, H, W]"] + (["float32[6, 4, 3, 2]"] if op == "conv" else [])
    if fields.get("groups"):
        texts[1] = "float32[6, 2, 3, 2]"
    graph = backward(OPS[op](**fields), [type for type in types(*texts) if type is not None])
    draw = np.random.default_rng(0)
    for height, width in ((7, 5), (8, 6), (9, 7), (10, 9), (12, 4)):
        sizes = {"N": 2, "H": height, "W": width}
        arrays = [
            draw.normal(size=[int(substitute(size, sizes)) for size in value.type.shape]) for value in graph.inputs
        ]
        leaves = [torch.from_numpy(array).requires_grad_() for array in arrays[:-1]]
        result = function(*leaves)
        assert tuple(result.shape) == arrays[-1].shape
        result.backward(torch.from_numpy(arrays[-1]))
        for found, leaf in zip(evaluate(graph, arrays, sizes, wide=True), leaves, strict=True):
            np.testing.assert_allclose(found, leaf.grad.numpy(), 1e-9, 1e-12)
