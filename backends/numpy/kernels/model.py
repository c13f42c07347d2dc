"""What a caller sees: entries by name, checks of what is given, state between calls."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np

from .memory import Plan


class Entry:
    """One program: the facts of its inputs, and the functions that bind sizes, plan memory and compute.

    ``inputs`` are (name, dtype, number of axes, least and largest value or None); ``bfloat16`` are the outputs that are
    the bits of bfloat16; ``states`` those it reads or updates; ``symbols`` the names of its sizes, in the order in
    which the functions take them.
    """

    def __init__(
        self,
        inputs: tuple,
        outputs: tuple,
        bfloat16: tuple,
        states: tuple,
        updates: tuple,
        symbols: tuple,
        bind: Callable,
        sized: Callable,
        table: Callable,
        call: Callable,
    ) -> None:
        self.inputs, self.outputs, self.bfloat16 = inputs, outputs, bfloat16
        self.states, self.updates, self.symbols = states, updates, symbols
        self.bind, self.sized, self.table, self.call = bind, sized, table, call


class Model:
    """A network with its weights. Call it with arrays by name; other entries are methods: ``net.decode(token=t)``.

    Threads may call it at the same time; entries with state wait for each other. ``state`` holds what is kept between
    calls, by name, once an entry has made it.
    """

    entries: Mapping = {}

    def __init__(self, entries: Mapping, states: Mapping, prepare: Callable, weights: tuple) -> None:
        self.entries, self.states, self.weights = entries, states, weights
        with np.errstate(all="ignore"):
            self.kept = prepare(weights)
        self.state: dict = {}
        self.state_sizes: dict = {}
        self.plans: OrderedDict = OrderedDict()
        self.lock, self.turn = threading.Lock(), threading.RLock()

    def __call__(self, **inputs: object) -> dict:
        """Run the entry `main`. Returns its outputs by name."""
        return self.run("main", **inputs)

    def __getattr__(self, name: str) -> Callable:
        if name not in self.entries:
            raise AttributeError(name)
        return lambda **inputs: self.run(name, **inputs)

    def run(self, entry: str, /, **inputs: object) -> dict:
        """Run an entry. Raises `ValueError` for inputs that do not fit."""
        if entry not in self.entries:
            raise ValueError(f"no entry is called {entry!r}; there are: {', '.join(self.entries)}")
        facts = self.entries[entry]
        arrays = checked(facts, inputs)
        shapes = [array.shape for array in arrays.values()]
        if not facts.states:
            return self.call(entry, arrays, {}, facts.bind(shapes, {}))[0]
        with self.turn:
            sizes = facts.bind(shapes, self.state_sizes)
            self.hold(facts, {**self.state_sizes, **dict(zip(facts.symbols, sizes))})
            outputs, updated = self.call(entry, arrays, self.state, sizes)
            self.state.update(updated)
            for name, value in updated.items():
                limits = self.states[name][4]
                if limits and value.size and not (limits[0] <= value.min() and value.max() <= limits[1]):
                    raise ValueError(
                        f"state {name!r} has left its range, {limits[0]} to {limits[1]}; reset() before more"
                    )
            return outputs

    def hold(self, facts: Entry, sizes: dict) -> None:
        """Make the states of an entry that there are not yet. Raises `ValueError` for those of other sizes."""
        made = {}
        for name in facts.states:
            dtype, value, symbols, shape, _ = self.states[name]
            for symbol in symbols:
                if symbol not in sizes:
                    raise ValueError(f"state {name!r} has the size {symbol}; run the entry that sets it first")
            wanted = shape(*(sizes[symbol] for symbol in symbols))
            if name not in self.state:
                made[name] = np.full(wanted, value, dtype)
            elif self.state[name].shape != wanted:
                found = self.state[name].shape
                raise ValueError(f"state {name!r} has the shape {found}, not {wanted}; reset() before other sizes")
        self.state.update(made)
        for name in made:
            self.state_sizes.update((symbol, sizes[symbol]) for symbol in self.states[name][2])

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


def packed(array: np.ndarray) -> np.ndarray:
    """The array in row-major order."""
    return array if array.flags.c_contiguous else array.copy()


def owned(array: np.ndarray) -> np.ndarray:
    """The array, or a copy if it cannot be written in place."""
    return array if array.flags.c_contiguous and array.flags.writeable else array.copy()


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
        array = converted(name, np.asarray(inputs[name]), np.dtype(dtype))
        if array.ndim != axes:
            raise ValueError(f"input {name!r} has the shape {array.shape}; it must have {axes} axes")
        if least is not None and array.size and not (least <= array.min() and array.max() <= most):
            raise ValueError(f"input {name!r} must lie from {least} to {most}; found {array.min()} to {array.max()}")
        arrays[name] = array
    return arrays


def converted(name: str, array: np.ndarray, wanted: np.dtype) -> np.ndarray:
    """The array in the wanted dtype where that loses no fraction: bool to int to float. Raises `ValueError`."""
    if array.dtype.name == "bfloat16":
        array = array.view(np.uint16)
    if array.dtype == wanted:
        return array
    rank = {"b": 0, "u": 1, "i": 1, "f": 2}
    if rank.get(array.dtype.kind, 9) > rank[wanted.kind]:
        raise ValueError(f"input {name!r} is {array.dtype}, not {wanted}")
    return array.astype(wanted)


KERNELS = (Entry, Model, packed, owned, checked, converted)
