"""From an emitted module to executables for a TPU topology, and what they cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ....compiler.ir import Axes, Dim, Entry, Program, TensorType
from ....compiler.ir.dims import symbols
from ....compiler.placements import tensor_placements, value_placements
from ...api import BackendError, Report
from ...bundle import write_safetensors
from ..emit import Emitted
from ..runtime import CONSTANTS, SOURCE
from . import JOB, WORKER
from .report import Numbers, entry_work
from .topology import Topology, suggestion

_LOG_LINES = 3
_LONGEST = 600
"""Letters of what libtpu says that a message repeats."""

_ENVIRONMENT = {
    # JAX itself runs on the CPU; these keep libtpu from asking the network what machine this is, and quiet.
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TPU_LOG_DIR": "disabled",
    "TPU_MIN_LOG_LEVEL": "3",
    "TPU_STDERR_LOG_LEVEL": "3",
    # It compiles only: another process that does so, or that uses a TPU, is not in the way.
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "PYTHONHASHSEED": "0",
}


@dataclass(frozen=True, slots=True)
class Executables:
    """The executable of each entry by file name, and what the manifest says of them."""

    files: dict[str, bytes]
    metadata: dict[str, Any]


def missing() -> str | None:
    """None if this machine can compile for TPUs, else what to install."""
    return None if find_spec("libtpu") else "to compile for TPUs, libtpu is needed: pip install 'netwright[tpu]'"


def compile_entries(program: Program, emitted: Emitted, topology: Topology, report: Report | None) -> Executables:
    """Compile every entry of an emitted and checked module for a topology, in a process of its own.

    Raises `BackendError` for sizes that are not known, a topology that libtpu does not know, a mesh of another number
    of devices, and with the compiler's own words for what it refuses.
    """
    reason = missing()
    if reason is not None:
        raise BackendError(reason)
    _need_sizes(program, topology)
    entries = list(program.entries.values())
    jobs = [_job(program, entry, emitted.entries[entry.name]) for entry in entries]
    numbers: list[dict[str, Any]] = []
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="netwright-tpu-") as name:
        folder = Path(name)
        _write_job(folder, emitted, topology, jobs)
        for answer in _answers(folder, topology, report, entries):
            if "topology" in answer:
                found = answer["topology"]
                _check_mesh(program, topology, found["devices"])
            else:
                numbers.append(answer)
        files = {job["file"]: (folder / job["file"]).read_bytes() for job in jobs}
    devices = program.sharding.devices if program.sharding is not None else 1
    facts = Numbers(topology, found["name"], found["devices"], found["chips"], devices)
    told = {
        entry.name: {
            "file": job["file"],
            **facts.of_entry(answer, entry_work(program, entry)),
            **_signature(program, entry, job, answer["output_axes"]),
        }
        for entry, job, answer in zip(entries, jobs, numbers, strict=True)
    }
    return Executables(files, {**facts.to_json(), "entries": told})


def _need_sizes(program: Program, topology: Topology) -> None:
    found = {symbol.name for entry in program.entries.values() for symbol in entry.symbols}
    for state in program.state.values():
        found |= {symbol.name for size in state.type.shape if isinstance(size, Dim) for symbol in symbols(size)}
    if found:
        names = sorted(found)
        given = " ".join(f"--dim {name}=..." for name in names)
        one = "this one" if len(names) == 1 else "these"
        raise BackendError(f"{topology.device} compiles for sizes that are known; set {one}: {given}")


def _check_mesh(program: Program, topology: Topology, devices: int) -> None:
    if program.sharding is not None and program.sharding.devices != devices:
        raise BackendError(
            f"the mesh {program.sharding} has {program.sharding.devices} devices, {topology.device} has {devices};"
            f" give a mesh of {devices} by --mesh, or --mesh none for one of them"
        )


# ---- the job


def _job(program: Program, entry: Entry, function: str) -> dict[str, Any]:
    types, placed, values = program.tensor_types(), tensor_placements(program), value_placements(program)

    def described(type: TensorType, axes: Axes) -> list[Any]:
        return [type.dtype.value, list(type.shape), list(axes)]

    arguments = [
        {name: described(types[name], placed.get(name, ())) for name in entry.params},
        {port.name: described(port.type, values.get(port.name, ())) for port in entry.inputs},
    ]
    states = dict.fromkeys((*entry.states, *entry.updates))
    if states:
        arguments.append({name: described(program.state[name].type, values.get(name, ())) for name in states})
    return {
        "function": function,
        "file": f"{function}.tpu",
        "arguments": arguments,
        "updates": bool(entry.updates),
    }


def _write_job(folder: Path, emitted: Emitted, topology: Topology, jobs: list[dict[str, Any]]) -> None:
    (folder / SOURCE).write_text(emitted.text, encoding="utf-8")
    if emitted.constants:
        with open(folder / CONSTANTS, "wb") as file:
            write_safetensors(file, emitted.constants)
    (folder / JOB).write_text(json.dumps({"topology": topology.name, "entries": jobs}), encoding="utf-8")


def _answers(folder: Path, topology: Topology, report: Report | None, entries: list[Entry]) -> Iterator[dict[str, Any]]:
    """What the process says, checked for problems. Raises `BackendError`."""
    environment = {key: value for key, value in os.environ.items() if key not in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")}
    environment |= _ENVIRONMENT | {"TMPDIR": str(folder)}
    finished, total = 0, len(entries)
    with open(folder / "log", "w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER, str(folder)],
            # Open as long as this process lives: the other one ends with it.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        assert process.stdin is not None and process.stdout is not None
        place = f"compiling for {topology.device}"
        try:
            for line in process.stdout:
                answer = _parsed(line)
                if "problem" in answer:
                    raise BackendError(_problem(answer, topology, place))
                if "begin" in answer:
                    place = f"compiling {entries[answer['begin']].name} for {topology.device}"
                    if report is not None:
                        report(place, finished, total)
                    continue
                finished += "done" in answer
                yield answer
            code = process.wait()
            if finished < total:
                raise BackendError(f"{place}: the compiler's process ended: {_last_words(log.name, code)}")
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


def _parsed(line: str) -> dict[str, Any]:
    """An answer. Raises `BackendError` for a line that is none."""
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise BackendError(f"the compiler's process said {line.strip()[:80]!r}, which is no answer")
    return answer


def _problem(answer: Mapping[str, Any], topology: Topology, place: str) -> str:
    said = " ".join(str(answer["problem"]).split())
    said = said if len(said) <= _LONGEST else said[: _LONGEST - 2] + ".."
    if answer["kind"] == "topology" and "INVALID_ARGUMENT" not in said:
        return f"libtpu cannot describe {topology.name}: {said}"
    if answer["kind"] == "topology":
        return f"libtpu knows no topology {topology.name}: {suggestion(topology)} ({said})"
    if answer["kind"] == "mesh":
        return f"{topology.device}: {said}"
    return f"{place}: {said}"


def _last_words(path: str, code: int) -> str:
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines()]
    lines = [line for line in lines if line]
    telling = [line for line in lines if "error" in line.lower() or line.startswith("F")] or lines
    said = " / ".join(telling[-_LOG_LINES:])
    return (said[:_LONGEST] if said else "it said nothing") + f" (code {code})"


# ---- what the manifest says


def _signature(program: Program, entry: Entry, job: Mapping[str, Any], output_axes: list[list[Any]]) -> dict[str, Any]:
    """What the executable takes and gives, in the order of its buffers: JAX sorts the keys of dictionaries."""
    kinds = ("parameter", "input", "state")
    arguments = [
        {"kind": kind, "name": name, "dtype": dtype, "shape": shape, "axes": axes or [None] * len(shape)}
        for kind, group in zip(kinds, job["arguments"], strict=False)
        for name, (dtype, shape, axes) in sorted(group.items())
    ]
    given = [("output", name, value.type) for name, value in zip(entry.outputs, entry.graph.outputs, strict=False)]
    given.sort(key=lambda one: one[1])
    if entry.updates:
        states = sorted(dict.fromkeys((*entry.states, *entry.updates)))
        given += [("state", name, program.state[name].type) for name in states]
    outputs = [
        {
            "kind": kind,
            "name": name,
            "dtype": type.dtype.value,
            "shape": list(type.shape),
            "axes": axes + [None] * (type.rank - len(axes)),
        }
        for (kind, name, type), axes in zip(given, output_axes, strict=True)
    ]
    return {"arguments": arguments, "outputs": outputs}
