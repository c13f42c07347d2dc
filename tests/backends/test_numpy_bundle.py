"""What the numpy target emits: a module that stands alone, checks what it is given, and holds no string as code."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.backends import bundle
from netwright.backends.api import BackendError, Options
from netwright.backends.numpy import NumpyBackend
from netwright.backends.numpy.emit import emit
from netwright.backends.numpy.runtime import import_checked
from netwright.compiler.ir import Builder, DType, Entry, Guard, Loc, Port, Program, State, symbol
from netwright.compiler.ops.contract import Conv, Dot
from netwright.compiler.ops.elementwise import Max
from netwright.compiler.ops.index import DynamicUpdateSlice, Gather
from netwright.compiler.ops.samples import normal, tensor_type
from netwright.compiler.ops.tensor import Tensor, apply, constant, elementwise

from .programs import build, entry_of, graph_of, program_of

BACKEND = NumpyBackend()
NASTY = "a'\"b\n\\{x}\"\"\"]};__import__('os').system('false')#\u00e9"


def module(program: Program, folder: Path) -> Any:
    """The emitted module of a program."""
    path = folder / "model.py"
    path.write_text(emit(program))
    return import_checked(path)


def small_network() -> Program:
    """conv, ReLU, linear over a symbolic batch."""

    def make(build: Builder, x: Tensor, w: Tensor, v: Tensor) -> Tensor:
        y = apply(build, Conv(stride=(2, 2), padding=((1, 1), (1, 1))), x, w)
        y = elementwise(build, Max(), y, 0.0).reshape(x.shape[0], 64)
        return apply(build, Dot(lhs_contract=(1,), rhs_contract=(1,)), y, v)

    types = [tensor_type(text) for text in ("float32[N, 3, 8, 8]", "float32[4, 3, 3, 3]", "float32[5, 64]")]
    return program_of(entry_of(graph_of(types, make), ["image"], ["conv.weight", "fc.weight"]))


def small_weights() -> dict[str, np.ndarray]:
    return {"conv.weight": normal(4, 3, 3, 3), "fc.weight": normal(5, 64)}


def by_hand(image: np.ndarray) -> np.ndarray:
    """The small network, without any of our code."""
    w, v = small_weights().values()
    padded = np.pad(image.astype(np.float64), [(0, 0), (0, 0), (1, 1), (1, 1)])
    seen = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
    hidden = np.einsum("nchwij,ocij->nohw", seen, w.astype(np.float64))
    return np.maximum(hidden, 0).reshape(len(image), -1) @ v.astype(np.float64).T


# ---- sizes, threads, processes


def test_one_program_serves_many_sizes(tmp_path: Path) -> None:
    loaded = build(tmp_path / "bundle", BACKEND, small_network(), small_weights())
    runtime = BACKEND.load(loaded)
    for batch in (1, 3, 8, 2, 4, 5, 6, 7, 9, 10, 11, 1):
        image = normal(batch, 3, 8, 8, salt=batch)
        outputs, _ = runtime.call("main", {"image": image}, {}, {"N": batch})
        np.testing.assert_allclose(outputs["y0"], by_hand(image), 1e-4, 1e-4)
    assert len(runtime.model.plans) == 8  # type: ignore[attr-defined]


def test_threads_share_a_model(tmp_path: Path) -> None:
    made = module(small_network(), tmp_path)
    net = made.connect(tuple(small_weights().values()))
    images = [normal(1 + k % 3, 3, 8, 8, salt=k) for k in range(8)]
    wanted = [net(image=image)["y0"].copy() for image in images]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(100):
            if not np.array_equal(net(image=images[k])["y0"], wanted[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


ALONE = """
import sys
class Only:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("netwright", "ml_dtypes", "pydantic", "jax", "torch", "onnx", "onnxruntime"):
            raise ImportError(name)
sys.meta_path.insert(0, Only())
sys.path.insert(0, sys.argv[1])
import numpy as np
import model
net = model.load()
np.save(sys.argv[2], net(image=np.load(sys.argv[3]))["y0"])
assert "netwright" not in sys.modules
"""


def test_bundle_runs_without_netwright(tmp_path: Path) -> None:
    build(tmp_path / "bundle", BACKEND, small_network(), small_weights())
    image = normal(2, 3, 8, 8)
    np.save(tmp_path / "in.npy", image)
    arguments = [str(tmp_path / name) for name in ("bundle", "out.npy", "in.npy")]
    subprocess.run([sys.executable, "-I", "-c", ALONE, *arguments], check=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), by_hand(image), 1e-4, 1e-4)


def test_same_bytes_under_any_hash_seed(tmp_path: Path) -> None:
    code = (
        "import sys; from netwright.tests.backends.test_numpy_bundle import emit, small_network;"
        "sys.stdout.write(emit(small_network()))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(texts) == 1


# ---- what is given


def test_inputs_are_checked(tmp_path: Path) -> None:
    def make(build: Builder, ids: Tensor, table: Tensor) -> Tensor:
        return apply(build, Gather(), table, ids)

    graph = graph_of([tensor_type("int64[N, T]"), tensor_type("float32[7, 2]")], make)
    n, t = symbol("N"), symbol("T", 2, 4)
    entry = entry_of(graph, ["ids"], ["table"])
    port = Port("ids", tensor_type("int64[N, T]").with_shape((n, t)), range=(0, 6))
    symbols = (n.terms[0][0][0], t.terms[0][0][0])  # type: ignore[union-attr]
    entry = Entry("main", graph, (port,), entry.params, (), entry.outputs, (), symbols)  # type: ignore[arg-type]
    net = module(program_of(entry), tmp_path).connect((normal(7, 2),))
    ids = np.array([[0, 6, 3]])
    np.testing.assert_array_equal(net(ids=ids)["y0"], normal(7, 2)[ids])
    np.testing.assert_array_equal(net(ids=ids.astype(np.uint8).tolist())["y0"], normal(7, 2)[ids])
    for given, message in [
        ({}, "'ids' is missing"),
        ({"ids": ids, "id": ids}, "no input is called 'id'; there are: 'ids'"),
        ({"ids": ids * 1.0}, "'ids' is float64, not int64"),
        ({"ids": ids[0]}, r"shape \(3,\); it must have 2 axes"),
        ({"ids": ids + 1}, "must lie from 0 to 6; found 1 to 7"),
        ({"ids": -ids}, "must lie from 0 to 6; found -6 to 0"),
        ({"ids": ids[:, :1]}, "axis 1 of 'ids' makes T 1 .*T must lie from 2 to 4"),
        ({"ids": np.zeros((1, 5), int)}, "axis 1 of 'ids' makes T 5"),
    ]:
        with pytest.raises(ValueError, match=message):
            net(**given)
    with pytest.raises(ValueError, match="no entry is called 'decode'; there are: main"):
        net.run("decode")
    with pytest.raises(AttributeError):
        _ = net.decode


def test_affine_sizes_and_guards(tmp_path: Path) -> None:
    h, a = symbol("H"), symbol("A")

    def make(build: Builder, x: Tensor, y: Tensor) -> list[Tensor]:
        return [x * 2, y * 2]

    types = [tensor_type("float32[N]").with_shape((16 * h + 4, h)), tensor_type("float32[N]").with_shape((a, 3))]
    entry = entry_of(graph_of(types, make), ["x", "y"])
    guards = (Guard(2 * h, a, Loc("net.yaml", 7, 3)),)
    entry = Entry("main", entry.graph, entry.inputs, (), (), entry.outputs, (), entry.symbols, guards)
    net = module(program_of(entry), tmp_path).connect(())
    good = {"x": np.ones((36, 2)), "y": np.ones((4, 3))}
    assert net(**good)["y0"].shape == (36, 2)
    for given, message in [
        ({"x": np.ones((37, 2))}, r"axis 0 of 'x' is 37; it must be 16\*H \+ 4 with a whole H"),
        ({"x": np.ones((4, 0))}, "axis 0 of 'x' makes H 0"),
        ({"x": np.ones((36, 3))}, "axis 1 of 'x' is 3; it must be H = 2"),
        ({"y": np.ones((4, 4))}, "axis 1 of 'y' is 4; it must be 3"),
        ({"y": np.ones((5, 3))}, r"2\*H and A must be equal; they are 4 and 5 \(net.yaml:7\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            net(**{**good, **given})


def test_an_input_in_any_layout_is_left_alone(tmp_path: Path) -> None:
    net = module(small_network(), tmp_path).connect(tuple(small_weights().values()))
    image = normal(2, 3, 8, 8)
    turned = np.asfortranarray(image)
    wanted = by_hand(image)
    for given in (image, turned, image.astype(">f4"), image.tolist()):
        np.testing.assert_allclose(net(image=given)["y0"], wanted, 1e-4, 1e-4)
    np.testing.assert_array_equal(turned, image)


# ---- state


def counter() -> Program:
    """A cache that each call writes one row of, and a counter."""

    def make(build: Builder, row: Tensor, cache: Tensor, at: Tensor) -> list[Tensor]:
        zero = constant(build, 0, DType.INT64)
        cache = apply(build, DynamicUpdateSlice(), cache, row.reshape(1, row.shape[0]), [at, zero])
        return [apply(build, Dot(lhs_contract=(1,), rhs_contract=(0,)), cache, row), cache, at + 1]

    types = [tensor_type(text) for text in ("float32[C]", "float32[6, C]", "int64[]")]
    entry = entry_of(graph_of(types, make), ["row"], (), ["cache", "at"], ["cache", "at"], "step")
    state = {"cache": State("cache", types[1], 0.5), "at": State("at", types[2], 1)}
    return program_of(entry, state=state)


def test_state_is_updated_in_place(tmp_path: Path) -> None:
    text = emit(counter())
    assert "np.copyto" not in text[text.index("def call_0") :]
    net = module(counter(), tmp_path).connect(())
    cache = np.full((6, 3), 0.5, np.float32)
    first = None
    for step in range(3):
        row = normal(3, salt=step)
        cache[1 + step] = row
        np.testing.assert_allclose(net.step(row=row)["y0"], cache @ row, 1e-5, 1e-5)
        np.testing.assert_array_equal(net.state["cache"], cache)
        assert int(net.state["at"]) == 2 + step
        first = net.state["cache"] if first is None else first
        assert net.state["cache"] is first
    with pytest.raises(ValueError, match="state 'cache' has the shape .*reset"):
        net.step(row=normal(4))
    net.reset()
    assert net.step(row=normal(4))["y0"].shape == (6,)


def test_states_that_cannot_be_written_are_copied(tmp_path: Path) -> None:
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, counter()))
    cache = np.broadcast_to(np.float32(0.5), (6, 3))
    states = {"cache": cache, "at": np.array(1)}
    _, updated = runtime.call("step", {"row": normal(3)}, states, {"C": 3})
    np.testing.assert_array_equal(updated["cache"][1], normal(3))
    assert int(updated["at"]) == 2


# ---- names, bytes


def test_names_are_never_code(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, w: Tensor, s: Tensor) -> list[Tensor]:
        build.loc = Loc(NASTY, 3, 1, NASTY)
        return [x * 2 + w, s + x]

    types = [tensor_type("float32[2]")] * 3
    inner = entry_of(graph_of(types, make), [NASTY], [NASTY + "w"], [NASTY + "s"], [NASTY + "s"], NASTY)
    entry = Entry(NASTY, inner.graph, inner.inputs, inner.params, inner.states, (NASTY + "o",), inner.updates)
    program = program_of(entry, name=NASTY, state={NASTY + "s": State(NASTY + "s", types[0], 1.5)})
    loaded = build(tmp_path / "bundle", BACKEND, program, {NASTY + "w": normal(2)})
    outputs, _ = BACKEND.load(loaded).call(NASTY, {NASTY: normal(2)}, {NASTY + "s": normal(2).copy()}, {})
    np.testing.assert_allclose(outputs[NASTY + "o"], normal(2) * 3, 1e-6)
    text = (tmp_path / "bundle" / "model.py").read_text()
    assert text.isascii()
    net = import_checked(tmp_path / "bundle" / "model.py").load()
    assert list(net.run(NASTY, **{NASTY: normal(2)})) == [NASTY + "o"]
    np.testing.assert_allclose(net.state[NASTY + "s"], normal(2) + 1.5, 1e-6)


def test_changed_source_is_refused(tmp_path: Path) -> None:
    for line in ("import os", "open('x')", "().__class__", "eval('1')", "def"):
        path = tmp_path / "model.py"
        path.write_text(emit(small_network()) + "\n" + line + "\n")
        with pytest.raises(BackendError, match="emitted source"):
            import_checked(path)


def test_sixteen_bits_are_storage(tmp_path: Path) -> None:
    import ml_dtypes

    def make(build: Builder, x: Tensor, w: Tensor) -> list[Tensor]:
        y = apply(build, Dot(lhs_contract=(1,), rhs_contract=(1,)), x, w)
        return [y, y[:, ::-1], y.cast(DType.FLOAT32)]

    for dtype in ("bfloat16", "float16"):
        types = [tensor_type(f"{dtype}[N, 8]"), tensor_type(f"{dtype}[3, 8]")]
        program = program_of(entry_of(graph_of(types, make), ["x"], ["w"]))
        x, w = normal(2, 8, dtype=dtype), normal(3, 8, dtype=dtype, salt=1)
        loaded = build(tmp_path / dtype, BACKEND, program, {"w": w})
        outputs, _ = BACKEND.load(loaded).call("main", {"x": x}, {}, {"N": 2})
        wanted = x.astype(np.float64) @ w.astype(np.float64).T
        assert outputs["y0"].dtype == outputs["y1"].dtype == x.dtype
        np.testing.assert_allclose(outputs["y0"].astype(np.float64), wanted, 1e-2, 1e-2)
        np.testing.assert_array_equal(outputs["y1"], outputs["y0"][:, ::-1])
        np.testing.assert_array_equal(outputs["y2"], outputs["y0"].astype(np.float32))
        alone = import_checked(loaded.folder / "model.py").load()
        found = alone(x=x.view(np.uint16) if dtype == "bfloat16" else x)["y0"]
        np.testing.assert_array_equal(found.view(ml_dtypes.bfloat16) if dtype == "bfloat16" else found, outputs["y0"])


def test_weights_are_checked(tmp_path: Path) -> None:
    loaded = build(tmp_path / "bundle", BACKEND, small_network(), small_weights())
    folder, made = loaded.folder, import_checked(loaded.folder / "model.py")
    held = {name: np.array(array) for name, array in loaded.weights.items()}
    (name,) = (name for name in held if name.startswith("fc.weight"))
    for weights, message in [
        ({other: array for other, array in held.items() if other != name}, f"lacks the tensor '{name}'"),
        ({**held, name: held[name][:-1]}, f"'{name}' of .* is float32"),
        ({**held, name: held[name].astype(np.float64)}, "is float64"),
    ]:
        with open(folder / "weights.safetensors", "wb") as file:
            bundle.write_safetensors(file, weights)
        with pytest.raises(ValueError, match=message):
            made.load()


def test_unknown_devices_and_settings_are_refused() -> None:
    for options in (Options(device="cuda"), Options(settings={"fast": True})):
        with pytest.raises(BackendError, match="target numpy runs on the CPU"):
            BACKEND.emit(small_network(), {}, options)
