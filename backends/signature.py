"""The signature of a program as JSON, and back: what a bundle promises about its entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..compiler.ir import Dim, DType, Entry, Program, Symbol, TensorType
from ..compiler.ir.dims import LIMIT, symbols
from ..compiler.ir.dimtext import parse_dim
from ..compiler.ir.types import check_size

_LONGEST = 300
"""Letters of a message; what it quotes may come from anyone."""


class SignatureError(ValueError):
    """What stands in a manifest is no signature."""


@dataclass(frozen=True, slots=True)
class Field:
    """A named tensor of a signature.

    ``range`` bounds the values of an input; ``source`` says where a person's data comes from (`from` of the spec).
    """

    name: str
    type: TensorType
    range: tuple[int, int] | None = None
    source: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class EntrySignature:
    """What an entry takes, gives, reads and updates. A guard is two sizes that must be equal, and where it says so."""

    name: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    states: tuple[str, ...]
    updates: tuple[str, ...]
    symbols: tuple[Symbol, ...]
    guards: tuple[tuple[int | Dim, int | Dim, str], ...]


@dataclass(frozen=True, slots=True)
class StateSignature:
    """What is kept between calls: its first value, and the range that it stays in."""

    type: TensorType
    initial: float
    range: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """All entries, and the states with their initial values."""

    entries: Mapping[str, EntrySignature]
    states: Mapping[str, StateSignature]


def to_json(program: Program) -> dict[str, Any]:
    """JSON data of the signature; `from_json` reads it back."""
    return {
        "entries": {entry.name: _entry(entry) for entry in program.entries.values()},
        "states": {
            name: {
                **_type(state.type),
                "symbols": _symbols_of(state.type),
                "initial": state.initial,
                **({"range": list(state.range)} if state.range else {}),
            }
            for name, state in program.state.items()
        },
    }


def from_json(data: Mapping[str, Any]) -> Signature:
    """The signature in a manifest: text from anywhere. Raises `SignatureError` if it is malformed."""
    try:
        return _read_signature(data)
    except KeyError as error:
        raise SignatureError(_short(f"{error} is missing")) from error
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise SignatureError(_short(str(error))) from error


def _read_signature(data: Mapping[str, Any]) -> Signature:
    found = Signature(
        {name: _read_entry(name, entry) for name, entry in data["entries"].items()},
        {
            name: StateSignature(
                _read_type(state, _read_symbols(state["symbols"])), float(state["initial"]), _read_range(state)
            )
            for name, state in data["states"].items()
        },
    )
    for entry in found.entries.values():
        for name in (*entry.states, *entry.updates):
            if name not in found.states:
                raise ValueError(f"entry {entry.name!r} has the unknown state {name!r}")
    return found


def _type(type: TensorType) -> dict[str, Any]:
    return {"dtype": type.dtype.value, "shape": [size if isinstance(size, int) else str(size) for size in type.shape]}


def _entry(entry: Entry) -> dict[str, Any]:
    outputs = entry.graph.outputs[: len(entry.outputs)]
    return {
        "symbols": {symbol.name: [symbol.low, symbol.high] for symbol in entry.symbols},
        "inputs": [
            {
                "name": port.name,
                **_type(port.type),
                **({"range": list(port.range)} if port.range else {}),
                **({"from": dict(port.source)} if port.source else {}),
            }
            for port in entry.inputs
        ],
        "outputs": [{"name": name, **_type(value.type)} for name, value in zip(entry.outputs, outputs, strict=True)],
        "states": list(entry.states),
        "updates": list(entry.updates),
        "guards": [[str(guard.left), str(guard.right), str(guard.loc or "")] for guard in entry.guards],
    }


def _symbols_of(type: TensorType) -> dict[str, list[int]]:
    from_dims = {s.name: [s.low, s.high] for size in type.shape if isinstance(size, Dim) for s in _sorted(size)}
    return dict(sorted(from_dims.items()))


def _sorted(size: Dim) -> list[Symbol]:
    return sorted(symbols(size), key=lambda symbol: symbol.name)


def _read_symbols(data: Mapping[str, Any]) -> dict[str, Symbol]:
    found = {name: Symbol(name, _whole(low), _whole(high)) for name, (low, high) in data.items()}
    for symbol in found.values():
        if not 0 <= symbol.low <= symbol.high <= LIMIT:
            raise ValueError(f"the range of {symbol.name!r} is {symbol.low} to {symbol.high}")
    return found


def _read_type(data: Mapping[str, Any], symbols: Mapping[str, Symbol]) -> TensorType:
    shape = tuple(_read_dim(size, symbols) for size in _sequence(data["shape"]))
    type = TensorType(DType(data["dtype"]), shape)
    check_size(type)
    return type


def _read_dim(size: Any, symbols: Mapping[str, Symbol]) -> int | Dim:
    return _whole(size) if not isinstance(size, str) else parse_dim(size, symbols)


def _read_range(data: Mapping[str, Any]) -> tuple[int, int] | None:
    bounds = data.get("range")
    if bounds is None:
        return None
    low, high = _sequence(bounds)
    return _whole(low), _whole(high)


def _read_field(data: Mapping[str, Any], symbols: Mapping[str, Symbol]) -> Field:
    limits = _read_range(data)
    source = data.get("from")
    if source is not None and not isinstance(source, dict):
        raise TypeError(f"`from` of {data['name']!r} is no mapping")
    for key in ("image", "text", "random"):
        if source is not None and not isinstance(source.get(key, {}), dict):
            raise TypeError(f"{key} in `from` of {data['name']!r} is no mapping")
    return Field(_text(data["name"]), _read_type(data, symbols), limits, source)


def _read_entry(name: str, data: Mapping[str, Any]) -> EntrySignature:
    symbols = _read_symbols(data["symbols"])
    inputs = tuple(_read_field(item, symbols) for item in _sequence(data["inputs"]))
    outputs = tuple(_read_field(item, symbols) for item in _sequence(data["outputs"]))
    for fields in (inputs, outputs):
        if len({field.name for field in fields}) != len(fields):
            raise ValueError(f"two inputs or outputs of {name!r} have one name")
    return EntrySignature(
        name,
        inputs,
        outputs,
        tuple(map(_text, _sequence(data["states"]))),
        tuple(map(_text, _sequence(data["updates"]))),
        tuple(symbols.values()),
        tuple(
            (parse_dim(_text(left), symbols), parse_dim(_text(right), symbols), _text(where))
            for left, right, where in _sequence(data["guards"])
        ),
    )


def _short(message: str) -> str:
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]}..."


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.80} is no text")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r:.80} is no whole number")
    return value


def _sequence(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.80} is no list")
    return value
