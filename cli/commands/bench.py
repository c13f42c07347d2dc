"""`bench`: targets and peers by time."""

from __future__ import annotations

from typing import Annotated

import typer

from ...driver.bench import Benchmark, benchmark
from ..app import command
from ..console import cell, progress, say, say_json, seconds_text, show, table
from ..models import open_model, weights_of
from ..options import (
    DtypeOption,
    EntryOption,
    JsonOption,
    ModelArgument,
    SeedOption,
    SetOption,
    SizeOption,
    WeightsOption,
    WithOption,
    names,
    sizes,
)


def bench(
    model: ModelArgument,
    targets: Annotated[
        str, typer.Option("--targets", metavar="A,B", help="Targets to measure; ratios are to the first.")
    ],
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="P,Q", help="onnxruntime: our exported file without us; torch: if known."),
    ] = None,
    entry: EntryOption = "main",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of each; by default all cores.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of each.")] = 10,
    knobs: SetOption = None,
    dim: SizeOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure targets beside each other and beside other runtimes.

    Each has a process of its own with as many threads as the others, and they run in turns.
    """
    loaded = open_model(model, knobs, given, dtype)
    chosen, peers, wanted = names(targets) or [], names(against) or [], sizes(dim)
    source = weights_of(weights, seed)
    with progress("preparing") as tell:
        found = benchmark(loaded, chosen, peers, source, wanted, entry=entry, threads=threads, rounds=rounds, tell=tell)
    if json:
        say_json(found.as_data())
    else:
        _show(found)
    if all(timing.problem for timing in found.timings):
        raise typer.Exit(1)


def _show(found: Benchmark) -> None:
    shown = table("contender", "median", "ratio", "least", "runs", right=("median", "ratio", "least", "runs"))
    for timing in found.timings:
        ratio, median = found.ratio(timing), timing.median
        if median is None:
            shown.add_row(cell(timing.name), "-", "-", "-", "0")
            continue
        times = (seconds_text(median), f"{ratio:.2f}" if ratio else "-", seconds_text(min(timing.times)))
        shown.add_row(cell(timing.name), *times, f"{len(timing.times):,}")
    show(shown)
    for timing in found.timings:
        if timing.problem:
            say(f"{timing.name}: {timing.problem}", style="red")
    bound = "".join(f", {name} = {value}" for name, value in found.sizes.items())
    say(f"{found.model} {found.entry}{bound}; {found.threads} threads each, one process each, in turns", style="dim")


app = command(
    bench,
    "netwright bench zoo:lenet5 --targets numpy,onnx --against onnxruntime,torch",
    "netwright bench zoo:bert --targets onnx --dim N=1 --dim T=128",
)
