"""The text of `model.py`: one pure function per entry and per repeated block, and what serves them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...compiler.ir import Entry, Graph, Program, Symbol, Value, dims
from ...compiler.ops.control import Call
from ...compiler.placements import tensor_placements, value_placements
from ..api import BackendError
from ..source import comment
from .lower import lower_graph
from .lower.control import axes_text
from .lower.source import number
from .scope import Function, Module, Scope, jnp_dtype, tuple_text
from .sizes import Sizes, solutions

_ENTRY_NAMES = frozenset({"main", "prefill", "decode", "generate", "train_step"})
"""Entries whose functions bear their names. Others are numbered: a name from a spec never becomes code."""

_HEADER = '''\
"""{name}: pure JAX functions, written by netwright. Needs jax, numpy and safetensors.

    import model
    net = model.load()
    outputs = net({example})

An entry's function maps (params, inputs{states}) to its outputs; all are dictionaries of arrays by name. Call it by
itself inside ``with jax.enable_x64(True):``, so that 64-bit integers are what they are declared to be.
{mesh}"""

from __future__ import annotations

{math}from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
{safe_open}
'''

_MESH = """
It lies on a mesh of devices; on a CPU, virtual ones are asked for by the environment variable
XLA_FLAGS=--xla_force_host_platform_device_count={devices}. Called by themselves, the functions run on one device, or
spread inside ``with jax.set_mesh(model.mesh_of(model.MESH)):``.
"""


@dataclass(frozen=True, slots=True)
class Emitted:
    """``text`` of the module, the arrays that stand beside it, and the function that each entry became."""

    text: str
    constants: dict[str, np.ndarray]
    entries: dict[str, str]


def emit(program: Program) -> Emitted:
    """The module of a legalized program. Raises `BackendError`."""
    module = Module(lower_graph)
    calls = _calls(program)
    blocks = [_function(module, name, graph, calls.get(name, 0)) for name, graph in program.functions.items()]
    names = {
        name: name if name in _ENTRY_NAMES else f"entry_{position}" for position, name in enumerate(program.entries)
    }
    entries = [_entry(module, program, entry, names[entry.name]) for entry in program.entries.values()]
    parts = [
        _header(program, bool(program.used_tensors() or module.constants)),
        *_sources("helpers.py", module.helpers),
        *blocks,
        *entries,
        *_sources("serve.py", ("Entry", "Net", "mesh_of", "MeshNet") if program.sharding else ("Entry", "Net")),
        _table(program, names),
        *_places(program),
        _load(bool(program.used_tensors()), bool(module.constants), program.sharding is not None),
    ]
    return Emitted("\n\n".join(part.strip("\n") + "\n" for part in parts), module.constants, names)


def _header(program: Program, reads: bool) -> str:
    first = next(iter(program.entries.values()), None)
    example = ", ".join(f"{comment(port.name)}=..." for port in first.inputs) if first else ""
    return _HEADER.format(
        name=comment(program.name),
        example=example,
        states=", state" if program.state else "",
        mesh=_MESH.format(devices=program.sharding.devices) if program.sharding else "",
        math="import math\n" if program.sharding else "",
        safe_open="from safetensors import safe_open\n" if reads else "",
    )


def _calls(program: Program) -> dict[str, int]:
    counts: dict[str, int] = {}
    graphs = [*program.functions.values(), *(entry.graph for entry in program.entries.values())]
    for graph in graphs:
        for node in graph.walk():
            if isinstance(node.op, Call):
                counts[node.op.function] = counts.get(node.op.function, 0) + 1
    return counts


def _sources(file: str, names: Iterable[str]) -> list[str]:
    """The text of top-level functions and classes of a module of ours, in the order in which they stand there."""
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    wanted = set(names)
    found = [node for node in ast.parse(text).body if getattr(node, "name", None) in wanted]
    return [ast.get_source_segment(text, node) or "" for node in found]


# ---- functions


def _function(module: Module, name: str, graph: Graph, calls: int) -> str:
    scope = Scope(module)
    parameters = [scope.name(value) for value in graph.inputs]
    found = solutions(zip(parameters, (value.type for value in graph.inputs), strict=True), scope.sizes)
    lower_graph(scope, graph)
    results = [scope.use(value) for value in graph.outputs]
    scope.line(f"return {results[0] if len(results) == 1 else '(' + ', '.join(results) + ')'}")
    lines, needs = _size_lines(scope.sizes, found)
    keywords = tuple(scope.sizes.name(symbol) for symbol in needs)
    told = tuple(dims.symbol(symbol.name, symbol.low, symbol.high) for symbol in needs)
    function = Function(f"block_{len(module.functions)}", told, keywords)
    module.functions[name] = function
    signature = ", ".join([*parameters, *(["*", *keywords] if keywords else [])])
    # Tracing a block once is enough, however often it is called; sizes told by keyword may be symbolic, though.
    once = ["@jax.jit"] if calls > 1 and not keywords else []
    pairs = zip(parameters, graph.inputs, strict=True)
    types = [f"    # {text}: {scope.sizes.type(value.type)}" for text, value in pairs]
    head = [f"# {comment(name)}", *once, f"def {function.name}({signature}):", *types]
    return "\n".join([*head, *lines, *scope.lines])


def _entry(module: Module, program: Program, entry: Entry, name: str) -> str:
    scope = Scope(module)
    ports, _, states = _split(entry)
    arrays = []
    head: list[str] = []
    for kind, names, values in (
        ("inputs", [port.name for port in entry.inputs], ports),
        ("state", entry.states, states),
    ):
        for key, value in zip(names, values, strict=True):
            text = scope.name(value)
            head.append(f"    {text} = {kind}[{key!a}]  # {scope.sizes.type(value.type)}")
            arrays.append((text, value.type))
    _bind_params(scope, entry)
    found = solutions(arrays, scope.sizes)
    lower_graph(scope, entry.graph)
    scope.line(f"return {_results(scope, entry)}")
    lines, needs = _size_lines(scope.sizes, found)
    if needs:
        raise BackendError(f"entry {entry.name!r}: no input or state tells the size {needs[0].name}")
    kept = _states(entry)
    signature = "params, inputs, state" if kept else "params, inputs"
    whole = [f"# entry {comment(entry.name)}", f"def {name}({signature}):", *head, *lines, *scope.lines]
    if kept:
        whole += ["", "", *_initial(program, entry, name)]
    return "\n".join(whole)


def _split(entry: Entry) -> tuple[Sequence[Value], Sequence[Value], Sequence[Value]]:
    """The inputs of an entry's graph: declared inputs, parameters, states."""
    values, first, last = entry.graph.inputs, len(entry.inputs), len(entry.inputs) + len(entry.params)
    return values[:first], values[first:last], values[last:]


def _bind_params(scope: Scope, entry: Entry) -> None:
    for path, value in zip(entry.params, _split(entry)[1], strict=True):
        scope.bind(value, f"params[{path!a}]")


def _states(entry: Entry) -> tuple[str, ...]:
    """The states that an entry's function takes: those it reads or updates."""
    return tuple(dict.fromkeys((*entry.states, *entry.updates)))


def _results(scope: Scope, entry: Entry) -> str:
    values = [scope.use(value) for value in entry.graph.outputs]
    outputs = dict(zip(entry.outputs, values[: len(entry.outputs)], strict=True))
    if not entry.updates:
        return _dictionary(outputs)
    states = {name: f"state[{name!a}]" for name in entry.states}
    states |= dict(zip(entry.updates, values[len(entry.outputs) :], strict=True))
    return f"{_dictionary(outputs)}, {_dictionary(states)}"


def _dictionary(texts: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key!a}: {text}" for key, text in texts.items()) + "}"


def _size_lines(sizes: Sizes, found: dict[Symbol, tuple[str, set[Symbol]]]) -> tuple[list[str], tuple[Symbol, ...]]:
    """Lines that compute the used sizes, and the symbols that no array tells."""
    wanted = set(sizes.used)
    for symbol in reversed(found):
        if symbol in wanted:
            wanted |= found[symbol][1]
    lines = [f"    {sizes.name(symbol)} = {text}" for symbol, (text, _) in found.items() if symbol in wanted]
    return lines, tuple(symbol for symbol in sizes.used if symbol not in found)


def _initial(program: Program, entry: Entry, name: str) -> list[str]:
    """The function that makes the first value of each state whose size the inputs tell."""
    sizes = Sizes()
    arrays = [(f"inputs[{port.name!a}]", port.type) for port in entry.inputs]
    found = solutions(arrays, sizes)
    first: dict[str, str] = {}
    for key in _states(entry):
        state = program.state[key]
        reader = sizes.reader()
        value = number(np.asarray(state.initial))
        text = f"jnp.full({reader.shape(state.type.shape)}, {value}, {jnp_dtype(state.type.dtype)})"
        if reader.used.keys() <= found.keys():
            first[key] = text
            sizes.used |= reader.used
    lines, _ = _size_lines(sizes, found)
    return [
        f"# first value of each state whose size the inputs of {comment(entry.name)} tell",
        f"def {name}_state(inputs):",
        *lines,
        f"    return {_dictionary(first)}",
    ]


# ---- the end of the module


def _table(program: Program, names: dict[str, str]) -> str:
    lines = ["ENTRIES = {"]
    for entry in program.entries.values():
        name = names[entry.name]
        inputs = _dictionary({port.name: jnp_dtype(port.type.dtype) for port in entry.inputs})
        kept = _states(entry)
        fields = [name, inputs, _names(entry.outputs)]
        if kept:
            fields += [_names(kept), f"{name}_state", f"updates={bool(entry.updates)}"]
        lines.append(f"    {entry.name!a}: Entry({', '.join(fields)}),")
    return "\n".join([*lines, "}"])


def _names(names: Sequence[str]) -> str:
    return tuple_text([ascii(name) for name in names])


def _places(program: Program) -> list[str]:
    """The tables of the mesh, and of the parameters, inputs and states that are spread over it."""
    if program.sharding is None:
        return []
    sizes = ", ".join(f"{name!a}: {size}" for name, size in program.sharding.mesh.items())
    tables = [f"MESH = {{{sizes}}}"]
    for name, placed in (("PARAMS", tensor_placements(program)), ("VALUES", value_placements(program))):
        lines = [f"    {key!a}: {axes_text(axes)}," for key, axes in placed.items()]
        tables.append("\n".join([f"{name}: dict[str, tuple[str | None, ...]] = {{", *lines, "}"]))
    return ["\n\n".join(tables)]


def _load(weights: bool, constants: bool, spread: bool) -> str:
    lines = ["CONSTANTS: dict[str, np.ndarray] = {}", "", ""] if constants else []
    if weights or constants:
        lines += [
            "def _read(file: Path) -> dict[str, np.ndarray]:",
            '    with safe_open(file, framework="numpy") as tensors:',
            "        return {name: tensors.get_tensor(name) for name in tensors.keys()}",
            "",
            "",
        ]
    given = "folder: str | Path | None = None, params: Mapping[str, Any] | None = None"
    lines += [
        f"def load({given}, devices: Sequence[Any] | None = None) -> MeshNet:"
        if spread
        else f"def load({given}) -> Net:",
        '    """The model, with the weights that stand beside this file, in another folder, or given as arrays."""',
    ]
    if weights or constants:
        lines.append("    folder = Path(__file__).parent if folder is None else Path(folder)")
    if constants:
        lines.append('    CONSTANTS.update(_read(folder / "constants.safetensors"))')
    if weights:
        lines += ["    if params is None:", '        params = _read(folder / "weights.safetensors")']
    params = "params" if weights else "params or {}"
    if spread:
        lines.append(f"    return MeshNet(ENTRIES, {params}, mesh_of(MESH, devices), PARAMS, VALUES)")
    else:
        lines.append(f"    return Net(ENTRIES, {params})")
    return "\n".join(lines)
