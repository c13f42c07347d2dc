"""Declared types against given values: symbols are bound, mismatches named, numbers made tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import EllipsisType

import numpy as np

from ...compiler.ir import AnyDim, Dim, DType, OpError, Shapes, TensorType, symbol
from ...compiler.ir.dims import exact_quotient, floordiv
from ...compiler.ir.dims import symbols as symbols_of
from ...compiler.ops.tensor import Tensor, full
from ..diagnostics import error_at
from ..model.formulas import Formula
from ..model.types import AnyType, RecordType, TypeExpr
from ..model.types import TensorType as DeclaredTensor
from ..source import Span
from .values import Value, describe

Evaluate = Callable[[Formula, dict[str, AnyDim]], Value]
"""Evaluates the formula of a dim; the second argument gives symbols that are not bound yet."""


@dataclass(slots=True)
class Equation:
    """A declared dim and the size that was given for it."""

    formula: Formula
    size: AnyDim
    what: str


@dataclass(slots=True)
class Binder:
    """Matches values with declared types; binds symbols on the way. Raises SpecError at ``span``."""

    callee: str
    evaluate: Evaluate
    symbols: dict[str, AnyDim]
    shapes: Shapes
    span: Span
    equations: list[Equation] = field(default_factory=list)

    def what(self, name: str) -> str:
        """What errors call an input, or an item or field of it."""
        return f"`{self.callee}`: the input `{name}`"

    def match(self, name: str, declared: TypeExpr, value: Value) -> None:
        """Compare structure, dtype and rank; note the dims. Numbers are left for `fill`."""
        if value is None or isinstance(declared, AnyType) or _is_number(value):
            return
        if isinstance(declared, RecordType):
            self._match_record(name, declared, value)
            return
        if not isinstance(value, (Tensor, TensorType)):
            raise error_at(self.span, f"{self.what(name)} is {declared.text}, not {describe(value)}")
        type = value.type if isinstance(value, Tensor) else value
        if not dtype_matches(declared.dtype, type.dtype):
            raise error_at(self.span, f"{self.what(name)} is {declared.text}, not {type}", _cast_hint(declared, type))
        for formula, size in self._pair(name, declared, type):
            self.equations.append(Equation(formula, size, f"{self.what(name)} is {declared.text}, given is {type}"))

    def _match_record(self, name: str, declared: RecordType, value: Value) -> None:
        if not isinstance(value, dict):
            raise error_at(
                self.span, f"{self.what(name)} is a record of {', '.join(declared.fields)}, not {describe(value)}"
            )
        if set(value) != set(declared.fields):
            raise error_at(
                self.span, f"{self.what(name)} is a record of {', '.join(declared.fields)}, not of {', '.join(value)}"
            )
        for key, inner in declared.fields.items():
            self.match(f"{name}.{key}", inner, value[key])

    def _pair(self, name: str, declared: DeclaredTensor, type: TensorType) -> list[tuple[Formula, AnyDim]]:
        dims = declared.dims
        open_at = next((at for at, dim in enumerate(dims) if isinstance(dim, EllipsisType)), None)
        fixed = len(dims) - (open_at is not None)
        if type.rank < fixed or (open_at is None and type.rank != fixed):
            raise error_at(
                self.span, f"{self.what(name)} is {declared.text}, given is {type}: the number of axes differs"
            )
        if open_at is None:
            pairs = zip(dims, type.shape, strict=True)
        else:
            tail = len(dims) - open_at - 1
            sizes = (*type.shape[:open_at], *type.shape[type.rank - tail :])
            pairs = zip((*dims[:open_at], *dims[open_at + 1 :]), sizes, strict=True)
        return [(dim, size) for dim, size in pairs if isinstance(dim, Formula)]

    def solve(self) -> None:
        """Bind every symbol that the equations give, then check all of them."""
        pending = list(self.equations)
        while pending:
            left = [equation for equation in pending if not self._settle(equation)]
            if len(left) == len(pending):
                text = left[0].formula.text
                raise error_at(self.span, f"{left[0].what}: the symbols of `{text}` cannot be told from it")
            pending = left

    def _settle(self, equation: Equation) -> bool:
        unbound: dict[str, AnyDim] = {}
        value = self.evaluate(equation.formula, unbound)
        if not isinstance(value, (int, Dim)) or isinstance(value, bool):
            raise error_at(equation.formula.span, f"a dim is a whole number, not {describe(value)}")
        if not unbound:
            try:
                self.shapes.same(equation.size, value, "")
            except OpError:
                text = equation.formula.text
                wanted = text if text == str(value) else f"{text}, which is {value}"
                raise error_at(self.span, f"{equation.what}: {equation.size} is not {wanted}") from None
            return True
        if len(unbound) > 1 or not isinstance(value, Dim):
            return False
        ((name, placeholder),) = unbound.items()
        assert isinstance(placeholder, Dim)
        terms = dict(value.terms)
        factor = terms.pop(placeholder.terms[0][0], 0)
        rest = value - factor * placeholder
        if factor == 0 or (isinstance(rest, Dim) and symbols_of(placeholder) & symbols_of(rest)):
            return False
        numerator = equation.size - rest
        quotient = exact_quotient(numerator, factor)
        if quotient is None:
            quotient = floordiv(numerator, factor)
            try:
                self.shapes.same(numerator, quotient * factor, f"{equation.what}: it must be {equation.formula.text}")
            except OpError:
                message = f"{equation.what}: {equation.size} is not {equation.formula.text} for a whole {name}"
                raise error_at(self.span, message) from None
        self.symbols[name] = quotient
        return True


def placeholder(name: str) -> AnyDim:
    """A symbol that is not bound yet; no name of a spec can clash with it."""
    return symbol(f"?{name}", 0)


def dtype_matches(declared: str, dtype: DType) -> bool:
    """Whether a declared dtype takes this one: `any` all, `float` any floating one."""
    return declared == "any" or (declared == "float" and dtype.is_float) or declared == dtype.value


def _cast_hint(declared: DeclaredTensor, type: TensorType) -> str | None:
    if len(declared.dims) == type.rank:
        return f"cast it: {declared.dtype}(x)"
    return None


def _is_number(value: Value) -> bool:
    return isinstance(value, (bool, int, float, Dim))


def tensor_type(declared: DeclaredTensor, evaluate: Callable[[Formula], Value], compute: DType) -> TensorType:
    """The type that a declaration spells when all its symbols are known. Raises SpecError."""
    sizes: list[AnyDim] = []
    for dim in declared.dims:
        if not isinstance(dim, Formula):
            raise error_at(declared.span, f"`{declared.text}` leaves dims open with `...`; here they must be known")
        size = evaluate(dim)
        if not isinstance(size, (int, Dim)) or isinstance(size, bool):
            raise error_at(dim.span, f"a dim is a whole number, not {describe(size)}")
        if isinstance(size, int) and not 0 <= size < 2**31:
            raise error_at(dim.span, f"a dim lies from 0 to 2^31 - 1, this is {size}")
        sizes.append(size)
    if declared.dtype == "any":
        raise error_at(declared.span, "`any` is no dtype of a tensor that has to be made")
    dtype = compute if declared.dtype == "float" else DType(declared.dtype)
    return TensorType(dtype, tuple(sizes))


def fill(
    declared: TypeExpr, count: int | None, value: Value, make: Callable[[DeclaredTensor], TensorType], build: object
) -> Value:
    """``value`` with every number that stands for a declared tensor made that tensor (rule 16 of the language)."""
    if count is not None and _is_number(value):
        return [fill(declared, None, value, make, build) for _ in range(count)]
    if count is not None and isinstance(value, list):
        return [fill(declared, None, item, make, build) for item in value]
    if isinstance(declared, RecordType):
        if _is_number(value):
            return {key: fill(inner, None, value, make, build) for key, inner in declared.fields.items()}
        if isinstance(value, dict):
            return {key: fill(inner, None, value[key], make, build) for key, inner in declared.fields.items()}
    if isinstance(declared, DeclaredTensor) and _is_number(value):
        type = make(declared)
        check_number(value, type.dtype)
        return full(build, type.shape, value, type.dtype)  # type: ignore[arg-type]
    return value


def check_number(value: Value, dtype: DType) -> None:
    """Raises `OpError` for a number that a dtype does not hold: a fraction, one out of range, a bool among numbers."""
    if isinstance(value, Dim):
        fits = dtype is not DType.BOOL
    elif isinstance(value, bool) or dtype is DType.BOOL:
        fits = isinstance(value, bool) and dtype is DType.BOOL
    elif dtype.is_float:
        fits = True
    else:
        limits = np.iinfo(dtype.numpy)
        fits = float(value).is_integer() and limits.min <= value <= limits.max
    if not fits:
        raise OpError(f"the number {describe(value)} is none of {dtype}")
