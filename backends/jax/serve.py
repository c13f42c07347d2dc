"""The end of every emitted module: what calls its functions by the names of inputs and keeps their state.

The text of `Net` is copied into emitted modules; what it needs stands in the lines that `emit` writes around it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


class Entry(NamedTuple):
    """An entry point: its pure function, the dtype of each input, the names of the outputs in order.

    With ``states``: what it reads or updates, what makes their first values from the inputs, whether it updates any.
    """

    function: Callable[..., Any]
    inputs: Mapping[str, Any]
    outputs: tuple[str, ...]
    states: tuple[str, ...] = ()
    initial: Callable[..., dict[str, Array]] | None = None
    updates: bool = False


class Net:
    """A loaded model: ``net(image=x)`` runs the entry main, ``net.run("decode", token=t)`` another one.

    ``params`` are the arrays that the functions read, by name. ``state`` is what is kept between calls; ``reset``
    forgets it. Everything is computed with 64-bit integers as they are declared, whatever the process is set to.
    """

    def __init__(self, entries: Mapping[str, Entry], params: Mapping[str, Any]) -> None:
        self.entries = entries
        self.state: dict[str, Array] = {}
        with jax.enable_x64(True):
            self.params = {name: self.parameter(name, params[name]) for name in params}
        # States are given up: XLA writes their new values where the old ones were.
        self._compiled = {
            name: jax.jit(entry.function, donate_argnums=(2,) if entry.updates else ())
            for name, entry in entries.items()
        }

    def parameter(self, name: str, array: Any) -> Array:
        """A parameter as the functions read it; what nobody can write to, such as a mapped file, where it lies."""
        if isinstance(array, np.ndarray) and not array.flags.writeable:
            return jax.device_put(array, may_alias=True)
        return jnp.asarray(array)

    def value(self, name: str, array: Any, dtype: Any = None) -> Array:
        """An input or a state as the functions read it."""
        return jnp.asarray(array, dtype)

    def __call__(self, **inputs: Any) -> dict[str, Array]:
        return self.run("main", **inputs)

    def run(self, entry: str, /, **inputs: Any) -> dict[str, Array]:
        """The outputs of an entry by name. Raises `ValueError` for unknown or missing inputs."""
        if entry not in self.entries:
            raise ValueError(f"no entry is called {entry!r}; there are {', '.join(self.entries)}")
        known = self.entries[entry]
        if inputs.keys() != known.inputs.keys():
            raise ValueError(f"{entry} takes the inputs {', '.join(known.inputs)}; given are {', '.join(inputs)}")
        state = self._current(known, inputs)
        outputs, updated = self.call(entry, inputs, state)
        self.state.update(updated)
        return outputs

    def _current(self, known: Entry, inputs: Mapping[str, Any]) -> dict[str, Array]:
        if known.initial is None or all(name in self.state for name in known.states):
            return {name: self.state[name] for name in known.states}
        with jax.enable_x64(True):
            first = known.initial({name: np.asarray(inputs[name]) for name in inputs})
        state = {**first, **{name: self.state[name] for name in known.states if name in self.state}}
        for name in known.states:
            if name not in state:
                raise ValueError(f"the size of state {name!r} is not known from these inputs; run what sets it first")
        return state

    def call(
        self, entry: str, inputs: Mapping[str, Any], state: Mapping[str, Any]
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """The outputs and the new states of an entry, by name. JAX arrays among the states are given up."""
        known = self.entries[entry]
        with jax.enable_x64(True):
            arguments = [
                self.params,
                {name: self.value(name, inputs[name], dtype) for name, dtype in known.inputs.items()},
            ]
            if known.states:
                arguments.append({name: self.value(name, state[name]) for name in known.states})
            result = self._compiled[entry](*arguments)
        outputs, updated = result if known.updates else (result, {})
        # JAX sorts the keys of dictionaries.
        return {name: outputs[name] for name in known.outputs}, updated

    def reset(self) -> None:
        """Set every state back to its first value; sizes may be others afterwards."""
        self.state = {}


def mesh_of(sizes: Mapping[str, int], devices: Sequence[Any] | None = None) -> jax.sharding.Mesh:
    """The mesh of these devices, by default those that JAX finds: neighbours near each other, where JAX finds a way.

    Raises `ValueError` for too few devices.
    """
    count = math.prod(sizes.values())
    found = jax.devices() if devices is None else devices
    if len(found) < count:
        raise ValueError(f"the mesh {sizes} needs {count} devices; there are {len(found)}")
    kinds = (jax.sharding.AxisType.Auto,) * len(sizes)
    try:
        return jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=kinds, devices=found[:count])
    except (AssertionError, NotImplementedError):
        plain = np.array(found[:count], dtype=object).reshape(tuple(sizes.values()))
        return jax.sharding.Mesh(plain, tuple(sizes), axis_types=kinds)


class MeshNet(Net):
    """A `Net` over a mesh of devices, which may be those of several processes.

    ``placed`` and ``values`` name the mesh axis of each axis of the parameters, and of the inputs and states, that are
    spread; every device has the whole of the others. Each process is given all of the inputs.
    """

    def __init__(
        self,
        entries: Mapping[str, Entry],
        params: Mapping[str, Any],
        mesh: jax.sharding.Mesh,
        placed: Mapping[str, Sequence[str | None]],
        values: Mapping[str, Sequence[str | None]],
    ) -> None:
        self.mesh, self.placed, self.values = mesh, placed, values
        super().__init__(entries, params)

    def parameter(self, name: str, array: Any) -> Array:
        return self._lay(array, self.placed.get(name, ()))

    def value(self, name: str, array: Any, dtype: Any = None) -> Array:
        return self._lay(array, self.values.get(name, ()), dtype)

    def _lay(self, array: Any, axes: Sequence[str | None], dtype: Any = None) -> Array:
        if isinstance(array, Array) and array.sharding.device_set == set(self.mesh.devices.flat):
            return array
        array = np.asarray(array, dtype)
        sharding = jax.sharding.NamedSharding(self.mesh, jax.sharding.PartitionSpec(*axes))
        return jax.make_array_from_callback(array.shape, sharding, lambda part: array[part])

    def call(
        self, entry: str, inputs: Mapping[str, Any], state: Mapping[str, Any]
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        with jax.set_mesh(self.mesh):
            return super().call(entry, inputs, state)
