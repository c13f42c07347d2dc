"""`export`: from a spec to one ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...driver.export import write_onnx
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
    json: JsonOption = False,
) -> None:
    """Write a model as one ONNX file.

    It is checked as the ONNX project does. Dimensions that are not fixed stay symbolic. Weights past 2 GB go to a file
    beside it.
    """
    check_output(file, ".onnx")
    loaded = open_model(model, knobs, given, dtype, sizes(dim))
    source = weights_of(weights, seed)
    with progress(f"exporting {model}"):
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


app = command(export, "netwright export zoo:resnet50 --weights resnet50.safetensors -o resnet50.onnx")
