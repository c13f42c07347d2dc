"""The functions of `device.py` as text, each with those that it calls."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

DEVICE = Path(__file__).with_name("device.py")


@cache
def _functions() -> dict[str, tuple[str, frozenset[str]]]:
    """By name, in the order of the file: the text with its decorators, and the others that it names."""
    text = DEVICE.read_text(encoding="utf-8")
    lines = text.splitlines()
    found = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    made = {}
    for name, node in found.items():
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        made[name] = ("\n".join(lines[first - 1 : node.end_lineno]), frozenset((used & found.keys()) - {name}))
    return made


def sources(names: Iterable[str]) -> list[str]:
    """The text of functions and of all that they call, in the order in which the file has them."""
    wanted: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo.extend(_functions()[name][1])
    return [text for name, (text, _) in _functions().items() if name in wanted]
