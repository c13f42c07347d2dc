"""Specs as texts to programs, run by the meanings of their ops; and the mistakes of specs that are refused."""

from __future__ import annotations

import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import DType, Entry, Program
from netwright.compiler.ir.dims import solve
from netwright.compiler.ir.verify import verify
from netwright.spec.diagnostics import Diagnostic, SpecError
from netwright.spec.elaborate.program import Lowered, Request, elaborate
from netwright.spec.load import load_document
from netwright.spec.model.formulas import StaticValue
from netwright.spec.reader import read_source
from netwright.spec.source import Source

Files = Mapping[str, str]


def spec(body: str) -> str:
    """A document with this body; its first line is line 3."""
    return "netwright: 1\nname: m\n" + textwrap.dedent(body).lstrip("\n")


def library(body: str) -> str:
    """A library with this body; its first line is line 2."""
    return "netwright: 1\n" + textwrap.dedent(body).lstrip("\n")


def lowered(text: str, files: Files | None = None, **request: Any) -> Lowered:
    """What a spec becomes. ``files`` lie beside it; ``request`` are the fields of `Request`, args as YAML texts."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in {**(files or {}), "m.yaml": text}.items():
            (Path(folder) / name).write_text(content, encoding="utf-8")
        args = {
            name: StaticValue.of(read_source(Source("--set", f"value: {value}\n"))["value"])
            for name, value in request.pop("args", {}).items()
        }
        result = elaborate(load_document(Path(folder) / "m.yaml"), Request(args, **request))
    verify(result.program)
    return result


def program(text: str, files: Files | None = None, **request: Any) -> Program:
    """The program of a spec, verified."""
    return lowered(text, files, **request).program


def mistakes(text: str, files: Files | None = None, **request: Any) -> tuple[Diagnostic, ...]:
    """Every mistake of a spec, in order."""
    with pytest.raises(SpecError) as caught:
        lowered(text, files, **request)
    return caught.value.diagnostics


def told(text: str, files: Files | None = None, **request: Any) -> list[str]:
    """Every mistake as `line:column message`, with ` | hint` where there is one."""
    return [
        f"{_place(one)} {one.message}" + (f" | {one.hint}" if one.hint else "")
        for one in mistakes(text, files, **request)
    ]


def said(text: str, files: Files | None = None, **request: Any) -> list[str]:
    """Every mistake as `line:column message`, without hints."""
    return [f"{_place(one)} {one.message}" for one in mistakes(text, files, **request)]


def _place(one: Diagnostic) -> str:
    file = Path(one.span.source.name).name
    place = f"{one.span.start_line}:{one.span.start_column}"
    return place if file == "m.yaml" else f"{file}:{place}"


@dataclass(frozen=True)
class Net:
    """A program with values for its parameters: called with arrays, it gives arrays by name, floats in float64."""

    program: Program
    values: Mapping[str, np.ndarray]

    def __call__(self, entry: str = "main", states: Mapping[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
        chosen = self.program.entries[entry]
        arrays = [np.asarray(inputs.pop(port.name.replace(".", "__"))) for port in chosen.inputs]
        assert not inputs, f"there are no inputs {inputs}"
        sizes = _sizes(chosen, arrays)
        arrays = [_converted(array, port.type.dtype) for array, port in zip(arrays, chosen.inputs, strict=True)]
        arrays += [self.values[name] for name in chosen.params]
        arrays += [np.asarray((states or {})[name]) for name in chosen.states]
        results = evaluate(chosen.graph, arrays, sizes, self.program.functions, wide=True)
        return dict(zip((*chosen.outputs, *chosen.updates), results, strict=True))


def _converted(array: np.ndarray, dtype: DType) -> np.ndarray:
    """Floats stay float64, in which everything is computed."""
    return array.astype(np.float64 if dtype.is_float else dtype.numpy)


def _sizes(entry: Entry, arrays: list[np.ndarray]) -> dict[str, int]:
    known: dict[str, Any] = {}
    pending = [pair for port, array in zip(entry.inputs, arrays, strict=True) for pair in _dims(port, array)]
    for _ in range(2):
        for size, given in pending:
            found = solve(size, given, known)
            if found is not None and found[1] is not None:
                known[found[0].name] = found[1]
    return known


def _dims(port: Any, array: np.ndarray) -> list[tuple[Any, int]]:
    assert array.ndim == port.type.rank, f"{port.name} is {port.type}, given is {array.shape}"
    return list(zip(port.type.shape, array.shape, strict=True))


def net(text: str, files: Files | None = None, **request: Any) -> Net:
    """A program with random parameters, the same each time."""
    made = program(text, files, **request)
    draw = np.random.default_rng(0)
    values = {
        path: draw.normal(size=parameter.type.shape).astype(np.float64)  # type: ignore[arg-type]
        for path, parameter in made.parameters.items()
    }
    return Net(made, values)


def labels(made: Program) -> list[str]:
    """The labels of all nodes of the main entry, calls expanded, each once."""
    found: dict[str, None] = {}

    def walk(graph: Any, outer: Any) -> None:
        for node in graph.nodes:
            loc = node.loc.inside(outer) if node.loc is not None else None
            if node.op.name == "call":
                walk(made.functions[node.op.function], loc)
                continue
            if loc is not None:
                found[loc.label] = None
            for region in node.regions:
                walk(region, outer)

    walk(made.entries["main"].graph, None)
    return list(found)
