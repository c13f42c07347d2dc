"""The page of ops and layers, from their declarations."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ...compiler.differentiate import how_differentiated
from ...compiler.ir import Op
from ...compiler.ir.op import Precision
from ...compiler.ops import OPS
from ...spec.layers import LAYERS
from .pages import NOTE


def ops_page() -> str:
    """Every op and layer, by family: formula, fields, operands, results, numerics, source."""
    lines = ["# Ops and layers\n", NOTE]
    lines.append(
        "An **op** computes; a **layer** is an op that owns parameters. Both stand in a graph as `{op: NAME, ...}`. "
        "Ops without required fields can also be called in formulas: `tanh(c)`, `where(m, a, b)`. "
        "`x?` is an optional operand, `xs*` a list. A gradient is *declared* by the op itself, or it is that *of the "
        "decomposition* or *of the region*, or *zero* where small changes do not move the result, or *refused*.\n"
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
    if isinstance(declared, type) and issubclass(declared, Op) and declared.operands:
        lines.append(f"- gradient: {how_differentiated(declared)}")
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
