"""`verify`: do all targets compute the same?"""

from __future__ import annotations

import math
from typing import Annotated

import typer

from ...driver.gradients import verify_gradients
from ...driver.verify import Verification, verify_model
from ..app import command
from ..console import cell, progress, say, say_json, show, table
from ..models import open_model, weights_of
from ..options import (
    DtypeOption,
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


def verify(
    model: ModelArgument,
    targets: Annotated[
        str | None, typer.Option("--targets", metavar="A,B", help="Targets to compare; by default all installed ones.")
    ] = None,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Find the first node that differs, with its line in the spec.")
    ] = False,
    gradients: Annotated[
        bool,
        typer.Option("--gradients", help="Compare the gradients of the training loss, and with differences of it."),
    ] = False,
    knobs: SetOption = None,
    dim: SizeOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Compare targets with the float64 reference.

    Every entry runs on random inputs, with the same random weights (or those of a file) everywhere. Exit code 1 if a
    target does not agree. With --gradients every gradient of the loss that the spec trains by is compared, and the
    reference's own with central differences.
    """
    chosen, wanted = names(targets), sizes(dim)
    loaded = open_model(model, knobs, given, dtype)
    source = weights_of(weights, seed, everywhere=True)
    with progress("comparing") as tell:
        check = verify_gradients if gradients else verify_model
        found = check(loaded, chosen, source, wanted, bisect=bisect, tell=lambda what: tell(f"comparing: {what}"))
    if json:
        say_json(found.as_data())
    else:
        _show(found)
    if not found.passed:
        raise typer.Exit(1)


def _show(found: Verification) -> None:
    shown = table("target", "agrees", "relative error", "absolute error", "worst output")
    for outcome in found.outcomes:
        words = "[green]yes[/]" if outcome.passed else "[red]no[/]"
        failed = math.isinf(outcome.max_relative_error)
        errors = ("-", "-") if failed else (f"{outcome.max_relative_error:.1e}", f"{outcome.max_absolute_error:.1e}")
        shown.add_row(cell(outcome.target), words, *errors, cell(outcome.worst_output))
    show(shown)
    for outcome in found.outcomes:
        if outcome.problem:
            say(f"{outcome.target}: {outcome.problem}", style="red")
        if outcome.first_difference is not None:
            say(f"{outcome.target} first differs at {outcome.first_difference}", style="red")
    bound = ", ".join(f"{name} = {value}" for name, value in found.sizes.items())
    say(f"float64 reference{', ' if bound else ''}{bound}; tolerance {found.tolerance:.0e}", style="dim")


app = command(
    verify,
    "netwright verify zoo:resnet18 --dim N=3",
    "netwright verify net.yaml --targets numpy --bisect",
    "netwright verify zoo:lenet5 --gradients",
)
