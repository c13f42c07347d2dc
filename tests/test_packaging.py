"""What `pip install` takes along is what there is."""

from __future__ import annotations

import ast
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from netwright.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OUTSIDE = {"tests", "benchmarks", "docs", "build", "dist"}
"""Folders that are not installed."""
DISTRIBUTIONS = {"yaml": "PyYAML", "PIL": "pillow", "pydantic_core": "pydantic"}
"""Import names that differ from what is installed."""


def folders() -> set[str]:
    """Every folder with Python in it, and the zoo, as packages."""
    found = {"netwright", "netwright.zoo"}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).parent.parts
        if parts and parts[0] not in OUTSIDE and not any(part.startswith(".") for part in parts):
            found.add(".".join(("netwright", *parts)))
    return found


def test_every_folder_is_a_package() -> None:
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(folders())
    assert listed == sorted(listed)


def test_every_package_says_what_it_is() -> None:
    for package in folders() - {"netwright.zoo"}:
        init = ROOT.joinpath(*package.split(".")[1:], "__init__.py")
        assert init.is_file(), f"{package} has no __init__.py"


def test_data_files_are_taken_along() -> None:
    data = PROJECT["tool"]["setuptools"]["package-data"]
    taken = {
        path
        for package, patterns in data.items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")[1:]).glob(pattern)
    }
    needed = {ROOT / "py.typed", *(ROOT / "zoo").rglob("*.yaml"), *(ROOT / "cli" / "samples").iterdir()}
    needed |= {*(ROOT / "zoo").rglob("*.safetensors")}
    assert needed <= taken


def test_pictures_are_small_and_licensed() -> None:
    samples = ROOT / "cli" / "samples"
    licences = (samples / "LICENSES.md").read_text(encoding="utf-8")
    for picture in samples.iterdir():
        assert picture.stat().st_size < 60_000
        assert picture.suffix == ".md" or picture.name in licences


def test_the_version_is_one() -> None:
    assert PROJECT["project"]["version"] == VERSION


def entry_points() -> list[str]:
    project = PROJECT["project"]
    return [*project["scripts"].values(), *project["entry-points"]["netwright.backends"].values()]


@pytest.mark.parametrize("place", entry_points())
def test_entry_points_exist(place: str) -> None:
    module, _, name = place.partition(":")
    assert callable(getattr(import_module(module), name))


def test_core_dependencies_are_declared() -> None:
    """What modules outside of optional targets import is a core dependency."""
    optional = {"jax", "jaxlib", "tokenizers", "torch", "transformers", "triton"}
    declared = {_name(requirement) for requirement in PROJECT["project"]["dependencies"]}
    used: dict[str, str] = {}
    for package in folders() - {"netwright.zoo"}:
        for path in ROOT.joinpath(*package.split(".")[1:]).glob("*.py"):
            for module in _imported(path):
                used.setdefault(module, str(path.relative_to(ROOT)))
    for module, place in used.items():
        if module not in sys.stdlib_module_names and module not in optional:
            name = DISTRIBUTIONS.get(module, module).replace("_", "-").lower()
            assert name in declared, f"{place} imports {module}, which is no dependency"


def _name(requirement: str) -> str:
    name = requirement.split(">")[0].split("=")[0].split("[")[0].strip()
    return name.replace("_", "-").lower()


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found
