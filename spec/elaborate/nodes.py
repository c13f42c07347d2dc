"""The nodes of a graph, one after another: chain, conditions, and what a node's name stands for."""

from __future__ import annotations

from typing import Any

from ..diagnostics import LimitError, SpecError, error_at
from ..model.nodes import BlockNode, Node, OpNode, PartNode, ValueNode
from .building import BROKEN, NOTHING, NodeBuilder, names_operands
from .calls import Module
from .context import check_nodes
from .declared import read_constant, read_param
from .ops import Site
from .parts import note_part
from .scope import Scope
from .values import POISON, Named, Poisoned, Value, describe

FATAL = frozenset({"expanded-nodes", "functions", "list"})
"""Limits of the whole program: once one is reached, every further node would be over it."""


def run_module(scope: Scope, module: Module) -> Value:
    """Build parameters, constants, nodes and outputs of a module. Raises Poisoned if anything is mistaken."""
    _declare(scope, module)
    value: Value = run_graph(scope, module)
    if module.outputs is not None:
        value = {}
        for name, operand in module.outputs.items():
            scope.place(module.outputs.key_span(name), name)  # type: ignore[attr-defined]
            try:
                value[name] = scope.operand(operand)
            except SpecError as error:
                scope.report(error)
            except Poisoned:
                scope.broken = True
    if scope.broken:
        raise Poisoned
    return value


def _declare(scope: Scope, module: Module) -> None:
    for table, read in ((module.params, read_param), (module.constants, read_constant)):
        for name, declaration in (table or {}).items():
            try:
                scope.names[name] = read(scope, name, declaration)
            except SpecError as error:
                scope.report(error)
                scope.names[name] = POISON
            except Poisoned:
                scope.broken = True
                scope.names[name] = POISON


def run_graph(scope: Scope, module: Module) -> Value:
    """Build the nodes in order; gives the value of the last. Mistaken nodes are reported and their names poisoned."""
    inputs = [scope.names[name] for name in module.inputs or {}]
    chain: Any = inputs[0] if len(inputs) == 1 else NOTHING
    later = {name: at for at, node in enumerate(module.graph) for name in node.names}
    scope.later = later.keys()
    for index, node in enumerate(module.graph):
        try:
            chain = _run_node(scope, node, index, chain)
        except SpecError as error:
            scope.report(error)
            chain = POISON
            if isinstance(error, LimitError) and error.limit in FATAL:
                break
        except Poisoned:
            scope.broken = True
            chain = POISON
        if chain is POISON:
            for name in node.names:
                scope.names.setdefault(name, POISON)
        for name in node.names:
            later.pop(name, None)
    for name in later:
        scope.names.setdefault(name, POISON)
    return _last(scope, module, chain)


def _last(scope: Scope, module: Module, chain: Any) -> Value:
    """The value of a graph without outputs."""
    if module.outputs is None and chain is BROKEN:
        span = module.graph[-1].span
        message = "the last node may be left out and names its operands, so the block has no value without it"
        scope.report(error_at(span, message, "give the node an `else`, or the block `outputs`"))
    return None if chain is NOTHING or chain is BROKEN else chain


def _run_node(scope: Scope, node: Node, index: int, chain: Any) -> Any:
    check_nodes(scope.body.expanded + len(scope.body.build.nodes), node.span)
    label = str(node.names[0]) if node.names else f"#{index}"
    scope.place(node.span, label)
    if isinstance(node, ValueNode):
        # A static value stays static: it may be used as a number further on.
        value = scope.evaluate(node.value)
        _bind(scope, node, Named(value))
        return value
    if node.when is not None and not scope.condition(node.when):
        return _left_out(scope, node, chain)
    site = Site(scope, node, node.fields if isinstance(node, (OpNode, BlockNode)) else {}, index, node.span, label)
    named = NodeBuilder(site, chain, run_module).run()
    _bind(scope, node, named)
    if node.when is not None and node.else_ is None and names_operands(node):
        return BROKEN
    return named.value


def _left_out(scope: Scope, node: Any, chain: Any) -> Any:
    value = None if node.else_ is None else scope.operand(node.else_)
    _bind(scope, node, Named(value))
    if isinstance(node, PartNode):
        # It would be called if the condition were true.
        note_part(scope, node.part)
    if node.else_ is not None:
        return value
    return BROKEN if names_operands(node) else chain


def _bind(scope: Scope, node: Node, named: Named) -> None:
    if node.name is None:
        return
    if not node.name.unpacks:
        scope.names[node.names[0]] = named
        return
    items = named.value
    if items is None:
        items = [None] * len(node.names)
    if not isinstance(items, list) or len(items) != len(node.names):
        count = len(node.names)
        message = f"{count} name{'' if count == 1 else 's'} unpack a list of {count}, this is {describe(items)}"
        raise error_at(node.name.span, message)
    for name, item in zip(node.names, items, strict=True):
        scope.names[name] = item
