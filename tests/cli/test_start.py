"""What starting costs, and that the table of commands is true."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from netwright.cli.main import COMMANDS, LazyCommand, command_line

from .conftest import Cli

HEAVY = ("jax", "jaxlib", "torch", "triton", "onnx", "onnxruntime", "transformers")
LIMIT = 0.15
"""Seconds that `import netwright` may take."""


def fresh(code: str) -> str:
    """What a new process prints that runs this."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_after(line: str) -> str:
    """A program that runs a command line and prints which heavy modules it left loaded."""
    return f"""
import sys, contextlib, io
from netwright.cli.main import main
sys.argv = {line.split()!r}
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main()
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_import_is_quick_and_light() -> None:
    code = f"""
import sys, time
start = time.process_time()
import netwright
took = time.process_time() - start
print(took, [name for name in {(*HEAVY, "numpy", "pydantic")!r} if name in sys.modules])
"""
    took, _, loaded = fresh(code).strip().partition(" ")
    assert float(took) <= LIMIT
    assert loaded == "[]"


@pytest.mark.parametrize("line", ["netwright --help", "netwright check zoo:xor_mlp", "netwright summary zoo:xor_mlp"])
def test_commands_import_no_target_that_they_do_not_need(line: str) -> None:
    assert fresh(loaded_after(line)).strip() == "[]"


def test_help_imports_no_command() -> None:
    code = loaded_after("netwright --help") + "\nprint([n for n in sys.modules if n.startswith('netwright.cli.comm')])"
    assert fresh(code).strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_tells_what_the_command_says(name: str) -> None:
    module = import_module(f"netwright.cli.commands.{name}")
    info = module.app.info.help if len(module.app.registered_commands) > 1 else None
    said = info or inspect.getdoc(module.app.registered_commands[0].callback) or ""
    assert said.splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, cli: Cli) -> None:
    words = [name, "map"] if name == "weights" else [name]
    text = cli(*words, "--help").fine()
    assert f"netwright {name}" in text
    assert "Example" in text


def test_every_command_module_is_in_the_table() -> None:
    import pkgutil

    from netwright.cli import commands

    assert {module.name for module in pkgutil.iter_modules(commands.__path__)} == set(COMMANDS)


def test_without_a_command_there_is_help(cli: Cli) -> None:
    assert "tour" in cli().fine()


def test_version(cli: Cli) -> None:
    assert cli("--version").fine().startswith("netwright 0.")


def test_lazy_commands_are_all_there_is() -> None:
    assert all(isinstance(command, LazyCommand) for command in command_line().commands.values())
