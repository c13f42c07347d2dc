"""The page of what each target takes, from the claims of its backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...backends import registry
from ...compiler.ir import Builder, DType, Op, OpError, Sample, TensorType, Value
from ...compiler.ops import OPS
from .pages import NOTE

MATRIX_DTYPES = (DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16, DType.INT64, DType.BOOL)
TARGETS = ("numpy", "triton", "jax", "onnx")


def support_page() -> str:
    """Op x target x dtype: taken as it is, decomposed, computed in float32, or refused with the reason."""
    lines = ["# What each target takes\n", NOTE]
    lines.append(
        "`yes`: emitted as it is. `parts`: emitted as the ops it is made of. `f32`: computed in float32 between casts. "
        "Anything else is refused; the reason stands below. The reference takes everything, in float64.\n"
    )
    dtypes = [dtype.value for dtype in MATRIX_DTYPES]
    reasons: dict[str, None] = {}
    for target in TARGETS:
        backend = registry.get(target)
        lines.append(f"## {target}\n")
        lines.append("| op | " + " | ".join(dtypes) + " |")
        lines.append("|---|" + "---|" * len(dtypes))
        for name in sorted(OPS):
            cells = [_cell(backend.claims, OPS[name], dtype, target, reasons) for dtype in MATRIX_DTYPES]
            if any(cells):
                lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    if reasons:
        lines += ["## Refused\n", *(f"- {reason}" for reason in reasons), ""]
    return "\n".join(lines)


def _cell(
    claims: Callable[[Any], str | None], declared: type[Op], dtype: DType, target: str, reasons: dict[str, None]
) -> str:
    node = _sample_node(declared, dtype)
    if node is None:
        return ""
    reason = claims(node)
    if reason is None:
        return "yes"
    if declared.is_composite():
        return "parts"
    if dtype.is_half:
        return "f32"
    reasons[f"{target}, `{declared.name}` in {dtype}: {reason}"] = None
    return "no"


def _sample_node(declared: type[Op], dtype: DType) -> Any:
    """A node of the op whose first operand has this dtype, from its samples; None if there is none."""
    for sample in declared.samples():
        node = _converted(sample, dtype)
        if node is not None:
            return node
    return None


def _converted(sample: Sample, dtype: DType) -> Any:
    arrays = sample.lined()
    given = [array for item in arrays for array in (item if isinstance(item, list) else [item]) if array is not None]
    if not given:
        return None
    first = DType.of(np.asarray(given[0]))

    def value(array: Any) -> Value:
        return Value(_type(np.asarray(array), first, dtype))

    arguments = [
        None if item is None else [value(array) for array in item] if isinstance(item, list) else value(item)
        for item in arrays
    ]
    build = Builder()
    try:
        op, flat = sample.op.with_present(arguments)
        build.emit(op, flat, sample.regions)
    except OpError:
        return None
    return build.nodes[-1]


def _type(array: Any, first: DType, dtype: DType) -> TensorType:
    own = DType.of(array)
    return TensorType(dtype if own is first else own, tuple(array.shape))
