"""`tour`: what all this is, in a minute."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import typer
from PIL import Image
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ...driver.shipped import SHIPPED
from ...driver.tour import EXPORTED, Row, Stop, Target, targets, tour
from ..app import command
from ..console import bytes_text, cell, progress, say, say_json, seconds_text, show, table
from ..options import JsonOption

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
DIGITS = tuple(SAMPLES / f"digit_{digit}.png" for digit in range(10))
PHOTOGRAPH, TEXT = SAMPLES / "photograph.jpg", "To be, or not to be"
STOPS = (
    Stop("lenet5", {"image": tuple(map(str, DIGITS))}, weights=SHIPPED, truth=tuple(range(10))),
    Stop("resnet50", {"image": str(PHOTOGRAPH)}),
    Stop("gpt_lecture", {"ids": TEXT}, "generate", {"depth": 2, "width": 96, "new_tokens": 32}),
)
_SHADES = " .:-=+*#%@"


def tour_(json: JsonOption = False) -> None:
    """See every installed target on real pictures and a text, in one table.

    LeNet-5 reads ten handwritten digits that it has not learned from. ResNet-50 sees a photograph, and a small GPT
    continues a text letter by letter, both with random weights: the table shows that every target computes what the
    float64 reference does.
    """
    began = time.perf_counter()
    available = targets()
    names = [target.name for target in available if not target.missing]
    found: list[Row] = []
    left_out = {stop.model: why for stop in STOPS if (why := stop.missing())}
    if not json:
        _welcome(names)
    with progress("beginning") as tell:
        for row in tour([stop for stop in STOPS if stop.model not in left_out], names, tell):
            found.append(row)
    if json:
        say_json([_data(row) for row in found])
    else:
        _show(found)
        for name, why in left_out.items():
            say(f"{name} is left out: {why}", style="yellow")
        _close(available, found, time.perf_counter() - began)
    if not all(row.agrees and row.read == row.truth for row in found):
        raise typer.Exit(1)


def _welcome(names: list[str]) -> None:
    words = (
        f"Three networks, written as YAML, are compiled for each target that is installed here ({', '.join(names)}) "
        "and run, each in a process of its own. LeNet-5, which netwright has trained, reads ten handwritten digits, "
        "0 to 9, that it has never seen, such as this one. ResNet-50 sees a photograph, and a small GPT goes on from "
        f"'{TEXT}', letter by letter; their weights are random.\n\n"
        "The error is the largest difference from the float64 reference, relative to the largest value of the output."
    )
    grid = Table.grid(padding=(0, 2))
    grid.add_row(Panel.fit(Text(_drawn(DIGITS[3])), padding=0), Text(words))
    show(grid)


def _drawn(path: Path) -> str:
    """A small gray picture in letters, which are twice as high as they are wide."""
    width, height = 20, 10
    with Image.open(path) as picture:
        small = np.asarray(picture.convert("L").resize((width, height)), np.int64)
    return "\n".join("".join(_SHADES[shade * (len(_SHADES) - 1) // 255] for shade in row) for row in small)


def _show(found: list[Row]) -> None:
    columns = ("network", "target", "reads", "agrees", "error", "time", "files")
    shown = table(*columns, right=columns[-3:])
    previous = ""
    for row in found:
        if previous and row.model != previous:
            shown.add_section()
            shown.add_row()
        name = row.model if row.model != previous else ""
        previous = row.model
        target = "onnx file alone" if row.target == EXPORTED else row.target
        if row.problem:
            shown.add_row(cell(name), cell(target), "-", "[red]no[/]", "-", "-", "-")
            continue
        color = "green" if row.read == row.truth else "red"
        reads = f"[{color}]{''.join(map(str, row.read))}[/]" if row.read else ""
        agrees = "[green]yes[/]" if row.agrees else "[red]no[/]"
        numbers = (f"{row.error:.1e}", seconds_text(row.seconds), bytes_text(row.size))
        shown.add_row(cell(name, "bold"), cell(target), reads, agrees, *numbers)
    say()
    show(shown)
    say()


def _close(available: list[Target], found: list[Row], seconds: float) -> None:
    for row in found:
        if row.problem:
            say(f"{row.model} on {row.target}: {row.problem}", style="red")
    for target in available:
        if target.missing:
            say(f"{target.name} is left out: {target.missing}", style="yellow")
    agreed = sum(row.agrees for row in found)
    say(f"{agreed} of {len(found)} agree with the reference; {seconds:.0f} s in all.", style="bold")
    pairs = [pair for row in found for pair in zip(row.read, row.truth, strict=True)]
    if pairs:
        right = sum(read == truth for read, truth in pairs)
        say(f"{right} of {len(pairs)} digits are read as what they are.", style="bold")
    say("The onnx file alone is the exported model in onnxruntime, without netwright.")
    say("Next: netwright zoo, or netwright compile zoo:lenet5 --target numpy -o lenet5")


def _data(row: Row) -> dict[str, object]:
    return {
        "model": row.model,
        "target": row.target,
        "agrees": row.agrees,
        "max_relative_error": row.error,
        "seconds": row.seconds,
        "bytes": row.size,
        "problem": row.problem or None,
        "read": list(row.read),
        "truth": list(row.truth),
    }


app = command(tour_, "netwright tour", "netwright tour --json")
