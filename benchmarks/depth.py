"""How long a deep spec takes from YAML to an ONNX file, by stage: ``python -m benchmarks.depth``."""

from __future__ import annotations

import argparse
import datetime
import math
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from netwright.backends.onnx import OnnxBackend
from netwright.compiler.pipeline import plan
from netwright.driver.build import Build, UsedWeights, Weights, compilation
from netwright.driver.files import write_file
from netwright.driver.model import load

from . import machine
from .deep_specs import KINDS
from .report import machine_list, table

DEPTHS = (500, 1000, 2000, 4000)
STAGES = ("read", "elaborate", "passes", "emit", "write")
WHAT = {
    "read": "YAML to a validated document",
    "elaborate": "document to program, types and formulas checked",
    "passes": "the pipeline for the ONNX target",
    "emit": "program to protobuf, with the full check of `onnx.checker`",
    "write": "random weights drawn, folded, and the file written",
}
PASS = "pass "
"""What the marks of single passes begin with."""
PAGE = Path(__file__).parent / "results" / "depth.md"

Times = dict[str, float]
Medians = dict[tuple[str, int], Times]


def main() -> None:
    """Measure, print the page and, if it is of the usual depths, write it."""
    options = arguments()
    facts = machine.facts()
    found: dict[tuple[str, int], list[Times]] = {(kind, depth): [] for kind in KINDS for depth in options.depths}
    for number in range(options.rounds):
        for kind, depth in found:
            print(f"round {number + 1} of {options.rounds}: {kind}, {depth} layers", file=sys.stderr, flush=True)
            found[kind, depth].append(in_own_process(kind, depth))
    medians = {key: median_run(runs) for key, runs in found.items()}
    text = page(medians, options, facts)
    print(text, end="")
    if tuple(options.depths) == DEPTHS:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")


def in_own_process(kind: str, depth: int) -> Times:
    """`measure` in a fresh process, so that no run inherits the memory of another."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, kind, depth).result()


def measure(kind: str, depth: int) -> Times:
    """The seconds of each stage, and of each pass as ``pass NAME``. Modules are loaded before."""
    with tempfile.TemporaryDirectory(prefix="netwright-depth-") as folder:
        stages(kind, 3, Path(folder))
        return stages(kind, depth, Path(folder))


def stages(kind: str, depth: int, folder: Path) -> Times:
    """One way from text to file, in the steps of `netwright.driver.export.write_onnx`."""
    spec = folder / f"{depth}.yaml"
    spec.write_text(KINDS[kind](depth), encoding="utf-8")
    marks: Times = {}
    start = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal start
        now = time.perf_counter()
        marks[stage] = marks.get(stage, 0.0) + now - start
        start = now

    model = load(spec)
    lap("read")
    program = model.program
    lap("elaborate")
    build, weights = Build("onnx"), Weights()
    _, context = compilation(model, build)
    for step in plan(context):
        program = step.run(program, context)
        lap(PASS + step.name)
    used = UsedWeights(program, weights.parameters(model))
    emission = OnnxBackend().emit(program, used, build.options)
    lap("emit")
    for name, content in emission.files.items():
        assert callable(content), "a model's weights are written as they are drawn"
        write_file(folder / name, content)
    lap("write")
    marks["passes"] = math.fsum(value for name, value in marks.items() if name.startswith(PASS))
    return marks


def median_run(runs: list[Times]) -> Times:
    """The median of each stage."""
    return {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}


def total(times: Times) -> float:
    """All stages."""
    return math.fsum(times[stage] for stage in STAGES)


def page(medians: Medians, options: argparse.Namespace, facts: Mapping[str, str]) -> str:
    """The results in Markdown."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    command = " ".join(["python", "-m", f"{__package__}.depth", *sys.argv[1:]])
    parts = [
        f"# From YAML to ONNX, by depth\n\n{now}, `{command}`\n",
        "A layer is one with weights and what follows it, so 4,000 layers are 8,000 nodes of a spec, and 12,000 with "
        "batch normalization. Growth is the exponent from the row above to this one: 1 is linear. "
        f"Medians of {options.rounds} runs, each in a process of its own that has loaded its modules before.\n",
        "\n".join(f"- {stage}: {meaning}" for stage, meaning in WHAT.items()) + "\n",
    ]
    for kind, write in KINDS.items():
        assert write.__doc__ is not None
        rows, before = [], None
        for depth in options.depths:
            times = medians[kind, depth]
            rows.append(row(depth, times, before))
            before = depth, total(times)
        head = ["layers", *(f"{stage}, s" for stage in STAGES), "total, s", "ms per layer", "growth"]
        parts += [
            f"## {kind}\n\n{write.__doc__.replace('``depth`` ', '').capitalize()}\n",
            f"{table(head, rows)}\n\n{passes(medians, kind, options.depths[-1])}\n",
        ]
    parts.append("## Machine\n\n" + machine_list(facts) + "\n")
    return "\n".join(parts)


def row(depth: int, times: Times, before: tuple[int, float] | None) -> list[str]:
    """A line of the table."""
    whole = total(times)
    growth = f"{math.log(whole / before[1]) / math.log(depth / before[0]):.2f}" if before else "-"
    parts = (f"{times[stage]:.2f}" for stage in STAGES)
    return [f"{depth:,}", *parts, f"{whole:.2f}", f"{whole / depth * 1e3:.2f}", growth]


def passes(medians: Medians, kind: str, depth: int) -> str:
    """The passes of the deepest, the slowest first."""
    found = [(value, name) for name, value in medians[kind, depth].items() if name.startswith(PASS)]
    slowest = (f"{name.removeprefix(PASS)} {value:.2f} s" for value, name in sorted(found, reverse=True))
    return f"Passes at {depth:,} layers: {', '.join(slowest)}."


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}.depth", description=__doc__)
    parser.add_argument(
        "depths",
        nargs="*",
        type=int,
        default=DEPTHS,
        metavar="DEPTH",
        help="numbers of layers, in growing order (500 1000 2000 4000)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")
    options = parser.parse_args()
    if options.rounds < 1 or any(depth < 1 for depth in options.depths):
        parser.error("depths and --rounds are 1 or more")
    return options


if __name__ == "__main__":
    main()
