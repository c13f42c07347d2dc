"""Gradients of slices that stand side by side are joined; all others are padded and added as they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from netwright.compiler.differentiate import pullback
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, DType, TensorType, Value
from netwright.compiler.ir.graph import Graph
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.tensor import Tensor

SHAPE = (3, 8)


def split(x: Tensor) -> list[Tensor]:
    return [x[:, k : k + 2] for k in (0, 2, 4, 6)]


def gates(x: Tensor) -> Tensor:
    a, b, c, d = split(x)
    return fn.tanh(a) * b + c * fn.tanh(d)


def products(x: Tensor) -> Tensor:
    a, b, c, d = split(x)
    return c * (fn.tanh(a) * (d * b))


def inner_two(x: Tensor) -> Tensor:
    _, b, c, _ = split(x)
    return b * c


def outer_two(x: Tensor) -> Tensor:
    a, _, _, d = split(x)
    return a * d


def overlapping(x: Tensor) -> Tensor:
    return x[:, 0:5] * x[:, 3:8]


def stepped(x: Tensor) -> Tensor:
    return x[:, 0:8:2] * x[:, 1:8:2]


def torch_of(f: Callable[[Tensor], Tensor], x: torch.Tensor) -> torch.Tensor:
    a, b, c, d = (x[:, k : k + 2] for k in (0, 2, 4, 6))
    return {
        gates: lambda: torch.tanh(a) * b + c * torch.tanh(d),
        products: lambda: c * (torch.tanh(a) * (d * b)),
        inner_two: lambda: b * c,
        outer_two: lambda: a * d,
        overlapping: lambda: x[:, 0:5] * x[:, 3:8],
        stepped: lambda: x[:, 0:8:2] * x[:, 1:8:2],
    }[f]()


@pytest.mark.parametrize(
    ("f", "pads", "concats"),
    [
        (gates, 0, 1), (products, 0, 1), (inner_two, 1, 1),
        (outer_two, 2, 0), (overlapping, 2, 0), (stepped, 2, 0),
    ],
)  # fmt: skip
def test_slices(f: Callable[[Tensor], Tensor], pads: int, concats: int) -> None:
    build = Builder()
    x = Tensor(build, Value(TensorType(DType.FLOAT64, SHAPE)))
    y = f(x)
    seed = Tensor(build, Value(y.type))
    (gradient,) = pullback(build, {y.value: seed}, [x.value])
    assert gradient is not None
    graph = Graph((x.value, seed.value), tuple(build.nodes), (gradient.value,))
    generator = np.random.default_rng(0)
    given, pulled = generator.standard_normal(SHAPE), generator.standard_normal(y.shape)
    (got,) = evaluate(graph, [given, pulled], {})
    leaf = torch.from_numpy(given).requires_grad_()
    torch_of(f, leaf).backward(torch.from_numpy(pulled))
    np.testing.assert_allclose(got, leaf.grad.numpy(), rtol=1e-12, atol=1e-15)
    reached = _reached(graph)
    assert (reached.count("pad"), reached.count("concat")) == (pads, concats)


def _reached(graph: Graph) -> list[str]:
    """The ops that the result depends on."""
    makers, names, todo = graph.producers(), [], list(graph.outputs)
    seen = set()
    while todo:
        node = makers.get(todo.pop())
        if node is not None and id(node) not in seen:
            seen.add(id(node))
            names.append(node.op.name)
            todo.extend(node.inputs)
    return names
