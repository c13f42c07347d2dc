"""`explain`: what the passes did, and what they declined."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ...compiler.explain import Explanation, Line
from ...compiler.explain import explain as read_log
from ...driver.build import Build, Weights, compile_program
from ...driver.devices import footprints
from ...driver.summary import usual_sizes
from ..app import command
from ..console import cell, progress, say, say_json, show, table
from ..launches import show_launches
from ..memory import memory_text
from ..models import open_model
from ..options import (
    DtypeOption,
    DumpOption,
    FixOption,
    JsonOption,
    ModelArgument,
    RollOption,
    SetOption,
    TargetOption,
    WithOption,
    sizes,
)

_MOST_LINES = 40
_MOST_PLACES = 3


def explain(
    model: ModelArgument,
    target: TargetOption,
    all_: Annotated[bool, typer.Option("--all", help="Show every line and place.")] = False,
    dump_dir: DumpOption = None,
    knobs: SetOption = None,
    dim: FixOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
    roll: RollOption = None,
    json: JsonOption = False,
) -> None:
    """Tell what the compiler rewrote, what it declined, and why.

    Equal events are one line, with how often and where in the spec.
    """
    loaded = open_model(model, knobs, given, dtype, sizes(dim))
    with progress(f"compiling {model} for {target}"):
        compiled = compile_program(loaded, Build(target, dump_dir=dump_dir, roll=roll), Weights())
        found = read_log(compiled.context.log)
        chosen = usual_sizes(loaded)
        memory = footprints(compiled, chosen)
        launches = compiled.backend.launches(compiled.program) or {}
    if json:
        held = {name: {**asdict(each), "ratio": each.ratio} for name, each in memory.items()}
        started = {name: [asdict(each) for each in runs] for name, runs in launches.items()}
        say_json({**found.to_json(), "memory": {"sizes": chosen, "entries": held}, "launches": started})
        return
    _show(found, all_)
    for name, runs in launches.items():
        show_launches(name, runs, all_)
    nodes = {name: len(entry.graph.nodes) for name, entry in compiled.program.entries.items()}
    listed = ", ".join(f"{name} {count:,}" for name, count in nodes.items())
    say(f"{loaded.name} for {target}: {listed} nodes in the end", style="bold")
    bound = ", ".join(f"{name} = {size}" for name, size in chosen.items())
    for name, each in memory.items():
        say(f"{name}{f' with {bound}' if bound else ''}: {memory_text(each)}")


def _show(found: Explanation, everything: bool) -> None:
    counts = table("pass", "rewritten", "refused", right=("rewritten", "refused"))
    for name, kinds in found.counts.items():
        counts.add_row(cell(name), *(f"{kinds[kind]:,}" if kinds[kind] else "" for kind in ("rewritten", "refused")))
    show(counts)
    say()
    for kind in ("rewritten", "refused"):
        lines = [line for line in found.lines if line.kind == kind]
        if lines:
            say(kind, style="bold")
        for line in lines if everything else lines[:_MOST_LINES]:
            say(_sentence(line, everything))
        if not everything and len(lines) > _MOST_LINES:
            say(f"  ... and {len(lines) - _MOST_LINES:,} more (--all)", style="dim")


def _sentence(line: Line, everything: bool) -> str:
    why = f": {line.why}" if line.why else ""
    times = f"  x{line.count:,}" if line.count > 1 else ""
    shown = line.places if everything else line.places[:_MOST_PLACES]
    more = ", ..." if line.count > len(shown) > 0 else ""
    places = f"\n      {', '.join(map(str, shown))}{more}" if shown else ""
    return f"  {line.pass_name}: {line.what}{why}{times}{places}"


app = command(
    explain, "netwright explain zoo:resnet50 --target numpy", "netwright explain net.yaml -t onnx --dump-dir dumps"
)
