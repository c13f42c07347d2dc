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

    ``given`` args are evaluated in ``caller`` (in the document itself if None). All mistakes in one SpecError.
    """
    context = Context(program, loaded, root)
    program.contexts.append(context)
    home = Scope(context, Body(program.shapes), program.collector)
    for name, library in loaded.includes.items():
        context.includes[name] = instantiate(program, library, root, {}, None, span)
    document = loaded.document
    chosen = _variant(loaded, variant, span)
    spans = given if hasattr(given, "key_span") else _Spans(span)
    what = f"the model `{loaded.label}`"
    own = {**chosen, **given}
    values = _read(caller or home, home, document.args or {}, own, chosen, given, what, spans, span)
    context.statics.update(values)
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


def _read(
    caller: Scope,
    home: Scope,
    declared: Mapping[str, Any],
    own: Mapping[str, StaticValue],
    chosen: Mapping[str, StaticValue],
    given: Mapping[str, StaticValue],
    what: str,
    spans: Any,
    span: Span,
) -> dict[str, Any]:
    """Args from a variant are written in the document itself, given ones where it is used."""
    kept = {name: value for name, value in chosen.items() if name not in given}
    from_variant = {name: declaration for name, declaration in declared.items() if name in kept}
    values = read_args(home, from_variant, kept, home, what, spans, span)
    rest = {name: declaration for name, declaration in declared.items() if name not in kept}
    surplus = {name: value for name, value in own.items() if name not in kept}
    values |= read_args(caller, rest, surplus, home, what, spans, span)
    return {name: values[name] for name in declared}


class _Spans:
    """Every key stands at one place: args that come from outside of any spec."""

    def __init__(self, span: Span) -> None:
        self.span = span

    def key_span(self, key: str) -> Span:
        """The place."""
        return self.span


def _variant(loaded: LoadedDocument, variant: str | None, span: Span) -> Mapping[str, StaticValue]:
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
    for key in variants[name]:
        if key not in declared:
            raise error_at(variants[name].key_span(key), f"there is no arg `{key}`", suggest(key, declared))
    return variants[name]


def _part(context: Context, home: Scope, name: str, declaration: Any) -> Part:
    path = declaration.path
    written = path if isinstance(declaration, ModelPart) or path is None else path.prefix
    text = name if written is None else home.text(written)
    if written is not None and text != ".":
        checked_path(text, written.span)
    base = Key(join(context.root.path, "" if text == "." else text), absolute=True)
    if isinstance(declaration, OpPart) and path is not None and path.each is not None:
        base = context.root
    inner = None
    if isinstance(declaration, ModelPart):
        model = load_model(context.loaded, declaration.model)
        variant = None if declaration.variant is None else str(declaration.variant)
        inner = instantiate(context.program, model, base, declaration.fields, home, declaration.span, variant)
    return Part(name, declaration, context, base, inner)
