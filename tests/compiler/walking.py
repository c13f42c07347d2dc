"""A kernel in NumPy: walks the index space of a fused region, so that moves are no work, and addresses say all."""

from __future__ import annotations

import numpy as np

from netwright.compiler.evaluate import evaluate
from netwright.compiler.fusion import Space, space
from netwright.compiler.fusion.space import split
from netwright.compiler.fusion.views import is_move, is_reduction
from netwright.compiler.ir import Graph, Value
from netwright.compiler.ir.dims import substitute


def walk(region: Graph, arrays: list[np.ndarray], sizes: dict[str, int]) -> list[np.ndarray]:
    """The results of a region from its index space. An anchor and its prologue run by their meaning."""
    found = space(region)
    extent = [int(substitute(axis.size, sizes)) for axis in found.axes]  # type: ignore[arg-type]
    away = tuple(place for place, axis in enumerate(found.axes) if axis.reduced)
    before, anchor, after = split(region)
    given = dict(zip(region.inputs, arrays, strict=True))
    if anchor is not None:
        outputs = evaluate(Graph(region.inputs, (*before, anchor), anchor.outputs), arrays, sizes)
        given |= dict(zip(anchor.outputs, outputs, strict=True))
    walked = {value: spread(array, found, value, extent) for value, array in given.items() if value in found.views}
    for node in after:
        operands = [walked[value] for value in node.inputs]
        if is_move(node):
            (result,) = operands
        elif is_reduction(node):
            whole = [extent[place] if place in away else size for place, size in enumerate(operands[0].shape)]
            result = type(node.op).compute(np.broadcast_to(operands[0], whole), axis=away, keepdims=True)  # type: ignore[attr-defined]
        else:
            result = np.asarray(node.op.resolve(sizes).meaning(*np.broadcast_arrays(*operands) if operands else ()))
            result = result.reshape((1,) * len(extent)) if result.ndim == 0 else result
        walked[node.output] = result
    return [gathered(walked[value], found, value, extent, sizes) for value in region.outputs]


def spread(array: np.ndarray, found: Space, value: Value, extent: list[int]) -> np.ndarray:
    """An array along all axes of the space, of size 1 where it does not vary."""
    flat = [axis for group in found.views[value] for axis in group]
    ordered = array.reshape([extent[axis] for axis in flat]).transpose(np.argsort(flat))
    return ordered.reshape([extent[axis] if axis in flat else 1 for axis in range(len(extent))])


def gathered(array: np.ndarray, found: Space, value: Value, extent: list[int], sizes: dict[str, int]) -> np.ndarray:
    """The inverse of `spread`."""
    flat = [axis for group in found.views[value] for axis in group]
    whole = np.broadcast_to(array, [extent[axis] if axis in flat else 1 for axis in range(len(extent))])
    inner = whole.reshape([extent[axis] for axis in sorted(flat)]).transpose(np.argsort(np.argsort(flat)))
    return inner.reshape([int(substitute(size, sizes)) for size in value.type.shape])  # type: ignore[arg-type]
