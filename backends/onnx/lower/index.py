"""Primitives that read and write at places found at run time."""

from __future__ import annotations

from collections.abc import Sequence

from ....compiler.ir import AnyDim, DType, Node, Value
from ..capabilities import Lowering
from ..emit import Emitter


def _gather(e: Emitter, node: Node) -> None:
    x, indices = node.inputs
    e.set(node.output, e.op("Gather", e.full(x), e.full(indices), axis=node.op.axis))  # type: ignore[attr-defined]


def _gather_elements(e: Emitter, node: Node) -> None:
    x, indices = node.inputs
    e.set(node.output, e.op("GatherElements", e.full(x), e.full(indices), axis=node.op.axis))  # type: ignore[attr-defined]


def _scatter(e: Emitter, node: Node) -> None:
    """As ScatterElements with the indices repeated: ScatterND runs in parallel, and equal indices would race."""
    x, indices, updates = node.inputs
    axis, mode = node.op.axis, node.op.mode  # type: ignore[attr-defined]
    rank = indices.type.rank
    inside = x.type.rank - axis - 1
    count = indices.type.elements
    flat = (*x.type.shape[:axis], count, *x.type.shape[axis + 1 :])
    places = e.at(e.form(indices), (count, *(1,) * inside) if rank != 1 or inside else (count,))
    places = e.op("Expand", places, e.sizes.vector(flat)) if axis or inside else places
    written(e, node, e.full(x), places, e.at(e.form(updates), flat), axis, mode)


def _scatter_elements(e: Emitter, node: Node) -> None:
    x, indices, updates = map(e.full, node.inputs)
    written(e, node, x, indices, updates, node.op.axis, node.op.mode)  # type: ignore[attr-defined]


def written(e: Emitter, node: Node, x: str, indices: str, updates: str, axis: int, mode: str) -> None:
    """Set the result to x with elements along an axis written."""
    attributes = {"reduction": "add"} if mode == "add" else {}
    e.set(node.output, e.op("ScatterElements", x, indices, updates, axis=axis, **attributes))


def _adds_halves(node: Node, opset: int) -> str | None:
    op, dtype = node.op, node.inputs[0].type.dtype
    if op.mode == "add" and (dtype.is_half or dtype is DType.BOOL):  # type: ignore[attr-defined]
        return f"onnxruntime does not add {dtype.value} at places"
    return None


def _dynamic_slice(e: Emitter, node: Node) -> None:
    x, *starts = node.inputs
    sizes = node.op.sizes  # type: ignore[attr-defined]
    axes = [k for k, size in enumerate(x.type.shape) if sizes[k] != size]
    if not axes:
        e.alias(node.output, e.form(x))
        return
    first = _clamped(e, [starts[k] for k in axes], [x.type.shape[k] - sizes[k] for k in axes])
    last = _added(e, first, e.sizes.vector([sizes[k] for k in axes]))
    e.set(node.output, e.op("Slice", e.full(x), first, last, e.ints(axes)))


def _clamped(e: Emitter, starts: Sequence[Value], highest: Sequence[AnyDim]) -> str:
    """Starts as a list, moved into 0 ... highest."""
    key = ("clamped", *starts, *highest)
    if key not in e.memo:
        parts = [e.at(e.form(start), (1,)) for start in starts]
        together = parts[0] if len(parts) == 1 else e.op("Concat", *parts, axis=0)
        e.memo[key] = e.op("Min", e.op("Max", together, e.ints([0])), e.sizes.vector(highest))
    return e.memo[key]


def _added(e: Emitter, first: str, size: str) -> str:
    key = ("behind", first, size)
    if key not in e.memo:
        e.memo[key] = e.op("Add", first, size)
    return e.memo[key]


def _dynamic_update_slice(e: Emitter, node: Node) -> None:
    x, update, *starts = node.inputs
    sizes = update.type.shape
    axes = [k for k, size in enumerate(x.type.shape) if sizes[k] != size]
    if not axes:
        e.alias(node.output, e.form(update))
        return
    result = _replaced(e, e.full(x), e.full(update), x, sizes, starts, axes)
    e.set(node.output, result)


def _replaced(
    e: Emitter, x: str, update: str, value: Value, sizes: Sequence[AnyDim], starts: Sequence[Value], axes: list[int]
) -> str:
    """What stands before, at (replaced along the other axes) and behind the place on the first axis, put together."""
    axis, rest = axes[0], axes[1:]
    size = value.type.shape[axis]
    first = _clamped(e, [starts[axis]], [size - sizes[axis]])
    last = _added(e, first, e.sizes.one(sizes[axis]))
    where = e.ints([axis])
    if rest:
        update = _replaced(e, e.op("Slice", x, first, last, where), update, value, sizes, starts, rest)
    before = e.op("Slice", x, e.ints([0]), first, where)
    behind = e.op("Slice", x, last, e.sizes.one(size), where)
    return e.op("Concat", before, update, behind, axis=axis)


LOWERINGS: dict[str, Lowering] = {
    "gather": Lowering(_gather),
    "gather_elements": Lowering(_gather_elements),
    "scatter": Lowering(_scatter, refuse=_adds_halves),
    "scatter_elements": Lowering(_scatter_elements, refuse=_adds_halves),
    "dynamic_slice": Lowering(_dynamic_slice),
    "dynamic_update_slice": Lowering(_dynamic_update_slice),
}
