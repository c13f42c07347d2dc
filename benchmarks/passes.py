"""How the time of each pass grows with the number of nodes: ``python -m benchmarks.passes``."""

from __future__ import annotations

import argparse
import datetime
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from netwright.backends import registry
from netwright.compiler.ir import Program
from netwright.compiler.packing import pack
from netwright.compiler.passes.context import Context, LayoutCosts
from netwright.compiler.pipeline import plan
from netwright.compiler.storage import storage
from netwright.driver.collector import paused

from . import machine
from .large_graphs import KINDS
from .report import machine_list, table

SIZES = (1000, 3000, 10_000, 30_000)
TARGETS = ("numpy", "triton")
NOTABLE = 0.05
"""Seconds: a pass that takes less on the largest graph is not judged by its growth."""
PACK = "pack"
"""Not a pass: offsets for every value of the graph before it is fused."""
FOLDER = Path(__file__).parent / "results"

Times = dict[str, float]


def main() -> None:
    """Measure, print the page and, if it is of the usual sizes, write it."""
    options = arguments()
    facts = machine.facts()
    found: dict[tuple[str, str], dict[int, Times]] = {}
    counts: dict[tuple[str, str, int], int] = {}
    for kind in options.kinds:
        for target in options.targets:
            for size in options.sizes:
                print(f"{kind} for {target}: {size:,} nodes", file=sys.stderr, flush=True)
                runs = [measure(KINDS[kind](size), target) for _ in range(options.rounds)]
                times = {name: statistics.median(times[name] for times, _ in runs) for name in runs[0][0]}
                found.setdefault((kind, target), {})[size] = times
                counts[kind, target, size] = runs[0][1]
    text = page(found, counts, options, facts)
    print(text, end="")
    if tuple(options.sizes) == SIZES and tuple(options.kinds) == tuple(KINDS):
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"passes-{machine.name()}.md").write_text(text, encoding="utf-8")


def measure(program: Program, target: str) -> tuple[Times, int]:
    """The seconds of each pass for a target, all of its runs together, and the nodes that are left."""
    backend = registry.get(target)
    context = Context(
        target=target,
        claims=backend.claims,
        requires=backend.requires,
        forbids=backend.forbids,
        fusion=backend.fusion,
        layout=LayoutCosts(backend.layout, backend.conversion),
    )
    times: Times = {}
    lives = rows(program)
    with paused():
        for step in plan(context):
            if step.name == "fuse":
                lives = rows(program)
            start = time.perf_counter()
            program = step.run(program, context)
            times[step.name] = times.get(step.name, 0.0) + time.perf_counter() - start
        (entry,) = program.entries.values()
        start = time.perf_counter()
        pack(lives)
        times[PACK] = time.perf_counter() - start
    return times, len(entry.graph.nodes)


def rows(program: Program) -> list[tuple[int, int, int]]:
    """First use, last use and bytes of each memory of a program."""
    (entry,) = program.entries.values()
    model = storage(entry.graph, fixed=entry.graph.inputs[len(entry.inputs) :])
    end = len(model.nodes)
    lives = zip(model.maker, model.readers, model.size, model.kept, strict=True)
    return [
        (maker, end if kept else max((maker, *readers)), size) for maker, readers, size, kept in lives if maker >= 0
    ]


def growth(times: Mapping[int, float]) -> float:
    """The exponent of time in nodes, by least squares of the logarithms."""
    points = [(math.log(size), math.log(max(seconds, 1e-9))) for size, seconds in times.items()]
    x, y = (statistics.fmean(axis) for axis in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def bound(sizes: Sequence[int]) -> float:
    """The exponent that n log n has between these sizes."""
    return growth({size: size * math.log(size) for size in sizes})


def page(
    found: Mapping[tuple[str, str], Mapping[int, Times]],
    counts: Mapping[tuple[str, str, int], int],
    options: argparse.Namespace,
    facts: Mapping[str, str],
) -> str:
    """The results in Markdown."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    command = " ".join(["python", "-m", f"{__package__}.passes", *sys.argv[1:]])
    parts = [
        f"# Passes by size\n\n{now}, `{command}`\n",
        "Seconds of each pass, all of its runs together, and how they grow: the exponent of time in nodes, fitted to "
        f"all sizes. Linear is 1; n log n is {bound(options.sizes):.2f} between these sizes. Medians of "
        f"{options.rounds}. What takes less than {NOTABLE * 1e3:.0f} ms on the largest graph has its growth in "
        "parentheses. `pack` gives a place in memory to every value that there is before kernels are formed.\n",
    ]
    for (kind, target), by_size in found.items():
        doc = (KINDS[kind].__doc__ or "").strip()
        left = ", ".join(f"{counts[kind, target, size]:,}" for size in by_size)
        head = ["pass", *(f"{size:,}" for size in by_size), "growth"]
        names = [*next(iter(by_size.values()))]
        lines = [line(name, {size: times[name] for size, times in by_size.items()}) for name in names]
        lines.append(line("all", {size: math.fsum(times.values()) for size, times in by_size.items()}))
        parts.append(f"## {kind}, {target}\n\n{doc} {left} nodes come out.\n\n{table(head, lines)}\n")
    parts.append("## Machine\n\n" + machine_list(facts) + "\n")
    return "\n".join(parts)


def line(name: str, times: Mapping[int, float]) -> list[str]:
    """A pass as a row of the table."""
    fitted = f"{growth(times):.2f}" if len(times) > 1 else "-"
    shown = fitted if list(times.values())[-1] >= NOTABLE else f"({fitted})"
    return [name, *(f"{seconds:.3f}" for seconds in times.values()), shown]


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}.passes", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES, metavar="NODES", help="in growing order")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=tuple(KINDS), help="which graphs (all)")
    parser.add_argument("--targets", nargs="+", default=TARGETS, help="whose passes (numpy triton)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")
    options = parser.parse_args()
    if options.rounds < 1 or any(size < 10 for size in options.sizes):
        parser.error("graphs have 10 nodes or more, and --rounds is 1 or more")
    return options


if __name__ == "__main__":
    main()
