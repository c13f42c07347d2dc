"""The signature of a program as JSON, and back: what a bundle promises about its entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..compiler.ir import Dim, DType, Entry, Program, Symbol, TensorType
from ..compiler.ir.dims import symbols
from ..compiler.ir.dimtext import parse_dim


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
class Signature:
    """All entries, and the states with their initial values."""

    entries: Mapping[str, EntrySignature]
    states: Mapping[str, tuple[TensorType, float]]


def to_json(program: Program) -> dict[str, Any]:
    """JSON data of the signature; `from_json` reads it back."""
    return {
        "entries": {entry.name: _entry(entry) for entry in program.entries.values()},
        "states": {
            name: {**_type(state.type), "symbols": _symbols_of(state.type), "initial": state.initial}
            for name, state in program.state.items()
        },
    }


def from_json(data: Mapping[str, Any]) -> Signature:
    """The signature in a manifest. Raises `ValueError` (also `KeyError`, `TypeError`) if it is malformed."""
    return Signature(
        {name: _read_entry(name, entry) for name, entry in data["entries"].items()},
        {
            name: (_read_type(state, _read_symbols(state["symbols"])), float(state["initial"]))
            for name, state in data["states"].items()
        },
    )


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
    return {str(name): Symbol(str(name), int(low), int(high)) for name, (low, high) in data.items()}


def _read_type(data: Mapping[str, Any], symbols: Mapping[str, Symbol]) -> TensorType:
    return TensorType(DType(data["dtype"]), tuple(parse_dim(str(size), symbols) for size in data["shape"]))


def _read_field(data: Mapping[str, Any], symbols: Mapping[str, Symbol]) -> Field:
    bounds = data.get("range")
    limits = (int(bounds[0]), int(bounds[1])) if bounds else None
    return Field(str(data["name"]), _read_type(data, symbols), limits, data.get("from"))


def _read_entry(name: str, data: Mapping[str, Any]) -> EntrySignature:
    symbols = _read_symbols(data["symbols"])
    return EntrySignature(
        name,
        tuple(_read_field(item, symbols) for item in data["inputs"]),
        tuple(_read_field(item, symbols) for item in data["outputs"]),
        tuple(map(str, data["states"])),
        tuple(map(str, data["updates"])),
        tuple(symbols.values()),
        tuple((parse_dim(left, symbols), parse_dim(right, symbols), str(loc)) for left, right, loc in data["guards"]),
    )
