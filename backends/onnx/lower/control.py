"""Loops and branches. A body sees what is outside it, so the constants of our isolated regions are captured by name."""

from __future__ import annotations

from collections.abc import Sequence

from ....compiler.ir import DType, Graph, Node, TensorType, Value
from ....compiler.ir.dims import bounds
from ..capabilities import Lowering
from ..emit import Emitter
from ..forms import Form
from ..model import Subgraph
from .shape import turned

_FLAG = TensorType(DType.BOOL, ())
_COUNT = TensorType(DType.INT64, ())


def _scan(e: Emitter, node: Node) -> None:
    op = node.op
    sequences = node.inputs[op.constants + op.carries :]  # type: ignore[attr-defined]
    # onnxruntime's Scan refuses sequences without rows.
    if op.until or not sequences or bounds(op.length)[0] == 0:  # type: ignore[attr-defined]
        _counted_loop(e, node)
    else:
        _scan_sequences(e, node)


def _split(node: Node) -> tuple[Sequence[Value], Sequence[Value], Sequence[Value]]:
    """Operands: constants, carries, sequences."""
    first = node.op.constants  # type: ignore[attr-defined]
    last = first + node.op.carries  # type: ignore[attr-defined]
    return node.inputs[:first], node.inputs[first:last], node.inputs[last:]


def _scan_sequences(e: Emitter, node: Node) -> None:
    """Scan: the carries as its state."""
    constants, carries, sequences = _split(node)
    (region,), op = node.regions, node.op
    outer = [e.form(value) for value in constants]
    names = [e.full(value) for value in (*carries, *sequences)]
    inputs = region.inputs[len(constants) :]
    with e.body() as nodes:
        given = [_named(e, value, "carry" if k < len(carries) else "row") for k, value in enumerate(inputs)]
        forms = [*(form.clone() for form in outer), *(form for _, form in given)]
        results = _emitted(e, region, forms)
        body = Subgraph(tuple(nodes), e.typed([name for name, _ in given], inputs), e.typed(results, region.outputs))
    stacked = len(region.outputs) - len(carries)
    backward = int(op.reverse)  # type: ignore[attr-defined]
    outputs = e.ops(
        "Scan",
        names,
        len(node.outputs),
        body=body,
        num_scan_inputs=len(sequences),
        scan_input_directions=[backward] * len(sequences),
        scan_output_directions=[backward] * stacked,
    )
    for value, name in zip(node.outputs, outputs, strict=True):
        e.set(value, name)


def _counted_loop(e: Emitter, node: Node) -> None:
    """Loop over the number of steps, rows gathered inside; for scans that walk along nothing, may take no
    step or end early."""
    constants, carries, sequences = _split(node)
    (region,), op = node.regions, node.op
    length, until, backward = op.length, op.until, op.reverse  # type: ignore[attr-defined]
    outer = [e.form(value) for value in constants]
    rows = [e.full(value) for value in sequences]
    start = [e.full(value) for value in carries]
    last_step = e.op("Sub", e.sizes.scalar(length), e.number(1, DType.INT64)) if backward and rows else ""
    inputs = region.inputs[len(constants) : len(constants) + len(carries)]
    with e.body() as nodes:
        step, flag = e.fresh(), e.fresh()
        e.hint(step, "step")
        e.hint(flag, "going")
        at = e.op("Sub", last_step, step) if last_step else step
        given = [_named(e, value, "carry") for value in inputs]
        here = [e.op("Gather", name, at, axis=0) for name in rows]
        seen = [
            Form.of(value.type, name)
            for value, name in zip(region.inputs[len(constants) + len(carries) :], here, strict=True)
        ]
        results = _emitted(e, region, [*(form.clone() for form in outer), *(form for _, form in given), *seen])
        values = region.outputs
        if until:
            going = e.op("Not", results[-1])
            results, values = results[:-1], values[:-1]
        else:
            going = e.op("Identity", flag)
        body = Subgraph(
            tuple(nodes),
            ((step, _COUNT), (flag, _FLAG), *e.typed([name for name, _ in given], inputs)),
            ((going, _FLAG), *e.typed(results, values)),
        )
    outputs = e.ops("Loop", [e.sizes.scalar(length), e.number(True, DType.BOOL), *start], len(node.outputs), body=body)
    for value, name in zip(node.outputs[: len(carries)], outputs[: len(carries)], strict=True):
        e.set(value, name)
    for value, name in zip(node.outputs[len(carries) :], outputs[len(carries) :], strict=True):
        e.set(value, _placed(e, name, value, until, backward))


def _placed(e: Emitter, stacked: str, value: Value, until: bool, backward: bool) -> str:
    """The rows of a loop at their places: turned if it walked from the end, the last repeated if it ended early."""
    if not until:
        return turned(e, stacked, [0]) if backward else stacked
    count = e.op("Shape", stacked, start=0, end=1)
    length = e.sizes.scalar(value.type.shape[0])
    places = e.op("Range", e.number(0, DType.INT64), length, e.number(1, DType.INT64))
    if backward:
        places = turned(e, places, [0])
    return e.op("Gather", stacked, e.op("Min", places, e.op("Sub", count, e.ints([1]))), axis=0)


def _named(e: Emitter, value: Value, hint: str) -> tuple[str, Form]:
    """A new input of a body."""
    name = e.fresh()
    e.hint(name, hint)
    return name, Form.of(value.type, name)


def _emitted(e: Emitter, region: Graph, forms: Sequence[Form]) -> list[str]:
    """Emit a region here; names that may be outputs of this body."""
    results = e.inline(region, forms)
    return e.own([e.at(form, form.shape) for form in results])


def _while(e: Emitter, node: Node) -> None:
    first = node.op.constants  # type: ignore[attr-defined]
    constants, carries = node.inputs[:first], node.inputs[first:]
    condition, body_region = node.regions
    outer = [e.form(value) for value in constants]
    start = [e.full(value) for value in carries]
    begun = [Form.of(value.type, name) for value, name in zip(carries, start, strict=True)]
    (flag_form,) = e.inline(condition, [*outer, *begun])
    begin = e.at(flag_form, ())
    inputs = body_region.inputs[first:]
    with e.body() as nodes:
        step, flag = e.fresh(), e.fresh()
        e.hint(step, "step")
        e.hint(flag, "going")
        given = [_named(e, value, "carry") for value in inputs]
        kept = [form.clone() for form in outer]
        results = e.inline(body_region, [*kept, *(form for _, form in given)])
        names = e.own([e.at(form, form.shape) for form in results])
        after = [Form.of(form.type, name) for form, name in zip(results, names, strict=True)]
        (again,) = e.inline(condition, [*(form.clone() for form in kept), *after])
        (going,) = e.own([e.at(again, ())])
        body = Subgraph(
            tuple(nodes),
            ((step, _COUNT), (flag, _FLAG), *e.typed([name for name, _ in given], inputs)),
            ((going, _FLAG), *e.typed(names, body_region.outputs)),
        )
    outputs = e.ops("Loop", ["", begin, *start], len(node.outputs), body=body)
    for value, name in zip(node.outputs, outputs, strict=True):
        e.set(value, name)


def _cond(e: Emitter, node: Node) -> None:
    condition, *operands = node.inputs
    flag = e.full(condition)
    outer = [e.form(value) for value in operands]
    branches: list[Subgraph] = []
    for region in node.regions:
        with e.body() as nodes:
            results = _emitted(e, region, [form.clone() for form in outer])
            branches.append(Subgraph(tuple(nodes), (), e.typed(results, region.outputs)))
    then, otherwise = branches
    outputs = e.ops("If", [flag], len(node.outputs), then_branch=then, else_branch=otherwise)
    for value, name in zip(node.outputs, outputs, strict=True):
        e.set(value, name)


LOWERINGS: dict[str, Lowering] = {
    "scan": Lowering(_scan),
    "while": Lowering(_while),
    "cond": Lowering(_cond),
}
