"""Training steps of ours beside torch eager and hand-written JAX: ``python -m benchmarks.training``."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# What is compared runs on the CPU, whatever else the machine has.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np

from netwright.backends import bundle
from netwright.compiler.initialize import random_parameters
from netwright.compiler.training.program import training_program
from netwright.driver.build import Build, Weights, write_bundle
from netwright.driver.model import Model, load
from netwright.driver.processes import Contender, ContenderError

from . import machine, report
from .race import Result, Tell, race_options, said, take_turns

HERE = Path(__file__).parent
RESULTS = HERE / "results"
TARGETS = {"our numpy": "numpy", "our onnx": "onnx", "our jax": "jax"}
EAGER, JIT = "torch eager", "jax.jit by hand"
PEERS = {EAGER: "step_torch", JIT: "step_jax"}
CONTENDERS = (*TARGETS, *PEERS)
RATE = 1e-3
CLOSE = (1e-4, 1e-2)
"""How far the losses of the first two steps may be from torch's, relative, in one that is timed.

Adam's first step is as long whatever the gradient: where that is little more than rounding, its sign decides, so that
weights, and the second loss, differ by more than rounding.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A spec of ``specs/``, by the name that its peers have, and the shape of its input."""

    name: str
    what: str
    shape: tuple[int, ...]


CASES = (
    Case("lenet5", "batch 64, 32 x 32", (64, 1, 32, 32)),
    Case("resnet18", "batch 16, 32 x 32", (16, 3, 32, 32)),
    Case("lstm", "batch 32, 100 steps, 32 features, 128 units", (32, 100, 32)),
)
SMALL = tuple(replace(case, shape=(4, *case.shape[1:])) for case in CASES)


def main() -> None:
    """Measure, print the page and, if it is of all cases, write it with its data."""
    options = arguments()
    data: dict[str, Any] = {
        "command": " ".join(["python", "-m", f"{__package__}.training", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine.facts(),
        "threads": options.threads,
        "rounds": options.rounds,
        "cases": [],
    }
    for case in SMALL if options.small else CASES:
        if not options.models or case.name in options.models:
            data["cases"].append(report.case_data(case, measured(case, options), base=EAGER))
    print(page(data), end="")
    if not options.small and not options.models:
        stem = f"training-{options.machine}"
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{stem}.md").write_text(page(data), encoding="utf-8")
        (RESULTS / f"{stem}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def measured(case: Case, options: argparse.Namespace) -> list[Result]:
    """The results of a case; one that cannot even be set up is a problem of all its contenders."""

    def tell(message: str) -> None:
        print(f"{case.name}: {message}", file=sys.stderr, flush=True)

    try:
        with tempfile.TemporaryDirectory(prefix="netwright-benchmark-") as folder:
            return race(case, Path(folder), options.threads, options.rounds, options.seconds, tell)
    except Exception as error:
        # Whatever it is, the other cases are worth their minutes.
        tell(said(error))
        return [Result(name, problem=said(error)) for name in CONTENDERS]


def race(case: Case, folder: Path, threads: int, rounds: int, seconds: float, tell: Tell) -> list[Result]:
    """The steps of all contenders, from the same weights with the same batch. Raises SpecError.

    A contender that fails, or whose losses differ, has a problem and no times.
    """
    model = load(HERE / "specs" / f"{case.name}_step.yaml")
    first = {name: np.asarray(array) for name, array in random_parameters(model.program, 0).items()}
    path = folder / "weights.safetensors"
    with open(path, "wb") as file:
        bundle.write_safetensors(file, first)
    generator = np.random.default_rng(0)
    label = generator.integers(0, 10, case.shape[0])
    inputs = {"x": generator.standard_normal(case.shape, np.float32), "label": label}
    results = [Result(name) for name in CONTENDERS]
    with ExitStack() as stack:
        running: dict[str, Contender] = {}
        for result in results:
            tell(f"preparing {result.name}")
            place = folder / result.name.replace(" ", "-")
            place.mkdir()
            try:
                kind, subject = _subject(case, model, first, result.name, place)
                args = {"weights": str(path), "rate": RATE}
                started = Contender(kind, subject, place, inputs, "train_step", threads, args)
                running[result.name] = stack.enter_context(started)
                started.ready()
            except Exception as error:
                # A fault of one contender, of ours too, is a line in the table.
                result.problem = said(error)
        _compare(results, running, folder)
        take_turns([(result, running[result.name]) for result in results if not result.problem], rounds, seconds, tell)
    return results


def _subject(case: Case, model: Model, first: Mapping[str, np.ndarray], name: str, folder: Path) -> tuple[str, str]:
    """The kind of a contender, and what it runs."""
    if name in PEERS:
        return f"{__package__}.peers.{PEERS[name]}", case.name
    program = training_program(model.training)
    write_bundle(model.having(program), folder / "bundle", Build(TARGETS[name]), Weights(values=first))
    return f"{__package__}.peers.step_ours", str(folder / "bundle")


def _compare(results: Sequence[Result], running: Mapping[str, Contender], folder: Path) -> None:
    """Set each contender's error, and a problem where it is too large or cannot be known."""
    losses: dict[str, np.ndarray] = {}
    for result in results:
        if result.problem:
            continue
        try:
            losses[result.name] = running[result.name].outputs(folder / "losses.npz")["losses"]
        except ContenderError as error:
            result.problem = str(error)
    for result in results:
        if EAGER not in losses:
            result.problem = result.problem or "torch gave nothing to compare the losses with"
        elif result.name in losses:
            wanted = losses[EAGER]
            errors = np.abs(losses[result.name] - wanted) / np.abs(wanted)
            result.error = float(errors.max())
            if not np.all(errors <= CLOSE):
                result.problem = f"the losses differ from torch's by {' and '.join(f'{error:.1e}' for error in errors)}"


def page(data: report.Data) -> str:
    """The page of a run: a short table, each contender with its spread, and the machine."""
    rows = [
        [f"{case['model']} ({case['what']})", *(_cell(case["contenders"][name]) for name in CONTENDERS)]
        for case in data["cases"]
    ]
    note = (
        f"Training steps per second (forward, backward, Adam; float32, {data['threads']} threads each), from the "
        f"median time of a step, on {data['machine']['processor']}; in brackets relative to torch eager in the same "
        "run (above 1 is faster)."
    )
    head = f"# Training steps beside their peers\n\n{data['date']}, `{data['command']}`\n"
    parts = [head, report.table(["model", *CONTENDERS], rows), "", note, ""]
    for case in data["cases"]:
        parts += [f"## {case['model']}: {case['what']}\n", report.table(HEAD, list(_rows(case))), ""]
        problems = [f"- {name}: {found['problem']}" for name, found in case["contenders"].items() if found["problem"]]
        parts += ["\n".join(problems) + "\n"] if problems else []
    parts += ["## Machine\n", report.machine_list(data["machine"]), ""]
    return "\n".join(parts)


HEAD = ("contender", "median step", "half of the steps", "steps", "losses of two steps off torch's")


def _rows(case: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, found in case["contenders"].items():
        error = found["difference_from_torch"]
        off = "-" if error is None else f"{error:.0e}"
        if found["median_seconds"] is None:
            yield [name, "-", "-", "0", off]
            continue
        low, high = map(report.seconds, found["quartiles_seconds"])
        yield [name, report.seconds(found["median_seconds"]), f"{low} to {high}", f"{found['runs']:,}", off]


def _cell(found: Mapping[str, Any]) -> str:
    """Steps per second with the ratio in brackets, or a dash."""
    if found["median_seconds"] is None:
        return "-"
    speed = 1 / found["median_seconds"]
    ratio = f" ({1 / found['ratio']:.2f})" if found["ratio"] else ""
    return f"{speed:.{max(0, 3 - len(str(int(speed))))}f}{ratio}"


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}.training", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="some of the cases, only printed; by default all")
    race_options(parser)
    options = parser.parse_args()
    known = [case.name for case in CASES]
    for name in options.models:
        if name not in known:
            parser.error(f"there is no case {name!r} (there are {', '.join(known)})")
    if options.threads < 1 or options.rounds < 1:
        parser.error("--threads and --rounds are 1 or more")
    return options


if __name__ == "__main__":
    main()
