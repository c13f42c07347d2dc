"""StableHLO of each entry, for several platforms and all allowed sizes at once; and how it runs again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...compiler.ir import AnyDim, Axes, Dim, Entry, Guard, Program, Symbol, TensorType
from ...compiler.ir.dims import LIMIT, Atom, Extreme, FloorDiv, divisor, symbols
from ...compiler.placements import tensor_placements, value_placements
from ..api import BackendError, Loaded, Runtime
from .devices import import_jax


@dataclass(frozen=True, slots=True)
class Exports:
    """``files`` by name, the file of each entry, and for entries without one the reason."""

    files: dict[str, bytes]
    entries: dict[str, str]
    refused: dict[str, str]


def export(program: Program, module: Any, names: Mapping[str, str], platforms: Sequence[str]) -> Exports:
    """Export every entry of an emitted module; ``names`` gives the function of each.

    An entry that XLA cannot trace with symbolic sizes is left out, with the reason.
    """
    jax = import_jax()
    files: dict[str, bytes] = {}
    entries: dict[str, str] = {}
    refused: dict[str, str] = {}
    mesh = None
    if program.sharding is not None:
        sizes = program.sharding.mesh
        kinds = (jax.sharding.AxisType.Auto,) * len(sizes)
        mesh = jax.sharding.AbstractMesh(tuple(sizes.values()), tuple(sizes), axis_types=kinds)
    for entry in program.entries.values():
        file = f"{names[entry.name]}.stablehlo"
        with plain_locations(jax), jax.enable_x64(True), _spread(jax, mesh):
            try:
                exported = jax.export.export(jax.jit(getattr(module, names[entry.name])), platforms=platforms)(
                    *arguments(jax, program, entry, mesh)
                )
                files[file] = bytes(exported.serialize())
            except Exception as error:
                # JAX raises whatever it meets first; no kind of it is worth failing the bundle, which runs without.
                refused[entry.name] = _reason(error)
                continue
        entries[entry.name] = file
    return Exports(files, entries, refused)


def _spread(jax: Any, mesh: Any) -> AbstractContextManager[Any]:
    """Constraints speak of this mesh inside."""
    return nullcontext() if mesh is None else jax.sharding.use_abstract_mesh(mesh)


@contextmanager
def plain_locations(jax: Any) -> Iterator[None]:
    """Without this, exported bytes hold the paths of source files."""
    before = jax.config.jax_traceback_in_locations_limit
    jax.config.update("jax_traceback_in_locations_limit", 0)
    try:
        yield
    finally:
        jax.config.update("jax_traceback_in_locations_limit", before)


def _reason(error: Exception) -> str:
    """The first sentence of what JAX says, in a safe alphabet."""
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    safe = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in first)
    return f"{type(error).__name__}: {safe[:300]}"


# ---- symbolic arguments


def arguments(jax: Any, program: Program, entry: Entry, mesh: Any = None) -> tuple[Any, ...]:
    """The types of what the function of an entry takes, laid over a mesh if there is one."""
    sizes = _Symbols(jax, entry)
    types = program.tensor_types()

    def struct(type: TensorType, axes: Axes) -> Any:
        shape = tuple(sizes.size(size) for size in type.shape)
        if mesh is None:
            return jax.ShapeDtypeStruct(shape, type.dtype.numpy)
        sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
        return jax.ShapeDtypeStruct(shape, type.dtype.numpy, sharding=sharding)

    placed, values = tensor_placements(program), value_placements(program)
    params = {name: struct(types[name], placed.get(name, ())) for name in program.used_tensors()}
    inputs = {port.name: struct(port.type, values.get(port.name, ())) for port in entry.inputs}
    states = dict.fromkeys((*entry.states, *entry.updates))
    state = {name: struct(program.state[name].type, values.get(name, ())) for name in states}
    return (params, inputs, state) if state else (params, inputs)


class _Symbols:
    """JAX's symbolic sizes for the symbols of an entry, with the ranges and guards that hold there."""

    def __init__(self, jax: Any, entry: Entry) -> None:
        self.jax = jax
        found: dict[Symbol, None] = dict.fromkeys(entry.symbols)
        for value in entry.graph.inputs:
            for size in value.type.shape:
                found |= dict.fromkeys(sorted(symbols(size), key=lambda symbol: symbol.name))
        self.names = {symbol: f"d{position}" for position, symbol in enumerate(found)}
        self.dims: dict[Symbol, Any] = {}
        if found:
            constraints = [*self._ranges(), *(text for guard in entry.guards for text in self._guard(guard))]
            made = jax.export.symbolic_shape(", ".join(self.names.values()), constraints=constraints)
            self.dims = dict(zip(found, made, strict=True))

    def _ranges(self) -> Iterator[str]:
        for symbol, name in self.names.items():
            if symbol.low > 1:
                yield f"{name} >= {symbol.low}"
            if symbol.high < LIMIT:
                yield f"{name} <= {symbol.high}"

    def _guard(self, guard: Guard) -> Iterator[str]:
        """Constraints as JAX reads them; ``max(a, b) == a`` is said as ``a >= b``, which it makes more of."""
        if not symbols(guard.left) | symbols(guard.right) <= self.names.keys():
            return
        for left, right in ((guard.left, guard.right), (guard.right, guard.left)):
            shares = divisor(left, right)
            if shares:
                yield f"mod({self._text(left)}, {shares}) == 0"
                return
        for extreme, other in ((guard.left, guard.right), (guard.right, guard.left)):
            atom = _only_atom(extreme)
            if isinstance(atom, Extreme) and other in atom.items:
                sign = ">=" if atom.kind == "max" else "<="
                yield from (f"{self._text(other)} {sign} {self._text(item)}" for item in atom.items if item != other)
                return
        yield f"{self._text(guard.left)} == {self._text(guard.right)}"

    def _text(self, size: AnyDim) -> str:
        if not isinstance(size, Dim):
            return str(size)
        terms = ["*".join([str(factor), *map(self._atom_text, monomial)]) for monomial, factor in size.terms]
        return " + ".join(terms)

    def _atom_text(self, atom: Any) -> str:
        match atom:
            case FloorDiv(numerator=numerator, divisor=divisor):
                return f"floordiv({self._text(numerator)}, {divisor})"
            case Extreme(kind=kind, items=items):
                folded = self._text(items[0])
                for item in items[1:]:
                    folded = f"{kind}({folded}, {self._text(item)})"
                return folded
            case _:
                return self.names[atom]

    def size(self, size: AnyDim) -> Any:
        if not isinstance(size, Dim):
            return size
        total: Any = 0
        for monomial, factor in size.terms:
            product: Any = factor
            for atom in monomial:
                product = product * self._atom(atom)
            total = total + product
        return total

    def _atom(self, atom: Any) -> Any:
        match atom:
            case FloorDiv(numerator=numerator, divisor=divisor):
                return self.size(numerator) // divisor
            case Extreme(kind=kind, items=items):
                pick = self.jax.core.max_dim if kind == "max" else self.jax.core.min_dim
                result = self.size(items[0])
                for item in items[1:]:
                    result = pick(result, self.size(item))
                return result
            case _:
                return self.dims[atom]


def _only_atom(size: AnyDim) -> Atom | None:
    """The atom that a dimension consists of, if it does."""
    if isinstance(size, Dim) and len(size.terms) == 1 and size.terms[0][1] == 1 and len(size.terms[0][0]) == 1:
        return size.terms[0][0][0]
    return None


# ---- running it again


class StableHloRuntime(Runtime):
    """Runs the exported entries of a bundle; needs jax, but neither `model.py` nor the spec."""

    def __init__(
        self, files: Mapping[str, Path], outputs: Mapping[str, Sequence[str]], weights: Mapping[str, np.ndarray]
    ) -> None:
        """``files`` and ``outputs`` say for each entry where it is, and the order of what it gives."""
        self.jax = import_jax()
        self.outputs = outputs
        self.calls: dict[str, Any] = {}
        with self.jax.enable_x64(True):
            self.params = {name: self.jax.numpy.asarray(weights[name]) for name in weights}
            for entry, path in files.items():
                try:
                    exported = self.jax.export.deserialize(bytearray(path.read_bytes()))
                except Exception as error:
                    raise BackendError(f"{path} is no exported program: {error}") from error
                self.calls[entry] = (self.jax.jit(exported.call), len(exported.in_tree.children()[0].children()))

    def call(
        self, entry: str, inputs: Mapping[str, np.ndarray], states: Mapping[str, np.ndarray], sizes: Mapping[str, int]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        if entry not in self.calls:
            raise BackendError(f"entry {entry!r} was not exported")
        run, arguments = self.calls[entry]
        with self.jax.enable_x64(True):
            if arguments == 2:
                result = run(self.params, dict(inputs))
            else:
                result = run(self.params, dict(inputs), {name: np.asarray(states[name]) for name in states})
        outputs, updated = result if isinstance(result, tuple) else (result, {})
        return {name: np.array(outputs[name]) for name in self.outputs[entry]}, dict(updated)


def load(bundle: Loaded) -> StableHloRuntime:
    """The exported entries of a verified bundle. Raises `BackendError` if it has none."""
    exported = bundle.manifest.get("backend", {}).get("stablehlo", {}).get("entries", {})
    if bundle.manifest.get("backend", {}).get("sharding"):
        raise BackendError(f"{bundle.folder} was exported for a mesh of devices; run its model.py")
    if not exported:
        raise BackendError(f"{bundle.folder} holds no exported entry; compile with the setting stablehlo")
    entries = bundle.manifest["signature"]["entries"]
    files, outputs = {}, {}
    for entry, file in exported.items():
        if file not in bundle.manifest.get("files", {}):
            raise BackendError(f"{bundle.folder}: {file} is not listed in the manifest")
        files[entry] = bundle.folder / file
        outputs[entry] = tuple(field["name"] for field in entries[entry]["outputs"])
    return StableHloRuntime(files, outputs, bundle.weights)
