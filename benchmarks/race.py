"""One case: every contender made, its outputs compared with torch's, then timed in turns with the others."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from netwright.backends import bundle, registry, signature
from netwright.backends.api import BackendError
from netwright.driver.build import Build, Weights, write_bundle
from netwright.driver.contenders.job import Job
from netwright.driver.export import write_onnx
from netwright.driver.files import write_npz
from netwright.driver.model import Model, load
from netwright.driver.processes import Contender, ContenderError
from netwright.driver.samples import distance, random_inputs

from . import machine
from .cases import Case

TARGETS = {"our numpy": "numpy", "our onnx": "onnx", "our jax": "jax"}
"""Bundles of ours, run as a user of ours does."""
FILE, EXPORTED, EAGER = "our file in onnxruntime", "torch's file in onnxruntime", "torch eager"
"""Our ONNX without anything else of ours, and the peers: torch's own export in the same runtime, and torch."""
CONTENDERS = (*TARGETS, FILE, EXPORTED, EAGER)

CLOSE = 1e-4
"""The largest difference from torch's outputs, relative to their largest value, of a contender that is timed."""
TURN = 0.2
"""Seconds of a turn, roughly; a slower contender runs once."""
REST = 0.05
"""Seconds before each turn: idle threads of the one before spin for some ten milliseconds, and take a core."""
LEAST_ROUNDS = 3

Tell = Callable[[str], None]


@dataclass(slots=True)
class Result:
    """A contender's runs in seconds and its difference from torch; ``problem`` says why something is missing."""

    name: str
    times: list[float] = field(default_factory=list)
    error: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Race:
    """What all contenders of a case are given."""

    case: Case
    model: Model
    weights: Weights
    inputs: Mapping[str, np.ndarray]
    folder: Path
    threads: int

    def job(self) -> Job:
        """What the peers in torch are told."""
        args = {"args": dict(self.case.peer_args), "weights": str(self.folder / "weights.safetensors")}
        return Job(self.case.peer, "main", str(self.folder / "inputs.npz"), self.threads, args)


def race_options(parser: argparse.ArgumentParser) -> None:
    """The options of every race: how it is run, and what its results are called."""
    parser.add_argument("--threads", type=int, default=2, help="threads and cores of each contender (2)")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contender (15)")
    parser.add_argument("--seconds", type=float, default=25, help="no further round of a model after that long (25)")
    parser.add_argument("--machine", default=machine.name(), help="what the files of results are called")
    parser.add_argument("--small", action="store_true", help="small models, only printed, to try the benchmark itself")


def race(case: Case, folder: Path, threads: int, rounds: int, seconds: float, tell: Tell) -> list[Result]:
    """The results of all contenders. ``seconds`` bounds the turns, after the first few rounds.

    A contender that fails, or whose outputs differ, has a problem and no times. Raises SpecError.
    """
    model = load(f"zoo:{case.zoo}", **case.args)
    weights = Weights(everywhere=True).kept(model)
    entry = signature.from_json(signature.to_json(model.program)).entries["main"]
    given = Race(case, model, weights, random_inputs(entry, 0, case.sizes), folder, threads)
    with open(folder / "weights.safetensors", "wb") as file:
        bundle.write_safetensors(file, weights.parameters(model))
    write_npz(folder / "inputs.npz", given.inputs)
    results = [Result(name) for name in CONTENDERS]
    with ExitStack() as stack:
        running = dict(_prepare(given, results, stack, tell))
        _compare(case, results, running, folder)
        ready = [(result, running[result.name]) for result in results if not result.problem]
        take_turns(ready, rounds, seconds, tell)
    return results


def _prepare(given: Race, results: list[Result], stack: ExitStack, tell: Tell) -> Iterator[tuple[str, Contender]]:
    """The contenders that start, by name."""
    for place, result in enumerate(results):
        tell(f"preparing {result.name}")
        folder = given.folder / str(place)
        folder.mkdir()
        try:
            contender = stack.enter_context(_start(given, result.name, folder))
            contender.ready()
        except Exception as error:
            # A fault of one contender, of ours too, is a line in the table.
            result.problem = said(error)
        else:
            yield result.name, contender


def _start(given: Race, name: str, folder: Path) -> Contender:
    """A contender's process. Raises BackendError if there is nothing that it could run."""
    if name == EAGER:
        return _contender(given, f"{__package__}.peers.eager", given.case.peer, folder, given.job().args)
    if name == EXPORTED:
        return _contender(given, "onnxruntime", str(_torch_export(given, folder)), folder)
    if name == FILE:
        write_onnx(given.model, folder / "model.onnx", given.weights, None, "main")
        return _contender(given, "onnxruntime", str(folder / "model.onnx"), folder)
    reason = registry.get(TARGETS[name]).unready()
    if reason is not None:
        raise BackendError(reason)
    write_bundle(given.model, folder / "bundle", Build(TARGETS[name]), given.weights)
    return _contender(given, "bundle", str(folder / "bundle"), folder)


def said(error: Exception) -> str:
    """A message for the table: the words of an error that is meant for people, else its kind too."""
    message = str(error).strip().partition("\n")[0]
    return message if isinstance(error, (BackendError, ContenderError)) else f"{type(error).__name__}: {message}"


def _contender(given: Race, kind: str, subject: str, folder: Path, args: Mapping[str, Any] | None = None) -> Contender:
    return Contender(kind, subject, folder, given.inputs, "main", given.threads, args)


def _torch_export(given: Race, folder: Path) -> Path:
    """torch's own export of the peer, made by a process that ends. Raises BackendError with its last words."""
    job, path = folder / "export.json", folder / "model.onnx"
    given.job().write(job)
    command = [sys.executable, "-m", f"{__package__}.peers.export", str(job), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise BackendError(f"torch.onnx.export failed: {lines[-1] if lines else done.returncode}")
    return path


def _compare(case: Case, results: list[Result], running: Mapping[str, Contender], folder: Path) -> None:
    """Set each contender's error, and a problem where it is too large or cannot be known."""
    outputs: dict[str, dict[str, np.ndarray]] = {}
    for result in results:
        if result.problem:
            continue
        try:
            outputs[result.name] = running[result.name].outputs(folder / "outputs.npz")
        except ContenderError as error:
            result.problem = str(error)
    if EAGER not in outputs:
        for result in results:
            result.problem = result.problem or "torch gave nothing to compare the outputs with"
        return
    wanted = list(outputs[EAGER].values())[: len(case.outputs)]
    for result in results:
        if result.name not in outputs:
            continue
        found = outputs[result.name]
        got = [found[name] for name in case.outputs] if result.name in TARGETS else list(found.values())
        result.error = max(_error(one, other) for one, other in zip(got, wanted, strict=False))
        if not result.error <= CLOSE:
            result.problem = f"the outputs differ from torch's by {result.error:.1e}"


def _error(got: np.ndarray, wanted: np.ndarray) -> float:
    difference, largest = distance(got, wanted)
    return difference / largest


def take_turns(running: list[tuple[Result, Contender]], rounds: int, seconds: float, tell: Tell) -> None:
    """Everybody runs for a moment, round after round, each time with another one first. The first round warms up."""
    start = time.monotonic()
    for number in range(rounds + 1):
        if number > LEAST_ROUNDS and time.monotonic() - start > seconds:
            return
        tell(f"round {number} of {rounds}")
        for place in range(len(running)):
            result, contender = running[(place + number) % len(running)]
            if result.problem:
                continue
            time.sleep(REST)
            try:
                times = contender.turn(TURN)
            except ContenderError as error:
                result.problem = str(error)
            else:
                result.times += times if number else []
