"""The nodes of a graph, one after another: chain, conditions, repetition, and what a node's name stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...compiler.ir import TensorType
from ...compiler.ops import OPS
from ...compiler.ops.tensor import as_array
from ...compiler.ops.tensor import constant as make_constant
from ..diagnostics import SpecError, error_at, suggest
from ..layers import LAYERS
from ..model.formulas import Text
from ..model.nodes import BlockNode, Node, OpNode, PartNode, ValueNode
from ..model.parts import BlockPart, ModelPart, OpPart
from ..model.types import TensorType as DeclaredTensor
from ..source import Span
from .body import Key
from .calls import Callee, Module, call, given_inputs
from .context import Context, Part, check_nodes
from .fields import make_op, read_args, read_value
from .loops import repeat, repeat_count, scan
from .ops import Site, own_parameter, run_op
from .scope import Ref, Scope
from .types import tensor_type
from .values import POISON, Named, Poisoned, Value, describe


class _Broken:
    """What the chain is after a conditional node that names its operands: nobody can tell what comes next."""


BROKEN = _Broken()
NOTHING = object()
"""What the chain is before the first node of a graph that has not exactly one input."""


def run_module(scope: Scope, module: Module) -> Value:
    """Build parameters, constants, nodes and outputs of a module. Raises Poisoned if anything is mistaken."""
    _declare(scope, module)
    last = run_graph(scope, module)
    value: Value = last
    if module.outputs is not None:
        value = {}
        for name, operand in module.outputs.items():
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
    for name, param in (module.params or {}).items():
        try:
            scope.names[name] = _param(scope, name, param)
        except SpecError as error:
            scope.report(error)
            scope.names[name] = POISON
    for name, declaration in (module.constants or {}).items():
        try:
            scope.names[name] = _constant(scope, name, declaration)
        except SpecError as error:
            scope.report(error)
            scope.names[name] = POISON


def _declared_type(scope: Scope, declared: Any, span: Span) -> TensorType:
    if not isinstance(declared, DeclaredTensor):
        raise error_at(span, "a tensor type stands here: dtype[dims]")
    return tensor_type(declared, scope.evaluate, scope.compute)


def _param(scope: Scope, name: str, declaration: Any) -> Value:
    if declaration.when is not None and not scope.condition(declaration.when):
        return None
    path = scope.text(declaration.path) if declaration.path is not None else name
    type = _declared_type(scope, declaration.type, declaration.span)
    trainable = declaration.trainable is None or scope.condition(declaration.trainable)
    first = read_initializer(scope, declaration.init)
    with scope.errors_at(declaration.span):
        return own_parameter(scope, Key(path), type, first, trainable, ("param", name), declaration.span)


def read_initializer(scope: Scope, declaration: Any) -> Any:
    """The initializer that a spec names; zeros if it names none."""
    if declaration is None:
        return "zeros"
    if declaration.value is None:
        return declaration.kind
    number = scope.static(declaration.value, "an initializer's number")
    if not isinstance(number, (int, float)) or isinstance(number, bool):
        raise error_at(declaration.value.span, f"an initializer takes a number, not {describe(number)}")
    return {declaration.kind: float(number)}


def _constant(scope: Scope, name: str, declaration: Any) -> Value:
    type = _declared_type(scope, declaration.type, declaration.span)
    value = read_value(scope, declaration.value, frozenset())
    scope.place(declaration.span, name)
    with scope.errors_at(declaration.span):
        array = as_array(value, type.dtype)
        if array.shape != type.shape:
            found = "[" + ", ".join(map(str, array.shape)) + "]"
            raise error_at(declaration.span, f"the constant `{name}` is {type}, its value has the shape {found}")
        return make_constant(scope.body.build, array, type.dtype)


def run_graph(scope: Scope, module: Module) -> Value:
    """Build the nodes in order; gives the value of the last. Mistaken nodes are reported and their names poisoned."""
    inputs = [scope.names[name] for name in module.inputs or {}]
    chain: Any = inputs[0] if len(inputs) == 1 and inputs[0] is not None else NOTHING
    scope.later = frozenset(name for node in module.graph for name in node.names)
    for index, node in enumerate(module.graph):
        try:
            chain = _run_node(scope, node, index, chain)
        except SpecError as error:
            scope.report(error)
            chain = POISON
        except Poisoned:
            scope.broken = True
            chain = POISON
        if chain is POISON:
            for name in node.names:
                scope.names.setdefault(name, POISON)
        scope.later -= set(node.names)
    return None if chain is NOTHING else chain


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
    named = _Runner(site, chain).run()
    _bind(scope, node, named)
    if node.when is not None and node.else_ is None and _names_operands(node):
        return BROKEN
    return named.value


def _names_operands(node: Any) -> bool:
    return node.in_ is not None or getattr(node, "carry", None) is not None


def _left_out(scope: Scope, node: Any, chain: Any) -> Any:
    value = None if node.else_ is None else scope.operand(node.else_)
    _bind(scope, node, Named(value))
    if node.else_ is not None:
        return value
    return BROKEN if _names_operands(node) else chain


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
        given = describe(items)
        raise error_at(node.name.span, f"{len(node.names)} names unpack a list of {len(node.names)}, this is {given}")
    for name, item in zip(node.names, items, strict=True):
        scope.names[name] = item


@dataclass(frozen=True, slots=True)
class _Runner:
    """One op, block or part node that is built."""

    site: Site
    chain: Any

    def run(self) -> Named:
        scope, node = self.site.scope, self.site.node
        if node.repeat is None:
            return self._once(None, self._first())
        count = repeat_count(scope, node.repeat)
        if isinstance(node, OpNode) and not isinstance(self._target(node.op), _Block):
            return Named(self._repeat_op(count))
        return Named(self._repeat_block(count))

    def _first(self) -> Any:
        """The first operand that the chain gives, or NOTHING if the node names its operands."""
        node = self.site.node
        if _names_operands(node) or getattr(node, "scan", None) is not None or self._takes_nothing():
            return NOTHING
        return self.chain

    def _chained(self) -> Value:
        if self.chain is BROKEN:
            hint = "say `in`"
            raise error_at(self.site.span, "the node before is conditional and names its operands", hint)
        if self.chain is NOTHING:
            raise error_at(self.site.span, "there is no node before, and not exactly one input", "say `in`")
        if self.chain is POISON:
            raise Poisoned
        return self.chain

    # ---- ops

    def _target(self, text: Text) -> Any:
        """What an `op:` names: a layer, an op, or (through an arg) a block."""
        scope = self.site.scope
        found = scope.template(text)
        context, name = (found.context, found.name) if isinstance(found, Ref) else (scope.context, found)
        declared = LAYERS.get(name) or OPS.get(name)
        if declared is not None:
            return declared
        block = context.find_block(name)
        if block is not None and isinstance(found, Ref):
            return _Block(name, *block)
        if block is not None:
            raise error_at(text.span, f"`{name}` is a block, not an op", f"write {{block: {name}}}")
        hint = suggest(name, {*LAYERS, *OPS, *context.block_names()})
        raise error_at(text.span, f"there is no op `{name}`", hint)

    def _once(self, iteration: int | None, first: Any) -> Named:
        node = self.site.node
        with self.site.scope.at_iteration(self.site.scope.iteration if iteration is None else iteration):
            if isinstance(node, OpNode):
                target = self._target(node.op)
                if isinstance(target, _Block):
                    return Named(self._call_block(iteration, target, node.fields, self._operands(first)))
                return self._op(iteration, target, first)
            if isinstance(node, BlockNode):
                return Named(self._call_block(iteration, self._block(node), node.fields, self._operands(first)))
            return self._part(iteration, node, first)

    def _op(self, iteration: int | None, declared: Any, first: Any) -> Named:
        node, scope = self.site.node, self.site.scope
        op = make_op(scope, declared, node.fields, node.fields, self.site.span)
        operands, positional = self._operands(first)
        base = self._base(iteration)
        each = None
        if node.path is not None and node.path.each is not None:
            each = {name: scope.text(text) for name, text in node.path.each.items()}
        compute = None if node.compute is None else (node.compute.span, scope.text(node.compute))
        return run_op(self.site.at(iteration), op, operands, positional, base, each, compute)

    def _operands(self, first: Any) -> tuple[Value, bool]:
        """The operands of one iteration, and whether they are given by position."""
        node, scope = self.site.node, self.site.scope
        if first is not NOTHING:
            if first is self.chain:
                first = self._chained()
            return [first], True
        if node.in_ is None:
            if getattr(node, "carry", None) is not None or getattr(node, "scan", None) is not None:
                return {}, False
            if self._takes_nothing():
                return [], True
            return [self._chained()], True
        value = scope.operand(node.in_)
        if isinstance(value, dict) and hasattr(node.in_, "key_span"):
            return value, False
        if isinstance(node.in_, tuple):
            return value, True
        return [value], True

    def _takes_nothing(self) -> bool:
        node = self.site.node
        if isinstance(node, OpNode):
            target = self._target(node.op)
            return not isinstance(target, _Block) and not target.operands
        return False

    def _repeat_op(self, count: int) -> Value:
        first = self._first()
        if first is NOTHING and self.site.node.in_ is not None:
            return [self._once(i, NOTHING).value for i in range(count)]
        value = self._chained()
        for i in range(count):
            value = self._once(i, value).value
        return value

    # ---- blocks

    def _block(self, node: BlockNode) -> _Block:
        scope = self.site.scope
        found = scope.template(node.block)
        context, name = (found.context, found.name) if isinstance(found, Ref) else (scope.context, found)
        block = context.find_block(name)
        if block is None:
            hint = suggest(name, context.block_names())
            if name in OPS or name in LAYERS:
                hint = f"`{name}` is an op: write {{op: {name}}}"
            raise error_at(node.block.span, f"there is no block `{name}`", hint)
        return _Block(name, *block)

    def _callee(self, iteration: int | None, block: _Block, fields: Mapping[str, Any], base: Key | None) -> Callee:
        scope = self.site.scope
        home = Scope(block.context, scope.body, scope.collector)
        declared = block.block.args or {}
        spans = fields if hasattr(fields, "key_span") else self.site
        statics = read_args(scope, declared, fields, home, f"the block `{block.name}`", spans, self.site.span)
        owner = (self.site.index, iteration)
        return Callee(block.block, block.context, block.name, statics, base, owner, block.block.let)

    def _call_block(
        self, iteration: int | None, block: _Block, fields: Mapping[str, Any], operands: tuple[Value, bool]
    ) -> Value:
        callee = self._callee(iteration, block, fields, self._base(iteration))
        return self._call(iteration, callee, *operands)

    def _call(self, iteration: int | None, callee: Callee, operands: Value, positional: bool) -> Value:
        scope, node = self.site.scope, self.site.node
        given = given_inputs(callee, operands, positional, self.site.span)
        label = self.site.label if iteration is None else f"{self.site.label}.{iteration}"
        if node.repeat is None and getattr(node, "scan", None) is not None:
            carry = self._carry()
            self._check_names(callee, given, carry)
            return scan(scope, node.scan, callee, given, carry, self.site.span, label, run_module)
        if node.repeat is None and getattr(node, "carry", None) is not None:
            raise error_at(node.key_span("carry"), "`carry` needs `repeat` or `scan`")
        return call(scope, callee, given, self.site.span, label, run_module)

    def _carry(self) -> dict[str, Value]:
        scope, node = self.site.scope, self.site.node
        return {name: scope.operand(operand) for name, operand in (node.carry or {}).items()}

    def _check_names(self, callee: Callee, given: Mapping[str, Value], carry: Mapping[str, Value]) -> None:
        declared = list(callee.declared)
        over = self.site.node.scan.over if getattr(self.site.node, "scan", None) is not None else None
        for name in (*carry, *(over or {})):
            if name not in declared:
                raise error_at(self.site.span, f"`{callee.name}` has no input `{name}`", suggest(name, declared))
            if name in given or (name in carry and name in (over or {})):
                raise error_at(self.site.span, f"the input `{name}` is given twice")

    def _repeat_block(self, count: int) -> Value:
        node = self.site.node
        with self.site.scope.at_iteration(0):
            probe = self._probe()
        outputs = list(probe.outputs or probe.module.outputs or ()) if probe.gives_record else None
        carry = self._carry() if getattr(node, "carry", None) is not None else {}
        if not _names_operands(node):
            first = next(iter(probe.declared), None)
            if first is None:
                raise error_at(self.site.span, f"`{probe.name}` has no input to carry")
            carry = {first: self._chained()}
        self._check_names(probe, {}, carry)

        def once(i: int, carried: Mapping[str, Value]) -> Value:
            with self.site.scope.at_iteration(i):
                callee = self._callee_of(i)
                operands, positional = self._operands(NOTHING) if node.in_ is not None else ({}, False)
                given = given_inputs(callee, operands, positional, self.site.span)
                for name in carried:
                    if name in given:
                        raise error_at(self.site.span, f"the input `{name}` is given twice")
                label = f"{self.site.label}.{i}"
                return call(self.site.scope, callee, {**given, **carried}, self.site.span, label, run_module)

        return repeat(count, carry, outputs, once, self.site.span)

    def _probe(self) -> Callee:
        """The callee, for its inputs and outputs only: without iterations its args cannot be evaluated."""
        node = self.site.node
        if isinstance(node, PartNode):
            return self._part_callee(self._find_part(node), node)
        found = self._block(node) if isinstance(node, BlockNode) else self._target(node.op)
        return Callee(found.block, found.context, found.name, {}, None, (), None)

    def _callee_of(self, iteration: int | None) -> Callee:
        node = self.site.node
        if isinstance(node, PartNode):
            return self._part_callee(self._find_part(node), node)
        if isinstance(node, BlockNode):
            return self._callee(iteration, self._block(node), node.fields, self._base(iteration))
        target = self._target(node.op)
        return self._callee(iteration, target, node.fields, self._base(iteration))

    # ---- parts

    def _find_part(self, node: PartNode) -> Part:
        scope = self.site.scope
        name = scope.text(node.part)
        if name not in scope.context.parts:
            hint = suggest(name, scope.context.parts) or f"parts: {', '.join(scope.context.parts) or 'none'}"
            raise error_at(node.part.span, f"there is no part `{name}`", hint)
        part = scope.context.parts[name]
        part.called = True
        return part

    def _part(self, iteration: int | None, node: PartNode, first: Any) -> Named:
        part = self._find_part(node)
        operands, positional = self._operands(first)
        if isinstance(part.declaration, OpPart):
            return self._op_part(part, operands, positional)
        return Named(self._call(iteration, self._part_callee(part, node), operands, positional))

    def _op_part(self, part: Part, operands: Value, positional: bool) -> Named:
        declaration = part.declaration
        assert isinstance(declaration, OpPart)
        home = Scope(self.site.scope.context, self.site.scope.body, self.site.scope.collector)
        target = self._target(declaration.op)
        op = make_op(home, target, declaration.fields, declaration.fields, declaration.span)
        each = None
        if declaration.path is not None and declaration.path.each is not None:
            each = {name: home.text(text) for name, text in declaration.path.each.items()}
        site = self.site.of_part(part.name)
        named = run_op(site, op, operands, positional, part.base, each, None)
        part.parameters.update(site.used)
        return named

    def _part_callee(self, part: Part, node: PartNode) -> Callee:
        scope = self.site.scope
        declaration = part.declaration
        if node.entry is not None and not isinstance(declaration, ModelPart):
            raise error_at(node.entry.span, f"`entry` is for sub-models; `{part.name}` is none")
        if isinstance(declaration, BlockPart):
            home = Scope(scope.context, scope.body, scope.collector)
            found = home.template(declaration.block)
            context, name = (found.context, found.name) if isinstance(found, Ref) else (scope.context, found)
            block = context.find_block(name)
            if block is None:
                hint = suggest(name, context.block_names())
                raise error_at(declaration.block.span, f"there is no block `{name}`", hint)
            inner = Scope(block[0], scope.body, scope.collector)
            args = read_args(
                home,
                block[1].args or {},
                declaration.fields,
                inner,
                f"the block `{name}`",
                declaration.fields,
                declaration.span,
            )
            return Callee(block[1], block[0], part.name, args, part.base, (), block[1].let)
        assert isinstance(declaration, ModelPart) and part.inner is not None
        module: Any = part.inner.loaded.document
        if node.entry is not None:
            entries = module.entries or {}
            if node.entry not in entries:
                hint = suggest(node.entry, entries) or f"its entries: {', '.join(entries) or 'none'}"
                raise error_at(node.entry.span, f"the model has no entry `{node.entry}`", hint)
            return Callee(entries[node.entry], part.inner, part.name, {}, part.base, (), None)
        return Callee(module, part.inner, part.name, {}, part.base, (), None, declaration.outputs)

    def _base(self, iteration: int | None) -> Key | None:
        """Where the parameters of the node live; None if nobody says."""
        node, scope = self.site.node, self.site.scope
        path = getattr(node, "path", None)
        if path is not None and path.prefix is not None:
            text = scope.text(path.prefix)
            return Key("" if text == "." else text)
        if node.names:
            name = str(node.names[0])
            return Key(name if iteration is None else f"{name}.{iteration}")
        return None


@dataclass(frozen=True, slots=True)
class _Block:
    """A block that a node names, and the document it belongs to."""

    name: str
    context: Context
    block: Any
