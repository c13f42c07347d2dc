"""One op, block or part node: what it calls, which operands it takes, once or repeatedly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..diagnostics import error_at, error_of, suggest
from ..model.formulas import Text
from ..model.nodes import OpNode, PartNode
from ..model.operands import OperandList, OperandRecord
from .body import Key
from .calls import Callee, RunModule, call, given_inputs
from .context import Part, check_nodes
from .fields import make_op, read_args
from .loops import repeat, repeat_count, scan
from .ops import Site, checked_path, run_op
from .parts import find_part, part_callee, part_module, run_op_part
from .references import block_problem, op_problem
from .scope import Ref, Scope
from .values import POISON, Named, Poisoned, Value
from .vocabulary import Declared, find_op


class _Broken:
    """What the chain is after a conditional node that names its operands: nobody can tell what comes next."""


BROKEN = _Broken()
NOTHING = object()
"""What the chain is before the first node of a graph that has not exactly one input."""


def names_operands(node: Any) -> bool:
    """Whether a node says what it takes, so that the chain gives it nothing."""
    return node.in_ is not None or getattr(node, "carry", None) is not None


@dataclass(frozen=True, slots=True)
class _Block:
    """A block that a node names, and the document it belongs to."""

    name: str
    context: Any
    block: Any


@dataclass(frozen=True, slots=True)
class NodeBuilder:
    """Builds a node whose condition holds. ``chain`` is the value before it, ``run`` builds the graphs it calls."""

    site: Site
    chain: Any
    run_module: RunModule

    def run(self) -> Named:
        """The value of the node. Raises SpecError, Poisoned."""
        node, scope = self.site.node, self.site.scope
        target = self._target()
        if node.repeat is None:
            return self._once(None, target, self._first(target))
        count = repeat_count(scope, node.repeat)
        if isinstance(target, _Block) or (isinstance(target, Part) and not target.is_op):
            return Named(self._repeat_call(count, target))
        return Named(self._repeat_op(count, target))

    # ---- what the node names

    def _target(self) -> Declared | _Block | Part:
        node, scope = self.site.node, self.site.scope
        if isinstance(node, PartNode):
            return find_part(scope, node)
        return self._op(node.op) if isinstance(node, OpNode) else self._block(node.block)

    def _op(self, text: Text) -> Declared | _Block:
        """What `op:` names: a layer, an op, or (through an arg) a block."""
        scope = self.site.scope
        found = scope.template(text)
        context, name = (found.context, found.name) if isinstance(found, Ref) else (scope.context, found)
        block = context.find_block(name) if isinstance(found, Ref) else None
        declared = find_op(name)
        if declared is None and block is not None:
            return _Block(name, *block)
        problem = op_problem(context.loaded, name, text.span)
        if problem is not None:
            raise error_of([problem])
        assert declared is not None
        return declared

    def _block(self, text: Text) -> _Block:
        scope = self.site.scope
        found = scope.template(text)
        context, name = (found.context, found.name) if isinstance(found, Ref) else (scope.context, found)
        problem = block_problem(context.loaded, name, text.span)
        if problem is not None:
            raise error_of([problem])
        block = context.find_block(name)
        assert block is not None
        return _Block(name, *block)

    # ---- operands

    def _first(self, target: Any) -> Any:
        """The first operand that the chain gives, or NOTHING if the node names its operands or takes none."""
        node = self.site.node
        if names_operands(node) or getattr(node, "scan", None) is not None or _takes_nothing(target):
            return NOTHING
        return self._chained()

    def _chained(self) -> Value:
        if self.chain is BROKEN:
            message = "the node before may be left out and names its operands, so nobody can tell what comes next"
            raise error_at(self.site.span, message, "say `in`")
        if self.chain is NOTHING:
            raise error_at(self.site.span, "there is no node before, and not exactly one input", "say `in`")
        if self.chain is POISON:
            raise Poisoned
        return self.chain

    def _operands(self, first: Any) -> tuple[Value, bool]:
        """The operands of one iteration, and whether they are given by position."""
        node, scope = self.site.node, self.site.scope
        if first is not NOTHING:
            return [first], True
        if node.in_ is None:
            return {}, False
        value = scope.operand(node.in_)
        if isinstance(node.in_, OperandRecord):
            return value, False
        return (value, True) if isinstance(node.in_, OperandList) else ([value], True)

    # ---- once

    def _once(self, iteration: int | None, target: Any, first: Any) -> Named:
        node, scope = self.site.node, self.site.scope
        with scope.at_iteration(scope.iteration if iteration is None else iteration):
            scope.place(self.site.span, self._label(iteration))
            if isinstance(target, Part) and target.is_op:
                return run_op_part(self.site, target, *self._operands(first))
            if isinstance(target, (_Block, Part)):
                callee = self._callee(iteration, target)
                return Named(self._call(iteration, callee, *self._operands(first)))
            op = make_op(scope, target, node.fields, node.fields, self.site.span)
            operands, positional = self._operands(first)
            each = None
            if node.path is not None and node.path.each is not None:
                each = {name: checked_path(scope.text(text), text.span) for name, text in node.path.each.items()}
            compute = None if node.compute is None else (node.compute.span, scope.text(node.compute))
            return run_op(self.site.at(iteration), op, operands, positional, self._base(iteration), each, compute)

    def _callee(self, iteration: int | None, target: _Block | Part) -> Callee:
        scope, node = self.site.scope, self.site.node
        if isinstance(target, Part):
            return part_callee(scope, target, node)
        fields: Mapping[str, Any] = node.fields
        if node.path is not None and node.path.each is not None:
            raise error_at(node.path.span, "a block has one path, not one for each parameter")
        if getattr(node, "compute", None) is not None:
            raise error_at(node.compute.span, "`compute` is for ops, this is a block")
        home = Scope(target.context, scope.body, scope.collector)
        what = f"the block `{target.name}`"
        statics = read_args(scope, target.block.args or {}, fields, home, what, fields, self.site.span)
        owner = (self.site.index, iteration)
        base = self._base(iteration)
        return Callee(target.block, target.context, target.name, statics, base, owner, target.block.let)

    def _call(self, iteration: int | None, callee: Callee, operands: Value, positional: bool) -> Value:
        scope, node = self.site.scope, self.site.node
        given = given_inputs(callee, operands, positional, self.site.span)
        label = self._label(iteration)
        if getattr(node, "scan", None) is not None:
            carry = self._carry()
            self._check_names(callee.name, callee.declared, given, carry)
            return scan(scope, node.scan, callee, given, carry, self.site.span, label, self.run_module)
        if node.repeat is None and getattr(node, "carry", None) is not None:
            raise error_at(node.key_span("carry"), "`carry` needs `repeat` or `scan`")
        return call(scope, callee, given, self.site.span, label, self.run_module)

    def _label(self, iteration: int | None) -> str:
        return self.site.label if iteration is None else f"{self.site.label}.{iteration}"

    def _base(self, iteration: int | None) -> Key | None:
        """Where the parameters of the node live; None if nobody says."""
        node, scope = self.site.node, self.site.scope
        path = getattr(node, "path", None)
        if path is not None and path.prefix is not None:
            text = scope.text(path.prefix)
            return Key("" if text == "." else checked_path(text, path.prefix.span))
        if node.names:
            name = str(node.names[0])
            return Key(name if iteration is None else f"{name}.{iteration}")
        return None

    # ---- repeatedly

    def _repeat_op(self, count: int, target: Any) -> Value:
        first = self._first(target)
        if first is NOTHING:
            return [self._once(i, target, NOTHING).value for i in self._iterations(count)]
        for i in self._iterations(count):
            first = self._once(i, target, first).value
        return first

    def _iterations(self, count: int) -> Any:
        body = self.site.scope.body
        for i in range(count):
            check_nodes(body.expanded + len(body.build.nodes), self.site.span)
            yield i

    def _repeat_call(self, count: int, target: _Block | Part) -> Value:
        node, scope = self.site.node, self.site.scope
        name, declared, outputs = _interface(target, node)
        carry = self._carry() if getattr(node, "carry", None) is not None else {}
        if not names_operands(node) and declared:
            carry = {next(iter(declared)): self._chained()}
        self._check_names(name, declared, {}, carry)

        def once(i: int, carried: Mapping[str, Value]) -> Value:
            with scope.at_iteration(i):
                scope.place(self.site.span, self._label(i))
                callee = self._callee(i, target)
                given = given_inputs(callee, *self._operands(NOTHING), self.site.span)
                for key in carried:
                    if key in given:
                        raise error_at(self.site.span, f"the input `{key}` is given twice")
                return call(scope, callee, {**given, **carried}, self.site.span, self._label(i), self.run_module)

        return repeat(self._iterations(count), carry, outputs, once, self.site.span)

    def _carry(self) -> dict[str, Value]:
        scope, node = self.site.scope, self.site.node
        return {name: scope.operand(operand) for name, operand in (node.carry or {}).items()}

    def _check_names(
        self, name: str, declared: Mapping[str, Any], given: Mapping[str, Value], carry: Mapping[str, Value]
    ) -> None:
        """Carried values and sequences go to inputs that there are, each once."""
        node = self.site.node
        written = getattr(node, "carry", None)
        over = node.scan.over if getattr(node, "scan", None) is not None else None
        for table, spans, taken in ((carry, written, given), (over or {}, over, {**given, **carry})):
            for key in table:
                span = spans.key_span(key) if spans is not None else self.site.span
                if key not in declared:
                    hint = suggest(key, declared) or f"its inputs: {', '.join(declared) or 'none'}"
                    raise error_at(span, f"`{name}` has no input `{key}`", hint)
                if key in taken:
                    raise error_at(span, f"the input `{key}` is given twice")


def _takes_nothing(target: Any) -> bool:
    """Whether it has no operands at all."""
    if isinstance(target, _Block):
        return not target.block.inputs
    if isinstance(target, Part):
        return False
    return not target.operands


def _interface(target: _Block | Part, node: Any) -> tuple[str, Mapping[str, Any], list[str] | None]:
    """Name, inputs and outputs of what is called, without its args; None: its value is that of its last node."""
    if isinstance(target, _Block):
        module, picked = target.block, None
    else:
        module, picked = part_module(target, node)
    outputs = picked or module.outputs
    return target.name, module.inputs or {}, None if outputs is None else list(outputs)
