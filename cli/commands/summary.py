"""`summary`: what a model holds and costs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from ...compiler.footprint import Footprint
from ...compiler.roofline import EntryRoofline, Roofline, Work
from ...compiler.summary import EntrySummary, Summary
from ...driver.build import Build, Weights, compile_program
from ...driver.devices import device_named, footprints, ideal, roofline_of
from ...driver.summary import summary_of
from ..app import command
from ..console import bytes_text, cell, count, progress, say, say_json, scaled, seconds_text, show, table
from ..memory import memory_text
from ..models import open_model, show_warnings
from ..options import DtypeOption, JsonOption, ModelArgument, SetOption, SizeOption, WithOption, sizes

_MOST_ROWS = 200


def summary(
    model: ModelArgument,
    depth: Annotated[int | None, typer.Option("--depth", min=1, help="How many levels of names to show.")] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", metavar="D", help="How long it takes at least: h200, a100, b200, v5e, v5p, ... or cpu."
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", "-t", metavar="T", help="As this target compiles it, with its memory.")
    ] = None,
    knobs: SetOption = None,
    dim: SizeOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
    json: JsonOption = False,
) -> None:
    """Count layers, parameters, operations and memory.

    No weight is allocated. Dimensions that are not set are the usual ones of the spec, or those of the pictures that it
    asks for, else 1. A MAC is a multiply-accumulate of a convolution or a product, two flops; the values of a part are
    all that it computes, those of the whole what lives at one time.
    With --device each part has its roofline: the longer of its work and its traffic with memory, kernel by kernel, at
    the best that the device does. Kernels are those of --target, else of a target that fuses all that may be fused.
    """
    wanted = sizes(dim)
    loaded = open_model(model, knobs, given, dtype)
    memory: dict[str, Footprint] = {}
    line: Roofline | None = None
    with progress(f"counting {model}") as tell:
        found = summary_of(loaded, wanted, depth)
        place = device_named(device, tell) if device is not None else None
        if target is not None:
            tell(f"compiling {model} for {target}")
            compiled = compile_program(loaded, Build(target), Weights())
            memory = footprints(compiled, found.sizes)
        if place is not None:
            tell(f"counting {model} on {place.name}")
            program = compiled.program if target is not None else ideal(loaded)
            line = roofline_of(program, place, found.sizes, depth)
    if json:
        extra: dict[str, Any] = {}
        if target is not None:
            entries = {name: {**asdict(each), "ratio": each.ratio} for name, each in memory.items()}
            extra["memory"] = {"target": target, "entries": entries}
        if line is not None:
            extra["roofline"] = line.to_json()
        say_json({**found.to_json(), **extra})
        return
    show_warnings(loaded)
    several = len(found.entries) > 1
    for entry in found.entries:
        _show(entry, several)
    for on_device in line.entries if line is not None else ():
        _show_line(on_device, several)
    _totals(found)
    for name, each in memory.items():
        say(f"{name} on {target}: {memory_text(each)}")
    if line is not None:
        held = [each.peak or each.bound for each in memory.values()]
        _line_totals(line, max(held or [entry.activation_bytes for entry in found.entries], default=0))


def _show(entry: EntrySummary, several: bool) -> None:
    if several:
        say(f"entry {entry.name}", style="bold")
    numbers = ["parameters", "buffers", "MACs", "flops", "values"]
    if not any(group.buffers for group in entry.groups):
        numbers.remove("buffers")
    shown = table("part", "op", "result", *numbers, right=tuple(numbers))
    for group in entry.groups[:_MOST_ROWS]:
        told = {
            "parameters": count(group.parameters) if group.parameters else "",
            "buffers": count(group.buffers) if group.buffers else "",
            "MACs": scaled(group.macs) if group.macs else "",
            "flops": scaled(group.flops) if group.flops else "",
            "values": bytes_text(group.result_bytes) if group.result_bytes else "",
        }
        shown.add_row(cell(group.label), cell(group.op), cell(group.output), *(told[name] for name in numbers))
    show(shown)
    if len(entry.groups) > _MOST_ROWS:
        say(f"... and {len(entry.groups) - _MOST_ROWS:,} more parts (--json has them all)", style="dim")
    say()


def _show_line(entry: EntryRoofline, several: bool) -> None:
    if several:
        say(f"entry {entry.name}", style="bold")
    numbers = ("kernels", "flops", "moved", "flops/byte", "at least")
    shown = table("part", *numbers, "waits for", right=numbers)
    parts = [(label, work) for label, work in entry.parts.items() if work.kernels]
    for label, work in parts[:_MOST_ROWS]:
        shown.add_row(cell(label), *_numbers(work), work.bound)
    shown.add_row(cell("all", "bold"), *_numbers(entry.total), entry.total.bound)
    show(shown)
    if len(parts) > _MOST_ROWS:
        say(f"... and {len(parts) - _MOST_ROWS:,} more parts (--json has them all)", style="dim")
    say()


def _numbers(work: Work) -> list[str]:
    moved, intensity = bytes_text(work.bytes), f"{work.intensity:.1f}"
    return [count(work.kernels), scaled(work.flops), moved, intensity, seconds_text(work.time)]


def _line_totals(line: Roofline, values: int) -> None:
    device = line.device
    for entry in line.entries:
        total = entry.total
        if not total.time:
            continue
        parts = ", ".join(f"{seconds_text(each)} {limit}" for limit, each in total.limits.items() if each)
        rate = f"{scaled(int(total.flops / total.time))} flop/s, {scaled(int(total.bytes / total.time))}B/s"
        say(f"{entry.name} on {device.name} ({device.title}): at least {seconds_text(total.time)} ({parts}), {rate}")
    need = line.weights + values
    if device.memory and need > device.memory:
        say(f"weights and values are {bytes_text(need)}, the device has {bytes_text(int(device.memory))}", "bold red")


def _totals(found: Summary) -> None:
    bound = ", ".join(f"{name} = {value}" for name, value in found.sizes.items())
    buffers = f" and {count(found.buffers)} in buffers" if found.buffers else ""
    say(f"{found.name}: {count(found.parameters)} parameters{buffers}, {bytes_text(found.parameter_bytes)}", "bold")
    first = found.entries[0].name
    at = f" with {bound}" if bound else ""
    say(f"{first}{at}: {scaled(found.macs)} multiply-accumulates, {scaled(found.flops)} flops, {found.nodes:,} nodes,")
    say(f"{' ' * len(first)}  {bytes_text(found.activation_bytes)} of values at once")


app = command(
    summary,
    "netwright summary zoo:resnet50 --dim H=224 --dim W=224",
    "netwright summary zoo:bert_base --dim T=128 --device h200 --dtype float16",
    "netwright summary zoo:unet --target numpy",
)
