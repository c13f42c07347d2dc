"""The reference target: float64 whatever is declared, against torch; its bundle is text that reads back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as tf

from netwright.backends import bundle
from netwright.backends.api import BackendError, Options
from netwright.backends.reference import ReferenceBackend
from netwright.compiler.ir import Builder, DType, Loc, Program, Sample, State, TensorType, symbol
from netwright.compiler.ops import OPS
from netwright.compiler.ops.contract import Conv
from netwright.compiler.ops.control import Call, Scan
from netwright.compiler.ops.elementwise import Tanh
from netwright.compiler.ops.samples import normal, tensor_type
from netwright.compiler.ops.tensor import Tensor, apply
from netwright.compiler.pipeline import STEPS

from .programs import build, entry_of, graph_of, legal, program_of, run, sample_program

BACKEND = ReferenceBackend()


def types(*texts: str) -> list[TensorType]:
    return [tensor_type(text) for text in texts]


def convolution(dtype: str = "float32") -> Program:
    image = TensorType(DType(dtype), (symbol("N"), 2, symbol("H"), 5))
    weight, bias = types(f"{dtype}[3, 2, 3, 3]", f"{dtype}[3]")

    def block(build: Builder, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return apply(build, Tanh(), apply(build, Conv(padding=((1, 1), (1, 1))), x, weight) + bias[:, None, None])

    function = graph_of([image, weight, bias], block)
    result = function.outputs[0].type
    graph = graph_of(
        [image, weight, bias], lambda build, *x: apply(build, Call(function="block", types=(result,)), list(x))
    )
    return program_of(entry_of(graph, ["image"], ["weight", "bias"]), functions={"block": function})


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_floats_are_computed_in_float64(tmp_path: Path, dtype: str) -> None:
    weights = {"weight": normal(3, 2, 3, 3, dtype=dtype), "bias": normal(3, dtype=dtype)}
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, convolution(dtype), weights))
    wide = {key: torch.from_numpy(array.astype(np.float64)) for key, array in weights.items()}
    for batch in (1, 3):
        image = normal(batch, 2, 4, 5, dtype=dtype)
        (y,), _ = run(runtime, [image], ["image"], sizes={"N": batch, "H": 4})
        x = torch.from_numpy(image.astype(np.float64))
        wanted = torch.tanh(tf.conv2d(x, wide["weight"], wide["bias"], padding=1)).numpy()
        assert y.dtype == np.float64
        np.testing.assert_allclose(y, wanted, 1e-12, 1e-12)


@pytest.mark.parametrize("sample", [pytest.param(op.samples()[0], id=name) for name, op in OPS.items() if op.samples()])
def test_every_op_is_taken_as_it_is(tmp_path: Path, sample: Sample) -> None:
    program, arrays = sample_program(sample)
    (node,) = legal(program, BACKEND).entries["main"].graph.nodes
    assert node.op.name == sample.op.name
    outputs, _ = run(BACKEND.load(build(tmp_path / "bundle", BACKEND, program)), arrays)
    for value, found in zip(node.outputs, outputs, strict=True):
        assert found.shape == value.type.shape
        assert found.dtype == (np.float64 if value.type.dtype.is_float else value.type.dtype.numpy)


def test_no_optional_pass_runs() -> None:
    assert BACKEND.forbids == {step.name for step in STEPS if step.optional}
    program = legal(convolution(), BACKEND)
    assert [node.op.name for node in program.entries["main"].graph.nodes] == ["call"]


def test_state_and_loops(tmp_path: Path) -> None:
    """A running total over rows, kept between calls."""

    def make(build: Builder, xs: Tensor, total: Tensor, count: Tensor) -> list[Tensor]:
        region = graph_of(types("float32[2]", "float32[2]"), lambda inner, total, x: [total + x, total])
        last, before = apply(build, Scan(carries=1, length=xs.shape[0]), [total, xs], regions=(region,))
        return [before, last, count + 1]

    graph = graph_of(types("float32[T, 2]", "float32[2]", "int64[]"), make)
    state = {"total": State("total", types("float32[2]")[0]), "count": State("count", types("int64[]")[0])}
    entry = entry_of(graph, ["xs"], states=["total", "count"], updates=["total", "count"])
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, program_of(entry, state=state)))
    xs = normal(3, 2)
    states = {"total": np.zeros(2, np.float32), "count": np.asarray(0)}
    for _ in range(2):
        (before,), states = run(runtime, [xs], ["xs"], states=states, sizes={"T": 3})
    wide = xs.astype(np.float64)
    np.testing.assert_allclose(states["total"], 2 * wide.sum(0), 1e-12)
    np.testing.assert_allclose(before[0], wide.sum(0), 1e-12)
    assert int(states["count"]) == 2 and states["count"].dtype == np.int64


def test_runs_in_a_fresh_process(tmp_path: Path) -> None:
    weights = {"weight": normal(3, 2, 3, 3), "bias": normal(3)}
    folder = build(tmp_path / "bundle", BACKEND, convolution(), weights).folder
    image = normal(1, 2, 4, 5)
    (wanted,), _ = run(BACKEND.load(bundle.read(folder)), [image], ["image"], sizes={"N": 1, "H": 4})
    np.save(tmp_path / "in.npy", image)
    script = """
import sys, numpy
from pathlib import Path
from netwright.backends import bundle
from netwright.backends.reference import ReferenceBackend
runtime = ReferenceBackend().load(bundle.read(Path(sys.argv[1])))
outputs, _ = runtime.call("main", {"image": numpy.load(sys.argv[2])}, {}, {"N": 1, "H": 4})
numpy.save(sys.argv[3], outputs["y0"])
assert "jax" not in sys.modules and "onnx" not in sys.modules
"""
    paths = [folder, tmp_path / "in.npy", tmp_path / "out.npy"]
    subprocess.run([sys.executable, "-c", script, *map(str, paths)], check=True, env=dict(os.environ))
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), wanted)


@pytest.mark.parametrize("name", ['"""', "'\n#", "{x}: \\", "__import__('os')", "\u2028"])
def test_hostile_names_stay_names(tmp_path: Path, name: str) -> None:
    image = TensorType(DType.FLOAT32, (2,))
    function = graph_of([image], lambda build, x: x * 2, Builder(loc=Loc(name, 1, 1, name)))

    def make(build: Builder, x: Tensor, weight: Tensor) -> Tensor:
        (x,) = apply(build, Call(function=name, types=(image,)), [x])
        return x + weight

    entry = entry_of(graph_of([image, image], make), [name], [name], name=name)
    program = program_of(entry, name=name, functions={name: function})
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, program, {name: np.ones(2, np.float32)}))
    (y,), _ = run(runtime, [np.ones(2, np.float32)], [name], entry=name)
    np.testing.assert_array_equal(y, [3, 3])


def test_text_that_is_no_program_is_refused(tmp_path: Path) -> None:
    opened = build(tmp_path / "bundle", BACKEND, convolution(), {"weight": normal(3, 2, 3, 3), "bias": normal(3)})
    (opened.folder / "program.txt").write_text('program "x"\nentry "main" {\n  %0 = explode()\n}\n')
    with pytest.raises(BackendError, match=r"program\.txt cannot be read: .*explode"):
        BACKEND.load(opened)


def test_options_are_refused() -> None:
    with pytest.raises(BackendError, match="knows no device 'cpu'"):
        BACKEND.emit(convolution(), {}, Options(device="cpu"))
    with pytest.raises(BackendError, match="no settings, so no 'fast'"):
        BACKEND.emit(convolution(), {}, Options(settings={"fast": True}))
