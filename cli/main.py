"""The `netwright` command: its table of commands, and how it ends."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from ..version import VERSION
from .console import fail, say

COMMANDS = {
    "tour": "See every installed target on real pictures and a text, in one table.",
    "zoo": "List the networks that come along, or show one.",
    "check": "Show every mistake of a spec with file, line and column.",
    "summary": "Count layers, parameters, operations and memory.",
    "compile": "Compile a model to a bundle: a folder that runs by itself.",
    "export": "Write a model as one ONNX file.",
    "run": "Run a bundle or a model on pictures, texts, arrays or numbers.",
    "train": "Let a model learn from examples, as the `training` of its spec says.",
    "verify": "Compare targets with the float64 reference.",
    "explain": "Tell what the compiler rewrote, what it declined, and why.",
    "ir": "Print the program, as the spec says it or after a pass.",
    "bench": "Measure targets beside each other and beside other runtimes.",
    "weights": "Look into a weights file, and how it maps to a model.",
    "schema": "Print the JSON Schema of the spec language, for editors.",
}
"""Every command, in the order of the help. Its module in `commands` has the same name and is imported when it is typed:
importing them all would take half a second before anything is said."""


INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


class LazyCommand(TyperCommand):
    """A command whose module is imported when it is used."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the real command."""
        module = import_module(f".commands.{self.name}", __package__)
        return real_command(self.name or "", module.app).make_context(info_name, args, parent=parent, **extra)


def real_command(name: str, app: typer.Typer) -> Any:
    """The command (or group of commands) of a module."""
    command = get_command(app)
    command.name = name
    return command


def command_line() -> TyperGroup:
    """The group of all commands."""
    app = typer.Typer(
        name="netwright",
        help="Compile neural networks that are written as YAML to NumPy, Triton, JAX/XLA and ONNX.",
        epilog="Begin with [bold]netwright tour[/], or [bold]netwright zoo[/] and one of its names.",
        add_completion=False,
        invoke_without_command=True,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_netwright)
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    for name, summary in COMMANDS.items():
        group.add_command(LazyCommand(name=name, help=summary), name)
    return group


def _netwright(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False,
) -> None:
    if version:
        say(f"netwright {VERSION}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        # Printed on the way where rich lays it out, and then without a text.
        text = context.get_help()
        if text:
            say(text)


def main() -> None:
    """Run the command.

    A mistake of a person ends with one clear message and exit code 1. A defect of ours says that it is one; its
    traceback is shown under NETWRIGHT_DEBUG.
    """
    # Whoever closed a stream does not want to hear it.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that lacks a letter gets another one; that is no reason to fail.
            stream.reconfigure(errors="replace")
    try:
        code = command_line()(standalone_mode=False)
        if code == INTERRUPTED:
            fail("stopped")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough; Python would complain when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except (KeyboardInterrupt, typer.Abort):
        fail("stopped")
        code = INTERRUPTED
    except Exception as error:
        code = _failed(error)
    sys.exit(code)


def _failed(error: Exception) -> int:
    """Say what went wrong; the exit code."""
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        hint = f" ({context.command_path} --help)" if context else ""
        message = error.format_message().rstrip(".")
        if message:
            # Without one the help is the message, and is printed already.
            fail(f"{message}{hint}")
        return 1
    if isinstance(error, import_module(".mistakes", __package__).MISTAKES):
        fail(str(error))
        return 1
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        fail(f"{place}{error.strerror or error}")
        return 1
    if isinstance(error, MemoryError):
        fail("there is not enough memory for that")
        return 1
    if os.environ.get("NETWRIGHT_DEBUG"):
        traceback.print_exception(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(frame.filename)}:{frame.lineno}"
    fail(f"a defect of netwright: {type(error).__name__}: {error} ({place}; NETWRIGHT_DEBUG=1 shows more)")
    return 70
