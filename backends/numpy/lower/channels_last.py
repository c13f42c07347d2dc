"""conv_channels_last: Winograd's filtering where that saves work, shifted lines if depthwise, else unrolled windows."""

from __future__ import annotations

from ....compiler.ir import AnyDim, Dim, DType, Node, Shape, TensorType
from ....compiler.ir.dims import decide, product
from ....compiler.ops.channels_last import ConvChannelsLast
from ....compiler.ops.contract import Convolution
from ..code import Array, Buffer, Computed
from ..layout import packed
from ..scope import OUT, Lowering, Recipe, Scope

FEW = 32
"""Below so many tiles of 4 x 4 results, reading the transformed weights costs more than Winograd saves."""
MANY = 64
"""A side of a picture that has more tiles than `FEW`."""
SHORT = 256
"""Channels of a depthwise convolution below which a row of the result is worth being one line."""


def winograd_saves(op: Convolution, window: Shape, channels: int, result: tuple[int, ...], dtype: DType) -> bool:
    """Whether Winograd's filtering takes a convolution to ``result`` [N, H, W, O], and saves time there."""
    if window != (3, 3) or op.groups != 1 or dtype is not DType.FLOAT32:
        return False
    if any(step != 1 for step in (*op.stride, *op.window_dilation)):
        return False
    batch, rows, columns, filters = result
    tiles = batch * -(-rows // 4) * -(-columns // 4)
    # Multiplications of a tile: saved in the products, added by the transforms.
    return tiles >= FEW and 108 * channels * filters > 2 * 36 * (36 * channels + 16 * filters)


def _conv(scope: Scope, node: Node, x: Array, w: Array) -> Array:
    recipe = conv_recipe(scope, node, x, w)
    return scope.fill(node.output.type, recipe.text + "out={})", *recipe.pieces, OUT)


def conv_recipe(scope: Scope, node: Node, x: Array, w: Array) -> Recipe:
    """The call of the kernel for a convolution."""
    op, type = node.op, node.output.type
    assert isinstance(op, ConvChannelsLast)
    x, w = scope.spelled(x), scope.contiguous(w)
    # What is padded is copied anyway.
    x = x if x.strides[-1] == 1 and any(map(any, op.padding)) else scope.contiguous(x)
    low = tuple(before for before, _ in op.padding)
    depth = product(w.shape[:-1])
    if op.groups > 1 and decide(w.shape[-2], "==", 1) and decide(w.shape[-1], "==", op.groups):
        return _depthwise(scope, op, x, w, type, low)
    (channels,) = scope.typical(w.shape[-2:-1])
    free = any(isinstance(size, Dim) for size in type.shape[1:3])
    typical = (1, MANY, MANY, *scope.typical(type.shape[3:])) if free else scope.typical(type.shape)
    if winograd_saves(op, w.shape[:-2], channels, typical, type.dtype):
        return _winograd(scope, x, w, type, low, free)
    bare = not any(map(any, op.padding))
    direct = bare and op.groups == 1 and depth == w.shape[-2] and all(step == 1 for step in op.stride)
    facts = (x.shape[0], 0 if direct else depth * op.groups, type.shape[1], product(type.shape[2:-1]), w.shape[-1])
    columns: Buffer | str = "None"
    padded: Buffer | str = "None"
    if not direct:
        columns = Buffer(x.dtype, (Computed(scope.kernel("last_columns"), facts),))
    if not bare:
        padded = Buffer(x.dtype, (Computed(scope.kernel("last_band"), (*facts, *_reach(op, w, type))),))
    name = f"{scope.kernel('last_conv')}({{}}, {{}}, {op.stride}, {low}, {op.window_dilation}, {op.groups}, "
    return Recipe(name + "{}, {}, ", (x, w, padded, columns), Computed("last_tile", facts))


def _reach(op: ConvChannelsLast, w: Array, type: TensorType) -> tuple[AnyDim, AnyDim, AnyDim]:
    """What a tile of rows sees of x: the step from row to row, the rows that one sees, the elements of a line."""
    (step, *steps), (gap, *gaps), (high, *others) = op.stride, op.window_dilation, w.shape[:-2]
    line: AnyDim = w.shape[-2] * op.groups
    for count, apart, size, spread in zip(type.shape[2:-1], steps, others, gaps, strict=True):
        line = line * ((count - 1) * apart + (size - 1) * spread + 1)
    return step, (high - 1) * gap + 1, line


def _winograd(scope: Scope, x: Array, w: Array, type: TensorType, low: tuple[int, ...], free: bool) -> Recipe:
    """The weights are transformed where they are known: for frozen ones, once.

    Where sizes are ``free``, each call sees whether they save anything, and the first that does transforms them.
    """
    way, make = ("filtered", "Filters") if free else ("winograd", "winograd_weights")
    turned = scope.view(w, scope.kernel(make) + "({})", shape=w.shape, strides=w.strides)
    facts = (x.shape[0], w.shape[2], w.shape[3], type.shape[1], type.shape[2])
    scratch = Buffer(x.dtype, (Computed(scope.kernel(f"{way}_scratch"), facts),))
    name = f"{scope.kernel(f'{way}_conv')}({{}}, {{}}, {low}, {{}}, "
    return Recipe(name, (x, turned, scratch), Computed(scope.kernel(f"{way}_rows"), facts))


def _depthwise(
    scope: Scope, op: ConvChannelsLast, x: Array, w: Array, type: TensorType, low: tuple[int, ...]
) -> Recipe:
    """One filter for each channel: lines of a row, each with its weight, added up."""
    filters = scope.reshape(w, (*w.shape[:-2], w.shape[-1]))
    if len(op.stride) > 1 and op.stride[-1] == 1 and scope.typical(w.shape[-1:])[0] < SHORT:
        # The rows of the result as lines: each channel's weight again for each point.
        shape = (*w.shape[:-2], type.shape[-2] * w.shape[-1])
        tile = "np.tile({}, (" + "1, " * (len(w.shape) - 2) + "{}))"
        filters = scope.view(filters, tile, type.shape[-2], shape=shape, strides=packed(shape))
    facts = (type.shape[1], product(type.shape[2:]))
    padded: Buffer | str = "None"
    if any(map(any, op.padding)):
        padded = Buffer(x.dtype, (Computed(scope.kernel("depthwise_band"), (*facts, *_reach(op, w, type))),))
    name = f"{scope.kernel('last_depthwise')}({{}}, {{}}, {op.stride}, {low}, {op.window_dilation}, {{}}, "
    return Recipe(name, (x, filters, padded), Computed("depthwise_tile", facts))


LOWERINGS: dict[str, Lowering] = {"conv_channels_last": _conv}
