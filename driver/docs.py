"""The pages that are made from declarations: ops and layers, the support matrix, the zoo.

``python -m netwright.driver.docs`` writes them to ``docs/``; with ``--check`` it only says which are out of date.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ..backends import registry
from ..compiler.ir import Builder, DType, Op, OpError, Sample, TensorType, Value
from ..compiler.ir.op import Precision
from ..compiler.ops import OPS
from ..spec.layers import LAYERS
from ..spec.zoo_index import zoo_names
from .model import load

DOCS = Path(__file__).resolve().parent.parent / "docs"
MATRIX_DTYPES = (DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16, DType.INT64, DType.BOOL)
TARGETS = ("numpy", "triton", "jax", "onnx")
NOTE = "<!-- Made by `python -m netwright.driver.docs` from the declarations; do not edit. -->\n\n"


def ops_page() -> str:
    """Every op and layer, by family: formula, fields, operands, results, numerics, source."""
    lines = ["# Ops and layers\n", NOTE]
    lines.append(
        "An **op** computes; a **layer** is an op that owns parameters. Both stand in a graph as `{op: NAME, ...}`. "
        "Ops without required fields can also be called in formulas: `tanh(c)`, `where(m, a, b)`. "
        "`x?` is an optional operand, `xs*` a list.\n"
    )
    lines.append("## Layers\n")
    for name in sorted(LAYERS):
        lines.append(_card(LAYERS[name], list(LAYERS[name].operands), LAYERS[name].owned))
    families: dict[str, list[type[Op]]] = {}
    for declared in OPS.values():
        families.setdefault(declared.family or declared.__module__.rpartition(".")[2], []).append(declared)
    for family in sorted(families):
        lines.append(f"## {family[:1].upper()}{family[1:].replace('_', ' ')}\n")
        lines += [_card(op, list(op.operands), ()) for op in sorted(families[family], key=lambda op: op.name)]
    return "\n".join(lines)


def _card(declared: Any, operands: list[str], owned: tuple[str, ...]) -> str:
    lines = [f"### `{declared.name}`\n", _doc(declared), ""]
    lines.append(f"- operands: {', '.join(f'`{operand}`' for operand in operands) or 'none'}")
    if owned:
        lines.append(f"- parameters: {', '.join(f'`{name}`' for name in owned)} (each can be given as an operand)")
    fields = [_field(key, declared) for key in declared.model_fields if key != "present"]
    if fields:
        lines.append(f"- fields: {'; '.join(fields)}")
    if getattr(declared, "results", ()):
        lines.append(f"- results: {', '.join(f'`{name}`' for name in declared.results)}")
    if getattr(declared, "numerics", ""):
        lines.append(f"- numerics: {declared.numerics}")
    if getattr(declared, "precision_class", Precision.FOLLOW) is not Precision.FOLLOW:
        lines.append(f"- under a 16-bit policy: {declared.precision_class.value}")
    if declared.source:
        lines.append(f"- source: {declared.source}")
    return "\n".join(lines) + "\n"


def _doc(declared: Any) -> str:
    return inspect.cleandoc(declared.__doc__ or "").replace("``", "`")


def _field(key: str, declared: type[BaseModel]) -> str:
    field = declared.model_fields[key]
    text = f"`{key}`"
    if field.default is not PydanticUndefined:
        text += f" = {_default(field.default)}"
    return text + (f" ({field.description})" if field.description else "")


def _default(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_default, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


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


def zoo_page() -> str:
    """Every name of the zoo with its parameters."""
    lines = ["# The zoo\n", NOTE]
    lines.append("Trainable parameters, and buffers (running statistics) beside them. Use a name as `zoo:NAME`.\n")
    lines.append("| name | parameters | buffers | entries | what it is |")
    lines.append("|---|---:|---:|---|---|")
    for name, documents in zoo_names().items():
        if len(documents) != 1:
            continue
        model = load(f"zoo:{name}")
        if model.loaded.document.is_library:
            continue
        program = model.program
        trainable = sum(_size(p.type) for p in program.parameters.values() if p.trainable)
        fixed = sum(_size(p.type) for p in program.parameters.values() if not p.trainable)
        summary = str(model.loaded.document.summary or "")
        lines.append(f"| {name} | {trainable:,} | {fixed:,} | {', '.join(program.entries)} | {summary} |")
    return "\n".join(lines) + "\n"


def _size(type: Any) -> int:
    size = type.elements
    assert isinstance(size, int)
    return size


PAGES: dict[str, Callable[[], str]] = {"ops.md": ops_page, "support.md": support_page, "zoo.md": zoo_page}


def main(arguments: Iterable[str]) -> int:
    """Write the pages, or with ``--check`` compare them. The exit code is 1 if any is out of date."""
    check = "--check" in arguments
    stale = []
    for name, make in PAGES.items():
        path, text = DOCS / name, make()
        current = path.read_text(encoding="utf-8") if path.exists() else ""
        if text == current:
            continue
        stale.append(name)
        if not check:
            path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"docs/{name} is out of date; run python -m netwright.driver.docs" if check else f"wrote docs/{name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
