"""Data runs one way, and so do imports: spec -> compiler <- backends, driver above them, cli on top."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("spec", "compiler", "backends", "driver", "cli")
BELOW = {
    "spec": {"spec", "compiler.ir", "compiler.ops", "compiler.training.plan", "compiler.training.optimizers"},
    "compiler": {"compiler"},
    "backends": {"backends", "compiler", "version"},
    "driver": {"driver", "backends", "compiler", "spec", "version"},
    "cli": {"cli", "driver", "backends", "compiler", "spec", "version"},
}
SHARED = {path.stem for path in (ROOT / "backends").glob("*.py")}
"""What backends share; all else in the folder is one of them."""
HEAVY = {"jax", "jaxlib", "onnx", "onnxruntime", "torch", "transformers", "triton"}
HOMES_OF_HEAVY = ("backends.jax", "backends.onnx", "backends.triton", "driver.contenders")


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its name below `netwright`."""
    found = {}
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


def imports(name: str, *, only_at_import: bool = False) -> Iterator[tuple[str, int]]:
    """The modules of ours that a module imports, and the lines."""
    package = name if modules()[name].name == "__init__.py" else name.rpartition(".")[0]
    nodes = _at_import(tree(name).body) if only_at_import else ast.walk(tree(name))
    for node in nodes:
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        parts = package.split(".")
        assert node.level <= len(parts) + 1, f"{name}:{node.lineno} leads out of the package"
        base = ".".join([*parts[: len(parts) - node.level + 1], *(node.module or "").split(".")]).strip(".")
        for alias in node.names:
            inner = f"{base}.{alias.name}".strip(".")
            yield (inner if inner in modules() else base), node.lineno


def _at_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Statements that run when a module is imported: no function bodies, nothing for type checkers only."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        for block in ("body", "orelse", "handlers", "finalbody"):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield from _at_import(getattr(node, block, []))


def within(name: str, homes: set[str]) -> bool:
    return any(name == home or name.startswith(f"{home}.") for home in homes)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_knows_only_what_is_below(layer: str) -> None:
    for name in modules():
        if within(name, {layer}):
            for found, line in imports(name):
                assert within(found, BELOW[layer]), f"{name}:{line} imports {found}"


def test_backends_do_not_know_each_other() -> None:
    for name in modules():
        for found, line in imports(name):
            kind = found.split(".")[1] if found.startswith("backends.") else ""
            if not kind or kind in SHARED:
                continue
            assert within(name, {f"backends.{kind}"}), f"{name}:{line} imports the backend {found}"


def test_there_are_no_cycles() -> None:
    graph = networkx.DiGraph()
    for name in modules():
        graph.add_edges_from((name, found) for found, _ in imports(name, only_at_import=True) if found in modules())
    # A package that imports its own modules is no cycle unless they import it back.
    cycles = [sorted(each) for each in networkx.strongly_connected_components(graph) if len(each) > 1]
    assert cycles == []
    assert list(networkx.nodes_with_selfloops(graph)) == []


def test_our_modules_are_imported_at_the_top() -> None:
    for name in modules():
        for function in ast.walk(tree(name)):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for node in ast.walk(function):
                assert not (isinstance(node, ast.ImportFrom) and node.level), f"{name}:{node.lineno} hides an import"


def test_our_modules_are_imported_relatively() -> None:
    for name in modules():
        for found, line in third_party(name):
            assert found != "netwright", f"{name}:{line} imports netwright by its name"


def third_party(name: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0], node.lineno


def test_heavy_modules_are_imported_only_where_they_are_the_target() -> None:
    for name in modules():
        for found, line in third_party(name):
            if found in HEAVY:
                assert within(name, set(HOMES_OF_HEAVY)), f"{name}:{line} imports {found}"


def test_nothing_runs_text_or_loads_pickles() -> None:
    for name in modules():
        for found, line in third_party(name):
            assert found not in {"pickle", "marshal", "shelve", "dill", "cloudpickle"}, f"{name}:{line} imports {found}"
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "__import__"}, f"{name}:{node.lineno} calls {node.func.id}"
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert isinstance(node.value, ast.Constant) and node.value.value is False, f"{name}:{node.lineno}"
