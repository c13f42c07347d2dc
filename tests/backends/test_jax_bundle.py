"""Bundles of the jax target: readable and safe source, all sizes from one bundle, state, StableHLO, equal bytes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.backends.api import BackendError, Options
from netwright.backends.jax import JaxBackend, capabilities, stablehlo
from netwright.backends.jax.runtime import import_model
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, DType, Loc, Program, State, TensorType, symbol
from netwright.compiler.ops.contract import Conv
from netwright.compiler.ops.control import Call
from netwright.compiler.ops.elementwise import Tanh
from netwright.compiler.ops.index import DynamicUpdateSlice
from netwright.compiler.ops.reduce import ReduceMax
from netwright.compiler.ops.samples import normal, tensor_type
from netwright.compiler.ops.source import Dimension, Iota
from netwright.compiler.ops.tensor import Tensor, apply, constant
from netwright.compiler.ops.window import WindowMax

from .programs import build, entry_of, graph_of, program_of, run

BACKEND = JaxBackend()
ROOT = Path(__file__).parents[2]


def types(*texts: str) -> list[TensorType]:
    return [tensor_type(text) for text in texts]


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, 1e-5, 1e-5 * float(np.abs(wanted).max()))


def fresh(script: str, *arguments: Any, path: str | Path = "", seed: str = "0") -> str:
    """Run a script in a process of its own; what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONHASHSEED": seed, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- sizes, functions, broadcasting, constants


def conv_program() -> tuple[Program, dict[str, np.ndarray]]:
    """Two calls of a block over images of symbolic batch and size; the head needs a size that no operand tells."""
    batch, size = symbol("N", 1, 64), symbol("H", 1, 32)
    image = TensorType(DType.FLOAT32, (batch, 3, 8 * size + 1, 8 * size))

    def block(build: Builder, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        y = apply(build, Conv(padding=((1, 1), (1, 1))), x, weight) + bias[:, None, None]
        return apply(build, Tanh(), y) + x * 0.5

    weight, bias = types("float32[3, 3, 3, 3]", "float32[3]")
    function = graph_of([image, weight, bias], block, Builder(loc=Loc("specs/b.yaml", 7, 1, "conv")))

    def head(build: Builder, x: Tensor) -> Tensor:
        return x * apply(build, Dimension(size=size)).cast(DType.FLOAT32)

    pooled = TensorType(DType.FLOAT32, (batch, 3))
    scaled = graph_of([pooled], head)

    def make(build: Builder, x: Tensor, weight: Tensor, bias: Tensor) -> list[Tensor]:
        for _ in range(2):
            (x,) = apply(build, Call(function="block", types=(image,)), [x, weight, bias])
        x = apply(build, WindowMax(kernel=(1, 1, 2, 2), stride=(1, 1, 2, 2)), x)
        x = apply(build, ReduceMax(axes=(2, 3)), x)
        (y,) = apply(build, Call(function="head", types=(pooled,)), [x])
        return [y, apply(build, Iota(length=batch + 1)) * 2]

    graph = graph_of([image, weight, bias], make)
    program = program_of(
        entry_of(graph, ["image"], ["conv.weight", "conv.bias"]), functions={"block": function, "head": scaled}
    )
    weights = {"conv.weight": normal(3, 3, 3, 3), "conv.bias": normal(3)}
    return program, weights


def expected(program: Program, weights: dict[str, np.ndarray], image: np.ndarray) -> list[np.ndarray]:
    sizes = {"N": image.shape[0], "H": image.shape[3] // 8}
    arrays = [image, weights["conv.weight"], weights["conv.bias"]]
    return list(evaluate(program.entries["main"].graph, arrays, sizes, program.functions, wide=True))


def test_one_bundle_serves_all_sizes(tmp_path: Path) -> None:
    program, weights = conv_program()
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, program, weights, stablehlo=False))
    for batch, size in ((1, 1), (3, 2), (8, 1)):
        image = normal(batch, 3, 8 * size + 1, 8 * size)
        (y, count), _ = run(runtime, [image], ["image"])
        wanted, wanted_count = expected(program, weights, image)
        close(y, wanted)
        np.testing.assert_array_equal(count, wanted_count)


def test_a_block_is_one_function(tmp_path: Path) -> None:
    program, weights = conv_program()
    text = (build(tmp_path / "bundle", BACKEND, program, weights, stablehlo=False).folder / "model.py").read_text()
    functions = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    assert {"main", "block_0", "block_1"} <= functions.keys()
    assert text.count("= block_0(") == 2 and text.count("conv_general_dilated(") == 1
    assert [argument.arg for argument in functions["block_1"].args.kwonlyargs] == ["H"]
    assert "    # conv b.yaml:7\n" in text
    assert "N = v0.shape[0]" in text and "H = v0.shape[3] // 8" in text


def test_exported_stablehlo_serves_all_sizes_in_a_fresh_process(tmp_path: Path) -> None:
    program, weights = conv_program()
    bundle = build(tmp_path / "bundle", BACKEND, program, weights)
    assert bundle.manifest["backend"]["stablehlo"] == {
        "platforms": ["cpu", "cuda", "tpu"],
        "entries": {"main": "main.stablehlo"},
        "refused": {},
    }
    images = {str(batch): normal(batch, 3, 9, 8) for batch in (1, 3, 8)}
    np.savez(tmp_path / "in.npz", **images)
    (bundle.folder / "model.py").unlink()
    script = """
import sys, numpy, jax
from jax import export
from safetensors.numpy import load_file
folder, given, taken = sys.argv[1:]
program = export.deserialize(bytearray(open(folder + "/main.stablehlo", "rb").read()))
params = load_file(folder + "/weights.safetensors")
images = numpy.load(given)
with jax.enable_x64(True):
    numpy.savez(taken, **{key: program.call(params, {"image": images[key]})["y0"] for key in images})
"""
    fresh(script, bundle.folder, tmp_path / "in.npz", tmp_path / "out.npz")
    found = np.load(tmp_path / "out.npz")
    for key, image in images.items():
        close(found[key], expected(program, weights, image)[0])


def test_exported_stablehlo_as_a_runtime(tmp_path: Path) -> None:
    program, weights = conv_program()
    bundle = build(tmp_path / "bundle", BACKEND, program, weights)
    runtime = stablehlo.load(bundle)
    image = normal(3, 3, 17, 16)
    (y, _), _ = run(runtime, [image], ["image"])
    close(y, expected(program, weights, image)[0])
    with pytest.raises(BackendError, match="entry 'decode' was not exported"):
        run(runtime, [image], ["image"], entry="decode")
    with pytest.raises(BackendError, match="no exported entry"):
        stablehlo.load(build(tmp_path / "plain", BACKEND, program, weights, stablehlo=False))


def test_an_export_that_xla_refuses_is_reported(tmp_path: Path) -> None:
    graph = graph_of(types("float32[A, B]", "float32[C]"), lambda build, x, y: x[:, 0] + y)
    bundle = build(tmp_path / "bundle", BACKEND, program_of(entry_of(graph, ["x", "y"])))
    facts = bundle.manifest["backend"]["stablehlo"]
    assert facts["entries"] == {} and facts["refused"].keys() == {"main"}
    outputs, _ = run(BACKEND.load(bundle), [normal(2, 3), normal(2)], ["x", "y"])
    close(outputs[0], normal(2, 3)[:, 0] + normal(2))


# ---- the module by itself


def test_the_module_needs_nothing_of_ours(tmp_path: Path) -> None:
    program, weights = conv_program()
    bundle = build(tmp_path / "bundle", BACKEND, program, weights, stablehlo=False)
    np.save(tmp_path / "in.npy", normal(2, 3, 9, 8))
    script = """
import sys, numpy, jax
import model
image = numpy.load(sys.argv[1])
net = model.load()
out = net(image=image)["y0"]
# The function is pure: it differentiates like any other.
with jax.enable_x64(True):
    slope = jax.grad(lambda p: model.main(p, {"image": image})["y0"].sum())(net.params)
assert slope["conv.weight"].shape == (3, 3, 3, 3) and float(abs(slope["conv.weight"]).max()) > 0
assert "netwright" not in sys.modules
numpy.save(sys.argv[2], out)
"""
    fresh(script, tmp_path / "in.npy", tmp_path / "out.npy", path=bundle.folder)
    close(np.load(tmp_path / "out.npy"), expected(program, weights, normal(2, 3, 9, 8))[0])


def test_importing_the_target_does_not_import_jax() -> None:
    site = os.environ.get("PYTHONPATH", "")
    fresh("import netwright.backends.jax, sys; assert 'jax' not in sys.modules", path=site)


def test_outputs_come_in_declared_order(tmp_path: Path) -> None:
    graph = graph_of(types("int64[]"), lambda build, x: [x + number for number in range(12)])
    bundle = build(tmp_path / "bundle", BACKEND, program_of(entry_of(graph, ["x"])))
    for runtime in (BACKEND.load(bundle), stablehlo.load(bundle)):
        outputs, _ = runtime.call("main", {"x": np.asarray(5)}, {}, {})
        assert [(name, int(value)) for name, value in outputs.items()] == [(f"y{k}", 5 + k) for k in range(12)]


@pytest.mark.parametrize(
    ("found", "reason"), [("0.7.2", "needs JAX 0.8 or newer, not 0.7.2: pip install"), ("0.10.0rc1", None)]
)
def test_an_old_jax_is_refused(monkeypatch: pytest.MonkeyPatch, found: str, reason: str | None) -> None:
    monkeypatch.setattr(capabilities, "version", lambda name: found)
    said = BACKEND.unavailable()
    assert said is None if reason is None else said is not None and reason in said


def test_a_missing_jax_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "find_spec", lambda name: None)
    assert BACKEND.unavailable() == "the jax target needs JAX: pip install 'netwright[jax]'"


def test_dtypes_are_kept_whatever_the_process_is_set_to(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor) -> list[Tensor]:
        return [x + 2**40, x.cast(DType.FLOAT64) / 3, x.cast(DType.BFLOAT16) * 1.5]

    bundle = build(tmp_path / "bundle", BACKEND, program_of(entry_of(graph_of(types("int64[N]"), make), ["x"])))
    (whole, wide, half), _ = run(BACKEND.load(bundle), [np.array([1, 2**41])], ["x"])
    np.testing.assert_array_equal(whole, np.array([2**40 + 1, 2**41 + 2**40]))
    np.testing.assert_array_equal(wide, np.array([1, 2**41]) / 3)
    assert half.dtype.name == "bfloat16" and float(half[0]) == 1.5


def test_large_constants_stand_beside_the_module(tmp_path: Path) -> None:
    table, small = normal(10, 20), normal(2)

    def make(build: Builder, x: Tensor) -> list[Tensor]:
        both = [constant(build, table, DType.FLOAT32) for _ in range(2)]
        return [x + both[0] + both[1], constant(build, small, DType.FLOAT32), constant(build, np.nan, DType.FLOAT16)]

    bundle = build(tmp_path / "bundle", BACKEND, program_of(entry_of(graph_of(types("float32[10, 20]"), make), ["x"])))
    assert len((bundle.folder / "model.py").read_text()) < 8000
    (sums, pair, nothing), _ = run(BACKEND.load(bundle), [table], ["x"])
    np.testing.assert_array_equal(sums, table * 3)
    np.testing.assert_array_equal(pair, small)
    assert nothing.dtype == np.float16 and np.isnan(nothing)
    script = "import sys, numpy, model; numpy.save(sys.argv[1], model.load()(x=numpy.ones((10, 20)))['y0'])"
    fresh(script, tmp_path / "out.npy", path=bundle.folder)
    close(np.load(tmp_path / "out.npy"), 1 + 2 * table)


# ---- state


def cache_program() -> Program:
    """An entry that writes a row into a cache and counts, and one that only reads."""
    batch = symbol("N")
    cache, row = TensorType(DType.FLOAT32, (batch, 4)), TensorType(DType.FLOAT32, (batch, 1))
    at = TensorType(DType.INT64, ())

    def write(build: Builder, row: Tensor, cache: Tensor, at: Tensor) -> list[Tensor]:
        start = constant(build, 0, DType.INT64)
        new = apply(build, DynamicUpdateSlice(), cache, row, [start, at])
        return [new * 2, new, at + 1]

    def read(build: Builder, scale: Tensor, cache: Tensor) -> Tensor:
        return cache * scale

    return program_of(
        entry_of(graph_of([row, cache, at], write), ["row"], states=["cache", "at"], updates=["cache", "at"]),
        entry_of(graph_of([*types("float32[]"), cache], read), ["scale"], states=["cache"], name="peek"),
        state={"cache": State("cache", cache, -1.0), "at": State("at", at, 0)},
    )


def test_state_passes_through_the_runtime(tmp_path: Path) -> None:
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, cache_program()))
    first = {"cache": np.full((2, 4), -1, np.float32), "at": np.asarray(0)}
    states: dict[str, Any] = dict(first)
    for step in range(3):
        (doubled,), states = run(runtime, [np.full((2, 1), step, np.float32)], ["row"], states=states)
    np.testing.assert_array_equal(states["cache"], [[0, 1, 2, -1]] * 2)
    np.testing.assert_array_equal(doubled, np.asarray(states["cache"]) * 2)
    assert int(states["at"]) == 3 and states["at"].dtype == np.int64
    np.testing.assert_array_equal(first["cache"], np.full((2, 4), -1))
    given = {"cache": states["cache"]}
    for _ in range(2):
        (peeked,), unchanged = run(runtime, [np.float32(3)], ["scale"], entry="peek", states=given)
        np.testing.assert_array_equal(peeked, np.array([[0, 3, 6, -3]] * 2))
        assert unchanged == {}


def test_the_module_keeps_state_by_itself(tmp_path: Path) -> None:
    bundle = build(tmp_path / "bundle", BACKEND, cache_program(), stablehlo=False)
    script = """
import numpy, model
net = model.load()
try:
    net.run("peek", scale=2.0)
except ValueError as error:
    assert "run what sets it first" in str(error)
for step in range(2):
    net(row=numpy.full((3, 1), step))
assert net.run("peek", scale=2.0)["y0"].tolist() == [[0, 2, -2, -2]] * 3
net.reset()
assert net(row=numpy.ones((1, 1)))["y0"].tolist() == [[2, -2, -2, -2]]
for call in (lambda: net(), lambda: net(row=1, more=2), lambda: net.run("mian", row=1)):
    try:
        call()
    except ValueError:
        continue
    raise SystemExit("taken")
"""
    fresh(script, path=bundle.folder)


def test_exported_entries_keep_state(tmp_path: Path) -> None:
    runtime = stablehlo.load(build(tmp_path / "bundle", BACKEND, cache_program()))
    states: dict[str, Any] = {"cache": np.full((2, 4), -1, np.float32), "at": np.asarray(0)}
    for step in range(2):
        _, states = run(runtime, [np.full((2, 1), step, np.float32)], ["row"], states=states)
    np.testing.assert_array_equal(states["cache"], [[0, 1, -1, -1]] * 2)


# ---- hostile names, changed source, equal bytes

HOSTILE = [
    "__import__('os')",
    '"""',
    "'''",
    "a\nb",
    "{x}",
    "\\",
    "x'] = 0 #",
    "\u2028\x00",
    "class",
    "../../evil",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_names(tmp_path: Path, name: str) -> None:
    odd = symbol(name)
    image = TensorType(DType.FLOAT32, (odd, 2))
    place = Loc(name, 3, 1, name)
    function = graph_of([image], lambda build, x: x * 2, Builder(loc=place))

    def make(build: Builder, x: Tensor, weight: Tensor, state: Tensor) -> list[Tensor]:
        (x,) = apply(build, Call(function=name, types=(image,)), [x])
        return [x + weight, state + 1]

    graph = graph_of([image, *types("float32[2]", "int64[]")], make, Builder(loc=place))
    entry = entry_of(graph, [name], [name], [name], [name], name=name)
    state = {name: State(name, types("int64[]")[0], 0)}
    program = program_of(entry, name=name, functions={name: function}, state=state)
    bundle = build(tmp_path / "bundle", BACKEND, program, {name: np.ones(2, np.float32)})
    text = (bundle.folder / "model.py").read_text()
    assert text.isascii()
    for node in ast.walk(ast.parse(text)):
        assert not (isinstance(node, ast.Name) and node.id in ("__import__", "evil", "os"))
    x = normal(3, 2)
    (y,), states = run(BACKEND.load(bundle), [x], [name], entry=name, states={name: np.asarray(4)})
    close(y, x * 2 + 1)
    assert int(states[name]) == 5
    (y,), _ = run(stablehlo.load(bundle), [x], [name], entry=name, states={name: np.asarray(4)})
    close(y, x * 2 + 1)
    files = {"model.py", "manifest.json", "weights.safetensors", "entry_0.stablehlo"}
    assert {path.name for path in bundle.folder.iterdir()} == files


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("import os", "imports 'os'"),
        ("from jax._src import config", "imports config from jax._src"),
        ("from jax import *", "imports [*] from jax"),
        ("eval('1')", "uses eval"),
        ("x = ().__class__", "touches the attribute __class__"),
        ("x = (", "is no Python"),
        ("raise ValueError('on import')", "cannot be imported: on import"),
    ],
)
def test_changed_source_is_refused(line: str, match: str) -> None:
    with pytest.raises(BackendError, match=match):
        import_model(f"import jax\n{line}\n")


def test_options_are_checked() -> None:
    program, _ = conv_program()
    with pytest.raises(BackendError, match="no setting 'stablehol'; did you mean 'stablehlo'"):
        BACKEND.emit(program, {}, Options(settings={"stablehol": True}))
    with pytest.raises(BackendError, match="is true or false"):
        BACKEND.emit(program, {}, Options(settings={"stablehlo": 1}))
    with pytest.raises(BackendError, match="knows the devices cpu, cuda, tpu"):
        BACKEND.emit(program, {}, Options(device="gpu"))
    assert BACKEND.emit(program, {}, Options(device="tpu")).metadata["stablehlo"]["platforms"] == ["tpu"]


def test_bytes_do_not_depend_on_the_process(tmp_path: Path) -> None:
    script = """
import hashlib, sys
from pathlib import Path
from tests.backends.test_jax_bundle import BACKEND, build, cache_program, conv_program
for number, (program, weights) in enumerate([conv_program(), (cache_program(), {})]):
    folder = build(Path(sys.argv[1]) / str(number), BACKEND, program, weights).folder
    for path in sorted(folder.iterdir()):
        print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
"""
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT)])
    one = fresh(script, tmp_path / "a", path=path, seed="1")
    other = fresh(script, tmp_path / "deeper" / "b", path=path, seed="2")
    assert one == other and "main.stablehlo" in one
