"""The command line in this process: what it prints, and how it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from netwright.cli.main import main

SPEC = """\
netwright: 1
name: small
summary: A network that compiles at once
args:
  classes: {type: int, default: 3, doc: how many it tells apart}
variants:
  small_two: {classes: 2}
inputs:
  x: float[N, 5]
  scale?: float[]
dims: {N: [1, 100]}
graph:
  - {op: linear, name: a, in: x, features: 4}
  - {op: tanh, name: t}
  - {op: linear, name: b, features: classes}
  - {name: scaled, value: b if scale == null else b * scale}
  - {op: softmax, name: p, in: scaled}
outputs: {p: p}
"""


@dataclass(frozen=True)
class Ended:
    """One command that has run."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as data."""
        return json.loads(self.out)

    def refused(self) -> str:
        """The one message of a command that was refused."""
        assert self.code == 1, (self.code, self.out, self.err)
        assert self.out == ""
        assert "Traceback" not in self.err and "defect" not in self.err
        assert self.err.count("error: ") >= 1
        return self.err

    def fine(self) -> str:
        """The output of a command that did what it should."""
        assert self.code == 0, (self.code, self.out, self.err)
        assert "Traceback" not in self.err
        return self.out


Cli = Callable[..., Ended]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command line."""

    def run(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["netwright", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        code = stop.value.code
        return Ended(code if isinstance(code, int) else 0, printed.out, printed.err)

    return run


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A small model in a file."""
    path = tmp_path / "small.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path
