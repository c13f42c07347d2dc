"""What nodes and parts refer to by name: ops, blocks, args, parts. Found without running anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..diagnostics import Diagnostic, suggest
from ..load import LoadedDocument
from ..model.blocks import Block
from ..source import Span
from .foreign import op_hint
from .vocabulary import find_op, op_names

MOST_LISTED = 12
"""Blocks that a hint lists."""


def find_block(loaded: LoadedDocument, name: str) -> tuple[str | None, Block] | None:
    """The library that a block name leads to (None for the document itself) and the block; None if there is none."""
    own: Mapping[str, Block] = loaded.document.blocks or {}
    if name in own:
        return None, own[name]
    library, _, block = name.partition(".")
    if library in loaded.includes:
        theirs: Mapping[str, Block] = loaded.includes[library].document.blocks or {}
        if block in theirs:
            return library, theirs[block]
    return None


def block_names(loaded: LoadedDocument) -> list[str]:
    """Every block that can be named in a document."""
    own = list(loaded.document.blocks or {})
    included = loaded.includes.items()
    return own + [f"{name}.{block}" for name, inner in included for block in inner.document.blocks or {}]


def op_problem(loaded: LoadedDocument, name: str, span: Span) -> Diagnostic | None:
    """Why `op: name` is refused, or None."""
    if find_op(name) is not None:
        return None
    if find_block(loaded, name) is not None:
        return Diagnostic(span, f"`{name}` is a block, not an op", f"write {{block: {name}}}")
    # `nn.Conv2d` is looked up as `Conv2d`, unless the name before the dot is a library.
    library, _, last = name.rpartition(".")
    word = name if library in loaded.includes else last
    hint = op_hint(word) or suggest(word, {*op_names(), *block_names(loaded)})
    return Diagnostic(span, f"there is no op `{name[:60]}`", hint)


def block_problem(loaded: LoadedDocument, name: str, span: Span) -> Diagnostic | None:
    """Why `block: name` is refused, or None."""
    if find_block(loaded, name) is not None:
        return None
    hint = suggest(name, block_names(loaded))
    if hint is None and find_op(name) is not None:
        hint = f"`{name}` is an op: write {{op: {name}}}"
    if hint is None:
        hint = f"blocks: {', '.join(block_names(loaded)[:MOST_LISTED]) or 'none'}"
    return Diagnostic(span, f"there is no block `{name[:60]}`", hint)


def part_problem(loaded: LoadedDocument, name: str, span: Span) -> Diagnostic | None:
    """Why `part: name` is refused, or None."""
    parts: Mapping[str, Any] = loaded.document.parts or {}
    if name in parts:
        return None
    hint = suggest(name, parts) or f"parts: {', '.join(parts) or 'none'}"
    return Diagnostic(span, f"there is no part `{name[:60]}`", hint)


def arg_problems(
    declared: Mapping[str, Any], given: Mapping[str, Any], what: str, spans: Any, span: Span
) -> Iterator[Diagnostic]:
    """Args that nobody declares, and required ones that are missing."""
    for key in given:
        if key not in declared:
            hint = suggest(key, declared) or f"its args: {', '.join(declared) or 'none'}"
            yield Diagnostic(spans.key_span(key), f"{what} has no arg `{key}`", hint)
    for name, declaration in declared.items():
        if name not in given and declaration.default is None:
            yield Diagnostic(span, f"{what} needs the arg `{name}` ({declaration.type})", f"{name}: ...")
