"""`check`: is the spec right?"""

from __future__ import annotations

import typer

from ...driver.check import check as check_spec
from ..app import command
from ..console import fail, progress, say, say_json, warn
from ..models import open_model
from ..options import DtypeOption, FixOption, JsonOption, ModelArgument, SetOption, WithOption, sizes


def check(
    file: ModelArgument,
    knobs: SetOption = None,
    dim: FixOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
    json: JsonOption = False,
) -> None:
    """Show every mistake of a spec with file, line and column.

    Each of its variants is checked too, and what it does when its optional inputs are given.
    """
    dims = sizes(dim)
    with progress(f"checking {file}"):
        report = check_spec(file, lambda: open_model(file, knobs, given, dtype, dims))
    if json:
        say_json(report.as_data())
    elif report.problems:
        fail(report.text())
    else:
        for warning in report.warnings:
            warn(warning)
        say(f"{file}: {report.sentence()}")
    if report.problems:
        raise typer.Exit(1)


app = command(check, "netwright check lenet5.yaml", "netwright check zoo:resnet --json")
