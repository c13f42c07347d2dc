"""`ir`: the program as text."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ...driver.passes import program_text
from ..app import command
from ..console import progress
from ..models import open_model
from ..options import DtypeOption, FixOption, ModelArgument, SetOption, WithOption, sizes


def ir(
    model: ModelArgument,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="PASS", help="The program after a pass (the last run of it), or `all`."),
    ] = None,
    target: Annotated[str, typer.Option("--target", "-t", metavar="T", help="Whose passes they are.")] = "numpy",
    knobs: SetOption = None,
    dim: FixOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Print the program, as the spec says it or after a pass.

    The text parses back to the same program.
    """
    loaded = open_model(model, knobs, given, dtype, sizes(dim))
    with progress(f"reading {model}"):
        text = program_text(loaded, target, after)
    sys.stdout.write(text)


app = command(ir, "netwright ir zoo:lenet5", "netwright ir zoo:lenet5 --after fold_weights --target onnx")
