"""A bundle of the triton target: what it refuses to run, torch tensors in and out, state, threads."""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import netwright as nw
from netwright.backends.api import BackendError
from netwright.backends.executable import Executable, InputError
from netwright.backends.source import check_source
from netwright.backends.triton.emit import emit
from netwright.backends.triton.module import read
from netwright.backends.triton.text import Writer
from netwright.backends.triton.vocabulary import vocabulary
from netwright.compiler.ir import Builder
from netwright.compiler.ir.dims import symbol
from netwright.compiler.ops.elementwise import Tanh
from netwright.compiler.ops.samples import tensor_type
from netwright.compiler.ops.tensor import Tensor, apply

from ..programs import entry_of, graph_of, legal, program_of
from .interpreting import BACKEND

pytestmark = pytest.mark.usefixtures("interpreter")

SPEC = """
netwright: 1
name: small
args: {words: 7}
inputs:
  ids: {type: 'int64[N]', range: [0, 6]}
  x: 'float[N, 4]'
graph:
  - {op: embedding, name: e, in: ids, rows: words, features: 4}
  - {op: add, in: [e, x]}
  - {op: linear, name: y, features: 3}
outputs: {y: y}
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Executable:
    path = tmp_path_factory.mktemp("spec") / "small.yaml"
    path.write_text(SPEC)
    return nw.compile(path, "triton", seed=1, device="interpreter")


@pytest.fixture
def given() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {"ids": draw.integers(0, 7, 5), "x": draw.standard_normal((5, 4)).astype(np.float32)}


def test_tensors_go_in_and_come_out(net: Executable, given: dict[str, np.ndarray]) -> None:
    wanted = net(**given)["y"]
    found = net(**{name: torch.from_numpy(array) for name, array in given.items()})["y"]
    assert isinstance(wanted, np.ndarray) and isinstance(found, torch.Tensor)
    np.testing.assert_array_equal(found.numpy(), wanted)
    # Arrays and tensors together; views; memory that is not aligned.
    room = torch.zeros(21)
    room[1:].copy_(torch.from_numpy(given["x"]).reshape(-1))
    turned = torch.from_numpy(given["x"].T.copy()).T
    for x in (room[1:].reshape(5, 4), turned):
        np.testing.assert_array_equal(net(ids=given["ids"], x=x)["y"].numpy(), wanted)


def test_tensors_are_checked(net: Executable, given: dict[str, np.ndarray]) -> None:
    ids, x = (torch.from_numpy(array) for array in given.values())
    with pytest.raises(InputError, match="input 'x' is float64, not float32"):
        net(ids=ids, x=x.double())
    with pytest.raises(InputError, match="must lie from 0 to 6; found -1 to"):
        net(ids=ids * 0 - 1, x=x)
    with pytest.raises(InputError, match="axis 0 of 'x' is 4"):
        net(ids=ids, x=x[:4])
    with pytest.raises(InputError, match=r"has the shape"):
        net(ids=ids, x=x[0])
    with pytest.raises(BackendError, match="a tensor of complex64 is no input"):
        net(ids=ids, x=x.to(torch.complex64))


def test_inputs_stay_as_they_are(net: Executable, given: dict[str, np.ndarray]) -> None:
    x = torch.from_numpy(given["x"].copy())
    first = net(ids=given["ids"], x=x)["y"].clone()
    np.testing.assert_array_equal(x.numpy(), given["x"])
    second = net(ids=given["ids"], x=x)["y"]
    assert torch.equal(first, second) and first.data_ptr() != second.data_ptr()


def test_threads_take_turns(net: Executable, given: dict[str, np.ndarray]) -> None:
    wanted = net(**given)["y"]
    found: list[np.ndarray] = []

    def work() -> None:
        found.append(net(**given)["y"])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(np.array_equal(each, wanted) for each in found)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("import triton\n", "import os\n", "imports 'os'"),
        ("import triton\n", "import triton\nimport triton.tools\n", "imports 'triton.tools'"),
        ("PARAMETERS = (", "PARAMETERS = (open('x'),", "uses open"),
        ("tl.load(", "tl.inline_asm_elementwise(", "touches the attribute inline_asm_elementwise"),
        ("tl.load(", "tl.load.__globals__(", "touches the attribute __globals__"),
        ("PARAMETERS = (", "1 / 0\nPARAMETERS = (", "cannot be imported"),
    ],
)
def test_a_foreign_module_is_refused(net: Executable, tmp_path: Path, old: str, new: str, says: str) -> None:
    text = (net.folder / "model.py").read_text()
    assert old in text
    path = tmp_path / "model.py"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(BackendError, match=says):
        read(path)


def test_what_is_checked_is_what_runs(net: Executable, tmp_path: Path) -> None:
    """Triton reads the source of kernels again: it gets the text that was checked, not the file as it is now."""
    path = tmp_path / "model.py"
    path.write_text((net.folder / "model.py").read_text())
    module = read(path)
    path.write_text("raise SystemExit\n")
    assert module.kernels.keys() == module.functions.keys()
    for name, function in module.functions.items():
        assert f"def {name}(" in "".join(function.src if hasattr(function, "src") else module.text)


def test_names_are_never_code() -> None:
    nasty = "a'\"b\n\\{x}\"\"\"]};__import__('os').system('false')#\u00e9"

    def make(build: Builder, x: Tensor) -> Tensor:
        return apply(build, Tanh(), x)

    graph = graph_of([tensor_type("float32[N, 3]")], make)
    program = program_of(entry_of(graph, [nasty], name=nasty), name=nasty)
    text = emit(legal(program, BACKEND)).text
    words = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert not words & {"system", "os", "__import__"}
    check_source(text, vocabulary())


def test_long_arrays_are_counted_in_64_bits() -> None:
    def make(build: Builder, x: Tensor) -> Tensor:
        return apply(build, Tanh(), x)

    def text(type: str) -> str:
        graph = graph_of([tensor_type(type)], make)
        return emit(legal(program_of(entry_of(graph, ["x"])), BACKEND)).text

    assert "WIDE" not in text("float32[1000, 1000]")
    assert "if WIDE:" in text("float32[N, 1000]") and "1000*d0 >= 2**31 - 2**20" in text("float32[N, 1000]")
    assert "3000000000 >= 2**31 - 2**20" in text("float32[3000000, 1000]")


def test_sizes_are_written_as_python() -> None:
    n = symbol("N")
    writer = Writer({"N": "d0"})
    assert writer.size(3 * n * n - 1) == "3*d0*d0 - 1"
    assert writer.size((n + 3) // 4) == "((d0 + 3)//4)"
