"""Pages as files below ``docs/``: written, or compared with what is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOTE = "<!-- Made by `python -m netwright.driver.docs` from the declarations; do not edit. -->\n\n"
FOLDERS = ("zoo",)
"""Folders that hold nothing but made pages: one that nobody makes any more goes."""


def stale(pages: Mapping[str, str], docs: Path = DOCS) -> list[str]:
    """The names of pages that are missing, that differ from their text, or that nobody makes."""
    differing = [name for name, text in pages.items() if _read(docs / name) != text]
    there = [path.relative_to(docs).as_posix() for folder in FOLDERS for path in sorted((docs / folder).glob("*.md"))]
    return [*differing, *(name for name in there if name not in pages)]


def write(pages: Mapping[str, str], docs: Path = DOCS) -> list[str]:
    """Writes what `stale` names; gives these names."""
    names = stale(pages, docs)
    for name in names:
        path = docs / name
        if name in pages:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages[name], encoding="utf-8")
        else:
            path.unlink()
    return names


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
