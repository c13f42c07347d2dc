"""The text of `model.py` for a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...compiler.ir import AnyDim, Dim, DType, Entry, Program, Shape, State, Symbol
from ...compiler.ir.dims import substitute, symbols
from ...compiler.ir.graph import Loc
from ..source import comment
from .code import Array, Block, Buffer, Kind, Stage, Statement, line
from .kernels import IMPORTS, sources
from .layout import packed
from .lower import LOWERINGS
from .lower.control import hand_on
from .plan import Plan, plan
from .scope import Scope, Shared, numpy_name
from .text import Exports, Writer, dim_text, tuple_text

ALWAYS = ("Model", "Entry", "read_weights")


def emit(program: Program) -> str:
    """The module: imports, kernels, one set of functions for each entry, and tables of what a caller needs."""
    shared = Shared(LOWERINGS)
    weights = _weights(program, shared)
    lowered = [_lower(program, entry, shared, weights) for entry in program.entries.values()]
    load = Exports("k")
    parts = [text for number, entry in enumerate(lowered) for text in _functions(number, entry, load, weights)]
    writer = Writer(Stage.LOAD, {}, {}, _names(weights.values()))
    prepare = ["def prepare(w):", '    """What depends on weights only, made once."""']
    prepare += [*writer.block(shared.load, "    "), f"    return {load.result()}"]
    states = [_state(number, state) for number, state in enumerate(program.state.values())]
    kernels = sources({*ALWAYS, *shared.kernels, *_bound(lowered)})
    return "\n\n\n".join(
        [_header(program), IMPORTS.rstrip(), kernels, "\n".join(prepare), *parts, *states, _tables(program, lowered)]
    ) + "\n"


def _header(program: Program) -> str:
    entries = ", ".join(comment(name) for name in program.entries)
    return f'''"""{comment(program.name)}: a NumPy program, made by netwright. It needs NumPy and safetensors, nothing else.

    import model
    net = model.load()                  # reads weights.safetensors beside this file
    outputs = net(name=array, ...)      # a dict of arrays; the inputs are listed in ENTRIES, at the end

Entries: {entries}. In a function of an entry w are weights, k what depends on weights only, z what depends on sizes
too, b buffers of the arena of a call, x inputs, r states, d and s sizes. Comments name places of the spec.
"""'''


@dataclass(slots=True)
class _Lowered:
    """An entry on its way to text."""

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


def _lower(program: Program, entry: Entry, shared: Shared, weights: dict[str, Array]) -> _Lowered:
    scope = Scope(shared)
    inputs = [
        _given(f"x{index}", port.type.dtype, port.type.shape, Kind.OUTSIDE, scope.call)
        for index, port in enumerate(entry.inputs)
    ]
    held = {
        name: _given(f"r{index}", program.state[name].type.dtype, program.state[name].type.shape, Kind.STATE, scope.call)
        for index, name in enumerate(dict.fromkeys((*entry.states, *entry.updates)))
    }
    given = [*inputs, *(weights[name] for name in entry.params), *(held[name] for name in entry.states)]
    results = scope.lower(entry.graph, given)
    outputs = [
        scope.copy(value, Kind.OUTPUT, block=scope.call) for value in results[: len(entry.outputs)]
    ]
    hand_on(scope, [held[name] for name in entry.updates], results[len(entry.outputs) :], scope.call)
    template = "return " + tuple_text(["{}"] * len(outputs))
    scope.add(scope.call, Statement((line(template, *outputs),)))
    scope.call.items[-1].loc = None
    variables = {symbol.name: f"d{index}" for index, symbol in enumerate(entry.symbols)}
    return _Lowered(entry, scope, plan(scope.call), inputs, list(held.values()), outputs, variables)


def _names(arrays: Sequence[Array] | object) -> frozenset[str]:
    return frozenset(array.name for array in arrays)  # type: ignore[attr-defined]


def _functions(number: int, lowered: _Lowered, load: Exports, weights: dict[str, Array]) -> list[str]:
    """The functions of an entry: bind, table, sized, call."""
    entry = lowered.entry
    sized = Exports("z")
    exports = {Stage.LOAD: load, Stage.SIZES: sized}
    name = comment(entry.name)
    given = _names([*weights.values(), *lowered.inputs, *lowered.states])

    call = Writer(Stage.CALL, lowered.symbols, exports, given)
    body = list(call.block(lowered.scope.call, "    "))
    top = [f"def call_{number}(w, k, z, b, sizes, inputs, states):", f'    """Entry {name}."""']
    top += _unpack(lowered.inputs, "inputs") + _unpack(lowered.states, "states") + _prologue(call)
    steps = [*top, *body]

    before = Writer(Stage.SIZES, lowered.symbols, exports, given)
    body = list(before.block(lowered.scope.sizes, "    "))
    fixed = [f"def sized_{number}(w, k, sizes):", f'    """What entry {name} needs that depends on sizes only."""']
    fixed += [*_prologue(before), *body, f"    return {sized.result()}"]

    table = _table(number, lowered, name)
    return ["\n".join(each) for each in (_bind(number, lowered), table, fixed, steps)]


def _unpack(arrays: Sequence[Array], source: str) -> list[str]:
    names = [array.name for array in arrays]
    return [f"    {', '.join(names)}{',' if len(names) == 1 else ''} = {source}"] if names else []


def _prologue(writer: Writer) -> list[str]:
    """The sizes that a function names."""
    variables = list(writer.symbols.values())
    if not variables:
        return []
    lines = [f"    {', '.join(variables)}{',' if len(variables) == 1 else ''} = sizes"]
    return lines + [f"    {name} = {writer.symbolic(size)}" for size, name in writer.sizes.items()]


def _table(number: int, lowered: _Lowered, name: str) -> list[str]:
    writer = Writer(Stage.SIZES, lowered.symbols, {}, frozenset())
    rows: list[str] = []
    for buffer, first, last in lowered.plan.rows():
        shape = writer.shape(buffer.shape)
        rows.append(f"        ({first}, {last}, {numpy_name(buffer.dtype)}, {shape}),  # b[{buffer.index}]{_bytes(buffer, lowered)}")
    top = [f"def table_{number}(sizes):"]
    top.append(f'    """The buffers b of entry {name}: first use, last use, dtype, shape."""')
    return [*top, *_prologue(writer), "    return (", *rows, "    )"]


def _bytes(buffer: Buffer, lowered: _Lowered) -> str:
    total: AnyDim = buffer.dtype.bytes
    for size in buffer.shape:
        if not isinstance(size, (int, Dim)):
            return ""
        total = total * size
    return f": {dim_text(total, lowered.symbols)} bytes"


# ---- sizes from shapes


def _bind(number: int, lowered: _Lowered) -> list[str]:
    """A function from the shapes of the inputs to the sizes, with every check that the sizes need."""
    entry, variables = lowered.entry, lowered.symbols
    text = [f"def bind_{number}(shapes, states):", f'    """The sizes of entry {comment(entry.name)}, from shapes."""']
    meanings = ", ".join(f"{variable} = {comment(symbol)}" for symbol, variable in variables.items())
    if meanings:
        text.append(f"    # {meanings}")
    text += [f"    {', '.join(array.name for array in lowered.inputs)}{',' if len(lowered.inputs) == 1 else ''} = shapes"] if lowered.inputs else []
    pairs = [(index, port.name, axis, size) for index, port in enumerate(entry.inputs) for axis, size in enumerate(port.type.shape)]
    solved: set[tuple[int, int]] = set()
    bound: dict[str, AnyDim] = {}
    progress = True
    while progress:
        progress = False
        for index, name, axis, size in pairs:
            found = _solution(size, bound)
            if found is None or (index, axis) in solved:
                continue
            symbol, factor, rest = found
            at = f"x{index}[{axis}]"
            facts = f"{ascii(name)}, {axis}, {ascii(str(size))}, {ascii(symbol.name)}, {symbol.low}, {symbol.high}"
            text.append(f"    {variables[symbol.name]} = solved({at}, {factor}, {dim_text(rest, variables)}, {facts})")
            bound[symbol.name] = Dim((((symbol,), 1),))
            solved.add((index, axis))
            progress = True
    for symbol in entry.symbols:
        if symbol.name not in bound:
            text.append(f"    {variables[symbol.name]} = known(states, {ascii(symbol.name)})")
    for index, name, axis, size in pairs:
        if (index, axis) not in solved:
            wanted = dim_text(size, variables)
            text.append(f"    agree(x{index}[{axis}], {wanted}, {ascii(name)}, {axis}, {ascii(str(size))})")
    for each in entry.guards:
        words = ascii(f"{each.left} and {each.right}")
        left, right = dim_text(each.left, variables), dim_text(each.right, variables)
        text.append(f"    guard({left}, {right}, {words}, {ascii(_place(each.loc))})")
    text.append(f"    return {tuple_text(list(variables.values()))}")
    return text


def _place(loc: Loc | None) -> str:
    return f"{loc.file}:{loc.line}" if loc is not None and loc.file else ""


def _solution(size: AnyDim, bound: dict[str, AnyDim]) -> tuple[Symbol, int, AnyDim] | None:
    """The one symbol of a size that is not bound yet, as ``factor * symbol + rest``."""
    free = [symbol for symbol in symbols(size) if symbol.name not in bound]
    if len(free) != 1 or not isinstance(size, Dim):
        return None
    rest = substitute(size, {free[0].name: 0})
    factor = substitute(size, {free[0].name: 1}) - rest
    if not isinstance(factor, int) or factor == 0 or factor * Dim((((free[0],), 1),)) + rest != size:
        return None
    return free[0], factor, rest


def _bound(lowered: list[_Lowered]) -> set[str]:
    return {"solved", "agree", "guard", "known"} if lowered else set()


# ---- tables at the end


def _state(number: int, state: State) -> str:
    names = sorted({symbol.name for size in state.type.shape for symbol in symbols(size)})
    variables = {name: f"d{index}" for index, name in enumerate(names)}
    shape = tuple_text([dim_text(size, variables) for size in state.type.shape])
    return f"def state_{number}({', '.join(variables.values())}):\n    \"\"\"The shape of a state.\"\"\"\n    return {shape}"


def _tables(program: Program, lowered: list[_Lowered]) -> str:
    types = program.tensor_types()
    parameters = [
        f"    ({ascii(name)}, {_memory(types[name].dtype)!r}, {types[name].shape!r}),  # w[{index}]"
        for index, name in enumerate(program.used_tensors())
    ]
    states = []
    for number, (name, state) in enumerate(program.state.items()):
        names = tuple(sorted({symbol.name for size in state.type.shape for symbol in symbols(size)}))
        states.append(f"    {ascii(name)}: ({_memory(state.type.dtype)!r}, {_initial(state)}, {ascii(names)}, state_{number}),")
    entries = [_entry_row(number, each) for number, each in enumerate(lowered)]
    return "\n".join(
        [
            "PARAMETERS = (", *parameters, ")",
            "STATES = {", *states, "}",
            "ENTRIES = {", *entries, "}",
            "",
            "",
            "def load(folder=None):",
            '    """The program with the weights in weights.safetensors in ``folder`` (this file\'s folder by default)."""',
            "    place = Path(__file__).parent if folder is None else Path(folder)",
            "    return connect(read_weights(place / 'weights.safetensors', PARAMETERS))",
            "",
            "",
            "def connect(weights):",
            '    """The program with these weights, in the order of PARAMETERS."""',
            "    return Model(ENTRIES, STATES, prepare, weights)",
        ]
    )  # fmt: skip


def _memory(dtype: DType) -> str:
    return "uint16" if dtype is DType.BFLOAT16 else dtype.value


def _initial(state: State) -> str:
    value = state.type.dtype.numpy.type(state.initial)
    if state.type.dtype is DType.BFLOAT16:
        return str(int(value.view("uint16")))
    text = repr(value.item())
    return {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}.get(text, text)


def _entry_row(number: int, lowered: _Lowered) -> str:
    entry = lowered.entry
    inputs = ", ".join(
        f"({ascii(port.name)}, {_memory(port.type.dtype)!r}, {port.type.rank}, "
        + (f"{port.range[0]}, {port.range[1]})" if port.range else "None, None)")
        for port in entry.inputs
    )
    inputs = f"({inputs},)" if inputs else "()"
    states = tuple(dict.fromkeys((*entry.states, *entry.updates)))
    narrow = tuple(
        name for name, array in zip(entry.outputs, lowered.outputs, strict=True) if array.dtype is DType.BFLOAT16
    )
    facts = (entry.outputs, narrow, states, entry.updates, tuple(lowered.symbols))
    names = ", ".join(ascii(each) for each in facts)
    functions = ", ".join(f"{each}_{number}" for each in ("bind", "sized", "table", "call"))
    return f"    {ascii(entry.name)}: Entry({inputs}, {names}, {functions}),"
