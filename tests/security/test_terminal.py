"""What strangers name things does not steer the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from netwright.backends import bundle
from netwright.cli import console

HOSTILE = "\\[red]A[/] [bold]B[/] \x1b[31mC\x9b2J\x07\r\u202e\u2066\u2028\u200b\ufeff\U000e0041"


def test_cells_are_no_markup() -> None:
    wide = Console(width=300, force_terminal=True, color_system="truecolor", no_color=False)
    shown = console.table("key")
    shown.add_row(console.cell(HOSTILE))
    with wide.capture() as captured:
        wide.print(shown)
    last = captured.get().splitlines()[-1]
    assert "\\[red]A[/] [bold]B[/] \\x1b[31mC\\x9b2J\\x07\\r\\u202e\\u2066\\u2028\\u200b\\ufeff\\U000e0041" in last
    assert "\x1b" not in last


def test_keys_of_a_weights_file(tmp_path: Path) -> None:
    with open(tmp_path / "w.safetensors", "wb") as file:
        bundle.write_safetensors(file, {HOSTILE: np.zeros(2, np.float32)})
    done = _run("weights", "inspect", str(tmp_path / "w.safetensors"), stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert "\\[red]A[/]" in done.stdout and not set(HOSTILE[20:]) & {"\x1b"} & set(done.stdout)
    assert all(letter.isprintable() or letter == "\n" for letter in done.stdout)


@pytest.mark.skipif(os.name != "posix", reason="closes descriptors as shells do")
def test_a_closed_output_is_no_defect() -> None:
    def close() -> None:
        os.close(1)

    for args in (("zoo", "lenet5"), ("summary", "zoo:lenet5", "--json"), ("ir", "zoo:lenet5")):
        done = _run(*args, preexec_fn=close)
        assert (done.returncode, done.stderr) == (0, "")


def _run(*args: str, **settings: object) -> subprocess.CompletedProcess[str]:
    script = "from netwright.cli.main import main; main()"
    return subprocess.run(  # type: ignore[call-overload]
        [sys.executable, "-c", script, *args],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        **settings,
    )
