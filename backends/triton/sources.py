"""The text of each kernel of an emitted module with all that it calls, under a name that no module chose.

Equal kernels of different models have equal texts: what tuning found for one holds for the other.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

_NAME = "kernel"


def kernel_sources(text: str, names: Iterable[str]) -> dict[str, str]:
    """By name of the kernel: its text and that of the functions it names, directly or not."""
    lines = text.splitlines()
    nodes = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    found: dict[str, str] = {}
    for name in names:
        used = _reached(nodes, name)
        parts = [_text(lines, nodes[each]) for each in sorted(used - {name})]
        found[name] = "\n\n".join([re.sub(rf"\b{re.escape(name)}\b", _NAME, _text(lines, nodes[name])), *parts])
    return found


def _reached(nodes: dict[str, ast.FunctionDef], name: str) -> set[str]:
    reached: set[str] = set()
    todo = [name]
    while todo:
        current = todo.pop()
        if current not in reached:
            reached.add(current)
            named = {each.id for each in ast.walk(nodes[current]) if isinstance(each, ast.Name)}
            todo.extend(named & nodes.keys())
    return reached


def _text(lines: list[str], node: ast.FunctionDef) -> str:
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return "\n".join(lines[first - 1 : node.end_lineno])


def asks_device(text: str, name: str) -> bool:
    """Whether a launch plan, a function of an emitted module, reads numbers of the device while it runs."""
    found = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == name]
    return any(isinstance(each, ast.Attribute) and each.attr == "truth" for node in found for each in ast.walk(node))
