"""The names of every scope of a document: all differ, and formulas use only those that their scope sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..diagnostics import Collector, SpecError, suggest
from ..formula.ast import names as names_in
from ..load import LoadedDocument
from ..model.formulas import Formula, Text
from ..model.nodes import BlockNode, Node, OpNode, PartNode, ValueNode
from ..model.operands import formulas
from ..model.types import RecordType, TypeExpr
from ..model.types import TensorType as DeclaredTensor
from ..source import Span

ALWAYS = frozenset({"i", "training"})


def check_names(loaded: LoadedDocument, collector: Collector) -> None:
    """Report every name that is defined twice or not known, in the document and the libraries it includes."""
    for library in loaded.includes.values():
        check_names(library, collector)
    document = loaded.document
    file = _collect(document.args, document.let, document.parts)
    for name, spans in _repeated(file):
        _report_twice(collector, name, spans)
    scopes: list[tuple[Any, list[tuple[str, Span]], frozenset[str]]] = []
    if document.graph is not None:
        seen = _symbols([document, *_values(document.entries)], document.state)
        state = _collect(document.state)
        scopes.append((document, state, seen))
        scopes += [(entry, state, seen) for entry in _values(document.entries)]
    scopes += [(block, _collect(block.args, block.let), _symbols([block], None)) for block in _values(document.blocks)]
    for scope, more, symbols in scopes:
        own = [*more, *_collect(scope.inputs, scope.params, scope.constants), *_node_names(scope.graph)]
        for name, spans in _repeated([*file, *own]):
            if len([span for known, span in own if known == name]) > 0:
                _report_twice(collector, name, spans)
        known = {name for name, _ in (*file, *own)} | symbols | ALWAYS
        for node in scope.graph:
            _check_node(node, known, collector)
        for operand in _values(scope.outputs):
            for formula in formulas(operand):
                _check_formula(formula, known, collector)


def _values(table: Mapping[str, Any] | None) -> Iterable[Any]:
    return () if table is None else table.values()


def _collect(*tables: Any) -> list[tuple[str, Span]]:
    return [(name, table.key_span(name)) for table in tables if table is not None for name in table]


def _node_names(graph: Iterable[Node]) -> Iterator[tuple[str, Span]]:
    for node in graph:
        for name in node.names:
            yield str(name), name.span


def _repeated(names: Iterable[tuple[str, Span]]) -> Iterator[tuple[str, list[Span]]]:
    found: dict[str, list[Span]] = {}
    for name, span in names:
        found.setdefault(name, []).append(span)
    return ((name, spans) for name, spans in found.items() if len(spans) > 1)


def _report_twice(collector: Collector, name: str, spans: list[Span]) -> None:
    for span in spans[1:]:
        first = spans[0]
        where = f"line {first.start_line}" if first.source is span.source else str(first)
        message = f"the name `{name}` is taken: it is defined in {where} already"
        if not any(known.span == span and known.message == message for known in collector.diagnostics):
            collector.report(span, message, "all names that a scope sees differ; nothing shadows")


def _symbols(modules: Iterable[Any], state: Mapping[str, Any] | None) -> frozenset[str]:
    """The dimension symbols that the inputs of a scope bind."""
    declared = [d.type for module in modules for d in _values(module.inputs)]
    declared += [d.type for d in _values(state)]
    return frozenset(
        name.id
        for type in declared
        for formula in _dims(type)
        for name in names_in(formula.expr)
        if name.id[0].isupper()
    )


def _dims(declared: TypeExpr) -> Iterator[Formula]:
    if isinstance(declared, RecordType):
        for inner in declared.fields.values():
            yield from _dims(inner)
    elif isinstance(declared, DeclaredTensor):
        yield from (dim for dim in declared.dims if isinstance(dim, Formula))


def _check_node(node: Node, known: set[str], collector: Collector) -> None:
    for formula in _node_formulas(node):
        _check_formula(formula, known, collector)
    if isinstance(node, (OpNode, BlockNode)):
        for value in node.fields.values():
            _check_static(value, known, collector)


def _node_formulas(node: Node) -> Iterator[Formula]:
    if isinstance(node, ValueNode):
        yield node.value
        return
    for operand in (node.in_, node.else_):
        if operand is not None:
            yield from formulas(operand)
    yield from (formula for formula in (node.when, node.repeat) if formula is not None)
    if isinstance(node, (OpNode, BlockNode)) and node.path is not None:
        for text in (node.path.prefix, *_values(node.path.each)):
            yield from _text_formulas(text)
    if isinstance(node, (BlockNode, PartNode)):
        for operand in _values(node.carry):
            yield from formulas(operand)
        if node.scan is not None:
            for operand in _values(node.scan.over):
                yield from formulas(operand)
            for static in (node.scan.steps, node.scan.axis, node.scan.reverse, node.scan.lengths):
                if static is not None:
                    yield static


def _text_formulas(text: Text | None) -> Iterator[Formula]:
    if text is not None:
        yield from text.formulas


def _check_formula(formula: Formula, known: set[str], collector: Collector) -> None:
    for name in names_in(formula.expr):
        if name.id not in known:
            span = formula.place_of(name)
            message = f"the name `{name.id}` is not known here"
            if not any(d.span == span and d.message == message for d in collector.diagnostics):
                collector.report(span, message, suggest(name.id, known))


def _check_static(value: Any, known: set[str], collector: Collector) -> None:
    """A field's formulas; a plain word is left to the field, which may know it."""
    if isinstance(value.value, tuple):
        for item in value.value:
            _check_static(item, known, collector)
    elif isinstance(value.value, Mapping):
        for item in value.value.values():
            _check_static(item, known, collector)
    elif isinstance(value.value, str) and not value.value.isidentifier() and "$" not in value.value:
        try:
            formula = value.formula()
        except SpecError:
            # A word of the field, or a mistake that elaboration reports with the field's name.
            return
        _check_formula(formula, known, collector)
