"""One step of one model on one target, in a process of its own: ``python -m benchmarks.full_size_job JOB.json``.

A job is compiled into a bundle (or exported as an ONNX file), or what was compiled is opened and run once. The process
writes seconds and memory as JSON to the job's ``report``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx.checker

from netwright.backends import signature
from netwright.backends.executable import Executable
from netwright.backends.onnx.runtime import open_session, thread_limit
from netwright.backends.signature import EntrySignature
from netwright.driver.build import Build, Weights, write_bundle
from netwright.driver.export import write_onnx
from netwright.driver.files import write_npz
from netwright.driver.model import Model, load
from netwright.driver.samples import random_inputs

from .watched import peak_memory

FILE = "file"
"""The target that is no target: the exported ONNX file in onnxruntime, without anything of ours."""
SEED = 0

Call = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Job:
    """``step`` is `compile` or `run`; ``folder`` holds what is made of the model, and the outputs of its run."""

    step: str
    name: str
    target: str
    folder: str
    report: str
    args: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write to a file."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    @property
    def made(self) -> Path:
        """The bundle, or the exported file."""
        return Path(self.folder) / ("model.onnx" if self.target == FILE else "bundle")

    @property
    def outputs(self) -> Path:
        """Where the outputs of the run go."""
        return Path(self.folder) / f"{self.target}.npz"

    def files(self) -> list[Path]:
        """What compiling made."""
        found = self.made.rglob("*") if self.made.is_dir() else self.made.parent.glob(f"{self.made.name}*")
        return [path for path in found if path.is_file()]


class Clock:
    """Seconds since it was made: of the processor, which other processes do not change much, and of the wall."""

    def __init__(self) -> None:
        self._start = time.process_time(), time.perf_counter()

    def read(self) -> tuple[float, float]:
        return time.process_time() - self._start[0], time.perf_counter() - self._start[1]


class Timed(Mapping[str, np.ndarray]):
    """Parameters that are drawn when asked for; counts how many, and the processor's seconds that it took."""

    def __init__(self, parameters: Mapping[str, np.ndarray]) -> None:
        self.parameters, self.seconds, self.draws = parameters, 0.0, 0

    def __getitem__(self, path: str) -> np.ndarray:
        start = time.process_time()
        array = self.parameters[path]
        self.seconds += time.process_time() - start
        self.draws += 1
        return array

    def __contains__(self, path: object) -> bool:
        return path in self.parameters

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)


def main() -> None:
    """Do the job."""
    job = Job.read(Path(sys.argv[1]))
    model = load(f"zoo:{job.name}", **job.args)
    found = {"compile": compiled, "run": ran}[job.step](job, model)
    report = {**found, "peak_bytes": peak_memory()}
    Path(job.report).write_text(json.dumps(report), encoding="utf-8")


def compiled(job: Job, model: Model) -> dict[str, Any]:
    """From the spec to files, weights drawn on the way; the seconds of drawing are apart."""
    clock = Clock()
    weights = Timed(Weights(seed=SEED, everywhere=True).parameters(model))
    if job.target == FILE:
        write_onnx(model, job.made, Weights(seed=SEED, values=weights), None, "main")
    else:
        write_bundle(model, job.made, Build(job.target), Weights(seed=SEED, values=weights))
    seconds, elapsed = clock.read()
    return {
        "compile_seconds": seconds - weights.seconds,
        "compile_elapsed": elapsed,
        "draw_seconds": weights.seconds,
        "draws": weights.draws / max(1, len(weights)),
        "file_bytes": sum(path.stat().st_size for path in job.files()),
    }


def ran(job: Job, model: Model) -> dict[str, Any]:
    """Open what was compiled and run its entry `main` once."""
    entry = signature.from_json(signature.to_json(model.program)).entries["main"]
    inputs = random_inputs(entry, SEED, job.sizes)
    clock = Clock()
    call = (_file if job.target == FILE else _bundle)(job, entry)
    opened = clock.read()
    outputs = call(inputs)
    done = clock.read()
    write_npz(job.outputs, outputs)
    return {
        "open_seconds": opened[0],
        "open_elapsed": opened[1],
        "run_seconds": done[0] - opened[0],
        "run_elapsed": done[1] - opened[1],
        "finite": all(bool(np.isfinite(array).all()) for array in outputs.values()),
    }


def _bundle(job: Job, entry: EntrySignature) -> Call:
    """An opened bundle."""
    net = Executable(job.made)
    return lambda inputs: net.run(entry.name, **inputs)


def _file(job: Job, entry: EntrySignature) -> Call:
    """An exported file in a session; checked first, by its path, as files over 2 GiB must be."""
    onnx.checker.check_model(str(job.made))
    session = open_session(str(job.made), thread_limit(0))
    given = [port.name for port in session.get_inputs()]
    names = [output.name for output in entry.outputs]

    def call(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        results = session.run(None, dict(zip(given, inputs.values(), strict=True)))
        return dict(zip(names, results, strict=True))

    return call


if __name__ == "__main__":
    main()
