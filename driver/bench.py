"""Targets and peers by time: one process each, equal threads and cores, turns given by one parent."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..backends import registry, signature
from ..backends.api import BackendError
from ..backends.executable import InputError, bind_sizes
from .build import Build, Weights, write_bundle
from .export import write_onnx
from .memory import check_memory
from .model import Model, nearest
from .peers import torch_peer_of
from .processes import Contender, ContenderError, cores
from .samples import check_symbols, random_inputs

PEERS = ("onnxruntime", "torch")
TURN = 0.2
"""Seconds of a turn, roughly; a slower contender runs once."""


@dataclass(slots=True)
class Timing:
    """The runs of one contender in seconds; ``problem`` says why there are none."""

    name: str
    times: list[float] = field(default_factory=list)
    problem: str = ""

    @property
    def median(self) -> float | None:
        """The median time of a run, None without runs."""
        return statistics.median(self.times) if self.times else None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All contenders. The first target is what ratios are relative to."""

    model: str
    entry: str
    sizes: Mapping[str, int]
    threads: int
    timings: tuple[Timing, ...]

    def ratio(self, timing: Timing) -> float | None:
        """The median over that of the first contender."""
        first = self.timings[0].median
        return None if timing.median is None or not first else timing.median / first

    def as_data(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "model": self.model,
            "entry": self.entry,
            "sizes": dict(self.sizes),
            "threads": self.threads,
            "contenders": {
                timing.name: {
                    "median_seconds": timing.median,
                    "least_seconds": min(timing.times, default=None),
                    "ratio": self.ratio(timing),
                    "runs": len(timing.times),
                    "problem": timing.problem or None,
                }
                for timing in self.timings
            },
        }


def benchmark(
    model: Model,
    targets: Sequence[str],
    peers: Sequence[str],
    weights: Weights,
    sizes: Mapping[str, int],
    *,
    entry: str = "main",
    threads: int | None = None,
    rounds: int = 10,
    tell: Callable[[str], None] = lambda message: None,
) -> Benchmark:
    """Time an entry on random inputs.

    ``peers`` are of `PEERS`: our exported ONNX in onnxruntime without us, and an implementation in torch where one is
    known. Raises BackendError, InputError, SpecError; a contender that fails is a timing with a problem.
    """
    threads = threads or cores()
    _check(targets, peers)
    program = model.program
    if entry not in program.entries:
        raise InputError(f"{model.name} has no entry {entry!r}{nearest(entry, program.entries)}")
    promised = signature.from_json(signature.to_json(program)).entries[entry]
    check_symbols([promised], sizes)
    check_memory(program, sizes)
    inputs = random_inputs(promised, weights.seed, sizes)
    bound = bind_sizes(promised, {name: array.shape for name, array in inputs.items()})
    weights = weights.kept(model)
    timings: list[Timing] = []
    with tempfile.TemporaryDirectory(prefix="netwright-bench-") as temporary, ExitStack() as stack:
        running: list[tuple[Timing, Contender]] = []
        for name in (*targets, *peers):
            tell(f"preparing {name}")
            timing = Timing(name)
            timings.append(timing)
            folder = Path(temporary) / f"{len(timings)}"
            folder.mkdir()
            try:
                contender = stack.enter_context(
                    _start(name, name in targets, model, weights, folder, inputs, entry, threads)
                )
                contender.ready()
                running.append((timing, contender))
            except (BackendError, ContenderError) as error:
                timing.problem = str(error)
        _take_turns(running, rounds, tell)
    return Benchmark(model.name, entry, bound, threads, tuple(timings))


def _check(targets: Sequence[str], peers: Sequence[str]) -> None:
    if not targets:
        raise InputError("name a target to measure: --targets numpy,onnx")
    for target in targets:
        reason = registry.get(target).unready()
        if reason is not None:
            raise BackendError(f"{target}: {reason}")
    for peer in peers:
        if peer not in PEERS:
            raise InputError(f"no peer is called {peer!r}{nearest(peer, PEERS)} (there are: {', '.join(PEERS)})")


def _start(
    name: str,
    is_target: bool,
    model: Model,
    weights: Weights,
    folder: Path,
    inputs: Mapping[str, np.ndarray],
    entry: str,
    threads: int,
) -> Contender:
    """A contender's process. Raises BackendError if there is nothing that it could run."""
    if is_target:
        bundle = folder / "bundle"
        write_bundle(model, bundle, Build(name), weights)
        return Contender("bundle", str(bundle), folder, inputs, entry, threads)
    if name == "onnxruntime":
        if model.program.entries[entry].states:
            raise BackendError("the exported file takes its state as inputs, which plain onnxruntime is not given")
        path = folder / "model.onnx"
        write_onnx(model, path, weights, None, entry)
        return Contender("onnxruntime", str(path), folder, inputs, entry, threads)
    peer, args = torch_peer_of(model, entry)
    return Contender("torch", peer, folder, inputs, entry, threads, args)


def _take_turns(running: list[tuple[Timing, Contender]], rounds: int, tell: Callable[[str], None]) -> None:
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        for timing, contender in _rotated(running, number):
            if timing.problem:
                continue
            try:
                timing.times += contender.turn(TURN)
            except ContenderError as error:
                timing.problem = str(error)


def _rotated(items: list[tuple[Timing, Contender]], by: int) -> Iterator[tuple[Timing, Contender]]:
    """Nobody always runs after the same neighbour, which leaves the caches warm or cold."""
    for place in range(len(items)):
        yield items[(place + by) % len(items)]
