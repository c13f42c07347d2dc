"""Files of the onnx target: names, metadata, weights inside and outside, equal bytes, settings, export."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from netwright.backends import bundle
from netwright.backends.api import BackendError, Options
from netwright.backends.onnx import OnnxBackend, export_entry
from netwright.compiler.ir import Builder, DType, Loc, Program, TensorType, symbol
from netwright.compiler.ops.contract import Conv, Dot
from netwright.compiler.ops.elementwise import Erf, Tanh
from netwright.compiler.ops.samples import normal, tensor_type
from netwright.compiler.ops.source import Bitcast
from netwright.compiler.ops.tensor import Tensor, apply
from netwright.compiler.passes.legalize import LegalizeError

from .programs import build, entry_of, graph_of, legal, program_of, run

BACKEND = OnnxBackend()
ROOT = Path(__file__).parents[2]
HOSTILE = ['"', "'", '"""', "a\nb", "{x}", "../../evil", "__import__('os')", "\u2028\x00", "%1", "", "x0", "y0"]


def network(labels: tuple[str, ...] = ("hidden", "out")) -> tuple[Program, dict[str, np.ndarray]]:
    """Two dense layers with the given labels, and their weights."""
    batch = symbol("N")
    weights = {"hidden.weight": normal(4, 3), "hidden.bias": normal(4), "out.weight": normal(2, 4, salt=1)}
    given = [TensorType(DType.FLOAT32, (batch, 3)), *(TensorType(DType.FLOAT32, a.shape) for a in weights.values())]

    def make(build: Builder, x: Tensor, weight: Tensor, bias: Tensor, second: Tensor) -> Tensor:
        dense = Dot(lhs_contract=(1,), rhs_contract=(1,))
        build.loc = Loc("folder/spec.yaml", 7, 3, labels[0])
        x = apply(build, Tanh(), apply(build, dense, x, weight) + bias)
        build.loc = Loc("folder/spec.yaml", 8, 3, labels[1])
        return apply(build, dense, x, second)

    return program_of(entry_of(graph_of(given, make), ["x0"], list(weights))), weights


def answer(x: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    hidden = np.tanh(x @ weights["hidden.weight"].T + weights["hidden.bias"])
    return hidden @ weights["out.weight"].T


def two_entries() -> tuple[Program, dict[str, np.ndarray]]:
    program, weights = network()
    main = program.entries["main"]
    other, _ = network()
    return replace(program, entries={"main": main, "again": replace(other.entries["main"], name="again")}), weights


# ---- names and metadata


def test_nodes_lead_to_their_lines(tmp_path: Path) -> None:
    program, weights = network()
    build(tmp_path / "bundle", BACKEND, program, weights)
    model = onnx.load(tmp_path / "bundle" / "main.onnx")
    assert (model.producer_name, model.ir_version, model.opset_import[0].version) == ("netwright", 11, 23)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts == {"netwright.entry": "main", "netwright.spec": "test"}
    found = [(node.op_type, node.name, {p.key: p.value for p in node.metadata_props}) for node in model.graph.node]
    place = {"netwright.label": "hidden", "netwright.source": "spec.yaml:7:3"}
    assert found[:2] == [("Gemm", "hidden.gemm", place), ("Tanh", "hidden", place)]
    assert found[2] == ("Gemm", "y0", {"netwright.label": "out", "netwright.source": "spec.yaml:8:3"})
    assert [tensor.name for tensor in model.graph.initializer] == list(weights)


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_labels_are_data(tmp_path: Path, label: str) -> None:
    program, weights = network((label, label))
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, program, weights))
    x = normal(3, 3)
    np.testing.assert_allclose(run(runtime, [x])[0][0], answer(x, weights), 1e-5, 1e-5)
    model = onnx.load(tmp_path / "bundle" / "main.onnx")
    names = [name for node in model.graph.node for name in node.output]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in names)
    kept = [p.value for node in model.graph.node for p in node.metadata_props if p.key == "netwright.label"]
    assert set(kept) == ({label} if label else set())


@pytest.mark.parametrize("name", HOSTILE[:8])
def test_hostile_names_of_inputs_and_weights_are_data(tmp_path: Path, name: str) -> None:
    graph = graph_of([tensor_type("float32[3]")] * 2, lambda build, x, weight: x * weight)
    entry = entry_of(graph, [name], [f"{name}.w"])
    program = program_of(replace(entry, outputs=(f"{name}!",)))
    weights = {f"{name}.w": normal(3, salt=1)}
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, program, weights))
    x = normal(3)
    (found,), _ = run(runtime, [x], [name])
    np.testing.assert_allclose(found, x * weights[f"{name}.w"], 1e-6)


def test_an_output_may_be_called_like_an_input(tmp_path: Path) -> None:
    graph = graph_of([tensor_type("float32[3]")], lambda build, x: x + 1)
    program = program_of(replace(entry_of(graph, ["x"]), outputs=("x",)))
    outputs, _ = BACKEND.load(build(tmp_path / "bundle", BACKEND, program)).call("main", {"x": normal(3)}, {}, {})
    np.testing.assert_allclose(outputs["x"], normal(3) + 1, 1e-6)


# ---- weights inside and outside


@pytest.mark.parametrize("settings", [{}, {"external": True}, {"limit": 10}, {"external": False, "limit": 0}])
def test_weights_inside_and_outside_give_the_same(tmp_path: Path, settings: dict[str, Any]) -> None:
    program, weights = network()
    loaded = build(tmp_path / "bundle", BACKEND, program, weights, **settings)
    outside = settings.get("external", "limit" in settings)
    assert ("weights.bin" in loaded.manifest["files"]) == outside
    x = normal(5, 3)
    np.testing.assert_allclose(run(BACKEND.load(loaded), [x])[0][0], answer(x, weights), 1e-5, 1e-5)
    path = tmp_path / "bundle" / "main.onnx"
    onnx.checker.check_model(str(path), full_check=True)
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    for tensor, array in zip(tensors, weights.values(), strict=True):
        if outside:
            facts = {entry.key: entry.value for entry in tensor.external_data}
            assert facts["location"] == "weights.bin"
            assert int(facts["offset"]) % 4096 == 0
            assert int(facts["length"]) == array.nbytes
        else:
            np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), array)


def test_entries_share_one_file_of_weights(tmp_path: Path) -> None:
    program, weights = two_entries()
    loaded = build(tmp_path / "bundle", BACKEND, program, weights)
    assert set(loaded.manifest["files"]) == {"main.onnx", "again.onnx", "weights.bin"}
    assert loaded.manifest["files"]["weights.bin"]["bytes"] < 3 * 4096
    runtime = BACKEND.load(loaded)
    x = normal(2, 3)
    for entry in ("main", "again"):
        np.testing.assert_allclose(run(runtime, [x], entry=entry)[0][0], answer(x, weights), 1e-5, 1e-5)


class _OneAtATime(Mapping[str, np.ndarray]):
    """Weights that notice when two are alive."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.alive = self.most = 0

    def __getitem__(self, name: str) -> np.ndarray:
        self.alive += 1
        self.most = max(self.most, self.alive)
        made = _Counted(self.arrays[name].shape, self.arrays[name].dtype, self.arrays[name].tobytes())
        made.owner = self
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


class _Counted(np.ndarray):
    owner: Any = None

    def __del__(self) -> None:
        if self.owner is not None:
            self.owner.alive -= 1


@pytest.mark.parametrize("external", [False, True])
def test_one_weight_in_memory_at_a_time(tmp_path: Path, external: bool) -> None:
    program, arrays = network()
    weights = _OneAtATime(arrays)
    emission = BACKEND.emit(legal(program, BACKEND), weights, Options(settings={"external": external}))
    assert weights.most == 0
    for name, content in emission.files.items():
        with open(tmp_path / name, "wb") as file:
            content(file)  # type: ignore[operator]
    assert (weights.most, weights.alive) == (1, 0)
    session = onnxruntime.InferenceSession(tmp_path / "main.onnx")
    x = normal(2, 3)
    np.testing.assert_allclose(session.run(None, {"x0": x})[0], answer(x, arrays), 1e-5, 1e-5)


def test_a_weight_of_another_shape_is_refused(tmp_path: Path) -> None:
    program, weights = network()
    with pytest.raises(BackendError, match=r"weight out.weight is float32\[4, 2\], float32\[2, 4\] is declared"):
        build(tmp_path / "bundle", BACKEND, program, {**weights, "out.weight": weights["out.weight"].T})


@pytest.mark.parametrize("dtype", [dtype for dtype in DType])
def test_weights_and_states_of_every_dtype(tmp_path: Path, dtype: DType) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype.numpy)
    type = TensorType(dtype, (2, 3))
    graph = graph_of([type, type], lambda build, x, weight: [weight, x])
    program = program_of(entry_of(graph, ["x0"], ["weight"]))
    for external in (False, True):
        loaded = build(tmp_path / str(external), BACKEND, program, {"weight": array}, external=external)
        outputs, _ = run(BACKEND.load(loaded), [array + array if dtype is not DType.BOOL else ~array])
        assert outputs[0].dtype == dtype.numpy
        np.testing.assert_array_equal(outputs[0], array)


# ---- equal bytes

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.backends.test_onnx_bundle import two_entries, network, BACKEND, build
program, weights = two_entries()
build(Path("bundle"), BACKEND, program, weights)
program, weights = network()
build(Path("single"), BACKEND, program, weights)
"""


def test_equal_bytes_in_any_folder_under_any_hash_seed(tmp_path: Path) -> None:
    found = []
    for seed in ("0", "1", "77"):
        folder = tmp_path / f"folder{seed}"
        folder.mkdir()
        paths = os.pathsep.join([str(ROOT), *(path for path in sys.path if path)])
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths}
        command = [sys.executable, "-c", SCRIPT, str(ROOT)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found.append({str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))})
    assert len(found[0]) == 6
    assert found[0] == found[1] == found[2]


# ---- settings, opsets, threads


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"opsets": 23}, "no setting 'opsets' .it has external, keep_nan, limit, opset, threads"),
        ({"opset": 17}, "onnx opset 17 is none of 18 to 26"),
        ({"opset": 27}, "onnx opset 27 is none of 18 to 26"),
        ({"opset": "23"}, "onnx opset '23' is none of"),
        ({"opset": True}, "onnx opset True is none of"),
        ({"external": 1}, "external is true or false, not 1"),
        ({"keep_nan": None}, "keep_nan is true or false, not None"),
        ({"threads": 0}, "threads is a number, 1 or more, not 0"),
        ({"limit": 2**40}, "limit is a number of bytes up to 1500000000"),
    ],
)
def test_settings_are_checked(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    program, weights = network()
    with pytest.raises(BackendError, match=message):
        build(tmp_path / "bundle", BACKEND, program, weights, **settings)


def test_devices_are_refused() -> None:
    program, weights = network()
    with pytest.raises(BackendError, match="onnx has no device 'cuda'"):
        BACKEND.emit(program, weights, Options("cuda"))


def test_a_bitcast_raises_the_default_opset_and_says_what_an_older_one_lacks(tmp_path: Path) -> None:
    graph = graph_of([tensor_type("float32[3]")], lambda build, x: apply(build, Bitcast(dtype=DType.UINT32), x))
    program = program_of(entry_of(graph, ["x0"]))
    loaded = build(tmp_path / "bundle", BACKEND, program)
    assert loaded.manifest["backend"] == {"opset": {"main": 26}}
    np.testing.assert_array_equal(run(BACKEND.load(loaded), [normal(3)])[0][0], normal(3).view(np.uint32))
    message = r"onnx opset 25 cannot compute bitcast\(float32\[3\]\): BitCast needs ONNX opset 26"
    with pytest.raises(BackendError, match=message):
        build(tmp_path / "old", BACKEND, program, opset=25)


@pytest.mark.parametrize("op", [Erf(), Conv()])
def test_what_onnxruntime_lacks_is_refused(op: Any) -> None:
    given = [tensor_type("float64[1, 1, 3]")] * len(op.operands)
    program = program_of(entry_of(graph_of(given, lambda build, *x: apply(build, op, *x)), ["x0", "x1"][: len(given)]))
    with pytest.raises(LegalizeError, match=f"onnxruntime computes no {op.name} in float64 on a CPU"):
        legal(program, BACKEND)


@pytest.mark.parametrize("threads", ["0", "two", "-1"])
def test_threads_are_checked(tmp_path: Path, threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, weights = network()
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, program, weights))
    monkeypatch.setenv("NETWRIGHT_THREADS", threads)
    with pytest.raises(BackendError, match="NETWRIGHT_THREADS is a number of threads"):
        run(runtime, [normal(1, 3)])


def test_threads_of_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, weights = network()
    loaded = build(tmp_path / "bundle", BACKEND, program, weights, threads=1)
    for environment, wanted in (("", 1), ("2", 2)):
        monkeypatch.setenv("NETWRIGHT_THREADS", environment)
        runtime = BACKEND.load(loaded)
        run(runtime, [normal(1, 3)])
        assert runtime._sessions["main"].get_session_options().intra_op_num_threads == wanted  # type: ignore[attr-defined]


def test_calls_from_several_threads(tmp_path: Path) -> None:
    program, weights = network()
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, program, weights))
    found: dict[int, np.ndarray] = {}

    def call(size: int) -> None:
        found[size] = run(runtime, [normal(size, 3)])[0][0]

    threads = [threading.Thread(target=call, args=(size,)) for size in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for size, array in found.items():
        np.testing.assert_allclose(array, answer(normal(size, 3), weights), 1e-5, 1e-5)
    assert len(found) == 8


def test_a_broken_model_is_one_error(tmp_path: Path) -> None:
    program, weights = network()
    loaded = build(tmp_path / "bundle", BACKEND, program, weights)
    (tmp_path / "bundle" / "main.onnx").write_bytes(b"no model")
    with pytest.raises(BackendError, match="onnxruntime cannot load"):
        run(BACKEND.load(loaded), [normal(1, 3)])
    with pytest.raises(bundle.BundleError):
        bundle.read(tmp_path / "bundle")


# ---- export of one entry


def test_export_writes_one_file_that_runs_alone(tmp_path: Path) -> None:
    program, weights = two_entries()
    path = tmp_path / "made" / "model.onnx"
    export_entry(legal(program, BACKEND), weights, "again", path)
    assert [each.name for each in path.parent.iterdir()] == ["model.onnx"]
    onnx.checker.check_model(str(path), full_check=True)
    x = normal(8, 3)
    (found,) = onnxruntime.InferenceSession(path).run(None, {"x0": x})
    np.testing.assert_allclose(found, answer(x, weights), 1e-5, 1e-5)


def test_export_puts_large_weights_beside(tmp_path: Path) -> None:
    program, weights = network()
    path = tmp_path / "model.onnx"
    BACKEND.export(legal(program, BACKEND), weights, "main", path, Options(settings={"limit": 1, "opset": 20}))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    onnx.checker.check_model(str(path), full_check=True)
    assert onnx.load(path).opset_import[0].version == 20
    (found,) = onnxruntime.InferenceSession(path).run(None, {"x0": normal(1, 3)})
    np.testing.assert_allclose(found, answer(normal(1, 3), weights), 1e-5, 1e-5)


def test_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    program, weights = network()
    made = legal(program, BACKEND)
    del weights["out.weight"]
    for settings in ({}, {"external": True}):
        with pytest.raises(KeyError):
            BACKEND.export(made, weights, "main", tmp_path / "model.onnx", Options(settings=settings))
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(BackendError, match=r"there is no entry 'other' \(there are main"):
        export_entry(made, weights, "other", tmp_path / "model.onnx")
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="cannot write"):
        export_entry(made, weights, "main", tmp_path / "file" / "model.onnx")


def test_a_fresh_process_imports_nothing_heavy_to_list_targets() -> None:
    script = "import sys, netwright.backends.registry as r; r.names(); print({'onnx', 'onnxruntime'} & {*sys.modules})"
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.stdout.strip() == "set()", done.stderr
