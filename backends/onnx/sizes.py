"""Sizes found at run time: each symbol read once from the shape of an input, expressions computed once and shared.

They stand before all other nodes of the main graph, so that subgraphs see them too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...compiler.ir import AnyDim, Dim, Shape, Symbol, TensorType
from ...compiler.ir.dims import Atom, Extreme, FloorDiv, bounds, symbols
from ..api import BackendError
from .forms import Family
from .model import OnnxNode

if TYPE_CHECKING:  # An emitter has sizes, and they write their nodes into it.
    from .emit import Emitter


class Sizes:
    """Names of sizes as int64 lists of one (`one`), lists (`vector`) and scalars (`scalar`)."""

    def __init__(self, emit: Emitter) -> None:
        self.emit = emit
        self.nodes: list[OnnxNode] = []
        self.ports: list[tuple[str, TensorType]] = []
        """Names and types of the inputs whose shapes tell the symbols."""
        self._known: dict[AnyDim, str] = {}
        self._vectors: dict[Shape, str] = {}
        self._scalars: dict[AnyDim, str] = {}
        self._symbols: dict[str, str] = {}

    def one(self, size: AnyDim) -> str:
        """A size as a list of one."""
        if isinstance(size, int):
            return self.emit.ints([size])
        if size not in self._known:
            with self._before():
                self._known[size] = self._sum(size)
        return self._known[size]

    def vector(self, shape: Sequence[AnyDim]) -> str:
        """Sizes as a list."""
        shape = tuple(shape)
        known = [size for size in shape if isinstance(size, int)]
        if len(known) == len(shape):
            return self.emit.ints(known)
        if len(shape) == 1:
            return self.one(shape[0])
        if shape not in self._vectors:
            parts: list[str] = []
            run: list[int] = []
            for size in shape:
                if isinstance(size, int):
                    run.append(size)
                    continue
                parts += [self.emit.ints(run)] if run else []
                parts.append(self.one(size))
                run = []
            parts += [self.emit.ints(run)] if run else []
            with self._before():
                self._vectors[shape] = self._op("Concat", *parts, axis=0)
        return self._vectors[shape]

    def scalar(self, size: AnyDim) -> str:
        """A size as a scalar."""
        if size not in self._scalars:
            part = self.one(size)
            with self._before():
                self._scalars[size] = self._op("Squeeze", part, self.emit.ints([0]))
        return self._scalars[size]

    def reshape(self, family: Family, shape: Shape) -> str:
        """A buffer under another shape; from the known shape that makes the target a constant, if there is one."""
        for source, name in family.known.items():
            target = _constant_target(source, shape)
            if target is not None:
                return self.emit.op("Reshape", name, self.emit.ints(target))
        name = next(iter(family.known.values()))
        if any(size == 0 for size in shape):
            return self.emit.op("Reshape", name, self.vector(shape), allowzero=1)
        return self.emit.op("Reshape", name, self.vector(_one_left_out(shape)))

    # ---- expressions

    @contextmanager
    def _before(self) -> Iterator[None]:
        emit = self.emit
        nodes, loc = emit.nodes, emit.loc
        emit.nodes, emit.loc = self.nodes, None
        try:
            yield
        finally:
            emit.nodes, emit.loc = nodes, loc

    def _op(self, op: str, *inputs: str, **attributes: int) -> str:
        name = self.emit.op(op, *inputs, **attributes)
        self.emit.hint(name, "sizes")
        return name

    def _sum(self, size: Dim) -> str:
        total = ""
        for monomial, factor in size.terms:
            names = [self._atom(atom) for atom in monomial]
            term = names[0] if names else self.emit.ints([factor])
            for name in names[1:]:
                term = self._op("Mul", term, name)
            negative = bool(names) and factor < 0 and bool(total)
            scale = -factor if negative else factor
            if names and scale != 1:
                term = self._op("Mul", term, self.emit.ints([scale]))
            total = self._op("Sub" if negative else "Add", total, term) if total else term
        return total

    def _atom(self, atom: Atom) -> str:
        match atom:
            case Symbol():
                return self._symbol(atom)
            case FloorDiv(numerator=numerator, divisor=divisor):
                return self._quotient(self.one(numerator), numerator, divisor)
            case Extreme(kind=kind, items=items):
                return self._op("Max" if kind == "max" else "Min", *map(self.one, items))

    def _quotient(self, name: str, numerator: AnyDim, divisor: int) -> str:
        by = self.emit.ints([divisor])
        if bounds(numerator)[0] < 0:
            # Div truncates; Mod has the sign of the divisor, so that the difference divides exactly.
            name = self._op("Sub", name, self._op("Mod", name, by))
        return self._op("Div", name, by)

    def _symbol(self, symbol: Symbol) -> str:
        if symbol.name not in self._symbols:
            self._symbols[symbol.name] = self._bind(symbol.name, frozenset())
        return self._symbols[symbol.name]

    def _bind(self, symbol: str, busy: frozenset[str]) -> str:
        """Read a symbol off an input: from a dimension that is the symbol, else from an affine one."""
        affine = []
        for name, type in self.ports:
            for axis, size in enumerate(type.shape):
                if not isinstance(size, Dim):
                    continue
                factor, rest = _affine(size, symbol)
                if factor == 1 and rest == 0:
                    found = self.emit.op("Shape", name, start=axis, end=axis + 1)
                    self.emit.hint(found, f"size_{symbol}")
                    return found
                if factor and not _names(rest) & (busy | {symbol}):
                    affine.append((name, axis, factor, rest))
        for name, axis, factor, rest in affine:
            for other in sorted(_names(rest)):
                if other not in self._symbols:
                    self._symbols[other] = self._bind(other, busy | {symbol})
            found = self._op("Shape", name, start=axis, end=axis + 1)
            if rest != 0:
                found = self._op("Sub", found, self.one(rest))
            found = self._op("Div", found, self.emit.ints([factor])) if factor != 1 else found
            self.emit.hint(found, f"size_{symbol}")
            return found
        raise BackendError(f"onnx: the size {symbol} is in the shape of no input, so it is not known at run time")


def _names(size: AnyDim) -> set[str]:
    return {symbol.name for symbol in symbols(size)}


def _affine(size: Dim, symbol: str) -> tuple[int, AnyDim]:
    """``size`` as factor * symbol + rest; a factor of 0 if it has no such form. A name tells a symbol."""
    for term in size.terms:
        match term:
            case ((Symbol(name=name),), factor) if name == symbol:
                rest = size - Dim((term,))
                return (0, size) if symbol in _names(rest) else (factor, rest)
    return 0, size


def _constant_target(source: Shape, shape: Shape) -> list[int] | None:
    """The target of a Reshape as numbers: 0 copies a size, -1 is what is left. None if that is too little."""
    if any(size == 0 for size in shape):
        return None
    target: list[int] = []
    for axis, size in enumerate(shape):
        if isinstance(size, int):
            target.append(size)
        else:
            target.append(0 if axis < len(source) and source[axis] == size else -1)
    if target.count(-1) > 1 or (-1 in target and not _can_divide(shape, target.index(-1))):
        return None
    return target


def _can_divide(shape: Shape, axis: int) -> bool:
    """Whether the size of an axis follows from the number of elements: no other size may be 0."""
    return all(bounds(size)[0] > 0 for other, size in enumerate(shape) if other != axis)


def _one_left_out(shape: Shape) -> Shape:
    """The shape with -1 for its most complicated size, if the others tell it."""
    unknown = [axis for axis, size in enumerate(shape) if not isinstance(size, int)]
    axis = max(unknown, key=lambda axis: (len(str(shape[axis])), -axis), default=0)
    if not unknown or not _can_divide(shape, axis):
        return shape
    return (*shape[:axis], -1, *shape[axis + 1 :])
