"""The elementwise ops as expressions over tiles. 16-bit floats are float32 in registers, bools are int1."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ...compiler.ir import Dim, DType, Node
from ...compiler.ir.op import Op
from .kernel import INTERPRETED, Draft

NAMES = {
    DType.BOOL: "tl.int1",
    DType.INT8: "tl.int8",
    DType.UINT8: "tl.uint8",
    DType.INT32: "tl.int32",
    DType.UINT32: "tl.uint32",
    DType.INT64: "tl.int64",
    DType.FLOAT16: "tl.float16",
    DType.BFLOAT16: "tl.bfloat16",
    DType.FLOAT32: "tl.float32",
    DType.FLOAT64: "tl.float64",
}
"""How kernels name dtypes."""


def register(dtype: DType) -> DType:
    """The dtype in which values of ``dtype`` are computed."""
    return DType.FLOAT32 if dtype.is_half else dtype


def stored(dtype: DType) -> str:
    """The name of the dtype that is in memory: bool is int8."""
    return NAMES[DType.INT8 if dtype is DType.BOOL else dtype]


def literal(value: int | float | Dim, dtype: DType, draft: Draft) -> str:
    """A number as a scalar of its register dtype."""
    name = NAMES[register(dtype)]
    if isinstance(value, Dim):
        return f"tl.full((), {draft.size(value)}, {name})"
    return f"tl.full((), {plain(value, dtype)}, {name})"


def plain(value: int | float, dtype: DType) -> str:
    """A number as text, to stand beside a tile of its dtype."""
    if dtype is DType.BOOL:
        return str(bool(value))
    if not dtype.is_float:
        return str(int(value))
    if math.isnan(value) or math.isinf(value):
        return f'float("{"nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}")'
    if register(dtype) is DType.FLOAT32:
        short = str(np.float32(value))
        return repr(float(short)) if np.float32(short) == np.float32(value) else repr(float(value))
    return repr(float(value))


def bare(dtype: DType) -> bool:
    """Whether a number beside a tile of this dtype may stand as it is: Triton then takes the tile's dtype."""
    return register(dtype) in (DType.FLOAT32, DType.INT32, DType.INT64)


Write = Callable[[Draft, Op, DType, Sequence[str]], str]
"""From the draft, the op, the dtype of the first operand and the texts of operands to an expression."""


def _text(template: str) -> Write:
    return lambda draft, op, dtype, x: template.format(*x)


def _floating(single: str, double: str) -> Write:
    """Single precision asks for the function that rounds properly."""
    return lambda draft, op, dtype, x: (double if dtype is DType.FLOAT64 else single).format(*x)


def _by_kind(whole: str, floating: str) -> Write:
    return lambda draft, op, dtype, x: (floating if dtype.is_float else whole).format(*x)


def _helper(name: str) -> Write:
    return lambda draft, op, dtype, x: f"{draft.helper(name)}({', '.join(x)})"


def _extreme(whole: str, floating: str) -> Write:
    def write(draft: Draft, op: Op, dtype: DType, x: Sequence[str]) -> str:
        return f"{draft.helper(floating) if dtype.is_float else whole}({', '.join(x)})"

    return write


def _rounded(name: str) -> Write:
    """Whole numbers are rounded already."""
    return lambda draft, op, dtype, x: f"{name}({x[0]})" if dtype.is_float else x[0]


def _round(draft: Draft, op: Op, dtype: DType, x: Sequence[str]) -> str:
    return f"{draft.helper('round_even')}({x[0]})" if dtype.is_float else x[0]


def _div(draft: Draft, op: Op, dtype: DType, x: Sequence[str]) -> str:
    if not dtype.is_float:
        return f"({x[0]} // {x[1]})"
    return f"({x[0]} / {x[1]})" if dtype is DType.FLOAT64 else f"tl.div_rn({x[0]}, {x[1]})"


def _power(draft: Draft, op: Op, dtype: DType, x: Sequence[str]) -> str:
    return f"{draft.helper('power' if dtype.is_float else 'power_of_int')}({x[0]}, {x[1]})"


def _sign(draft: Draft, op: Op, dtype: DType, x: Sequence[str]) -> str:
    if dtype.is_float:
        return f"{draft.helper('sign')}({x[0]})"
    return f"(({x[0]} > 0).to({NAMES[dtype]}) - ({x[0]} < 0).to({NAMES[dtype]}))"


def _compare(draft: Draft, op: Op, dtype: DType, x: Sequence[str]) -> str:
    symbols = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
    return f"({x[0]} {symbols[op.direction]} {x[1]})"  # type: ignore[attr-defined]


def _absolute(draft: Draft, op: Op, dtype: DType, x: Sequence[str]) -> str:
    return x[0] if dtype in (DType.UINT8, DType.UINT32) else f"tl.abs({x[0]})"


EXPRESSIONS: dict[str, Write] = {
    "neg": _by_kind("(0 - {0})", "(-{0})"),
    "abs": _absolute,
    "sign": _sign,
    "floor": _rounded("tl.floor"),
    "round": _round,
    "exp": _text("tl.exp({0})"),
    "log": _text("tl.log({0})"),
    "sqrt": _floating("tl.sqrt_rn({0})", "tl.sqrt({0})"),
    "sin": _text("tl.sin({0})"),
    "cos": _text("tl.cos({0})"),
    "tanh": _helper("tanh"),
    "erf": _text("tl.erf({0})"),
    "sigmoid": _floating("tl.div_rn(1.0, 1 + tl.exp(-{0}))", "(1 / (1 + tl.exp(-{0})))"),
    "add": _text("({0} + {1})"),
    "sub": _text("({0} - {1})"),
    "mul": _text("({0} * {1})"),
    "div": _div,
    "rem": _text("({0} % {1})"),
    "pow": _power,
    "max": _extreme("tl.maximum", "larger"),
    "min": _extreme("tl.minimum", "smaller"),
    "and": _text("({0} & {1})"),
    "or": _text("({0} | {1})"),
    "xor": _text("({0} ^ {1})"),
    "not": _text("(~{0})"),
    "shift_left": _text("({0} << {1})"),
    "shift_right": _text("({0} >> {1})"),
    "compare": _compare,
    "where": _text("tl.where({0}, {1}, {2})"),
    "stop_gradient": _text("{0}"),
}
"""Every elementwise op but the casts, which stand below."""


def expression(draft: Draft, node: Node, operands: Sequence[str]) -> str:
    """The text of an elementwise node from the texts of its operands (atoms)."""
    op, type = node.op, node.inputs[0].type
    if op.name == "cast":
        return convert(draft, operands[0], type.dtype, node.output.type.dtype)
    if op.name == "bitcast":
        return bitcast(operands[0], type.dtype, node.output.type.dtype)
    return EXPRESSIONS[op.name](draft, op, type.dtype, operands)


def convert(draft: Draft, x: str, old: DType, new: DType) -> str:
    """The cast of a tile, by the contract of the op `cast`."""
    if old is new:
        return x
    name = NAMES[new]
    if new is DType.BOOL:
        return f"({x} != 0)"
    if new.is_half:
        # Rounded here, though it goes on as float32. Of whole numbers and doubles, float32 is the way there.
        single = x if register(old) is DType.FLOAT32 else f"{x}.to(tl.float32)"
        return f"{narrowed(draft, single, new)}.to(tl.float32)"
    if old.is_float and not new.is_float:
        return _saturated(draft, x, register(old), new)
    if register(old) is new:
        return x
    return f"{x}.to({name})"


def narrowed(draft: Draft, x: str, dtype: DType) -> str:
    """A tile in the dtype of registers as memory holds it."""
    if dtype is DType.BFLOAT16:
        # The interpreter's own cast drops bits instead of rounding.
        draft.special.add(INTERPRETED)
        return f"{draft.helper('to_bfloat16')}({x}, {INTERPRETED})"
    if dtype is DType.BOOL or dtype.is_half:
        return f"{x}.to({stored(dtype)})"
    return x


def _saturated(draft: Draft, x: str, old: DType, new: DType) -> str:
    limits = np.iinfo(new.numpy)
    low, high = float(limits.min), float(limits.max)
    if old is DType.FLOAT64 and new is DType.INT64:
        high = 2.0**63
    if old is DType.FLOAT32:
        low, high = float(np.float32(low)), float(np.float32(high))
    wide = "tl.int32" if new.bytes == 1 or new is DType.INT32 else "tl.int64"
    helper = draft.helper("saturated")
    return f"{helper}({x}, {low!r}, {high!r}, {limits.min}, {limits.max}, {wide}).to({NAMES[new]})"


def bitcast(x: str, old: DType, new: DType) -> str:
    """The bits of a tile as another dtype."""
    return x if old is new else f"{x}.to({NAMES[new]}, bitcast=True)"
