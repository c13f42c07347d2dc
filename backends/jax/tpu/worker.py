"""The process that compiles for TPUs: ``python -m netwright.backends.jax.tpu.worker FOLDER``, started by `compile`.

It reads ``job.json`` and the checked module that stand in the folder, and writes an executable per entry beside them.
On standard output stands a JSON object per line: ``{"topology": ...}``, then ``{"begin": n}`` before entry n and
``{"done": n, ...}`` with its numbers, or at any time ``{"problem": ..., "kind": ...}``. A process of its own, since
libtpu takes settings from the environment and ends the process where it gives up.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np
from jax.experimental import topologies
from safetensors.numpy import load_file

from ..runtime import CONSTANTS, SOURCE, import_model
from . import JOB


def main() -> None:
    """Compile what the folder asks for."""
    # What libtpu prints goes to the error output; answers keep the real one for themselves.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    folder = Path(sys.argv[1])
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    jax.config.update("jax_traceback_in_locations_limit", 0)
    module = import_model((folder / SOURCE).read_text(encoding="utf-8"))
    if (folder / CONSTANTS).exists():
        module.CONSTANTS.update(load_file(folder / CONSTANTS))
    try:
        found = topologies.get_topology_desc(platform="tpu", topology_name=job["topology"])
    except Exception as error:
        # Whatever it is, libtpu does not take the name.
        _answer(answers, {"problem": str(error), "kind": "topology"})
        return
    devices: list[Any] = list(found.devices)
    chips = {tuple(device.coords) for device in devices}
    _answer(answers, {"topology": {"devices": len(devices), "chips": len(chips), "name": devices[0].device_kind}})
    try:
        layout = _Layout(module, devices)
    except ValueError as error:
        _answer(answers, {"problem": str(error), "kind": "mesh"})
        return
    for number, entry in enumerate(job["entries"]):
        _answer(answers, {"begin": number})
        try:
            done = _compiled(module, layout, entry, folder / entry["file"])
        except Exception as error:
            # Out of memory, an op that the compiler lacks: its own words are the best there are.
            _answer(answers, {"problem": str(error), "kind": "compiler"})
            return
        _answer(answers, {"done": number, **done})


def _leave_with_parent() -> None:
    """End this process when who started it is gone: its end of standard input closes."""
    sys.stdin.read()
    os._exit(1)


def _answer(stream: TextIO, what: dict[str, Any]) -> None:
    stream.write(json.dumps(what) + "\n")
    stream.flush()


class _Layout:
    """Where arguments lie: over the module's mesh, or on the first device of the topology."""

    def __init__(self, module: Any, devices: list[Any]) -> None:
        """Raises `ValueError` for a mesh that is larger than the topology."""
        sizes = getattr(module, "MESH", None)
        self.mesh = None if sizes is None else module.mesh_of(sizes, devices)
        self.device = devices[0]

    def spread(self) -> contextlib.AbstractContextManager[Any]:
        """The mesh, set."""
        return contextlib.nullcontext() if self.mesh is None else jax.set_mesh(self.mesh)

    def struct(self, dtype: str, shape: list[int], axes: list[str | None]) -> jax.ShapeDtypeStruct:
        """An argument."""
        sharding: jax.sharding.Sharding = jax.sharding.SingleDeviceSharding(self.device)
        if self.mesh is not None:
            sharding = jax.sharding.NamedSharding(self.mesh, jax.sharding.PartitionSpec(*axes))
        return jax.ShapeDtypeStruct(shape, np.dtype(dtype), sharding=sharding)


def _compiled(module: Any, layout: _Layout, entry: dict[str, Any], file: Path) -> dict[str, Any]:
    """Compile one entry, write its executable, and tell its numbers."""
    arguments = [{name: layout.struct(*facts) for name, facts in group.items()} for group in entry["arguments"]]
    function = jax.jit(
        getattr(module, entry["function"]), donate_argnums=(2,) if entry["updates"] else (), keep_unused=True
    )
    with jax.enable_x64(True), layout.spread():
        compiled = function.lower(*arguments).compile()
    executable: Any = compiled.runtime_executable()
    file.write_bytes(executable.serialize())
    memory: Any = compiled.memory_analysis()
    cost: Any = compiled.cost_analysis() or {}
    outputs = jax.tree_util.tree_leaves(compiled.output_shardings)
    return {
        "argument_bytes": memory.argument_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "alias_bytes": memory.alias_size_in_bytes,
        "code_bytes": memory.generated_code_size_in_bytes,
        # A number that the compiler does not know is -1.
        "flops": max(0, int(cost.get("flops", 0))),
        "bytes_accessed": max(0, int(cost.get("bytes accessed", 0))),
        "output_axes": [_axes(sharding) for sharding in outputs],
    }


def _axes(sharding: Any) -> list[Any]:
    """The mesh axes of an output: for each of its leading axes a name, several names, or None."""
    spec = getattr(sharding, "spec", ())
    return [list(axis) if isinstance(axis, tuple) else axis for axis in spec]


if __name__ == "__main__":
    main()
