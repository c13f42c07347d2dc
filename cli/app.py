"""How the module of a command becomes a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

SETTINGS = {"help_option_names": ["-h", "--help"]}


def command(function: Callable[..., Any], *examples: str) -> typer.Typer:
    """The app of one command. Its help is the function's docstring, and examples."""
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(epilog=epilog(examples), context_settings=SETTINGS)(function)
    return app


def epilog(examples: tuple[str, ...]) -> str:
    """Examples below the help, each on a line of its own."""
    title = "Example" if len(examples) == 1 else "Examples"
    return "\n".join([f"{title}:", *(f"  [cyan]{line}[/]" for line in examples)])
