"""What each op becomes when an operand or its result is stored in another form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from ..ir.dims import Shape
from ..ir.graph import Builder, Node, Value
from ..ir.op import Access, Op
from ..ops.channels_last import ConvChannelsLast, kernel_to_last, to_last
from ..ops.contract import Conv, Dot
from ..ops.index import DynamicSlice, Gather
from ..ops.reduce import ArgMax, CumulativeSum, ReduceMax, ReduceMin, ReduceProd, ReduceSum, Reduction, TopK
from ..ops.shape import Broadcast, Concat, Pad, Reshape, Reverse, Slice, Transpose
from ..ops.window import Window, WindowMax, WindowMaxGrad, WindowSum
from . import products
from .form import Form
from .variant import RESULT, Emit, Variant

Propose = Callable[[Node, int, Form], Variant | None]


def propose(node: Node, at: int, form: Form) -> Variant | None:
    """The variant of a node one of whose operands (or its `RESULT`) has a form; None if it has none."""
    rule = _RULES.get(type(node.op))
    if rule is not None:
        return rule(node, at, form)
    if node.regions or len(node.outputs) != 1 or not node.inputs or set(node.op.access) != {Access.SAME}:
        return None
    return _same(node, at, form)


def channels_last(node: Node) -> Variant:
    """The variant of a `conv` whose channels are the last axis."""
    x, w = node.inputs
    rank = x.type.rank
    last = to_last(rank)
    fields = {key: value for key, value in node.op.fields().items() if key != "present"}

    def emit(build: Builder, inputs: Sequence[Value]) -> Sequence[Value]:
        return build.emit(ConvChannelsLast(**fields), inputs)

    operands = (Form.permuted(x.type.shape, last), Form.permuted(w.type.shape, kernel_to_last(rank)))
    return Variant(operands, (Form.permuted(node.output.type.shape, last),), emit)


def _natural(value: Value) -> Form:
    return Form.natural(value.type.shape)


def _like(form: Form, shape: Shape) -> Form | None:
    """The same order for another shape; None if an axis that is cut has another size there."""
    if form.shape == shape:
        return form
    sizes = zip(form.parts, form.shape, shape, strict=True)
    return form.with_sizes(shape) if all(len(parts) == 1 or old == new for parts, old, new in sizes) else None


def _all_like(node: Node, form: Form, emit: Emit, natural: Sequence[int] = ()) -> Variant | None:
    """Operands and results in one order, but for operands that stay natural."""
    operands = [
        _natural(value) if number in natural else _like(form, value.type.shape)
        for number, value in enumerate(node.inputs)
    ]
    results = [_like(form, value.type.shape) for value in node.outputs]
    if None in operands or None in results:
        return None
    return Variant(tuple(cast(list[Form], operands)), tuple(cast(list[Form], results)), emit)


def _as(op: Op) -> Emit:
    return lambda build, inputs: build.emit(op, inputs)


def _same(node: Node, at: int, form: Form) -> Variant | None:
    """Element by element."""
    if any(value.type.rank != node.output.type.rank for value in node.inputs):
        return None
    return _all_like(node, form, _as(node.op))


def _ordered(form: Form, items: Sequence[object], otherwise: object) -> tuple | None:
    """One item for each axis in the order of storage; an axis that is cut must have the item ``otherwise``."""
    if any(item != otherwise and not form.is_whole(axis) for axis, item in enumerate(items)):
        return None
    return tuple(items[axis] for axis, _ in form.order)


def _broadcast(node: Node, at: int, form: Form) -> Variant | None:
    op, (x,) = cast(Broadcast, node.op), node.inputs
    result = form if at == RESULT else _spread(op, x, form)
    if result is None:
        return None
    sizes, axes = x.type.shape, op.axes
    kept = [k for k, axis in enumerate(axes) if sizes[k] == op.shape[axis] and sizes[k] != 1]
    if any(sizes[k] != 1 and k not in kept for k in range(len(sizes))):
        return None
    parts = tuple(result.parts[axes[k]] if k in kept else (1,) for k in range(len(sizes)))
    named = {axes[k]: k for k in kept}
    order = [(named[axis], part) for axis, part in result.order if axis in named]
    small = Form(parts, (*order, *((k, 0) for k in range(len(sizes)) if k not in kept)))
    places = tuple(place for place, (axis, _) in enumerate(result.order) if axis in named)
    shape = result.stored

    def emit(build: Builder, inputs: Sequence[Value]) -> Sequence[Value]:
        value = inputs[0]
        if len(order) < value.type.rank:
            (value,) = build.emit(Reshape(shape=value.type.shape[: len(order)]), [value])
        return build.emit(Broadcast(shape=shape, axes=places), [value])

    return Variant((small,), (result,), emit)


def _spread(op: Broadcast, x: Value, form: Form) -> Form | None:
    """The form of the result of a broadcast that adds no axes, given that of its operand."""
    if len(op.shape) != x.type.rank or any(len(sizes) > 1 for sizes in form.parts):
        return None
    return form.with_sizes(op.shape)


def _reduce(node: Node, at: int, form: Form) -> Variant | None:
    op, (x,) = cast(Reduction, node.op), node.inputs
    axes = cast(tuple[int, ...], op.axes)
    if at == RESULT:
        if not op.keep or any(len(sizes) > 1 for sizes in form.parts):
            return None
        form = form.with_sizes(x.type.shape)
    places = tuple(sorted(place for axis in axes for place in form.places(axis)))
    whole = all(form.is_whole(axis) for axis in axes)
    result = form.with_ones(axes) if op.keep else form.without(axes)
    changed = op.model_copy(update={"axes": places, "keep": op.keep and whole})

    def emit(build: Builder, inputs: Sequence[Value]) -> Sequence[Value]:
        values = build.emit(changed, inputs)
        return values if whole or not op.keep else build.emit(Reshape(shape=result.stored), values)

    return Variant((form,), (result,), emit)


def _along(node: Node, at: int, form: Form) -> Variant | None:
    """`cumulative_sum` and `top_k`: along a whole axis."""
    axis = cast(int, node.op.fields()["axis"])
    if not form.is_whole(axis):
        return None
    return _all_like(node, form, _as(node.op.model_copy(update={"axis": form.place(axis)})))


def _arg_max(node: Node, at: int, form: Form) -> Variant | None:
    op = cast(ArgMax, node.op)
    if at == RESULT or not form.is_whole(op.axis):
        return None
    result = form.with_ones([op.axis]) if op.keep else form.without([op.axis])
    return Variant((form,), (result,), _as(op.model_copy(update={"axis": form.place(op.axis)})))


def _concat(node: Node, at: int, form: Form) -> Variant | None:
    op = cast(Concat, node.op)
    return _all_like(node, form, _as(Concat(axis=form.place(op.axis)))) if form.is_whole(op.axis) else None


def _slice(node: Node, at: int, form: Form) -> Variant | None:
    op, (x,) = cast(Slice, node.op), node.inputs
    steps = op.stride or (1,) * len(op.start)
    taken: list[object] = list(zip(op.start, op.stop, steps, strict=True))
    for axis, size in enumerate(x.type.shape):
        if not form.is_whole(axis) and taken[axis] != (0, size, 1):
            return None
    stored = form if at != RESULT else _like(form, x.type.shape)
    if stored is None:
        return None
    start, stop, stride = [], [], []
    for (axis, _), size in zip(stored.order, stored.stored, strict=True):
        whole = form.is_whole(axis)
        start.append(op.start[axis] if whole else 0)
        stop.append(op.stop[axis] if whole else size)
        stride.append(steps[axis] if whole else 1)
    return _all_like(node, form, _as(Slice(start=tuple(start), stop=tuple(stop), stride=tuple(stride))))


def _pad(node: Node, at: int, form: Form) -> Variant | None:
    op = cast(Pad, node.op)
    low, high = _ordered(form, op.low, 0), _ordered(form, op.high, 0)
    interior = _ordered(form, op.interior or (0,) * len(op.low), 0)
    if low is None or high is None or interior is None:
        return None
    return _all_like(node, form, _as(Pad(low=low, high=high, interior=interior)), natural=(1,))


def _reverse(node: Node, at: int, form: Form) -> Variant | None:
    places = [place for axis in cast(Reverse, node.op).axes for place in form.places(axis)]
    return _all_like(node, form, _as(Reverse(axes=tuple(sorted(places)))))


def _transpose(node: Node, at: int, form: Form) -> Variant | None:
    """The names of the axes change, nothing moves."""
    op = cast(Transpose, node.op)
    if at == RESULT:
        back = [op.axes.index(axis) for axis in range(len(op.axes))]
        return Variant((form.renamed(back),), (form,), lambda build, inputs: inputs)
    return Variant((form,), (form.renamed(op.axes),), lambda build, inputs: inputs)


def _reshape(node: Node, at: int, form: Form) -> Variant | None:
    """The parts of the axes are put together in another way, nothing moves."""
    (x,) = node.inputs
    other = form.reshaped(x.type.shape if at == RESULT else node.output.type.shape)
    if other is None:
        return None
    before, after = (other, form) if at == RESULT else (form, other)

    def emit(build: Builder, inputs: Sequence[Value]) -> Sequence[Value]:
        return inputs if before.stored == after.stored else build.emit(Reshape(shape=after.stored), inputs)

    return Variant((before,), (after,), emit)


def _window(node: Node, at: int, form: Form) -> Variant | None:
    op = cast(Window, node.op)
    rank = node.inputs[0].type.rank
    ones = (1,) * rank
    kernel, stride = _ordered(form, op.kernel, 1), _ordered(form, op.stride or ones, 1)
    padding, dilation = _ordered(form, op.padding or ((0, 0),) * rank, (0, 0)), _ordered(form, op.dilation or ones, 1)
    if kernel is None or stride is None or padding is None or dilation is None:
        return None
    fields = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    return _all_like(node, form, _as(op.model_copy(update=fields)))


def _gather(node: Node, at: int, form: Form) -> Variant | None:
    """The axes of the indices stand where the axis was."""
    op, (x, indices) = cast(Gather, node.op), node.inputs
    rank, axis = indices.type.rank, op.axis
    if at == 1 or (at == RESULT and rank != 1):
        return None
    if at == RESULT:
        if not form.is_whole(axis):
            return None
        form = form.with_sizes(x.type.shape)
    if not form.is_whole(axis):
        return None
    place = form.place(axis)
    moved = [(a if a < axis else a + rank - 1, part) for a, part in form.order]
    order = (*moved[:place], *((axis + k, 0) for k in range(rank)), *moved[place + 1 :])
    middle = tuple((size,) for size in indices.type.shape)
    result = Form((*form.parts[:axis], *middle, *form.parts[axis + 1 :]), order)
    return Variant((form, _natural(indices)), (result,), _as(Gather(axis=place)))


def _dynamic_slice(node: Node, at: int, form: Form) -> Variant | None:
    op, (x, *starts) = cast(DynamicSlice, node.op), node.inputs
    if at > 0 or any(len(sizes) > 1 for sizes in form.parts):
        return None
    axes = [axis for axis, _ in form.order]
    changed = DynamicSlice(sizes=tuple(op.sizes[axis] for axis in axes))

    def emit(build: Builder, inputs: Sequence[Value]) -> Sequence[Value]:
        return build.emit(changed, [inputs[0], *(inputs[1 + axis] for axis in axes)])

    natural = tuple(_natural(start) for start in starts)
    return Variant((form.with_sizes(x.type.shape), *natural), (form.with_sizes(op.sizes),), emit)


_RULES: dict[type[Op], Propose] = {
    Broadcast: _broadcast,
    **dict.fromkeys((ReduceSum, ReduceMax, ReduceMin, ReduceProd), _reduce),
    **dict.fromkeys((CumulativeSum, TopK), _along),
    ArgMax: _arg_max,
    Concat: _concat,
    Slice: _slice,
    Pad: _pad,
    Reverse: _reverse,
    Transpose: _transpose,
    Reshape: _reshape,
    **dict.fromkeys((WindowSum, WindowMax, WindowMaxGrad), _window),
    Gather: _gather,
    DynamicSlice: _dynamic_slice,
    Dot: products.of_operand,
    Conv: lambda node, at, form: None,
}
