"""A tree to a document, and Pydantic's errors in the words of the language."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ..diagnostics import Collector, Diagnostic, error_of
from ..source import Span
from ..tree import YamlList, YamlMap, YamlScalar, kind
from .document import Document


def validate(tree: YamlMap) -> Document:
    """The document that a tree describes; raises SpecError with all mistakes."""
    collector = Collector()
    try:
        document = Document.model_validate(tree, context={"collector": collector})
    except ValidationError as error:
        found = [_diagnostic(one, tree) for one in error.errors(include_url=False)]
        raise error_of([*collector.diagnostics, *found]) from None
    collector.raise_any()
    return document


def _diagnostic(error: Any, tree: YamlMap) -> Diagnostic:
    """One error of Pydantic. Our own validators send theirs along; of Pydantic's own kinds few can occur."""
    context = error.get("ctx") or {}
    if "diagnostic" in context:
        sent: Diagnostic = context["diagnostic"]
        return sent
    node = error["input"]
    span = node.span if isinstance(node, YamlMap | YamlList | YamlScalar) else _nearest(error["loc"], tree)
    last = error["loc"][-1] if error["loc"] else ""
    match error["type"]:
        case "missing" if isinstance(last, int):
            return Diagnostic(span, f"the list has too few items, the one at {last} is missing")
        case "missing":
            return Diagnostic(_start(span), f"the key `{last}` is missing here")
        case "too_long":
            return Diagnostic(
                span, f"the list has {context['actual_length']} items, at most {context['max_length']} belong here"
            )
        case "list_type" | "tuple_type":
            return Diagnostic(span, f"a list belongs here, not {kind(node)}")
        case "dict_type" | "model_type":
            return Diagnostic(span, f"a mapping belongs here, not {kind(node)}")
    return Diagnostic(span, f"this does not fit here: {error['msg']}")


def _nearest(loc: tuple[int | str, ...], tree: YamlMap) -> Span:
    """The place of the innermost node that the path of an error leads to; tags of unions are passed over."""
    node: Any = tree
    for step in loc:
        key: Any = step
        if isinstance(node, YamlMap):
            node = node.get(key, node)
        elif isinstance(node, YamlList) and isinstance(step, int) and step < len(node):
            node = node[step]
    span: Span = node.span
    return span


def _start(span: Span) -> Span:
    """The first character of a stretch."""
    return Span(span.source, span.start_line, span.start_column, span.start_line, span.start_column + 1)
