"""What a graph sees: the names of its scope, and how formulas, texts and operands are evaluated in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ...compiler.ir import AnyDim, DType, Loc, OpError, Undecided
from ...compiler.ops.tensor import Tensor
from ..diagnostics import Collector, SpecError, error_at, suggest
from ..formula.errors import FormulaError, UnknownName
from ..formula.lexer import LONGEST_FORMULA
from ..model.formulas import Formula, Text
from ..model.operands import Operand, OperandList
from ..source import Span
from .body import Body
from .context import Context
from .formulas import TensorEvaluator
from .values import Poisoned, Value, describe


@dataclass(frozen=True, slots=True)
class Ref:
    """An arg of type `block`, `op` or `part`: a name, and the file where it is written."""

    context: Context
    name: str

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"`{self.name}`"


@dataclass(slots=True)
class Scope:
    """One scope under elaboration.

    ``statics`` are args and let, ``symbols`` dimension symbols, ``names`` inputs, params, constants, state and nodes.
    ``chain`` leads from the call of this scope outwards, for errors. ``broken`` says that a mistake was found in it.
    ``module`` is the block, entry or document whose scope it is.
    """

    context: Context
    body: Body
    collector: Collector
    statics: dict[str, Value] = field(default_factory=dict)
    symbols: dict[str, AnyDim] = field(default_factory=dict)
    names: dict[str, Value] = field(default_factory=dict)
    chain: tuple[tuple[str, Span], ...] = ()
    iteration: int | None = None
    later: Collection[str] = frozenset()
    broken: bool = False
    module: object = None

    @property
    def compute(self) -> DType:
        """The dtype that `float` stands for."""
        return self.context.program.compute

    def lookup(self, name: str) -> Value:
        """What a name stands for here. Raises KeyError."""
        if name == "i" and self.iteration is not None:
            return self.iteration
        if name == "training":
            return self.context.program.training
        for table in (self.names, self.symbols, self.statics, self.context.statics):
            if name in table:
                return table[name]
        if name in self.context.parts:
            return self.context.parts[name].named(self.body)
        raise KeyError(name)

    def knows(self, name: str) -> bool:
        """Whether a name stands for anything here."""
        try:
            self.lookup(name)
        except KeyError:
            return False
        return True

    def known(self) -> set[str]:
        """Every name that can be used here, for suggestions."""
        return {*self.names, *self.symbols, *self.statics, *self.context.statics, *self.context.parts}

    @contextmanager
    def at_iteration(self, i: int | None) -> Iterator[None]:
        """Formulas inside see ``i``."""
        before, self.iteration = self.iteration, i
        try:
            yield
        finally:
            self.iteration = before

    def evaluate(self, formula: Formula) -> Value:
        """The value of a formula: a tensor, a list, a record, null or static. Raises SpecError.

        Equalities of sizes that it needs and that cannot be decided are guards at its place.
        """
        try:
            return self.size(formula)
        except (OpError, Undecided) as error:
            raise error_at(formula.span, str(error)) from None
        finally:
            self.context.program.place_guards(self.context.file, formula.span)

    def size(self, formula: Formula) -> Value:
        """The value of a formula that builds nothing, such as a dim: guards that came up before stay where they are."""
        program = self.context.program
        evaluator = TensorEvaluator(self.lookup, self.body.build, self.compute, program)
        try:
            return evaluator.value(formula.expr)
        except FormulaError as error:
            hint = error.hint
            if isinstance(error, UnknownName):
                if (id(self.module), error.name) in program.unknown:
                    raise Poisoned from None
                hint = self._missing(error.name)
            span = formula.position(error.start, error.stop)
            raise error_at(span, error.message, hint, error.limit) from None

    def _missing(self, name: str) -> str | None:
        """Why a name is not known, if that can be told."""
        if name in self.later:
            return "it is defined further down"
        if name == "i":
            return "`i` counts the iterations of a node with `repeat`"
        if name in (self.context.loaded.document.state or {}):
            return "a part has no state: its model hands it in and out"
        if name[0].isupper() and not self.symbols.keys() >= {name}:
            return suggest(name, self.symbols) or "an input that is given binds a symbol"
        return suggest(name, self.known())

    def static(self, formula: Formula, what: str) -> Value:
        """The value of a formula that is computed when the spec is read. Raises SpecError."""
        value = self.evaluate(formula)
        if has_tensor(value):
            raise error_at(formula.span, f"{what} is static; this is {describe(value)}, found at run time only")
        return value

    def condition(self, formula: Formula) -> bool:
        """The value of `when`. Raises SpecError."""
        value = self.static(formula, "a condition")
        if not isinstance(value, bool):
            raise error_at(formula.span, f"a condition is true or false, not {describe(value)}")
        return value

    def text(self, text: Text) -> str:
        """A text with its formulas inserted. Raises SpecError."""
        value = self.template(text)
        return value.name if isinstance(value, Ref) else value

    def template(self, text: Text) -> str | Ref:
        """As `text`, but `$arg` alone may give a reference to a block, op or part."""
        if text.literal is not None:
            return text.literal
        parts: list[Any] = []
        for piece in text.pieces:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            value = self.static(piece, "what a text inserts")
            if isinstance(value, bool) or not isinstance(value, (str, int, Ref)):
                raise error_at(piece.span, f"a text inserts whole numbers and texts, not {describe(value)}")
            parts.append(value)
        if len(parts) == 1 and isinstance(parts[0], Ref):
            return parts[0]
        joined = [str(part) for part in parts]
        # Texts that insert each other grow at every step: without this a few lines could fill the memory.
        if sum(map(len, joined)) > LONGEST_FORMULA:
            message = f"what is inserted makes this text longer than {LONGEST_FORMULA} characters"
            raise error_at(text.span, message, limit="text-length")
        return "".join(joined)

    def operand(self, operand: Operand) -> Value:
        """The value of an operand: a formula, or a list or record of operands. Raises SpecError."""
        if isinstance(operand, Formula):
            return self.evaluate(operand)
        if isinstance(operand, OperandList):
            return [self.operand(item) for item in operand]
        return {key: self.operand(item) for key, item in operand.items()}

    def place(self, span: Span, label: str) -> None:
        """Nodes built from now on come from there."""
        self.body.build.loc = Loc(self.context.file, span.start_line, span.start_column, label)

    @contextmanager
    def errors_at(self, span: Span) -> Iterator[None]:
        """OpErrors become mistakes at this place, and undecided equalities remember it."""
        try:
            yield
        except (OpError, Undecided) as error:
            raise error_at(span, str(error)) from None
        finally:
            self.context.program.place_guards(self.context.file, span)

    def report(self, error: SpecError) -> None:
        """Note mistakes, with the calls that led here; one that several calls meet is noted once."""
        self.broken = True
        self.collector.add(error, self.chain)


def has_tensor(value: Value) -> bool:
    """Whether any tensor is in the value."""
    if isinstance(value, list):
        return any(map(has_tensor, value))
    if isinstance(value, dict):
        return any(map(has_tensor, value.values()))
    return isinstance(value, Tensor)
