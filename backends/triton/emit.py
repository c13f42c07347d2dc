"""The text of `model.py` for a program: helper functions, kernels, the launch plan of each entry, tables of facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...compiler.ir import Entry, Program
from ..source import comment
from .arrays import Array, Kind, new
from .helpers import sources
from .kernel import Kernel
from .lower import LOWERINGS, TEMPLATES, WRITERS
from .plan import Plan, plan
from .scope import Scope, Shared
from .templates.carry import hand_on
from .text import Writer, kernel_facts, tuple_text

MODULE = "model.py"


@dataclass(frozen=True)
class Emitted:
    """The module, its kernels in the order of the text, and the plan of each entry."""

    text: str
    kernels: tuple[Kernel, ...]
    plans: Mapping[str, Plan]


@dataclass(frozen=True)
class _Lowered:
    entry: Entry
    plan: Plan
    writer: Writer
    outputs: tuple[Array, ...]


def emit(program: Program) -> Emitted:
    """The module of a legalized program."""
    shared = Shared(LOWERINGS, TEMPLATES, WRITERS)
    types = program.tensor_types()
    weights = {name: new(types[name], Kind.WEIGHT) for name in program.used_tensors()}
    for index, array in enumerate(weights.values()):
        array.buffer.index = index
    lowered = [_lower(program, entry, shared, weights) for entry in program.entries.values()]
    running = [launch.kernel for each in lowered for launch in each.plan.block.launches()]
    kernels = tuple({kernel.name: kernel for kernel in running}.values())
    used = {name for kernel in kernels for name in kernel.helpers}
    parts = [
        _header(program),
        "import triton\nimport triton.language as tl",
        *sources(used),
        *(kernel.text for kernel in kernels),
        *(text for number, each in enumerate(lowered) for text in _functions(number, each)),
        _tables(program, shared, lowered, kernels),
    ]
    return Emitted("\n\n\n".join(parts) + "\n", kernels, {each.entry.name: each.plan for each in lowered})


def _header(program: Program) -> str:
    name, entries = comment(program.name), ", ".join(comment(name) for name in program.entries)
    return f'''"""{name}: a Triton program, made by netwright.

Entries: {entries}. A kernel gets pointers x0, x1 ... and sizes s0, s1 .... In the launch plan of an entry x are inputs,
w weights, k constants, r states, y outputs, b buffers of the arena, d sizes; run(kernel, arguments, grid) launches.
Comments name places of the spec.
"""'''


def _lower(program: Program, entry: Entry, shared: Shared, weights: dict[str, Array]) -> _Lowered:
    scope = Scope(shared)
    inputs = [new(port.type, Kind.INPUT) for port in entry.inputs]
    held = {name: new(program.state[name].type, Kind.STATE) for name in dict.fromkeys((*entry.states, *entry.updates))}
    for each in (inputs, list(held.values())):
        for index, array in enumerate(each):
            array.buffer.index = index
    given = [*inputs, *(weights[name] for name in entry.params), *(held[name] for name in entry.states)]
    results = scope.lower(entry.graph, given)
    outputs = []
    for index, value in enumerate(results[: len(entry.outputs)]):
        out = new(value.type, Kind.OUTPUT)
        out.buffer.index = index
        scope.store(out, value)
        outputs.append(out)
    hand_on(scope, [held[name] for name in entry.updates], results[len(entry.outputs) :])
    variables = {symbol.name: f"d{index}" for index, symbol in enumerate(entry.symbols)}
    return _Lowered(entry, plan(scope.block), Writer(variables), tuple(outputs))


def _functions(number: int, lowered: _Lowered) -> list[str]:
    """The functions of an entry: the table of buffers, the shapes of outputs, the launch plan."""
    writer, name = lowered.writer, comment(lowered.entry.name)
    given = ", ".join(writer.symbols.values())
    rows = [
        f'        ({first}, {last}, "{buffer.dtype.value}", {writer.size(buffer.elements)}),  # b[{buffer.index}]'
        for buffer, first, last in lowered.plan.rows
    ]
    table = [
        f"def buffers_{number}({given}):",
        f'    """The buffers b of entry {name}: first use, last use, dtype, elements."""',
        *(["    return (", *rows, "    )"] if rows else ["    return ()"]),
    ]
    shapes = tuple_text(tuple_text(map(writer.size, array.shape)) for array in lowered.outputs)
    outputs = [
        f"def outputs_{number}({given}):",
        f'    """The shapes of the outputs y of entry {name}."""',
        f"    return {shapes}",
    ]
    call = [
        f"def call_{number}({', '.join(['run', 'x', 'w', 'k', 'r', 'y', 'b', *writer.symbols.values()])}):",
        f'    """The launch plan of entry {name}."""',
        *writer.block(lowered.plan.block, "    "),
    ]
    return ["\n".join(each) for each in (table, outputs, call)]


def _tables(program: Program, shared: Shared, lowered: Sequence[_Lowered], kernels: Sequence[Kernel]) -> str:
    types = program.tensor_types()
    parameters = [
        f"    ({name!a}, {types[name].dtype.value!r}, {types[name].shape!r}),  # w[{index}]"
        for index, name in enumerate(program.used_tensors())
    ]
    constants = [
        f"    ({literal.type.dtype.value!r}, {literal.type.shape!r}, {literal.data.hex()!r}),  # k[{index}]"
        for index, literal in enumerate(shared.constants)
    ]
    entries = [
        f"    {each.entry.name!a}: ({_entry(number, each)}),  # " + _words(each) for number, each in enumerate(lowered)
    ]
    facts = [line for kernel in kernels for line in kernel_facts(kernel)]
    return "\n".join(
        [
            *_literal("PARAMETERS", "()", parameters),
            *_literal("CONSTANTS", "()", constants),
            *_literal("KERNELS", "{}", facts),
            *_literal("ENTRIES", "{}", entries),
        ]
    )


def _entry(number: int, lowered: _Lowered) -> str:
    """Inputs, outputs, dtypes of outputs, states, updates, symbols, and the functions."""
    entry = lowered.entry
    names = (
        tuple(port.name for port in entry.inputs),
        entry.outputs,
        tuple(array.dtype.value for array in lowered.outputs),
        tuple(dict.fromkeys((*entry.states, *entry.updates))),
        entry.updates,
        tuple(lowered.writer.symbols),
    )
    return ", ".join([*map(ascii, names), *(f"{each}_{number}" for each in ("buffers", "outputs", "call"))])


def _words(lowered: _Lowered) -> str:
    count = sum(1 for _ in lowered.plan.block.launches())
    return f"{count} launches"


def _literal(name: str, brackets: str, rows: list[str]) -> list[str]:
    return [f"{name} = {brackets[0]}", *rows, brackets[1]] if rows else [f"{name} = {brackets}"]
