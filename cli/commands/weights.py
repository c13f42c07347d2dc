"""`weights`: what a file holds, and how it maps to a model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ...driver.likeness import likeness, told
from ...driver.model import Model
from ...spec.weights import FileReport, match_report, open_tensors
from ...spec.weights.errors import one_line, shape_text
from ...spec.weights.layouts import Rule
from ...spec.weights.plan import static_shape
from ...spec.weights.tensors import Entry
from ..app import SETTINGS, epilog
from ..console import bytes_text, cell, count, fail, progress, say, say_json, show, table
from ..models import open_model
from ..options import DtypeOption, JsonOption, SetOption, UsageError, WithOption

_MOST_ROWS = 100

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A .safetensors or .npz file, an index, or a folder of shards.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Show every line.")]


def inspect(file: FileArgument, everything: AllOption = False, json: JsonOption = False) -> None:
    """List the tensors of a file: key, dtype and shape; how many there are, and of what size."""
    _check(file)
    entries = list(open_tensors(file).entries.values())
    if json:
        say_json(_contents(file, entries))
        return
    shown = table("key", "dtype", "shape")
    for entry in entries if everything else entries[:_MOST_ROWS]:
        shown.add_row(*(cell(text) for text in (one_line(entry.key), entry.stored, shape_text(entry.shape))))
    show(shown)
    _more(len(entries), everything)
    totals = _contents(file, entries)
    files = len({entry.file for entry in entries})
    spread = f" in {files} files" if files > 1 else ""
    size = f"{totals['elements']:,} elements, {bytes_text(totals['bytes'])}"
    say(f"{file}: {len(entries):,} tensors{spread}, {size}", style="bold")
    say(", ".join(f"{dtype}: {many:,}" for dtype, many in totals["dtypes"].items()))


def _contents(file: Path, entries: Sequence[Entry]) -> dict[str, Any]:
    return {
        "file": str(file),
        "tensors": [
            {
                "key": entry.key,
                "dtype": entry.stored,
                "shape": list(entry.shape),
                "bytes": entry.bytes,
                "file": entry.file.name,
            }
            for entry in entries
        ],
        "elements": sum(math.prod(entry.shape) for entry in entries),
        "bytes": sum(entry.bytes for entry in entries),
        "dtypes": dict(Counter(entry.stored for entry in entries).most_common()),
    }


def map_(
    file: FileArgument,
    named: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="A spec file, or zoo:NAME.", show_default=False)
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help="The same, as an option.", show_default=False)
    ] = None,
    everything: AllOption = False,
    knobs: SetOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
    json: JsonOption = False,
) -> None:
    """Show which key becomes which parameter of a model by which rule, or why the file does not fit.

    Exit code 1 if it does not fit.
    """
    if (named is None) == (model is None):
        raise UsageError("say once which model: netwright weights map FILE --model zoo:NAME")
    _check(file)
    loaded = open_model(str(model or named), knobs, given, dtype)
    with progress(f"reading {file}"):
        reports = match_report(file, loaded.program.parameters, loaded.lowered.sources)
        hints = [_hint(report, loaded) for report in reports]
    if json:
        say_json([_data(report, hint) for report, hint in zip(reports, hints, strict=True)])
    else:
        for report, hint in zip(reports, hints, strict=True):
            _show(report, hint, everything)
    if any(report.chosen is None for report in reports):
        raise typer.Exit(1)


def list_(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A spec file, or zoo:NAME.")],
    knobs: SetOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
    json: JsonOption = False,
) -> None:
    """List the parameters of a model: what a file of it holds, if it needs no rules."""
    parameters = open_model(model, knobs, given, dtype).program.parameters
    rows = [(path, parameter.type.dtype.value, static_shape(parameter)) for path, parameter in parameters.items()]
    if json:
        say_json([{"parameter": path, "dtype": kind, "shape": list(shape)} for path, kind, shape in rows])
        return
    shown = table("parameter", "dtype", "shape")
    for path, kind, shape in rows:
        shown.add_row(cell(path), kind, shape_text(shape))
    show(shown)


def _check(file: Path) -> None:
    if not file.exists():
        raise UsageError(f"there is no file {file}")


def _more(total: int, everything: bool) -> None:
    if total > _MOST_ROWS and not everything:
        say(f"... and {total - _MOST_ROWS:,} more (--all)", style="dim")


def _hint(report: FileReport, model: Model) -> str | None:
    """Whose file it looks like, if it is another model's."""
    return likeness({entry.key: entry for entry in report.entries}, model) if report.mismatch else None


@dataclass(frozen=True, slots=True)
class _Line:
    """What becomes of one key. ``wrong`` says why it cannot be used."""

    entry: Entry
    parameter: str | None
    rule: Rule | None
    ignored: bool
    wrong: str | None


def _lines(report: FileReport) -> Iterator[_Line]:
    plan = report.nearest
    if plan is None:
        return
    shapes: dict[str, str] = {}
    for one in plan.misshapen:
        given = "pieces that cannot be joined" if one.given is None else shape_text(one.given)
        shapes |= dict.fromkeys(one.assembly.keys, f"gives {given}, the parameter is {shape_text(one.wanted)}")
    for entry in report.entries:
        path, rule = plan.targets.get(entry.key), plan.rules.get(entry.key)
        wrong = shapes.get(entry.key)
        if entry.key in plan.surplus:
            wrong = "no such parameter"
        elif path in plan.incomplete:
            wrong = "other pieces are missing"
        yield _Line(entry, path, rule, path is None, wrong)


def _mapping(report: FileReport) -> dict[str, list[str]]:
    if report.chosen is None:
        return {}
    return {
        path: [key for assembly in assemblies for key in assembly.keys]
        for path, assemblies in report.chosen.assemblies.items()
    }


def _data(report: FileReport, hint: str | None) -> dict[str, Any]:
    plan = report.nearest
    return {
        "file": str(report.path),
        "prefix": report.prefix,
        "fits": report.chosen is not None,
        "layout": report.chosen.layout if report.chosen else None,
        "nearest": plan.layout if plan else None,
        "problem": report.problem,
        "hint": hint.removeprefix("  hint: ") if hint else None,
        "parameters": _mapping(report),
        "keys": [
            {
                "key": line.entry.key,
                "dtype": line.entry.stored,
                "shape": list(line.entry.shape),
                "parameter": line.parameter,
                "rule": None if line.rule is None else str(line.rule),
                "ignored": line.ignored,
                "wrong": line.wrong,
            }
            for line in _lines(report)
        ],
        "missing": [
            {"parameter": path, "shape": list(static_shape(report.parameters[path]))}
            for path in (*(plan.missing if plan else ()), *(plan.incomplete if plan else ()))
        ],
    }


def _show(report: FileReport, hint: str | None, everything: bool) -> None:
    lines = list(_lines(report))
    if report.chosen is not None or everything:
        shown = table("key", "parameter", "rule")
        for line in lines if everything else lines[:_MOST_ROWS]:
            style = "red" if line.wrong else "dim" if line.ignored else ""
            by = "" if line.rule is None else line.rule.words(line.entry.key)
            words = (one_line(line.entry.key), line.parameter or "ignored", line.wrong or by)
            shown.add_row(*(cell(text, style) for text in words))
        show(shown)
        _more(len(lines), everything)
    if report.chosen is None:
        good = sum(line.wrong is None for line in lines)
        fail(told(report.problem or f"{report.path} does not fit", hint))
        if lines and not everything:
            say(f"{good:,} of {len(lines):,} keys have their place; --all shows each", style="dim")
        return
    below = f" below {report.prefix}" if report.prefix else ""
    ignored = sum(line.ignored for line in lines)
    beside = f", {ignored:,} {'key' if ignored == 1 else 'keys'} ignored" if ignored else ""
    parameters = f"{count(len(report.parameters))} parameters{below}"
    say(f"{report.path} fits by the layout {report.chosen.layout}: {parameters}{beside}", style="bold")


app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Look into a weights file, and how it maps to a model.",
    context_settings=SETTINGS,
)
app.command("inspect", epilog=epilog(("netwright weights inspect model.safetensors",)))(inspect)
app.command("list", epilog=epilog(("netwright weights list zoo:resnet50",)))(list_)
app.command("map", epilog=epilog(("netwright weights map model.safetensors --model zoo:resnet50",)))(map_)
