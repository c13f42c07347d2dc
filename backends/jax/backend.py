"""The jax target: readable JAX functions, and StableHLO of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, ClassVar

import numpy as np

from ...compiler.ir import Node, Program, Sharding
from ...compiler.placements import tensor_placements
from ..api import Backend, Content, Emission, Loaded, Options, Table
from ..bundle import write_safetensors
from ..source import check_source
from . import capabilities, devices, runtime, stablehlo
from .emit import emit
from .tpu.compile import compile_entries
from .tpu.report import describe
from .vocabulary import vocabulary

_DEEP = 64
"""Blocks in a row that are a loop on a TPU."""


class JaxBackend(Backend):
    """JAX and XLA, on whatever device JAX finds."""

    name: ClassVar[str] = "jax"
    summary: ClassVar[str] = "JAX/XLA: a readable module of pure functions, and StableHLO for cpu, cuda and tpu"
    extra: ClassVar[str] = "jax"
    requires: ClassVar[frozenset[str]] = frozenset({"shard", "roll"})
    forbids: ClassVar[frozenset[str]] = frozenset({"inline"})

    def unavailable(self) -> str | None:
        return capabilities.unavailable()

    def roll(self, options: Options) -> int:
        # So many blocks take the TPU's compiler minutes, and their code half a gigabyte of each chip.
        return _DEEP if capabilities.topology(options) is not None else 0

    def claims(self, node: Node) -> str | None:
        return capabilities.claims(node)

    def emit(self, program: Program, weights: Mapping[str, np.ndarray], options: Options) -> Emission:
        topology, wanted = capabilities.topology(options), capabilities.wants_stablehlo(options)
        platforms = capabilities.platforms(options) if topology is None else ()
        emitted = emit(program)
        check_source(emitted.text, vocabulary())
        files: dict[str, Content] = {runtime.SOURCE: emitted.text.encode()}
        if emitted.constants:
            files[runtime.CONSTANTS] = _writer(emitted.constants)
        metadata: dict[str, Any] = {"functions": emitted.entries}
        if program.sharding is not None:
            metadata["sharding"] = _sharding_data(program, program.sharding)
            if wanted:
                # Exporting starts JAX; what runs here afterwards needs the devices of the mesh.
                devices.start(program.sharding.devices)
        if wanted:
            module = runtime.import_model(emitted.text)
            if emitted.constants:
                module.CONSTANTS.update(emitted.constants)
            exports = stablehlo.export(program, module, emitted.entries, platforms)
            files |= exports.files
            metadata["stablehlo"] = {
                "platforms": list(platforms),
                "entries": exports.entries,
                "refused": exports.refused,
            }
        if topology is not None:
            made = compile_entries(program, emitted, topology, options.report)
            files |= made.files
            metadata["tpu"] = made.metadata
        return Emission(files, weights_file=bool(program.used_tensors()), metadata=metadata)

    def describe(self, manifest: Mapping[str, Any]) -> Sequence[Table]:
        tpu = manifest.get("backend", {}).get("tpu")
        return describe(tpu) if tpu else ()

    def load(self, bundle: Loaded) -> runtime.JaxRuntime:
        return runtime.load(bundle)


def _sharding_data(program: Program, sharding: Sharding) -> dict[str, Any]:
    """The mesh, and the mesh axes of what is spread over it, by name or label."""
    return {
        # In order: JSON written with sorted keys would lose it.
        "mesh": [[name, size] for name, size in sharding.mesh.items()],
        "params": {name: list(axes) for name, axes in tensor_placements(program).items()},
        "values": {label: list(placement.axes) for label, placement in sharding.values.items()},
    }


def _writer(constants: Mapping[str, np.ndarray]) -> Content:
    def write(file: BinaryIO) -> None:
        write_safetensors(file, constants)

    return write
