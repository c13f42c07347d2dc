"""Gradients where sizes are known at the run only: one graph of the gradient for all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import DType, OpError, TensorType
from netwright.compiler.ir.dims import substitute, symbol
from netwright.compiler.ops import OPS

from .pictures import WINDOWS, of_pictures
from .pulling import applied, differentiable_samples, flat, floats, gradients, pulled_back, random_seeds, wide

KNOWN = ("adaptive_avg_pool2d", "rotary", "scan", "cond")
"""Ops that want to know their sizes, or whose regions have types of their own."""


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
            graph = pulled_back(applied(op, given), floats(sample))
        except OpError:
            refused.add(op.name)
            continue
        covered.add(op.name)
        seeds = random_seeds(sample)
        inputs = [*wide(sample), *(seed.astype(np.float64) for seed in seeds if seed is not None)]
        with np.errstate(all="ignore"):
            found = evaluate(graph, inputs, sizes, wide=True)
            wanted = gradients(sample, seeds)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, 1e-9, 1e-12, err_msg=name)
    assert refused - covered == set()
    assert {name for name, op in OPS.items() if op.gradient == "differentiable"} - covered == {*KNOWN, "call"}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_over_pictures_of_any_size(name: str) -> None:
    function = WINDOWS[name][2]
    graph = of_pictures(name)
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
