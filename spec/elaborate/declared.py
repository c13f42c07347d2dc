"""What a scope declares beside its nodes: parameters of its own, constants, first values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ...compiler.ir import DType, TensorType
from ...compiler.ops.tensor import Tensor, as_array
from ...compiler.ops.tensor import constant as make_constant
from ..diagnostics import error_at
from ..model.types import TensorType as DeclaredTensor
from ..source import Span
from .body import Key
from .fields import describe_static, read_value
from .ops import checked_path, own_parameter
from .scope import Scope
from .types import check_number, tensor_type
from .values import Value, describe


def declared_type(scope: Scope, declared: Any, span: Span, floating: DType) -> TensorType:
    """A tensor type whose sizes are known; ``floating`` is what `float` stands for. Raises SpecError."""
    if not isinstance(declared, DeclaredTensor):
        raise error_at(span, "a tensor type stands here: dtype[dims]")
    return tensor_type(declared, scope.evaluate, floating)


def read_param(scope: Scope, name: str, declaration: Any) -> Value:
    """The tensor of a declared parameter; null if its `when` is false. Raises SpecError."""
    if declaration.when is not None and not scope.condition(declaration.when):
        return None
    path = name
    if declaration.path is not None:
        path = checked_path(scope.text(declaration.path), declaration.path.span)
    type = declared_type(scope, declaration.type, declaration.span, scope.context.program.storage)
    trainable = declaration.trainable is None or scope.condition(declaration.trainable)
    first = read_initializer(scope, declaration.init)
    scope.place(declaration.span, name)
    with scope.errors_at(declaration.span):
        owner = ("param", name)
        tensor = own_parameter(scope, Key(path), type, first, trainable, owner, declaration.span)
        # Only `float` is a matter of precision: what names its dtype keeps it.
        return tensor.cast(scope.compute) if declaration.type.dtype == "float" else tensor


def read_initializer(scope: Scope, declaration: Any) -> Any:
    """The initializer that a spec names; zeros if it names none. Raises SpecError."""
    if declaration is None:
        return "zeros"
    if declaration.value is None:
        return declaration.kind
    number = scope.static(declaration.value, "the number of an initializer")
    if not isinstance(number, (int, float)) or isinstance(number, bool) or not math.isfinite(number):
        raise error_at(declaration.value.span, f"an initializer takes a finite number, not {describe(number)}")
    if declaration.kind in ("normal", "uniform") and number < 0:
        raise error_at(declaration.value.span, f"`{declaration.kind}` takes a number of 0 or more, not {number}")
    return {declaration.kind: float(number)}


def read_constant(scope: Scope, name: str, declaration: Any) -> Tensor:
    """The tensor of a declared constant. Raises SpecError."""
    type = declared_type(scope, declaration.type, declaration.span, scope.compute)
    value = read_value(scope, declaration.value, what=f"the constant `{name}`")
    scope.place(declaration.span, name)
    with scope.errors_at(declaration.value.span):
        for item in _items(value):
            if not isinstance(item, (bool, int, float)):
                message = f"the constant `{name}` holds {describe(item)}, which is no number"
                raise error_at(declaration.value.span, message)
            check_number(item, type.dtype)
        array = as_array(value, type.dtype)
        if array.shape != type.shape:
            found = describe_static(list(array.shape))
            raise error_at(declaration.value.span, f"the constant `{name}` is {type}, its value has the shape {found}")
        return make_constant(scope.body.build, array, type.dtype)


def _items(value: Value) -> Iterator[Value]:
    """The numbers of nested lists."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(item)
        else:
            yield item
