"""Emitted Python: names made safe for comments, and a check of the text before anything runs it.

Emitted code holds no string of a user as code. Names reach it through ``ascii()`` as string literals, or through
`comment`. `check_source` is the second lock: a module says what emitted modules say, and nothing
else.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..compiler.ir.graph import Loc
from .api import BackendError

_UNSAFE = re.compile(r"[^A-Za-z0-9_.#-]+")
_LONGEST = 80

_FOREIGN = (
    ast.AsyncFor, ast.AsyncFunctionDef, ast.AsyncWith, ast.Await, ast.Delete, ast.Global, ast.Match, ast.NamedExpr,
    ast.Nonlocal, ast.Yield, ast.YieldFrom,
)  # fmt: skip
"""Kinds of syntax that no emitter writes. Patterns read attributes that do not look like attributes."""


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


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What the emitted modules of a target say: the only words that one may have.

    ``imports`` are modules, and ``module:name`` for what `from` takes out of one; ``words`` are attributes,
    ``builtins`` those of Python's own names that are used.
    """

    imports: frozenset[str]
    words: frozenset[str]
    builtins: frozenset[str]

    @classmethod
    def of(cls, sources: Iterable[str], words: Iterable[str] = (), names: Iterable[str] = ()) -> Vocabulary:
        """Of texts of ours that are copied into modules, and what templates write besides."""
        nodes = [node for text in sources for node in ast.walk(ast.parse(text))]
        attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        used = {node.id for node in nodes if isinstance(node, ast.Name) and hasattr(builtins, node.id)}
        imports = frozenset(name for node in nodes for name in _imported(node))
        return cls(imports, frozenset(attributes.union(words)), frozenset(used.union(names)))


def check_source(text: str, allowed: Vocabulary) -> ast.Module:
    """The syntax tree of an emitted module.

    Raises `SourceError` if it is no Python, or holds an import, an attribute, a builtin or a kind of syntax that no
    emitted module of the target has.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SourceError(f"emitted source is no Python: {error}") from error
    for node in ast.walk(tree):
        fault = _fault(node, allowed)
        if fault:
            raise SourceError(f"emitted source, line {getattr(node, 'lineno', 0)}: {fault}")
    return tree


def _fault(node: ast.AST, allowed: Vocabulary) -> str:
    for name in _imported(node):
        if name not in allowed.imports:
            module, colon, taken = name.partition(":")
            return f"imports {taken} from {module}" if colon else f"imports {module!r}"
    if isinstance(node, ast.Attribute) and node.attr not in allowed.words:
        return f"touches the attribute {node.attr}"
    if isinstance(node, ast.Name) and node.id not in allowed.builtins:
        reserved = node.id.startswith("__") and node.id != "__file__"
        if reserved or hasattr(builtins, node.id):
            return f"uses {node.id}"
    if isinstance(node, _FOREIGN):
        return f"holds {type(node).__name__}, which no emitter writes"
    return ""


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{'.' * node.level}{node.module or ''}:{alias.name}" for alias in node.names]
    return []
