"""Dimension symbols of an entry: their ranges, and whether the inputs tell them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...compiler.ir import AnyDim, Dim, Symbol
from ...compiler.ir.dims import LIMIT
from ...compiler.ir.dims import symbol as make_symbol
from ...compiler.ir.dims import symbols as symbols_of
from ..diagnostics import Diagnostic, error_at, error_of, suggest
from ..formula.ast import Expr
from ..formula.ast import names as names_in
from ..model.formulas import Formula
from ..model.types import RecordType, TypeExpr
from ..model.types import TensorType as DeclaredTensor
from .inputs import whole
from .scope import Scope


def declared_symbols(module: Any, document: Any) -> dict[str, None]:
    """The dimension symbols in the inputs of a module and the state of its document, in order."""
    found: dict[str, None] = {}
    for declaration in [*(module.inputs or {}).values(), *(document.state or {}).values()]:
        for formula in dims_of(declaration.type):
            found.update(dict.fromkeys(_symbols_in(formula.expr)))
    return found


def entry_symbols(scope: Scope, module: Any, fixed: Mapping[str, int]) -> dict[str, AnyDim]:
    """The symbols of an entry with the ranges of its `dims`; ``fixed`` gives some of them a size. Raises SpecError.

    A symbol of the state has the document's range where the entry gives none: it is one size for all entries.
    """
    document = scope.context.loaded.document
    found = declared_symbols(module, document)
    of_state = {name for d in (document.state or {}).values() for f in dims_of(d.type) for name in _symbols_in(f.expr)}
    own: Mapping[str, Any] = getattr(module, "dims", None) or {}
    shared: Mapping[str, Any] = {name: bounds for name, bounds in (document.dims or {}).items() if name in of_state}
    for name in own:
        if name not in found:
            hint = suggest(name, found) or f"dimensions: {', '.join(found) or 'none'}"
            raise error_at(module.dims.key_span(name), f"no input has the dimension {name}", hint)
    symbols: dict[str, AnyDim] = {}
    for name in found:
        low, high = 1, LIMIT
        written = own.get(name, shared.get(name))
        if written is not None:
            low, high = (whole(scope, bound) for bound in written)
            if not 0 <= low <= high:
                raise error_at(written[0].span, f"the range of {name} is empty: {low} to {high}")
            if high > LIMIT:
                raise error_at(written[1].span, f"a dim is at most 2^31 - 1, this is {high}")
        if name in fixed and not low <= fixed[name] <= high:
            at = scope.context.loaded.source.whole()
            raise error_at(at, f"{name} is {fixed[name]}; it must lie from {low} to {high}")
        symbols[name] = fixed[name] if name in fixed else make_symbol(name, low, high)
    return symbols


def usual_sizes(scope: Scope, modules: Iterable[Any]) -> dict[str, int]:
    """The sizes of `usual` by symbol; ``modules`` are the main graph and the entries. Raises SpecError."""
    document = scope.context.loaded.document
    table: Any = document.usual or {}
    known = {name: None for module in modules for name in declared_symbols(module, document)}
    sizes: dict[str, int] = {}
    for name, formula in table.items():
        if name not in known:
            hint = suggest(name, known) or f"dimensions: {', '.join(known) or 'none'}"
            raise error_at(table.key_span(name), f"no input has the dimension {name}", hint)
        sizes[name] = whole(scope, formula)
        if not 0 <= sizes[name] <= LIMIT:
            raise error_at(formula.span, f"a size lies from 0 to 2^31 - 1, this is {sizes[name]}")
    return sizes


def bound_symbols(sizes: Sequence[tuple[Formula, AnyDim]]) -> set[str]:
    """The symbols that the shapes of inputs and states tell, from all their dims. Raises SpecError for others.

    A dim tells the one symbol in it that no other dim tells, if it is a multiple of it plus what is known.
    """
    bound: set[Symbol] = set()
    progress = True
    while progress:
        progress = False
        for _, size in sizes:
            unknown = symbols_of(size) - bound
            if len(unknown) == 1 and _is_affine(size, next(iter(unknown))):
                bound |= unknown
                progress = True
    problems: dict[str, Diagnostic] = {}
    for formula, size in sizes:
        for symbol in sorted(symbols_of(size) - bound, key=lambda symbol: symbol.name):
            hint = f"a dim that is {symbol} alone, or a multiple of it, tells it"
            message = f"the size of {symbol} cannot be told from `{formula.text}`"
            problems.setdefault(symbol.name, Diagnostic(formula.span, message, hint))
    if problems:
        raise error_of(problems.values())
    return {symbol.name for symbol in bound}


def dims_of(declared: TypeExpr) -> Iterator[Formula]:
    """The dims of a type that are formulas."""
    if isinstance(declared, RecordType):
        for inner in declared.fields.values():
            yield from dims_of(inner)
    elif isinstance(declared, DeclaredTensor):
        yield from (dim for dim in declared.dims if isinstance(dim, Formula))


def _symbols_in(expr: Expr) -> list[str]:
    return [name.id for name in names_in(expr) if name.id[0].isupper()]


def _is_affine(size: AnyDim, symbol: Symbol) -> bool:
    """Whether a size is ``factor * symbol + rest``, with the symbol nowhere else."""
    if not isinstance(size, Dim):
        return False
    products = [atoms for atoms, _ in size.terms if symbol in symbols_of(Dim(((atoms, 1),)))]
    return len(products) == 1 and products[0].count(symbol) == 1 and all(isinstance(a, Symbol) for a in products[0])
