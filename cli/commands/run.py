"""`run`: a bundle or a model on what a person has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...backends.api import Options
from ...backends.executable import Executable
from ...compiler.ir import Program
from ...driver.build import Build, compile_model
from ...driver.draw import draw
from ...driver.files import check_output, write_npz
from ...driver.memory import check_memory
from ...driver.run import run_entry
from ...driver.text import Tokenizers
from ..app import command
from ..console import progress, say, say_json, seconds_text
from ..models import open_model, show_warnings, spread_model, weights_of
from ..options import (
    DtypeOption,
    EntryOption,
    JsonOption,
    MeshOption,
    SeedOption,
    SetOption,
    ShardOption,
    SizeOption,
    UsageError,
    WeightsOption,
    WithOption,
    pairs,
    sizes,
)
from ..outputs import outputs_data, show_outputs


def run(
    what: Annotated[str, typer.Argument(metavar="DIR|MODEL", help="A bundle, a spec file, or zoo:NAME.")],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            "-i",
            metavar="NAME=VALUE",
            help="A picture, a text, a .npy or .npz file, JSON numbers, or the word random. May be repeated.",
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the outputs to a .npz file.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", "-t", metavar="T", help="What to compile a MODEL for; numpy if not said.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="D", help="A device of the target to compile a MODEL for.")
    ] = None,
    entry: EntryOption = "main",
    knobs: SetOption = None,
    dim: SizeOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
    mesh: MeshOption = None,
    shard: ShardOption = None,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--draw",
            metavar="FILE.png",
            help="Draw boxes or classes over the picture that was given, or the picture that was made.",
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            "--tokenizer",
            metavar="FILE",
            help="tokenizer.json, or a folder with vocab.json and merges.txt, if not beside the weights or the spec.",
        ),
    ] = None,
    verify_weights: Annotated[
        bool, typer.Option("--verify-weights", help="Hash every tensor of a bundle, seen before or not.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Run a bundle or a model on pictures, texts, arrays or numbers.

    Optional inputs that are given are compiled in. Small outputs and the highest scores are shown; all go to -o.
    """
    typed, wanted = pairs(inputs, "--input"), sizes(dim)
    if file is not None:
        if file.suffix.lower() == ".png":
            raise UsageError(f"-o writes arrays to a .npz file; --draw {file} writes a picture")
        check_output(file, ".npz")
    if picture is not None:
        check_output(picture, ".png")
    program: Program | None = None
    folders = [Path(what)]
    with progress(f"opening {what}") as tell:
        if Path(what).is_dir():
            if target or device or knobs or given or dtype or weights or mesh or shard:
                raise UsageError(f"{what} is a bundle, which is compiled: it takes no --target, --set or --weights")
            net = Executable(Path(what), verify_weights=verify_weights, report=tell.part)
        else:
            model = spread_model(open_model(what, knobs, given, dtype), mesh, shard)
            model = model.giving(set(model.optional_inputs) & {name.partition(".")[0] for name in typed})
            show_warnings(model)
            check_memory(model.program, wanted)
            program = model.program
            folders = [Path(weights) if Path(weights).is_dir() else Path(weights).parent] if weights else []
            folders.append(model.loaded.path.parent)
            tell(f"compiling {what}")
            build = Build(target or "numpy", Options(device, report=tell.part))
            net = compile_model(model, build, weights_of(weights, seed))
        tell(f"running {what}")
        ran = run_entry(net, entry, typed, seed, wanted, program, Tokenizers(folders, tokenizer))
    if file is not None:
        write_npz(file, ran.outputs)
    drawn = ""
    if picture is not None:
        drawn = draw(net.signature.entries[entry].inputs, typed, ran.outputs, picture)
    if json:
        data = {"target": net.target, "entry": entry, "seconds": ran.seconds, "sizes": dict(ran.sizes)}
        say_json({**data, "outputs": outputs_data(ran.outputs), "texts": dict(ran.texts)})
        return
    show_outputs(ran.outputs)
    for lines in ran.texts.values():
        for line in lines:
            say(line)
    bound = "".join(f", {name} = {value}" for name, value in ran.sizes.items())
    random = net.manifest.get("weights", "").startswith("seed ")
    note = "; the weights are random" if random else ""
    say(
        f"{net.manifest['name']} on {net.target}, {entry}{bound}: first call {seconds_text(ran.seconds)}{note}",
        style="dim",
    )
    if file is not None:
        say(f"{file}: {', '.join(ran.outputs)}")
    if drawn:
        say(f"{picture}: {drawn}")


app = command(
    run,
    "netwright run zoo:lenet5 --input image=digit.png",
    "netwright run lenet5 --input image=digit.png -o scores.npz",
    "netwright run zoo:yolov3 --weights yolov3.weights --input image=street.png --draw boxes.png",
    "netwright run zoo:stable_diffusion --weights sd/ -i prompt='a cute bunny' --dim H=8 --dim W=8 --draw bunny.png",
    "netwright run zoo:gpt2 --weights gpt2/ --entry generate -i ids='Once upon a time'",
    "netwright run zoo:gpt2 --entry generate -i ids='\\[\\[15496, 11]]' -i temperature=1 -i seed=0",
)
