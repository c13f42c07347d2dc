"""Calls of parts: modules that several nodes share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..diagnostics import error_at, error_of, suggest
from ..model.blocks import Block
from ..model.formulas import Text
from ..model.nodes import PartNode
from ..model.parts import BlockPart, ModelPart, OpPart
from .body import Body
from .calls import Callee
from .context import Context, Part
from .fields import make_op, read_args
from .ops import Site, checked_path, run_op
from .references import block_problem, op_problem, part_problem
from .scope import Ref, Scope
from .values import Named, Poisoned, Value
from .vocabulary import find_op


def note_part(scope: Scope, text: Text) -> None:
    """The part is called under a condition that is false here: not for nothing. Raises SpecError."""
    context, name = _named(scope, text)
    if name in context.parts:
        context.parts[name].called = True


def find_part(scope: Scope, node: PartNode) -> Part:
    """The part that a node calls. Raises SpecError; Poisoned if the part itself is mistaken."""
    context, name = _named(scope, node.part)
    problem = part_problem(context.loaded, name, node.part.span)
    if problem is not None:
        raise error_of([problem])
    part = context.parts.get(name)
    if part is None:
        raise Poisoned
    part.called = True
    if node.entry is not None and not isinstance(part.declaration, ModelPart):
        raise error_at(node.entry.span, f"`entry` is for sub-models; `{part.name}` is none")
    return part


def _named(scope: Scope, text: Text) -> tuple[Context, str]:
    """The name of a part, and the document that has it: an arg names a part of the file where it is written."""
    found = scope.template(text)
    return (found.context, found.name) if isinstance(found, Ref) else (scope.context, found)


def run_op_part(site: Site, part: Part, operands: Value, positional: bool) -> Named:
    """One call of an op part; its parameters are known from the first call on. Raises SpecError."""
    declaration = part.declaration
    assert isinstance(declaration, OpPart)
    context = part.context
    home = Scope(context, site.scope.body, site.scope.collector)
    name = home.text(declaration.op)
    problem = op_problem(context.loaded, name, declaration.op.span)
    if problem is not None:
        raise error_of([problem])
    declared = find_op(name)
    assert declared is not None
    op = make_op(home, declared, declaration.fields, declaration.fields, declaration.span)
    each = None
    if declaration.path is not None and declaration.path.each is not None:
        texts = declaration.path.each.items()
        each = {key: checked_path(home.text(text), text.span) for key, text in texts}
    shared = site.of_part(part.name)
    named = run_op(shared, op, operands, positional, part.base, each, None)
    part.parameters.update(shared.used)
    return named


def part_module(part: Part, node: PartNode) -> tuple[Any, Mapping[str, Any] | None]:
    """The block, document or entry that a call runs, and the nodes that it takes instead of its outputs, if any.

    Raises SpecError.
    """
    if part.inner is None:
        return _block_of(part)[2], None
    assert isinstance(part.declaration, ModelPart)
    document = part.inner.loaded.document
    if node.entry is None:
        return document, part.declaration.outputs
    entries: Mapping[str, Any] = document.entries or {}
    if node.entry not in entries:
        hint = suggest(node.entry, entries) or f"its entries: {', '.join(entries) or 'none'}"
        raise error_at(node.entry.span, f"the model has no entry `{node.entry}`", hint)
    return entries[node.entry], None


def part_callee(scope: Scope, part: Part, node: PartNode) -> Callee:
    """What a call of a block or model part calls. Raises SpecError."""
    if part.inner is not None:
        module, picked = part_module(part, node)
        return Callee(module, part.inner, part.name, {}, part.base, (), None, picked)
    context, name, block = _block_of(part)
    home = Scope(part.context, scope.body, scope.collector)
    inner = Scope(context, scope.body, scope.collector)
    fields = part.declaration.fields
    what = f"the block `{name}`"
    args = read_args(home, block.args or {}, fields, inner, what, fields, part.declaration.span)
    return Callee(block, context, part.name, args, part.base, (), block.let)


def _block_of(part: Part) -> tuple[Context, str, Block]:
    """The block of a block part, and where it is declared."""
    declaration = part.declaration
    assert isinstance(declaration, BlockPart)
    home = Scope(part.context, Body(part.context.program.shapes), part.context.program.collector)
    found = home.template(declaration.block)
    context, name = (found.context, found.name) if isinstance(found, Ref) else (part.context, found)
    block = context.find_block(name)
    if block is None:
        raise error_of([block_problem(context.loaded, name, declaration.block.span)])  # type: ignore[list-item]
    return block[0], name, block[1]
