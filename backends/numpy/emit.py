"""The text of `model.py` for a program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...compiler.ir import Dim, DType, Entry, Program, Shape, State
from ...compiler.ir.dims import symbols
from ..source import comment
from . import bind
from .code import Array, Block, Buffer, Kind, Stage, Statement, line
from .kernels import IMPORTS, sources
from .layout import packed
from .lower import LOWERINGS
from .lower.control import hand_on
from .plan import Plan, plan
from .scope import Scope, Shared
from .text import Exports, Writer, dim_text, table_rows, tuple_text, unpacking
from .tiles import tile_functions

ALWAYS = ("Model", "Entry", "read_weights", *bind.KERNELS)


def lower(program: Program) -> tuple[Shared, dict[str, Array], list[Lowered]]:
    """What entries share, the arrays of weights, and each entry with its plan of memory."""
    shared = Shared(LOWERINGS)
    weights = _weights(program, shared)
    return shared, weights, [_lower(program, entry, shared, weights) for entry in program.entries.values()]


def emit(program: Program) -> str:
    """The module: imports, kernels, one set of functions for each entry, and tables of what a caller needs."""
    shared, weights, lowered = lower(program)
    load = Exports("k")
    functions = [text for number, each in enumerate(lowered) for text in _functions(number, each, load, weights)]
    writer = Writer(Stage.LOAD, {}, {}, _names(weights.values()))
    prepare = ["def prepare(w):", '    """What depends on weights only, made once."""']
    prepare += [*writer.block(shared.load, "    "), f"    return {load.result()}"]
    states = [_state(number, state) for number, state in enumerate(program.state.values())]
    parts = [
        _header(program),
        IMPORTS.rstrip(),
        sources({*ALWAYS, *shared.kernels}),
        "\n".join(prepare),
        *functions,
        *states,
        _tables(program, lowered),
    ]
    return "\n\n\n".join(parts) + "\n"


def _header(program: Program) -> str:
    name, entries = comment(program.name), ", ".join(comment(name) for name in program.entries)
    return f'''"""{name}: a NumPy program, made by netwright. It needs NumPy and safetensors, nothing else.

    import model
    net = model.load()                  # reads weights.safetensors beside this file
    outputs = net(name=array, ...)      # a dict of arrays; the inputs are listed in ENTRIES, at the end

Entries: {entries}. In a function of an entry w are weights, k what depends on weights only, z what depends on sizes
too, b buffers of the arena of a call, x inputs, r states, d and s sizes. Comments name places of the spec.
"""'''


@dataclass(slots=True)
class Lowered:
    """An entry on its way to text. ``symbols`` gives each symbol its variable."""

    entry: Entry
    scope: Scope
    plan: Plan
    inputs: list[Array]
    states: list[Array]
    outputs: list[Array]
    symbols: dict[str, str]


def _weights(program: Program, shared: Shared) -> dict[str, Array]:
    types = program.tensor_types()
    return {
        name: _given(f"w[{index}]", types[name].dtype, types[name].shape, Kind.OUTSIDE, shared.load)
        for index, name in enumerate(program.used_tensors())
    }


def _given(name: str, dtype: DType, shape: Shape, kind: Kind, home: Block) -> Array:
    return Array(name, dtype, shape, packed(shape), Buffer(dtype, shape, kind), home)


def _lower(program: Program, entry: Entry, shared: Shared, weights: dict[str, Array]) -> Lowered:
    scope = Scope(shared, frozenset(_batch(entry)))
    inputs = [
        _given(f"x{index}", port.type.dtype, port.type.shape, Kind.OUTSIDE, scope.call)
        for index, port in enumerate(entry.inputs)
    ]
    held: dict[str, Array] = {}
    for name in dict.fromkeys((*entry.states, *entry.updates)):
        type = program.state[name].type
        held[name] = _given(f"r{len(held)}", type.dtype, type.shape, Kind.STATE, scope.call)
    given = [*inputs, *(weights[name] for name in entry.params), *(held[name] for name in entry.states)]
    results = scope.lower(entry.graph, given)
    outputs = [scope.copy(value, Kind.OUTPUT, block=scope.call) for value in results[: len(entry.outputs)]]
    hand_on(scope, [held[name] for name in entry.updates], results[len(entry.outputs) :], scope.call)
    scope.add(scope.call, Statement((line("return " + tuple_text(["{}"] * len(outputs)), *outputs),)))
    variables = {symbol.name: f"d{index}" for index, symbol in enumerate(entry.symbols)}
    return Lowered(entry, scope, plan(scope.call), inputs, list(held.values()), outputs, variables)


def _batch(entry: Entry) -> Iterator[str]:
    """The symbols that are the first size of an input, alone: they count examples."""
    for port in entry.inputs:
        found = symbols(port.type.shape[0]) if port.type.rank else ()
        yield from (symbol.name for symbol in found if port.type.shape[0] == Dim((((symbol,), 1),)))


def _names(arrays: Iterable[Array]) -> frozenset[str]:
    return frozenset(array.name for array in arrays)


def _functions(number: int, lowered: Lowered, load: Exports, weights: dict[str, Array]) -> list[str]:
    """The functions of an entry: bind, table, sized, call."""
    entry, variables = lowered.entry, lowered.symbols
    sized = Exports("z")
    exports = {Stage.LOAD: load, Stage.SIZES: sized}
    name = comment(entry.name)
    given = _names([*weights.values(), *lowered.inputs, *lowered.states])

    # The call is written first: it says which arrays of earlier stages it wants.
    writer = Writer(Stage.CALL, variables, exports, given)
    body = list(writer.block(lowered.scope.call, "    "))
    call = [f"def call_{number}(w, k, z, b, sizes, inputs, states):", f'    """Entry {name}."""']
    call += unpacking([array.name for array in lowered.inputs], "inputs")
    call += unpacking([array.name for array in lowered.states], "states")
    call += [*writer.prologue(), *body]

    writer = Writer(Stage.SIZES, variables, exports, given)
    body = list(writer.block(lowered.scope.sizes, "    "))
    before = [f"def sized_{number}(w, k, sizes):", f'    """What entry {name} needs that depends on sizes only."""']
    before += [*writer.prologue(), *body, f"    return {sized.result()}"]

    binding = bind.bind_function(number, entry, variables)
    tiles = [text for tile in lowered.scope.tiles for text in tile_functions(tile, load)]
    writer = Writer(Stage.SIZES, variables, {}, frozenset())
    rows = table_rows(writer, lowered.plan)
    table = [f"def table_{number}(sizes):"]
    table.append(f'    """The buffers b of entry {name}: first use, last use, dtype, shape."""')
    table += [*writer.prologue(), *rows]
    return ["\n".join(each) for each in (binding, table, before, *tiles, call)]


def _state(number: int, state: State) -> str:
    variables = {name: f"d{index}" for index, name in enumerate(_symbols(state))}
    shape = tuple_text([dim_text(size, variables) for size in state.type.shape])
    top = f"def state_{number}({', '.join(variables.values())}):"
    return f'{top}\n    """The shape of a state."""\n    return {shape}'


def _symbols(state: State) -> tuple[str, ...]:
    return tuple(sorted({symbol.name for size in state.type.shape for symbol in symbols(size)}))


def _tables(program: Program, lowered: Sequence[Lowered]) -> str:
    types = program.tensor_types()
    parameters = [
        f"    ({name!a}, {_memory(types[name].dtype)!r}, {types[name].shape!r}),  # w[{index}]"
        for index, name in enumerate(program.used_tensors())
    ]
    states = [
        f"    {name!a}: ({_memory(state.type.dtype)!r}, {_initial(state)}, {_symbols(state)!a}, state_{number}, "
        f"{state.range}),"
        for number, (name, state) in enumerate(program.state.items())
    ]
    entries = [_entry(number, each) for number, each in enumerate(lowered)]
    return "\n".join(
        [
            *_literal("PARAMETERS", "()", parameters),
            *_literal("STATES", "{}", states),
            *_literal("ENTRIES", "{}", entries),
            "",
            "",
            "def load(folder=None):",
            '    """The program, with weights.safetensors from ``folder`` (by default the one of this file)."""',
            "    place = Path(__file__).parent if folder is None else Path(folder)",
            "    return connect(read_weights(place / 'weights.safetensors', PARAMETERS))",
            "",
            "",
            "def connect(weights):",
            '    """The program with these weights, in the order of PARAMETERS."""',
            "    return Model(ENTRIES, STATES, prepare, weights)",
        ]
    )


def _literal(name: str, brackets: str, rows: list[str]) -> list[str]:
    return [f"{name} = {brackets[0]}", *rows, brackets[1]] if rows else [f"{name} = {brackets}"]


def _memory(dtype: DType) -> str:
    return "uint16" if dtype is DType.BFLOAT16 else dtype.value


def _initial(state: State) -> str:
    value = state.type.dtype.numpy.type(state.initial)
    if state.type.dtype is DType.BFLOAT16:
        return str(int(value.view("uint16")))
    text = repr(value.item())
    return {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}.get(text, text)


def _entry(number: int, lowered: Lowered) -> str:
    entry = lowered.entry
    inputs = [
        f"({port.name!a}, {_memory(port.type.dtype)!r}, {port.type.rank}, "
        + (f"{port.range[0]}, {port.range[1]})" if port.range else "None, None)")
        for port in entry.inputs
    ]
    narrow = tuple(
        name for name, array in zip(entry.outputs, lowered.outputs, strict=True) if array.dtype is DType.BFLOAT16
    )
    states = tuple(dict.fromkeys((*entry.states, *entry.updates)))
    names = (entry.outputs, narrow, states, entry.updates, tuple(lowered.symbols))
    functions = [f"{each}_{number}" for each in ("bind", "sized", "table", "call")]
    facts = ", ".join([tuple_text(inputs), *map(ascii, names), *functions])
    return f"    {entry.name!a}: Entry({facts}),"
