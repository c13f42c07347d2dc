"""`summary`: what a model holds and costs."""

from __future__ import annotations

from typing import Annotated

import typer

from ...compiler.summary import EntrySummary, Summary
from ...driver.summary import summary_of
from ..app import command
from ..console import bytes_text, cell, count, progress, say, say_json, scaled, show, table
from ..models import open_model, show_warnings
from ..options import DtypeOption, JsonOption, ModelArgument, SetOption, SizeOption, WithOption, sizes

_MOST_ROWS = 200


def summary(
    model: ModelArgument,
    depth: Annotated[int | None, typer.Option("--depth", min=1, help="How many levels of names to show.")] = None,
    knobs: SetOption = None,
    dim: SizeOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
    json: JsonOption = False,
) -> None:
    """Count layers, parameters, operations and memory.

    No weight is allocated. Dimensions that are not set are those of the pictures that the spec asks for, else 1.
    """
    wanted = sizes(dim)
    loaded = open_model(model, knobs, given, dtype)
    with progress(f"counting {model}"):
        found = summary_of(loaded, wanted, depth)
    if json:
        say_json(found.to_json())
        return
    show_warnings(loaded)
    for entry in found.entries:
        _show(entry, several=len(found.entries) > 1)
    _totals(found)


def _show(entry: EntrySummary, several: bool) -> None:
    if several:
        say(f"entry {entry.name}", style="bold")
    shown = table("part", "op", "result", "parameters", "MACs", right=("parameters", "MACs"))
    for group in entry.groups[:_MOST_ROWS]:
        own = group.parameters + group.buffers
        shown.add_row(
            cell(group.label),
            cell(group.op),
            cell(group.output),
            count(own) if own else "",
            scaled(group.macs) if group.macs else "",
        )
    show(shown)
    if len(entry.groups) > _MOST_ROWS:
        say(f"... and {len(entry.groups) - _MOST_ROWS:,} more parts (--json has them all)", style="dim")
    say()


def _totals(found: Summary) -> None:
    bound = ", ".join(f"{name} = {value}" for name, value in found.sizes.items())
    buffers = f" and {count(found.buffers)} in buffers" if found.buffers else ""
    say(f"{found.name}: {count(found.parameters)} parameters{buffers}, {bytes_text(found.parameter_bytes)}", "bold")
    first = found.entries[0].name
    at = f" with {bound}" if bound else ""
    say(f"{first}{at}: {scaled(found.macs)} multiply-accumulates, {scaled(found.flops)} flops, {found.nodes:,} nodes,")
    say(f"{' ' * len(first)}  {bytes_text(found.activation_bytes)} of values at once")


app = command(summary, "netwright summary zoo:resnet50 --dim H=224 --dim W=224", "netwright summary zoo:bert --json")
