"""`compile`: from a spec to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...backends import registry
from ...backends.api import Options, Table
from ...backends.bundle import read_manifest
from ...driver.build import Build, write_bundle
from ..app import command
from ..console import bytes_text, cell, progress, say, say_json, show, table
from ..models import open_model, show_warnings, spread_model, weights_of
from ..options import (
    WEIGHTS,
    DtypeOption,
    DumpOption,
    FixOption,
    JsonOption,
    MeshOption,
    ModelArgument,
    RollOption,
    SeedOption,
    SetOption,
    ShardOption,
    TargetOption,
    UsageError,
    WeightsOption,
    WithOption,
    sizes,
)


def compile_(
    model: ModelArgument,
    target: TargetOption,
    folder: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write.")],
    device: Annotated[
        str | None, typer.Option("--device", metavar="D", help="A device of the target to compile for.")
    ] = None,
    dump_dir: DumpOption = None,
    knobs: SetOption = None,
    dim: FixOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
    mesh: MeshOption = None,
    shard: ShardOption = None,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    no_weights: Annotated[
        bool, typer.Option("--no-weights", help="Write no weights: code alone.", rich_help_panel=WEIGHTS)
    ] = False,
    roll: RollOption = None,
    json: JsonOption = False,
) -> None:
    """Compile a model to a bundle: a folder that runs by itself.

    A bundle holds readable source (or ONNX), the weights and a manifest. One that stands there is replaced.
    """
    if no_weights and weights is not None:
        raise UsageError("--weights gives weights, --no-weights writes none; say one of them")
    loaded = spread_model(open_model(model, knobs, given, dtype, sizes(dim)), mesh, shard)
    source = weights_of(weights, seed)
    with progress(f"compiling {model} for {target}") as tell:
        build = Build(target, Options(device, report=tell.part), dump_dir, not no_weights, roll)
        write_bundle(loaded, folder, build, source)
    manifest = read_manifest(folder)
    if json:
        say_json({"folder": str(folder), **manifest})
        return
    show_warnings(loaded)
    shown = table("file", "size", right=("size",))
    for name, facts in manifest["files"].items():
        shown.add_row(cell(name), bytes_text(facts["bytes"]))
    show(shown)
    for told in registry.get(target).describe(manifest):
        show_facts(told)
    random = "" if weights is not None else f"; weights are random (seed {seed}), give your own by --weights"
    note = "; without weights" if no_weights else random
    say(f"{folder}: {manifest['name']} for {manifest['target']}{note}")


def show_facts(facts: Table) -> None:
    """A table of a target, with its note."""
    shown = table(*facts.columns, right=facts.numbers)
    for row in facts.rows:
        shown.add_row(*map(cell, row))
    say()
    show(shown)
    if facts.note:
        say(facts.note, style="dim")


app = command(
    compile_,
    "netwright compile zoo:lenet5 --target numpy -o lenet5",
    "netwright run lenet5 --input image=3.png",
    "netwright compile zoo:bert_base --target jax --device tpu:v5e:1x1 --dim N=8 --dim T=128 -o bert",
)
