"""conv_channels_last: Winograd's filtering where that saves work, shifted lines if depthwise, else unrolled windows."""

from __future__ import annotations

from ....compiler.ir import AnyDim, Dim, Node, Shape, TensorType
from ....compiler.ir.dims import decide, product, substitute, symbols
from ....compiler.ops.channels_last import ConvChannelsLast
from ..code import Array, Buffer, Computed
from ..scope import OUT, Lowering, Scope

PICTURE = 224
"""What unknown sizes of a picture are taken for where two ways of computing are compared; unknown batches for 1."""
FEW = 32
"""Below so many tiles of 4 x 4 results, reading the transformed weights costs more than Winograd saves."""
SHORT = 256
"""Channels of a depthwise convolution below which a row of the result is worth being one line."""


def typical(shape: Shape) -> tuple[int, ...]:
    """The shape of a batch of pictures with numbers for symbols."""
    return tuple(_typical(size, 1 if axis == 0 else PICTURE) for axis, size in enumerate(shape))


def _typical(size: AnyDim, value: int) -> int:
    if not isinstance(size, Dim):
        return size
    found = substitute(size, {each.name: min(max(value, each.low), each.high) for each in symbols(size)})
    assert isinstance(found, int)
    return found


def winograd_saves(op: ConvChannelsLast, w: Shape, result: TensorType) -> bool:
    """Whether Winograd's filtering takes a convolution, and less time than unrolled windows."""
    if w[:-2] != (3, 3) or op.groups != 1 or result.dtype.value != "float32":
        return False
    if any(step != 1 for step in (*op.stride, *op.window_dilation)) or not all(isinstance(size, int) for size in w):
        return False
    batch, rows, columns, _ = typical(result.shape)
    channels, filters = typical(w[-2:])
    tiles = batch * -(-rows // 4) * -(-columns // 4)
    # Multiplications of a tile: saved in the products, added by the transforms.
    return tiles >= FEW and 108 * channels * filters > 2 * 36 * (36 * channels + 16 * filters)


def _conv(scope: Scope, node: Node, x: Array, w: Array) -> Array:
    return conv(scope, node.op, x, w, node.output.type)


def conv(scope: Scope, op: object, x: Array, w: Array, type: TensorType, finish: str = "") -> Array:
    """The convolution; ``finish`` is the text of a function for its tiles (see the kernels)."""
    assert isinstance(op, ConvChannelsLast)
    x, w = scope.spelled(x), scope.contiguous(w)
    x = x if x.strides[-1] == 1 else scope.copy(x)
    low = tuple(before for before, _ in op.padding)
    depth = product(w.shape[:-1])
    if op.groups > 1 and decide(w.shape[-2], "==", 1) and decide(w.shape[-1], "==", op.groups):
        return _depthwise(scope, op, x, w, type, low, finish)
    if winograd_saves(op, w.shape, type):
        return _winograd(scope, x, w, type, low, finish)
    bare = not any(map(any, op.padding))
    direct = bare and op.groups == 1 and depth == w.shape[-2] and all(step == 1 for step in op.stride)
    facts = (x.shape[0], depth * op.groups, type.shape[1], product(type.shape[2:-1]))
    columns: Buffer | str = "None"
    padded: Buffer | str = "None"
    if not direct:
        columns = Buffer(x.dtype, (Computed(scope.kernel("last_columns"), facts),))
    if not bare:
        padded = Buffer(x.dtype, (Computed(scope.kernel("last_band"), (*facts, *_reach(op, w, type))),))
    name = f"{scope.kernel('last_conv')}({{}}, {{}}, {op.stride}, {low}, {op.window_dilation}, {op.groups}, {{}}, {{}}"
    return scope.fill(type, name + ", out={}" + finish + ")", x, w, padded, columns, OUT)


def _reach(op: ConvChannelsLast, w: Array, type: TensorType) -> tuple[AnyDim, AnyDim, AnyDim]:
    """What a tile of rows sees of x: the step from row to row, the rows that one sees, the elements of a line."""
    (step, *steps), (gap, *gaps), (high, *others) = op.stride, op.window_dilation, w.shape[:-2]
    line: AnyDim = w.shape[-2] * op.groups
    for count, apart, size, spread in zip(type.shape[2:-1], steps, others, gaps, strict=True):
        line = line * ((count - 1) * apart + (size - 1) * spread + 1)
    return step, (high - 1) * gap + 1, line


def _winograd(scope: Scope, x: Array, w: Array, type: TensorType, low: tuple[int, ...], finish: str) -> Array:
    """The weights are transformed where they are known: for frozen ones, once."""
    turned = scope.view(w, scope.kernel("winograd_weights") + "({})", shape=w.shape, strides=w.strides)
    facts = (x.shape[0], w.shape[2], w.shape[3], type.shape[1], type.shape[2])
    scratch = Buffer(x.dtype, (Computed(scope.kernel("winograd_scratch"), facts),))
    name = f"{scope.kernel('winograd_conv')}({{}}, {{}}, {low}, {{}}, out={{}}{finish})"
    return scope.fill(type, name, x, turned, scratch, OUT)


def _depthwise(
    scope: Scope, op: ConvChannelsLast, x: Array, w: Array, type: TensorType, low: tuple[int, ...], finish: str
) -> Array:
    """One filter for each channel: lines of a row, each with its weight, added up."""
    filters = scope.reshape(w, (*w.shape[:-2], w.shape[-1]))
    repeat = len(op.stride) > 1 and op.stride[-1] == 1 and typical((w.shape[-1],))[0] < SHORT
    if repeat:
        # The rows of the result as lines: each channel's weight again for each point.
        shape = (*w.shape[:-2], type.shape[-2] * w.shape[-1])
        tile = "np.tile({}, (" + "1, " * (len(w.shape) - 2) + "{}))"
        strides = scope.array(TensorType(w.dtype, shape), Buffer(w.dtype, shape), scope.sizes).strides
        filters = scope.view(filters, tile, type.shape[-2], shape=shape, strides=strides)
    padded: Buffer | str = "None"
    if any(map(any, op.padding)):
        facts = (type.shape[1], product(type.shape[2:]), *_reach(op, w, type))
        padded = Buffer(x.dtype, (Computed(scope.kernel("depthwise_band"), facts),))
    name = f"{scope.kernel('last_depthwise')}({{}}, {{}}, {op.stride}, {low}, {op.window_dilation}, {{}}"
    return scope.fill(type, name + ", out={}" + finish + ")", x, filters, padded, OUT)


LOWERINGS: dict[str, Lowering] = {"conv_channels_last": _conv}
