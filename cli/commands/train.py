"""`train`: let a model learn from examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ...driver.training import INTERRUPTED, Progress, Settings, Trained, train
from ...driver.training.session import CHECKPOINT, CURVE, METRICS, WEIGHTS
from ..app import command
from ..console import errors, progress, say, say_json, seconds_text, show, table
from ..models import open_model, show_warnings, weights_of
from ..options import (
    DtypeOption,
    JsonOption,
    ModelArgument,
    SetOption,
    TargetOption,
    UsageError,
    WeightsOption,
    WithOption,
)

EXIT_CODE = 130
"""After Ctrl-C, as shells have it."""
MOST_SEED = 2**63 - 1


def train_model(
    model: ModelArgument,
    data: Annotated[
        Path,
        typer.Option("--data", "-d", metavar="FILE.npz", help="Examples: an array for each input, by name."),
    ],
    folder: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Gets weights, checkpoint, measures and the curve."),
    ] = None,
    target: TargetOption = "numpy",
    epochs: Annotated[int | None, typer.Option("--epochs", min=0, help="Instead of the spec's.")] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Examples of a step, instead of the spec's.")
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option("--validation", metavar="0.1|FILE.npz", help="A share to set apart, or other examples."),
    ] = None,
    save_every: Annotated[
        float,
        typer.Option("--save-every", min=0, metavar="SECONDS", help="A checkpoint so often."),
    ] = 60.0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in -o, bit for bit.")] = False,
    knobs: SetOption = None,
    given: WithOption = None,
    dtype: DtypeOption = None,
    weights: WeightsOption = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=MOST_SEED, help="First weights, order, split, all that is drawn.")
    ] = 0,
    json: JsonOption = False,
) -> None:
    """Let a model learn from examples, as the `training` of its spec says.

    The weights in DIR feed compile, export and verify as any others. Ctrl-C saves and ends; --resume goes on.
    """
    if resume and folder is None:
        raise UsageError("--resume needs the folder of the run: -o DIR")
    if not data.is_file():
        raise UsageError(f"--data: there is no file {data}")
    found = open_model(model, knobs, given, dtype)
    show_warnings(found)
    settings = Settings(
        target,
        epochs,
        batch,
        seed,
        _validation(validation),
        folder,
        resume,
        None if weights is None else weights_of(weights, seed),
        save_every,
    )
    with _told(f"compiling {model}", json) as tell:
        trained = train(found, data, settings, tell)
    if json:
        data_out = {"ended": trained.ended, "seconds": trained.seconds, "epochs": list(trained.epochs)}
        say_json({**data_out, "folder": None if folder is None else str(folder)})
    else:
        _show(trained)
        if folder is not None:
            say(f"{folder}: {WEIGHTS}, {METRICS}, {CURVE}, {CHECKPOINT}")
    if trained.ended == INTERRUPTED:
        if folder is not None and not json:
            say(f"interrupted; go on with --resume -o {folder}", style="yellow")
        raise typer.Exit(EXIT_CODE)


def _validation(text: str | None) -> float | Path | None:
    """A share, or a file. Raises UsageError."""
    if text is None:
        return None
    try:
        share = float(text)
    except ValueError:
        if not Path(text).is_file():
            raise UsageError(f"--validation {text[:80]}: neither a share such as 0.1 nor a file") from None
        return Path(text)
    if not 0 < share < 1:
        raise UsageError(f"--validation {text[:80]}: a share lies between 0 and 1")
    return share


@contextmanager
def _told(message: str, quiet: bool) -> Iterator[Any]:
    """Tells of each step where a terminal is, and of each epoch where none is."""
    with progress(message) as line:

        def tell(now: Progress) -> None:
            line.part(
                f"epoch {now.epoch}/{now.epochs}  {_measures(now.measures)}  rate {now.rate:.3g}",
                now.batch,
                now.batches,
            )
            if now.batch == now.batches and not quiet and not errors.is_terminal:
                say(f"epoch {now.epoch}/{now.epochs}  {_measures(now.measures)}")

        yield tell


def _measures(measures: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in measures.items())


def _show(trained: Trained) -> None:
    """The last epochs in a table, and how the run ended."""
    last = list(trained.epochs)[-10:]
    if last:
        columns = [name for name in dict.fromkeys(key for epoch in last for key in epoch) if name != "seconds"]
        rows = table(*columns, right=tuple(columns))
        for epoch in last:
            values = [epoch.get(name) for name in columns]
            rows.add_row(*("" if v is None else str(v) if isinstance(v, int) else f"{v:.4g}" for v in values))
        show(rows)
    say(f"{trained.ended}; {seconds_text(trained.seconds)}", style="dim")


app = command(
    train_model,
    "netwright train zoo:lenet5 --data digits.npz --validation 0.1 -o run",
    "netwright train zoo:lenet5 --data digits.npz -o run --resume --epochs 40",
    "netwright run zoo:lenet5 --weights run/weights.safetensors -i image=digit.png",
)
