"""What is declared beside the type of an input: the range of its values, and where a person's data comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

from ...compiler.ir import OpError, TensorType
from ..diagnostics import error_at
from ..model.declarations import InputSource
from ..model.formulas import Formula, StaticValue
from ..source import Span
from .fields import read_value
from .scope import Scope
from .types import check_number
from .values import describe


def whole(scope: Scope, formula: Formula) -> int:
    """The value of a formula that is a whole number. Raises SpecError."""
    value = scope.static(formula, "this")
    if not isinstance(value, int) or isinstance(value, bool):
        raise error_at(formula.span, f"a whole number stands here, not {describe(value)}")
    return value


def check_bounds(name: str, bounds: tuple[int, int], types: Sequence[TensorType], span: Span) -> None:
    """Raises SpecError unless the range of an input or a state holds values of its types."""
    if bounds[0] > bounds[1]:
        raise error_at(span, f"the range of `{name}` is empty: {bounds[0]} to {bounds[1]}")
    for type in types:
        if type.dtype.kind != "int":
            raise error_at(span, f"`range` is for whole numbers, `{name}` is {type}")
        limits = np.iinfo(type.dtype.numpy)
        if bounds[0] > limits.max or bounds[1] < limits.min:
            raise error_at(span, f"no {type.dtype} lies in the range of `{name}`: {bounds[0]} to {bounds[1]}")


def input_source(scope: Scope, name: str, declaration: InputSource, types: Sequence[TensorType]) -> Any:
    """`from` of an input as plain data: numbers, texts, lists, dicts. Raises SpecError."""
    source = {}
    for key in ("image", "text", "random"):
        part = getattr(declaration, key)
        if part is not None:
            source[key] = _plain(scope, part)
    if declaration.default is None:
        return source
    if declaration.text is not None:
        source["default"] = scope.text(declaration.default.text_template())
        return source
    value = source["default"] = read_value(scope, declaration.default)
    if isinstance(value, (bool, int, float)):
        for type in types:
            try:
                check_number(value, type.dtype)
            except OpError as error:
                raise error_at(declaration.default.span, f"the default of `{name}`: {error}") from None
    return source


def _plain(scope: Scope, declaration: Any) -> Any:
    if isinstance(declaration, BaseModel):
        keys = [key for key in type(declaration).model_fields if getattr(declaration, key) is not None]
        return {key: _plain(scope, getattr(declaration, key)) for key in keys}
    if isinstance(declaration, StaticValue):
        return read_value(scope, declaration)
    if isinstance(declaration, Formula):
        return scope.static(declaration, "this")
    return str(declaration) if isinstance(declaration, str) else declaration
