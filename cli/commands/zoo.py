"""`zoo`: the networks that come along."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

import typer

from ...driver.model import Model, load
from ...driver.summary import summary_of
from ...driver.zoo import ZooRow, knobs, rows, size
from ...spec.zoo_index import PREFIX
from ..app import command
from ..console import bytes_text, cell, count, progress, say, say_json, scaled, show, table
from ..options import JsonOption


def zoo(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One of the names.", show_default=False)] = None,
    json: JsonOption = False,
) -> None:
    """List the networks that come along, or show one."""
    if name is None:
        _list(json)
    else:
        _one(load(PREFIX + name.removeprefix(PREFIX)), json)


def _list(json: bool) -> None:
    found: list[ZooRow] = []
    total = size()
    with progress("reading the zoo") as tell:
        for row in rows():
            found.append(row)
            tell(f"reading the zoo: {len(found)} of {total}")
    if json:
        say_json([row.as_data() for row in found])
        return
    columns = ("parameters", "MACs", "values")
    shown = table("name", *columns, "what it is", right=columns)
    for family, members in groupby(found, key=lambda row: row.family):
        shown.add_row(cell(family, "bold cyan"), *[""] * (len(columns) + 1))
        first: ZooRow | None = None
        for row in members:
            words = cell(row.problem.partition("\n")[0] or row.summary)
            if first is not None and row.document == first.document and not row.problem:
                words = cell(f"as {first.name}", "dim")
            else:
                first = row
            shown.add_row(cell(f"  {row.name}"), *_cells(row), words)
    show(shown)
    say("MACs are those of main at its usual sizes, values the memory of its results at one time.", style="dim")
    say(f"{total} names. One by itself: netwright zoo NAME; to use it: zoo:NAME", style="dim")


def _cells(row: ZooRow) -> tuple[str, str, str]:
    numbers = row.numbers
    if numbers is None:
        return ("" if row.problem else "library", "", "")
    return count(numbers.parameters), scaled(numbers.macs), bytes_text(numbers.activation_bytes)


def _one(model: Model, json: bool) -> None:
    document = model.loaded.document
    if document.is_library:
        data = {"name": model.name, "summary": str(document.summary or ""), "blocks": list(document.blocks or ())}
        if json:
            say_json(data)
        else:
            say(f"{model.name}: {document.summary}", style="bold")
            say(f"a library of blocks: {', '.join(document.blocks or ())}")
        return
    with progress(f"counting {model.name}"):
        found = summary_of(model, {})
    args = knobs(model)
    if json:
        say_json(
            {
                "name": model.name,
                "summary": str(document.summary or ""),
                "idea": str(document.idea or ""),
                "source": [str(source) for source in document.sources],
                "document": model.loaded.label,
                "variants": list(model.variants),
                "knobs": {knob.name: {"type": knob.type, "default": knob.default, "doc": knob.doc} for knob in args},
                "optional_inputs": list(model.optional_inputs),
                **{key: value for key, value in found.to_json().items() if key not in ("name", "entries")},
            }
        )
        return
    say(f"{model.name}: {document.summary}", style="bold")
    for source in document.sources:
        say(f"  {source}", style="dim")
    if document.idea:
        say(str(document.idea).strip())
    if document.doc:
        say(str(document.doc).strip())
    say()
    _numbers(model, found.parameters, found.buffers, found.parameter_bytes)
    for entry in found.entries:
        at = ", ".join(f"{key} = {value}" for key, value in entry.sizes.items())
        work, memory = f"{scaled(entry.macs)} MACs, {scaled(entry.flops)} flops", bytes_text(entry.activation_bytes)
        say(f"{entry.name}: {work}, {memory} of values ({at or 'fixed sizes'})")
    _signature(model)
    _knobs(model)
    say(f"the spec: {model.loaded.path}", style="dim")


def _numbers(model: Model, parameters: int, buffers: int, size_in_bytes: int) -> None:
    also = f" and {count(buffers)} in buffers" if buffers else ""
    say(f"{count(parameters)} parameters{also}, {bytes_text(size_in_bytes)}")
    if model.variants:
        say(f"variants: {', '.join(model.variants)}")


def _signature(model: Model) -> None:
    shown = table("entry", "input", "type", "output", "type")
    for entry in model.program.entries.values():
        inputs = [(port.name, str(port.type)) for port in entry.inputs]
        results = entry.graph.outputs[: len(entry.outputs)]
        outputs = [(name, str(value.type)) for name, value in zip(entry.outputs, results, strict=True)]
        for place in range(min(max(len(inputs), len(outputs)), 12)):
            left = inputs[place] if place < len(inputs) else ("", "")
            right = outputs[place] if place < len(outputs) else ("", "")
            cells = [cell(text) for text in (*left, *right)]
            shown.add_row(cell("" if place else entry.name), *cells)
    say()
    show(shown)
    if model.optional_inputs:
        say(f"optional inputs (--with): {', '.join(model.optional_inputs)}")
    say()


def _knobs(model: Model) -> None:
    args = knobs(model)
    if not args:
        return
    shown = table("--set", "default", "")
    for knob in args:
        default = "required" if knob.default is None else knob.default
        shown.add_row(cell(knob.name), cell(default), cell(knob.doc))
    show(shown)
    say()


app = command(zoo, "netwright zoo", "netwright zoo resnet50", "netwright zoo --json")
