"""A document with its args: contexts for itself, its libraries and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..diagnostics import SpecError, error_at, suggest
from ..load import LoadedDocument, load_model
from ..model.formulas import StaticValue
from ..model.parts import ModelPart, OpPart
from ..source import Span
from .body import Body, Key, join
from .context import Context, Part, ProgramBuilder
from .fields import read_args, read_value
from .names import check_names
from .ops import checked_path
from .scope import Scope
from .values import Poisoned


def instantiate(
    program: ProgramBuilder,
    loaded: LoadedDocument,
    root: Key,
    given: Mapping[str, StaticValue],
    caller: Scope | None,
    span: Span,
    variant: str | None = None,
) -> Context:
    """The context of a document whose parameters live at ``root``.

    ``given`` args are evaluated in ``caller`` (in the document itself if None). All mistakes in one SpecError; those of
    parts and names go to the collector of the program.
    """
    if id(loaded) not in program.checked:
        program.checked[id(loaded)] = loaded
        check_names(loaded, program.collector, program.unknown)
    context = Context(program, loaded, root)
    program.contexts.append(context)
    home = Scope(context, Body(program.shapes), program.collector)
    for name, library in loaded.includes.items():
        context.includes[name] = instantiate(program, library, root, {}, None, span)
    document = loaded.document
    chosen = _variant(loaded, variant, span)
    context.statics.update(_args(loaded, caller or home, home, chosen, given, span))
    for name, static in (document.let or {}).items():
        context.statics[name] = read_value(home, static)
    for name, declaration in (document.parts or {}).items():
        try:
            context.parts[name] = _part(context, home, name, declaration)
        except SpecError as error:
            program.collector.add(error)
        except Poisoned:
            continue
    return context


def _args(
    loaded: LoadedDocument,
    caller: Scope,
    home: Scope,
    chosen: Mapping[str, StaticValue],
    given: Mapping[str, StaticValue],
    span: Span,
) -> dict[str, Any]:
    """Args from a variant are written in the document itself, given ones where it is used."""
    declared: Mapping[str, Any] = loaded.document.args or {}
    kept = {name: value for name, value in chosen.items() if name not in given}
    spans = given if hasattr(given, "key_span") else _Spans(span)
    what = f"the model `{loaded.label}`"
    inside = {name: declaration for name, declaration in declared.items() if name in kept}
    values = read_args(home, inside, kept, home, what, spans, span)
    outside = {name: declaration for name, declaration in declared.items() if name not in kept}
    values |= read_args(caller, outside, given, home, what, spans, span)
    return {name: values[name] for name in declared}


class _Spans:
    """Every key stands at one place: args that come from outside of any spec."""

    def __init__(self, span: Span) -> None:
        self.span = span

    def key_span(self, key: str) -> Span:
        """The place."""
        return self.span


def _variant(loaded: LoadedDocument, variant: str | None, span: Span) -> Mapping[str, StaticValue]:
    """The args that a variant sets. Raises SpecError."""
    name = variant or loaded.variant
    if name is None:
        return {}
    variants: Mapping[str, Any] = loaded.document.variants or {}
    if name not in variants:
        listed = ", ".join(variants) or "none"
        raise error_at(
            span, f"`{loaded.label}` has no variant `{name}`", suggest(name, variants) or f"variants: {listed}"
        )
    declared: Mapping[str, Any] = loaded.document.args or {}
    # Others are mistakes that `check_names` reports.
    return {key: value for key, value in variants[name].items() if key in declared}


def _part(context: Context, home: Scope, name: str, declaration: Any) -> Part:
    """A declared part; a sub-model is loaded and instantiated. Raises SpecError."""
    path = declaration.path
    written = path if isinstance(declaration, ModelPart) or path is None else path.prefix
    text = name if written is None else home.text(written)
    if written is not None and text != ".":
        checked_path(text, written.span)
    base = Key(join(context.root.path, "" if text == "." else text), absolute=True)
    if path is not None and not isinstance(declaration, ModelPart) and path.each is not None:
        if not isinstance(declaration, OpPart):
            raise error_at(path.span, "a block has one path, not one for each parameter")
        base = context.root
    inner = None
    if isinstance(declaration, ModelPart):
        inner = _sub_model(context, home, base, declaration)
    return Part(name, declaration, context, base, inner)


def _sub_model(context: Context, home: Scope, base: Key, declaration: ModelPart) -> Context:
    program = context.program
    # Each program reads a document once, however many parts refer to it.
    known = (id(context.loaded), str(declaration.model))
    if known not in program.models:
        program.models[known] = load_model(context.loaded, declaration.model)
    model = program.models[known]
    variant = None if declaration.variant is None else str(declaration.variant)
    place = declaration.variant.span if declaration.variant is not None else declaration.span
    if variant is not None:
        _variant(model, variant, place)
    return instantiate(program, model, base, declaration.fields, home, declaration.span, variant)
