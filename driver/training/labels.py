"""Which whole numbers may be labels, read off the graph: the classes of the scores that a loss compares them with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...compiler.passes.context import Context
from ...compiler.passes.inline import inline
from ...compiler.training.plan import TrainingPlan


@dataclass(frozen=True, slots=True)
class Bounds:
    """Whole numbers from ``low`` to ``high``, and ``besides``; ``why`` says who wants it so."""

    low: int
    high: int
    why: str
    besides: int | None = None


def label_bounds(plan: TrainingPlan) -> Mapping[str, Bounds]:
    """The bounds of inputs that are the labels of a loss or the indices of a gather, where their number is known."""
    found: dict[str, Bounds] = {}
    for learner in plan.learners:
        (entry,) = inline(learner.program, Context()).entries.values()
        ports = dict(zip(entry.graph.inputs, entry.inputs, strict=False))
        for node in entry.graph.nodes:
            op = node.op
            if op.name == "cross_entropy":
                scores, labels = node.inputs[:2]
                size, what = scores.type.shape[op.axis], "classes"  # type: ignore[attr-defined]
            elif op.name in ("gather", "embedding"):
                values, labels = node.inputs[:2]
                size, what = values.type.shape[getattr(op, "axis", 0)], "rows"
            else:
                continue
            port = ports.get(labels)
            if port is not None and isinstance(size, int) and port.type.dtype.kind == "int":
                besides = getattr(op, "ignore", None)
                found.setdefault(port.name, Bounds(0, size - 1, f"{op.name} of {size} {what}", besides))
    return found
