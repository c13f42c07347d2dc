"""What a caller sees: entries by name, checks of what is given, state between calls."""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import safe_open

from .memory import Plan


class Entry:
    """One program: the facts of its inputs, and the functions that bind sizes, plan memory and compute.

    ``inputs`` are (name, dtype, number of axes, least and largest value or None); ``states`` those it reads or
    updates; ``symbols`` the names of its sizes, in the order in which the functions take them; ``bfloat16`` the outputs
    that are the bits of bfloat16.
    """

    def __init__(self, inputs, outputs, bfloat16, states, updates, symbols, bind, sized, table, call) -> None:
        self.inputs, self.outputs, self.states, self.updates = inputs, outputs, states, updates
        self.bfloat16 = bfloat16
        self.symbols, self.bind, self.sized, self.table, self.call = symbols, bind, sized, table, call


class Model:
    """A network with its weights. Call it with arrays by name; other entries are methods: ``net.decode(token=t)``.

    Threads may call it at the same time; entries with state wait for each other. ``state`` holds what is kept between
    calls, by name, once an entry has made it.
    """

    entries = {}

    def __init__(self, entries: dict, states: dict, prepare, weights: tuple) -> None:
        self.entries, self.states, self.weights = entries, states, weights
        self.kept = prepare(weights)
        self.state, self.state_sizes = {}, {}
        self.plans, self.lock, self.turn = OrderedDict(), threading.Lock(), threading.RLock()

    def __call__(self, **inputs) -> dict:
        """Run the entry `main`. Returns its outputs by name."""
        return self.run("main", **inputs)

    def __getattr__(self, name: str):
        if name not in self.entries:
            raise AttributeError(name)
        return lambda **inputs: self.run(name, **inputs)

    def run(self, entry: str, /, **inputs) -> dict:
        """Run an entry. Raises `ValueError` for inputs that do not fit."""
        if entry not in self.entries:
            raise ValueError(f"no entry is called {entry!r}; there are: {', '.join(self.entries)}")
        facts = self.entries[entry]
        arrays = checked(facts, inputs)
        sizes = facts.bind([array.shape for array in arrays.values()], self.state_sizes)
        if not facts.states:
            return self.call(entry, arrays, {}, sizes)[0]
        with self.turn:
            named = {**self.state_sizes, **dict(zip(facts.symbols, sizes))}
            fresh = {name: self.initial(name, named) for name in facts.states if name not in self.state}
            for name in facts.states:
                _, _, symbols, shape = self.states[name]
                if name in self.state and self.state[name].shape != shape(*(named[symbol] for symbol in symbols)):
                    raise ValueError(f"state {name!r} has the shape {self.state[name].shape}; reset() before other sizes")
            self.state.update(fresh)
            for name in fresh:
                self.state_sizes.update((symbol, named[symbol]) for symbol in self.states[name][2])
            outputs, updated = self.call(entry, arrays, self.state, sizes)
            self.state.update(updated)
            return outputs

    def initial(self, name: str, sizes: dict) -> np.ndarray:
        """The first value of a state."""
        dtype, value, symbols, shape = self.states[name]
        unknown = [symbol for symbol in symbols if symbol not in sizes]
        if unknown:
            raise ValueError(f"state {name!r} has the size {unknown[0]}; run the entry that sets it first")
        return np.full(shape(*(sizes[symbol] for symbol in symbols)), value, dtype)

    def reset(self) -> None:
        """Set every state back to its first value; sizes may be others afterwards."""
        with self.turn:
            self.state.clear()
            self.state_sizes.clear()

    def call(self, entry: str, inputs: Mapping, states: Mapping, sizes: tuple) -> tuple[dict, dict]:
        """Run an entry on arrays that fit. Returns the outputs and the new states; these are updated in place."""
        facts = self.entries[entry]
        plan = self.plan(entry, facts, sizes)
        arrays = [packed(inputs[name]) for name, *_ in facts.inputs]
        held = {name: owned(states[name]) for name in facts.states}
        buffers = plan.take()
        try:
            with np.errstate(all="ignore"):
                results = facts.call(self.weights, self.kept, plan.sized, buffers, sizes, arrays, list(held.values()))
        finally:
            plan.give(buffers)
        return dict(zip(facts.outputs, results)), {name: held[name] for name in facts.updates}

    def plan(self, entry: str, facts: Entry, sizes: tuple) -> Plan:
        """The plan for these sizes; the last 8 are remembered."""
        key = (entry, sizes)
        with self.lock:
            if key in self.plans:
                self.plans.move_to_end(key)
                return self.plans[key]
        with np.errstate(all="ignore"):
            made = Plan(facts.table(sizes), facts.sized(self.weights, self.kept, sizes))
        with self.lock:
            plan = self.plans.setdefault(key, made)
            while len(self.plans) > 8:
                self.plans.popitem(last=False)
        return plan


def checked(facts: Entry, inputs: dict) -> dict:
    """The inputs in order, as arrays of the right dtype and number of axes. Raises `ValueError`."""
    names = [name for name, *_ in facts.inputs]
    for name in inputs:
        if name not in names:
            raise ValueError(f"no input is called {name!r}; there are: {', '.join(map(repr, names)) or 'none'}")
    arrays = {}
    for name, dtype, axes, least, most in facts.inputs:
        if name not in inputs:
            raise ValueError(f"input {name!r} is missing")
        array = np.asarray(inputs[name])
        if array.dtype.name == "bfloat16":
            array = array.view(np.uint16)
        wanted = np.dtype(dtype)
        if array.dtype != wanted:
            rank = {"b": 0, "u": 1, "i": 1, "f": 2}
            if rank.get(array.dtype.kind, 9) > rank[wanted.kind]:
                raise ValueError(f"input {name!r} is {array.dtype}, not {wanted}")
            array = array.astype(wanted)
        if array.ndim != axes:
            raise ValueError(f"input {name!r} has the shape {array.shape}; it must have {axes} axes")
        if least is not None and array.size and not (least <= array.min() and array.max() <= most):
            raise ValueError(f"input {name!r} must lie from {least} to {most}; found {array.min()} to {array.max()}")
        arrays[name] = array
    return arrays


def packed(array: np.ndarray) -> np.ndarray:
    """The array in row-major order."""
    return array if array.flags.c_contiguous else array.copy()


def owned(array: np.ndarray) -> np.ndarray:
    """The array, or a copy if it cannot be written in place."""
    return array if array.flags.c_contiguous and array.flags.writeable else array.copy()


def solved(size: int, factor: int, rest: int, name: str, axis: int, text: str, symbol: str, low: int, high: int) -> int:
    """The whole number that makes ``factor * symbol + rest`` the size of an axis. Raises `ValueError`."""
    value, over = divmod(size - rest, factor)
    if over:
        raise ValueError(f"axis {axis} of {name!r} is {size}; it must be {text} with a whole {symbol}")
    if not low <= value <= high:
        raise ValueError(
            f"axis {axis} of {name!r} makes {symbol} {value} (it is {text}); {symbol} must lie from {low} to {high}"
        )
    return value


def agree(size: int, wanted: int, name: str, axis: int, text: str) -> None:
    """Raises `ValueError` unless an axis has the size that it must have."""
    if size != wanted:
        raise ValueError(f"axis {axis} of {name!r} is {size}; it must be {text}" + ("" if str(wanted) == text else f" = {wanted}"))


def guard(left: int, right: int, text: str, where: str) -> None:
    """Raises `ValueError` unless two sizes are equal."""
    if left != right:
        raise ValueError(f"{text} must be equal; they are {left} and {right}" + (f" ({where})" if where else ""))


def known(sizes: Mapping, symbol: str) -> int:
    """The value of a symbol that no input gives: that of the states. Raises `ValueError`."""
    if symbol not in sizes:
        raise ValueError(f"no input gives the size {symbol}; run the entry that sets the state first")
    return sizes[symbol]


def read_bfloat16(path: Path, name: str) -> np.ndarray:
    """The bits of a bfloat16 tensor, a dtype that NumPy lacks, as uint16."""
    size = int(np.fromfile(path, "<u8", 1)[0])
    facts = json.loads(np.fromfile(path, np.uint8, size, offset=8).tobytes())[name]
    begin, end = facts["data_offsets"]
    return np.fromfile(path, "<u2", (end - begin) // 2, offset=8 + size + begin).reshape(facts["shape"])


def read_weights(path: Path, parameters: tuple) -> tuple:
    """The tensors of a safetensors file, in the order of the parameters: (name, dtype, shape). Raises `ValueError`."""
    found = []
    with safe_open(path, framework="numpy") as file:
        names = set(file.keys())
        for name, dtype, shape in parameters:
            if name not in names:
                raise ValueError(f"{path} lacks the tensor {name!r}")
            if file.get_slice(name).get_dtype() == "BF16":
                array = read_bfloat16(path, name)
            else:
                array = np.asarray(file.get_tensor(name))
            if array.dtype != np.dtype(dtype) or array.shape != shape:
                raise ValueError(f"tensor {name!r} of {path} is {array.dtype}{list(array.shape)}, not {dtype}{list(shape)}")
            found.append(array)
    return tuple(found)


KERNELS = (
    Entry, Model, checked, packed, owned, solved, agree, guard, known, read_bfloat16, read_weights,
)  # fmt: skip
