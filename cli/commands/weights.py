"""`weights`: what a file holds, and how it maps to a model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from ...spec.weights import FileReport, match_report, open_tensors
from ...spec.weights.errors import shape_text
from ..app import SETTINGS, epilog
from ..console import cell, count, fail, progress, say, say_json, show, table
from ..models import open_model
from ..options import DtypeOption, JsonOption, SetOption, UsageError, WithOption

_MOST_ROWS = 100

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A .safetensors or .npz file, an index, or a folder of shards.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Show every line.")]


def inspect(file: FileArgument, everything: AllOption = False, json: JsonOption = False) -> None:
    """List the tensors of a file: key, dtype and shape."""
    _check(file)
    entries = list(open_tensors(file).entries.values())
    if json:
        say_json([{"key": entry.key, "dtype": entry.stored, "shape": list(entry.shape)} for entry in entries])
        return
    shown = table("key", "dtype", "shape")
    for entry in entries if everything else entries[:_MOST_ROWS]:
        shown.add_row(*(cell(text) for text in (entry.key, entry.stored, shape_text(entry.shape))))
    show(shown)
    _more(len(entries), everything)
    elements = sum(math.prod(entry.shape) for entry in entries)
    say(f"{file}: {len(entries):,} tensors, {elements:,} elements", style="bold")


def map_(
    file: FileArgument,
    model: Annotated[str, typer.Option("--model", "-m", metavar="MODEL", help="A spec file, or zoo:NAME.")],
    everything: AllOption = False,
    knobs: SetOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
    json: JsonOption = False,
) -> None:
    """Show which key becomes which parameter of a model, or why the file does not fit.

    Exit code 1 if it does not fit.
    """
    _check(file)
    loaded = open_model(model, knobs, given, dtype)
    with progress(f"reading {file}"):
        reports = match_report(file, loaded.program.parameters, loaded.lowered.sources)
    if json:
        say_json([_data(report) for report in reports])
    else:
        for report in reports:
            _show(report, everything)
    if any(report.chosen is None for report in reports):
        raise typer.Exit(1)


def _check(file: Path) -> None:
    if not file.exists():
        raise UsageError(f"there is no file {file}")


def _more(total: int, everything: bool) -> None:
    if total > _MOST_ROWS and not everything:
        say(f"... and {total - _MOST_ROWS:,} more (--all)", style="dim")


def _mapping(report: FileReport) -> dict[str, list[str]]:
    if report.chosen is None:
        return {}
    return {
        path: [key for assembly in assemblies for key in assembly.keys]
        for path, assemblies in report.chosen.assemblies.items()
    }


def _data(report: FileReport) -> dict[str, Any]:
    return {
        "file": str(report.path),
        "prefix": report.prefix,
        "layout": report.chosen.layout if report.chosen else None,
        "problem": report.problem,
        "parameters": _mapping(report),
    }


def _show(report: FileReport, everything: bool) -> None:
    if report.chosen is None:
        fail(report.problem or f"{report.path} does not fit")
        return
    mapping = list(_mapping(report).items())
    shown = table("parameter", "keys")
    for path, keys in mapping if everything else mapping[:_MOST_ROWS]:
        shown.add_row(cell(path), cell(" + ".join(keys)))
    show(shown)
    _more(len(mapping), everything)
    below = f" below {report.prefix}" if report.prefix else ""
    say(
        f"{report.path} fits by the layout {report.chosen.layout}: {count(len(mapping))} parameters{below}",
        style="bold",
    )


app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Look into a weights file, and how it maps to a model.",
    context_settings=SETTINGS,
)
app.command("inspect", epilog=epilog(("netwright weights inspect model.safetensors",)))(inspect)
app.command("map", epilog=epilog(("netwright weights map model.safetensors --model zoo:resnet50",)))(map_)
