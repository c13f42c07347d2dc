"""Primitives that read and write at places found at run time."""

from __future__ import annotations

from collections.abc import Sequence

from ....compiler.ir import Node, Shape
from ....compiler.ops.index import Gather, GatherElements, Scatter, ScatterElements
from ..code import Array, Piece
from ..scope import OUT, Lowering, Scope, compact


def _gather(scope: Scope, node: Node, x: Array, indices: Array) -> Array:
    assert isinstance(node.op, Gather)
    x, indices = scope.spelled(x), scope.spelled(indices)
    axis = node.op.axis
    if x.packed:
        # Any mode but "raise" writes to its place at once; what lies outside is undefined.
        return scope.fill(node.output.type, f"np.take({{}}, {{}}, axis={axis}, out={{}}, mode='clip')", x, indices, OUT)
    # np.take would copy all of x first.
    return scope.fill(node.output.type, scope.kernel("pick") + "({}, {}, {}, {})", x, indices, axis, OUT)


def _gather_elements(scope: Scope, node: Node, x: Array, indices: Array) -> Array:
    assert isinstance(node.op, GatherElements)
    kernel = scope.kernel("gather_elements")
    operands = (scope.spelled(x), scope.spelled(indices))
    return scope.fill(node.output.type, kernel + "({}, {}, {}, {})", *operands, node.op.axis, OUT)


def _scatter(scope: Scope, node: Node, x: Array, indices: Array, updates: Array) -> Array:
    assert isinstance(node.op, (Scatter, ScatterElements))
    kernel = scope.kernel(node.op.name + ("_add" if node.op.mode == "add" else ""))
    given, indices = compact(updates), scope.spelled(indices)
    result = scope.copy(x, block=scope.home(compact(x), given, indices, *x.shape))
    scope.run((*_call(kernel, result, indices, node.op.axis, given),), block=result.home)
    return result


def _call(name: str, *pieces: Piece) -> tuple[Piece, ...]:
    parts: list[Piece] = [name + "("]
    for position, piece in enumerate(pieces):
        parts += [", ", piece] if position else [piece]
    return (*parts, ")")


def _corner(x: Array, starts: Sequence[Array], sizes: Shape) -> tuple[str, list[Piece]]:
    """The index of a rectangle, moved so that it lies inside: a template and its pieces."""
    items: list[str] = []
    pieces: list[Piece] = []
    for start, size, whole in zip(starts, sizes, x.shape, strict=True):
        if size == whole:
            items.append(":")
            continue
        if isinstance(start.number, int) and isinstance(size, int) and isinstance(whole, int):
            first = min(max(start.number, 0), whole - size)
            items.append(f"{first}:{first + size}")
            continue
        items.append("within({}, {}, {})")
        pieces += [compact(start), size, whole]
    while items and items[-1] == ":":
        items.pop()
    return "[" + (", ".join(items) or "...") + "]", pieces


def _dynamic_slice(scope: Scope, node: Node, x: Array, starts: Sequence[Array]) -> Array:
    shape = node.output.type.shape
    if shape == x.shape:
        return x
    x = scope.spelled(x)
    scope.kernel("within")
    index, pieces = _corner(x, starts, shape)
    return scope.view(x, "{}" + index, *pieces, shape=shape, strides=x.strides)


def _dynamic_update_slice(scope: Scope, node: Node, x: Array, update: Array, starts: Sequence[Array]) -> Array:
    given = compact(update)
    if update.shape == x.shape:
        return update
    index, pieces = _corner(x, starts, update.shape)
    scope.kernel("within")
    block = scope.home(compact(x), given, *pieces, *x.shape)
    result = scope.copy(x, block=block)
    template = "{}" + index + " = {}"
    texts = template.split("{}")
    line: list[Piece] = [texts[0]]
    for piece, text in zip((result, *pieces, given), texts[1:], strict=True):
        line += [piece, text]
    scope.run(tuple(piece for piece in line if piece != ""), block=block)
    return result


LOWERINGS: dict[str, Lowering] = {
    "gather": _gather,
    "gather_elements": _gather_elements,
    "scatter": _scatter,
    "scatter_elements": _scatter,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
}
