"""A bundle that runs: arrays in by name, arrays out by name, state kept between calls."""

from __future__ import annotations

import difflib
import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..compiler.ir import AnyDim, DType, Symbol
from ..compiler.ir.dims import divisor, solve, substitute
from . import bundle, registry, signature
from .api import BackendError, Report, Runtime

NO_WEIGHTS = "none"
"""What the manifest says of the weights of a bundle that is code alone."""
MOST_BOUND = 256
"""Combinations of input shapes whose sizes an executable remembers."""


class InputError(ValueError):
    """An input is missing, unknown, or has a wrong dtype, shape or value."""


class Executable:
    """One compiled model. Thread-safe, except for entries that read or update state.

    ``executable(image=x)`` runs the entry `main`; ``executable.run("decode", token=t)`` another one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        verify_weights: bool = False,
        owns_folder: bool = False,
        report: Report | None = None,
        elsewhere: bool = False,
    ) -> None:
        """Open the bundle in ``folder``. With ``owns_folder`` it is removed when the executable goes away.

        ``report`` hears of what takes long, as the tuning of kernels in a first call. With ``elsewhere`` the bundle may
        be meant for another machine: its device is looked for at the first call, and it can be saved without.
        """
        loaded = bundle.read(folder, verify_weights=verify_weights)
        backend = registry.get(loaded.manifest["target"])
        reason = backend.unavailable()
        if reason is not None:
            raise BackendError(reason)
        if loaded.manifest.get("weights") == NO_WEIGHTS:
            raise bundle.BundleError(f"{folder} was compiled without weights; compile it with them to run it here")
        self.folder = Path(folder)
        self.manifest: Mapping[str, Any] = loaded.manifest
        try:
            self.signature = signature.from_json(loaded.manifest["signature"])
        except (KeyError, signature.SignatureError) as error:
            raise bundle.BundleError(f"{folder}: the manifest's signature cannot be read: {error}") from error
        self._load = lambda: backend.load(replace(loaded, report=report))
        self._runtime: Runtime | None = None if elsewhere else self._load()
        self._loading = threading.Lock()
        self._states: dict[str, Any] = {}
        self._state_sizes: dict[str, int] = {}
        self._bound: dict[Any, Mapping[str, int]] = {}
        if owns_folder:
            weakref.finalize(self, shutil.rmtree, str(folder), ignore_errors=True)

    def __repr__(self) -> str:
        return f"<{self.manifest.get('name', 'program')} for {self.target}, entries: {', '.join(self.entries)}>"

    @property
    def runtime(self) -> Runtime:
        """What runs the bundle. Raises `BackendError` if this machine has no such device."""
        with self._loading:
            if self._runtime is None:
                self._runtime = self._load()
            return self._runtime

    @property
    def target(self) -> str:
        return str(self.manifest["target"])

    @property
    def entries(self) -> tuple[str, ...]:
        return tuple(self.signature.entries)

    def __call__(self, **inputs: Any) -> dict[str, Any]:
        """Run the entry `main`. See `run`."""
        return self.run("main", **inputs)

    def run(self, entry: str = "main", /, **inputs: Any) -> dict[str, Any]:
        """Run an entry on arrays (or what NumPy makes arrays of). Returns its outputs by name.

        Target triton takes torch tensors as they are; given any, its outputs are tensors on the device.

        Raises `InputError` for inputs that do not fit the signature.
        """
        if entry not in self.signature.entries:
            raise InputError(f"no entry is called {entry!r}{_near(entry, self.entries)}")
        promised = self.signature.entries[entry]
        arrays = _check_inputs(promised, inputs, self.runtime)
        sizes = self._sizes(promised, {name: tuple(array.shape) for name, array in arrays.items()})
        names = tuple(dict.fromkeys((*promised.states, *promised.updates)))
        states = self._current(names, sizes)
        outputs, updated = self.runtime.call(entry, arrays, states, sizes)
        self._states.update(updated)
        for name in promised.updates:
            limits = self.signature.states[name].range
            if limits is not None:
                self._check_state(name, limits)
        return outputs

    def _check_state(self, name: str, limits: tuple[int, int]) -> None:
        """Raises `InputError` for a state that has left its range: what was computed with it is not to be used."""
        value = self.runtime.array(self._states[name])
        if value.size and not (limits[0] <= value.min() and value.max() <= limits[1]):
            found = f"{value.min()}" if value.min() == value.max() else f"{value.min()} to {value.max()}"
            raise InputError(
                f"the state {name} is {found}; it lies from {limits[0]} to {limits[1]}: reset() before more"
            )

    def _sizes(self, promised: signature.EntrySignature, shapes: Mapping[str, tuple[int, ...]]) -> Mapping[str, int]:
        """The symbols' values; those of shapes that were seen before are remembered."""
        key = (promised.name, tuple(shapes.items()))
        if key not in self._bound:
            if len(self._bound) >= MOST_BOUND:
                self._bound.clear()
            self._bound[key] = bind_sizes(promised, shapes)
        return self._bound[key]

    def reset(self) -> None:
        """Set every state back to its initial value; sizes may be others afterwards."""
        self._states.clear()
        self._state_sizes.clear()

    @property
    def states(self) -> dict[str, np.ndarray]:
        """Copies of the current values of the states used so far."""
        return {name: self.runtime.array(value) for name, value in self._states.items()}

    def set_states(self, values: Mapping[str, np.ndarray]) -> None:
        """Set states by name; their sizes settle those of the symbols that they have.

        Raises `InputError` for a name, dtype or shape that the program does not have.
        """
        arrays = {}
        for name, value in values.items():
            if name not in self.signature.states:
                raise InputError(f"there is no state {name!r}{_near(name, tuple(self.signature.states))}")
            type = self.signature.states[name].type
            array = np.array(value)
            sizes = all(
                not isinstance(size, int) or size == given for size, given in zip(type.shape, array.shape, strict=False)
            )
            if array.dtype != type.dtype.numpy or array.ndim != type.rank or not sizes:
                raise InputError(f"the state {name} is {type}, not {array.dtype}{list(array.shape)}")
            arrays[name] = array
        self._states.update(arrays)

    def save(self, folder: str | Path) -> None:
        """Copy the bundle to ``folder`` (written aside, then renamed). Raises `BundleError`."""
        bundle.copy(self.folder, Path(folder))

    def _current(self, names: Sequence[str], sizes: Mapping[str, int]) -> dict[str, Any]:
        """The value of each state; those that are not there yet are made, all of them or none."""
        promised = {name: self.signature.states[name] for name in names}
        known = {**self._state_sizes, **sizes}
        shapes = {name: _numbers(state.type.shape, known) for name, state in promised.items()}
        for name in names:
            if name in self._states and tuple(self._states[name].shape) != shapes[name]:
                raise InputError(
                    f"state {name} has the shape {tuple(self._states[name].shape)}; reset() before other sizes"
                )
        fresh = {
            name: np.full(shapes[name], state.initial, state.type.dtype.numpy)
            for name, state in promised.items()
            if name not in self._states
        }
        if fresh:
            self._state_sizes.update(sizes)
            self._states.update(fresh)
        return {name: self._states[name] for name in names}


def _near(word: str, choices: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, choices, 1)
    listed = ", ".join(choices) or "none"
    return f"; did you mean {close[0]!r}? ({listed})" if close else f" (there are: {listed})"


def _check_inputs(promised: signature.EntrySignature, given: Mapping[str, Any], runtime: Runtime) -> dict[str, Any]:
    names = [field.name for field in promised.inputs]
    for name in given:
        if name not in names:
            raise InputError(f"no input is called {name!r}{_near(name, names)}")
    arrays: dict[str, Any] = {}
    for field in promised.inputs:
        if field.name not in given:
            raise InputError(f"input {field.name!r} ({field.type}) is missing")
        facts = runtime.tensor(given[field.name])
        arrays[field.name] = _array(field, given[field.name]) if facts is None else given[field.name]
        if facts is None:
            continue
        if facts.dtype is not field.type.dtype:
            raise InputError(f"input {field.name!r} is {facts.dtype}, not {field.type.dtype}")
        _check_rank(field, facts.shape)
        if field.range is not None and 0 not in facts.shape:
            _check_limits(field, *facts.limits())
    return arrays


def _array(field: signature.Field, given: Any) -> np.ndarray:
    """What NumPy makes of an input, in the dtype and within the range that it must have. Raises `InputError`."""
    try:
        array = np.asarray(given)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"input {field.name!r} is no array: {error}") from error
    wanted = field.type.dtype
    if array.dtype != wanted.numpy:
        if not _converts(array.dtype, wanted.kind):
            raise InputError(f"input {field.name!r} is {array.dtype}, not {wanted}")
        array = _converted(field.name, array, wanted)
    _check_rank(field, array.shape)
    if field.range is not None and array.size:
        _check_limits(field, array.min(), array.max())
    return array


def _check_limits(field: signature.Field, least: Any, most: Any) -> None:
    assert field.range is not None
    low, high = field.range
    if not (low <= least and most <= high):
        raise InputError(f"input {field.name!r} must lie from {low} to {high}; found {least} to {most}")


def _converts(dtype: np.dtype, kind: str) -> bool:
    """Numbers become what is wanted where no fraction is lost: bool to int to float, any width."""
    order = {"b": 0, "u": 1, "i": 1, "f": 2}
    rank = 2 if dtype == DType.BFLOAT16.numpy else order.get(dtype.kind, 9)
    return rank <= {"bool": 0, "int": 1, "float": 2}[kind]


def _converted(name: str, array: np.ndarray, wanted: DType) -> np.ndarray:
    """The numbers in another dtype. Raises `InputError` for whole numbers that it does not hold."""
    if wanted.kind == "int" and array.size:
        limits = np.iinfo(wanted.numpy)
        least, most = int(array.min()), int(array.max())
        if least < limits.min or most > limits.max:
            raise InputError(f"input {name!r} is {wanted}; it cannot hold {least if least < limits.min else most}")
    return array.astype(wanted.numpy)


def _check_rank(field: signature.Field, shape: tuple[int, ...]) -> None:
    if len(shape) != field.type.rank:
        raise InputError(f"input {field.name!r} has the shape {shape}, wanted is {field.type}")


def bind_sizes(promised: signature.EntrySignature, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The value of each symbol from the shapes of the inputs. Raises `InputError` where they do not fit."""
    for field in promised.inputs:
        _check_rank(field, shapes[field.name])
    sizes: dict[str, int] = {}
    pairs = [
        (field.name, axis, wanted, shapes[field.name][axis])
        for field in promised.inputs
        for axis, wanted in enumerate(field.type.shape)
    ]
    progress = True
    while progress:
        progress = False
        for name, axis, wanted, size in pairs:
            solved = solve(wanted, size, sizes)
            if solved is None:
                continue
            symbol, value = solved
            if not isinstance(value, int):
                raise InputError(f"axis {axis} of {name!r} is {size}; it must be {wanted} with a whole {symbol}")
            _check_range(name, axis, symbol, value, wanted)
            sizes[symbol.name] = value
            progress = True
    for name, axis, wanted, size in pairs:
        if substitute(wanted, sizes) != size:
            raise InputError(f"axis {axis} of {name!r} is {size}; it must be {_derived(wanted, sizes)}")
    for left, right, where in promised.guards:
        a, b = substitute(left, sizes), substitute(right, sizes)
        if a != b:
            shares = divisor(left, right)
            said = (
                f"{left} = {a} must be a multiple of {shares}"
                if shares
                else f"{left} = {a} and {right} = {b} must be equal"
            )
            raise InputError(said + (f" ({where})" if where else ""))
    return sizes


def _derived(wanted: AnyDim, sizes: Mapping[str, int]) -> str:
    """A size as the spec writes it, with what it is for these sizes: `28`, or `2*N = 6 (N = 3)`."""
    if isinstance(wanted, int):
        return str(wanted)
    known = ", ".join(f"{symbol} = {value}" for symbol, value in sizes.items())
    return f"{wanted} = {substitute(wanted, sizes)} ({known})"


def _check_range(name: str, axis: int, symbol: Symbol, value: int, wanted: AnyDim) -> None:
    if not symbol.low <= value <= symbol.high:
        raise InputError(
            f"axis {axis} of {name!r} makes {symbol} {value} (it is {wanted});"
            f" {symbol} must lie from {symbol.low} to {symbol.high}"
        )


def _numbers(shape: Sequence[AnyDim], sizes: Mapping[str, int]) -> tuple[int, ...]:
    found = tuple(substitute(size, sizes) for size in shape)
    if not all(isinstance(size, int) for size in found):
        raise InputError("the size of a state is not known from these inputs; run the entry that sets it first")
    return tuple(int(size) for size in found if isinstance(size, int))


def temporary_folder() -> Path:
    """A fresh, empty folder for a bundle that lives as long as its executable."""
    return Path(tempfile.mkdtemp(prefix="netwright-"))
