"""Which whole numbers may be labels, read off the graph: the classes of the scores that a loss compares them with."""

from __future__ import annotations

from dataclasses import replace

from ..ir.program import Entry


def with_ranges(entry: Entry) -> Entry:
    """The entry, whose integer inputs have a range where they are labels of a loss or rows of a table of known size.

    Calls are inlined already. A range that the spec gives stays; labels among which one is ignored have none.
    """
    ports = dict(zip(entry.graph.inputs, entry.inputs, strict=False))
    for node in entry.graph.nodes:
        op = node.op
        if op.name == "cross_entropy":
            table, labels = node.inputs[:2]
            axis = getattr(op, "axis", -1)
        elif op.name == "gather":
            table, labels = node.inputs
            axis = getattr(op, "axis", 0)
        else:
            continue
        size, port = table.type.shape[axis], ports.get(labels)
        free = port is not None and port.range is None and port.type.dtype.kind == "int"
        if port is not None and free and isinstance(size, int) and getattr(op, "ignore", None) is None:
            ports[labels] = replace(port, range=(0, size - 1))
    return replace(entry, inputs=tuple(ports[value] for value in entry.graph.inputs[: len(entry.inputs)]))
