"""`export`: from a spec to one ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...driver.export import write_onnx, write_train_step
from ...driver.files import check_output
from ..app import command
from ..console import bytes_text, progress, say, say_json
from ..models import open_model, show_warnings, weights_of
from ..options import (
    DtypeOption,
    EntryOption,
    FixOption,
    JsonOption,
    ModelArgument,
    SeedOption,
    SetOption,
    UsageError,
    WeightsOption,
    WithOption,
    sizes,
)


def export(
    model: ModelArgument,
    file: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The .onnx file to write.")],
    opset: Annotated[int | None, typer.Option("--opset", metavar="N", help="This opset and no other.")] = None,
    entry: EntryOption = "main",
    knobs: SetOption = None,
    dim: FixOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    train_step: Annotated[
        bool, typer.Option("--train-step", help="One step of training: all that is learned goes in and comes out.")
    ] = False,
    player: Annotated[str | None, typer.Option("--player", metavar="P", help="Whose step, of several.")] = None,
    json: JsonOption = False,
) -> None:
    """Write a model as one ONNX file.

    It is checked as the ONNX project does. Dimensions that are not fixed stay symbolic. Weights past 1.5 GB go to a
    file beside it.

    A training step takes a batch and learning_rate and gives the loss. It also takes state.X and gives state.X.next:
    feed what one call gave to the next. The first values of all states are in the file, so a first call needs none.
    """
    check_output(file, ".onnx")
    if train_step and entry != "main":
        raise UsageError("--train-step is an entry of its own; leave out --entry")
    if player is not None and not train_step:
        raise UsageError("--player needs --train-step")
    loaded = open_model(model, knobs, given, dtype, sizes(dim))
    source = weights_of(weights, seed)
    with progress(f"exporting {model}"):
        if train_step:
            entry = write_train_step(loaded, file, source, opset, player or "")
        else:
            write_onnx(loaded, file, source, opset, entry)
    beside = file.with_name(f"{file.name}.data")
    files = {str(path): path.stat().st_size for path in (file, beside) if path.exists()}
    if json:
        say_json({"name": loaded.name, "entry": entry, "files": files})
        return
    show_warnings(loaded)
    random = "" if weights is not None else f"; weights are random (seed {seed}), give your own by --weights"
    for path, size in files.items():
        say(f"{path}: {bytes_text(size)}{random}")


app = command(
    export,
    "netwright export zoo:resnet50 --weights resnet50.safetensors -o resnet50.onnx",
    "netwright export zoo:lenet5 --train-step -o step.onnx",
)
