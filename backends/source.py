"""Emitted Python: names made safe for comments, and a check of the text before anything runs it.

Emitted code holds no string of a user as code. Names reach it through ``ascii()`` as string literals, or through
`comment`. `check_source` is the second lock: what an emitted module never needs, a changed one cannot have either.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection

from ..compiler.ir.graph import Loc
from .api import BackendError

_UNSAFE = re.compile(r"[^A-Za-z0-9_.#-]+")
_LONGEST = 80

_FORBIDDEN_NAMES = frozenset(
    {
        "__builtins__", "__import__", "__loader__", "__spec__", "breakpoint", "compile", "delattr", "eval", "exec",
        "exit", "getattr", "globals", "input", "locals", "open", "quit", "setattr", "vars",
    }
)  # fmt: skip


class SourceError(BackendError):
    """Emitted source that is no Python, or holds what no emitted module needs."""


def comment(text: str) -> str:
    """``text`` for a comment: runs of anything but letters, digits, ``_``, ``.``, ``#`` and ``-`` become one ``_``."""
    safe = _UNSAFE.sub("_", text)
    return safe if len(safe) <= _LONGEST else safe[: _LONGEST - 2] + ".."


def origin(loc: Loc | None) -> str:
    """Where a node comes from, for a comment: ``label file:line``, without the folder; empty if nothing is known."""
    if loc is None:
        return ""
    file = comment(re.split(r"[/\\]", loc.file)[-1])
    place = f"{file}:{loc.line}" if file else ""
    return " ".join(part for part in (comment(loc.label), place) if part)


def check_source(text: str, allowed_imports: Collection[str]) -> ast.Module:
    """The syntax tree of an emitted module.

    Raises `SourceError` if it is no Python, imports a module whose full name is not in ``allowed_imports``, names a
    builtin that runs or reaches other code, or touches an attribute with two leading underscores.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SourceError(f"emitted source is no Python: {error}") from error
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for module in _imported(node):
            if module not in allowed_imports:
                raise SourceError(f"emitted source, line {line}: imports {module!r}")
        if isinstance(node, ast.ImportFrom) and any(a.name == "*" or a.name.startswith("__") for a in node.names):
            raise SourceError(f"emitted source, line {line}: imports {node.names[0].name} from {node.module}")
        if isinstance(node, ast.Name) and node.id in _FORBIDDEN_NAMES:
            raise SourceError(f"emitted source, line {line}: uses {node.id}")
        if isinstance(node, ast.Attribute) and node.attr.startswith("__"):
            raise SourceError(f"emitted source, line {line}: touches the attribute {node.attr}")
    return tree


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return ["." * node.level + (node.module or "")]
    return []
