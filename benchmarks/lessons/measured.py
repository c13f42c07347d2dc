"""What a lesson gives: numbers, a table, pictures, and the page that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from netwright.driver.files import write_file

from ..report import table

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "lessons"
"""Where the pages and their specs are."""
BEGIN, END = "<!-- measured -->", "<!-- end -->"
"""Around the table of a page."""

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Measured:
    """``numbers`` by name, ``rows`` below a ``head``, and ``pictures`` (SVG texts) by the name of their file."""

    numbers: Mapping[str, float]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    pictures: Mapping[str, str] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """The rows in Markdown."""
        return table(self.head, self.rows)

    def write(self, name: str, folder: Path = FOLDER) -> None:
        """Write the pictures, and the table into the page of the lesson. Raises OutputError."""
        for file_name, text in self.pictures.items():
            _write(folder / file_name, text)
        page = folder / f"{name}.md"
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        _write(page, f"{before}{BEGIN}\n\n{self.table}\n\n{END}{after}")


def _write(path: Path, text: str) -> None:
    write_file(path, lambda file: file.write(text.encode()))


def spec(name: str, folder: Path, **lines: str) -> Path:
    """The spec of a lesson with other lines: a key of one line and what stands after it.

    An empty text drops the line; a key that is not there is one more of `training`, the last section. The changed file
    is written to ``folder``.
    """
    out, left = [], dict(lines)
    for line in (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines():
        key = line.strip().partition(":")[0]
        if key not in lines:
            out.append(line)
        elif text := left.pop(key):
            out.append(f"{line[: len(line) - len(line.lstrip())]}{key}: {text}")
    out += [f"  {key}: {text}" for key, text in left.items()]
    path = folder / f"{name}.yaml"
    path.write_text("\n".join([*out, ""]), encoding="utf-8")
    return path
