"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

MODEL = "Model"
WEIGHTS = "Weights"
MESH = "Mesh"

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A spec file, or zoo:NAME.", show_default=False)]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a knob of the spec. May be repeated.", rich_help_panel=MODEL),
]
FixOption = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="N=4", help="Fix a dimension: only this size is taken.", rich_help_panel=MODEL),
]
SizeOption = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="N=4", help="The size of a dimension here; small if not set.", rich_help_panel=MODEL),
]
WithOption = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="INPUT", help="An optional input that will be given.", rich_help_panel=MODEL),
]
MeshOption = Annotated[
    str | None,
    typer.Option(
        "--mesh",
        metavar="data=2,model=4",
        help="Lay the model over a mesh of devices; none for one device.",
        rich_help_panel=MESH,
    ),
]
ShardOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shard",
        metavar="NAME=data,-",
        help="The mesh axis of each axis of parameters (by path) or values (by label). May be repeated.",
        rich_help_panel=MESH,
    ),
]
RollOption = Annotated[
    bool | None,
    typer.Option("--roll/--no-roll", help="Make equal blocks in a row one loop over stacked weights, or not."),
]
DtypeOption = Annotated[
    str | None,
    typer.Option("--dtype", metavar="DTYPE", help="Compute in this float type.", rich_help_panel=MODEL),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help=".safetensors, .npz, a folder of shards, or zoo: those that come along.",
        rich_help_panel=WEIGHTS,
    ),
]
SeedOption = Annotated[
    int,
    typer.Option("--seed", min=0, help="Random weights: the same on every target.", rich_help_panel=WEIGHTS),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
TargetOption = Annotated[
    str, typer.Option("--target", "-t", metavar="T", help="numpy, triton, jax, onnx, or another that is installed.")
]
EntryOption = Annotated[str, typer.Option("--entry", metavar="E", help="The entry point.")]
DumpOption = Annotated[
    Path | None, typer.Option("--dump-dir", metavar="DIR", help="Write the program there after each pass.")
]


_AXIS = re.compile(r"[a-z][a-z0-9_]{0,99}", re.ASCII)


class UsageError(Exception):
    """Something that was typed makes no sense. One clear message."""


def pairs(options: Iterable[str] | None, what: str) -> dict[str, str]:
    """``KEY=VALUE`` texts as a dict. Raises UsageError."""
    found: dict[str, str] = {}
    for option in options or ():
        key, sign, value = option.partition("=")
        if not sign or not key:
            raise UsageError(f"{what} {option[:80]!r}: write {what} KEY=VALUE")
        if key in found:
            raise UsageError(f"{what} {key} is given twice")
        found[key] = value
    return found


def sizes(options: Iterable[str] | None) -> dict[str, int]:
    """The values of ``--dim``. Raises UsageError."""
    found: dict[str, int] = {}
    for key, value in pairs(options, "--dim").items():
        if not (value.isascii() and value.isdigit()) or len(value) > 10 or not 0 <= int(value) < 2**31:
            raise UsageError(f"--dim {key}={value[:80]}: a size is a whole number from 0 to 2^31 - 1")
        found[key] = int(value)
    return found


def mesh(option: str | None) -> dict[str, int] | None:
    """The value of ``--mesh``: the devices along each axis; empty for ``none``. Raises UsageError."""
    if option is None or option == "none":
        return None if option is None else {}
    found: dict[str, int] = {}
    for part in option.split(","):
        name, sign, size = part.strip().partition("=")
        if not sign or not _AXIS.fullmatch(name) or not (size.isascii() and size.isdigit()) or len(size) > 7:
            raise UsageError(f"--mesh {option[:80]!r}: write --mesh data=2,model=4, or --mesh none")
        if name in found:
            raise UsageError(f"--mesh names the axis {name} twice")
        found[name] = int(size)
    return found


def shards(options: Iterable[str] | None) -> dict[str, tuple[str | None, ...]]:
    """The values of ``--shard``: mesh axes by pattern, None for ``-``. Raises UsageError."""
    found: dict[str, tuple[str | None, ...]] = {}
    for pattern, text in pairs(options, "--shard").items():
        axes = [axis.strip() for axis in text.split(",")]
        if not all(axis == "-" or _AXIS.fullmatch(axis) for axis in axes):
            raise UsageError(f"--shard {pattern[:80]}={text[:80]}: write mesh axes with commas between, - for none")
        found[pattern] = tuple(None if axis == "-" else axis for axis in axes)
    return found


def names(option: str | None) -> list[str] | None:
    """``a,b`` as a list without repetitions; None if nothing is said. Raises UsageError for an empty one."""
    if option is None:
        return None
    found = list(dict.fromkeys(name.strip() for name in option.split(",") if name.strip()))
    if not found:
        raise UsageError(f"{option!r} names nothing; write names with commas between them")
    return found
