"""`schema`: the language for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...driver.files import check_output, write_file
from ...driver.schema import spec_schema
from ..app import command
from ..console import json_text, say


def schema(
    file: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it to a .json file.")
    ] = None,
) -> None:
    """Print the JSON Schema of the spec language, for editors.

    For YAML in VS Code: [cyan]"yaml.schemas": {"./netwright.schema.json": "*.yaml"}[/].
    """
    text = json_text(spec_schema())
    if file is None:
        print(text, end="")
        return
    check_output(file, ".json")
    write_file(file, lambda out: out.write(text.encode()))
    say(f"{file}: {len(text):,} bytes")


app = command(schema, "netwright schema -o netwright.schema.json")
