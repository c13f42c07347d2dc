"""Executables for TPUs, compiled by libtpu without one: what is in the bundle, what it costs, what is refused."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netwright as nw
from netwright.backends import registry
from netwright.backends.api import BackendError, Options
from netwright.backends.bundle import read_manifest
from netwright.backends.jax.tpu import compile as tpu_compile
from netwright.backends.jax.tpu.report import PASSES, entry_work
from netwright.backends.jax.tpu.topology import SLICES, parse
from netwright.driver.build import Build, Weights, compile_model, compile_program, write_bundle

needs_libtpu = pytest.mark.skipif(sys.platform != "linux", reason="libtpu is for Linux")

SPEC = """\
netwright: 1
name: small
inputs: {x: 'float[N, 16]'}
graph:
  - {op: linear, name: a, in: x, features: 32}
  - {op: tanh, name: t}
  - {op: linear, name: b, features: 8}
outputs: {y: b}
state:
  total: {type: 'float[N, 16]', initial: 0}
entries:
  decode:
    inputs: {x: 'float[N, 16]'}
    graph:
      - {name: now, value: total + x}
    outputs: {z: 2 * now, total: now}
sharding:
  mesh: {data: 2, model: 2}
  params: {a.weight: [model, null], a.bias: [model], b.weight: [null, model]}
  values: {x: [data, null], t: [data, model], total: [data, null], y: [data, null]}
"""


def model(folder: Path, **options: Any) -> Any:
    path = folder / "small.yaml"
    path.write_text(SPEC)
    return nw.load(path, **options)


def build(model: Any, folder: Path, device: str, **more: Any) -> dict[str, Any]:
    write_bundle(model, folder, Build("jax", Options(device, **more)), Weights())
    return read_manifest(folder)


# ---- what is made


@needs_libtpu
def test_a_bundle_for_four_chips(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    manifest = build(
        model(tmp_path, dims={"N": 8}), tmp_path / "b", "tpu:v5e:2x2", report=lambda *told: steps.append(told)
    )
    assert manifest["device"] == "tpu:v5e:2x2"
    assert steps == [("compiling main for tpu:v5e:2x2", 0, 2), ("compiling decode for tpu:v5e:2x2", 1, 2)]
    tpu = manifest["backend"]["tpu"]
    assert (tpu["chips"], tpu["devices"], tpu["devices_used"], tpu["topology"]) == (4, 4, 4, "v5e:2x2")
    assert tpu["chip"] == "TPU v5 lite"
    for name in ("main", "decode"):
        data = (tmp_path / "b" / f"{name}.tpu").read_bytes()
        assert len(data) > 1000
        assert manifest["files"][f"{name}.tpu"]["sha256"] == hashlib.sha256(data).hexdigest()
    main = tpu["entries"]["main"]
    assert [(one["kind"], one["name"], one["shape"], one["axes"]) for one in main["arguments"]] == [
        ("parameter", "a.bias", [32], ["model"]),
        ("parameter", "a.weight", [32, 16], ["model", None]),
        ("parameter", "b.bias", [8], [None]),
        ("parameter", "b.weight", [8, 32], [None, "model"]),
        ("input", "x", [8, 16], ["data", None]),
    ]
    assert main["outputs"] == [
        {"kind": "output", "name": "y", "dtype": "float32", "shape": [8, 8], "axes": ["data", None]}
    ]
    decode = tpu["entries"]["decode"]
    assert [(one["kind"], one["name"]) for one in decode["arguments"]] == [("input", "x"), ("state", "total")]
    assert [(one["kind"], one["name"]) for one in decode["outputs"]] == [("output", "z"), ("state", "total")]
    assert "optimal_seconds" not in json.dumps(manifest)
    memory = main["memory"]
    # At least what the parts of the arguments hold; the chip pads them to its tiles.
    assert memory["argument_bytes"] >= 4 * (16 + 16 * 16 + 8 + 8 * 16 + 4 * 16)
    assert memory["total_bytes"] >= memory["argument_bytes"] + memory["output_bytes"]
    assert 2 * 8 * (16 * 32 + 32 * 8) / 4 <= main["flops"] < 20_000
    assert main["bytes_accessed"] > 0 and main["bound"] in ("compute", "memory")
    assert 1e-9 < main["roofline_seconds"] < 1e-4
    (table,) = registry.get("jax").describe(manifest)
    assert table.columns == ("", "decode", "main")
    assert [row[0] for row in table.rows] == [
        "arguments in HBM", "temporaries in HBM", "output in HBM", "code in HBM", "HBM in all", "FLOPs",
        "bytes accessed", "roofline time", "bound by",
    ]  # fmt: skip
    assert "per chip of 4 used on v5e:2x2 (4 of TPU v5 lite, 16 GiB of HBM each)" in table.note
    with pytest.raises(BackendError, match="is for tpu:v5e:2x2; JAX found cpu, no TPU"):
        nw.open(tmp_path / "b")


@needs_libtpu
def test_one_chip_and_equal_bytes_of_executables(tmp_path: Path) -> None:
    for name in ("a", "b"):
        found = model(tmp_path, dims={"N": 8}).spreading({})
        manifest = build(found, tmp_path / name, "tpu:v5e:1x1")
    assert manifest["backend"]["tpu"]["devices_used"] == 1
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


DEEP = """\
netwright: 1
name: deep
inputs: {x: 'float[8, 16]'}
blocks:
  layer:
    inputs: {x: any}
    graph:
      - {op: linear, name: h, in: x, features: 16}
      - {op: tanh, name: y}
    outputs: {x: y}
graph:
  - {block: layer, name: stack, path: l.$i, repeat: 5, carry: {x: x}}
outputs: {y: stack.x}
sharding:
  mesh: {model: 4}
  params: {'l.*.h.weight': [model, null]}
  values: {'stack.*.h': [null, model]}
"""


@needs_libtpu
def test_blocks_rolled_into_a_loop(tmp_path: Path) -> None:
    """The stack lies as its parts do; the body of the loop counts five times."""
    (tmp_path / "deep.yaml").write_text(DEEP)
    options = Options("tpu:v5e:2x2")
    write_bundle(nw.load(tmp_path / "deep.yaml"), tmp_path / "b", Build("jax", options, roll=True), Weights())
    manifest = read_manifest(tmp_path / "b")
    main = manifest["backend"]["tpu"]["entries"]["main"]
    shown = {one["name"]: (one["shape"], one["axes"]) for one in main["arguments"]}
    assert shown["l.0.h.weight.packed"] == ([5, 16, 16], [None, "model", None])
    assert main["loops"] and main["flops"] >= 5 * 2 * 8 * 16 * 16 / 4
    assert "lax.scan" in (tmp_path / "b" / "model.py").read_text()


@pytest.mark.parametrize("roll", [True, False])
def test_a_loop_of_blocks_gives_the_same(tmp_path: Path, roll: bool) -> None:
    (tmp_path / "deep.yaml").write_text(DEEP)
    deep = nw.load(tmp_path / "deep.yaml")
    options = Options(settings={"stablehlo": False})
    found = compile_model(deep.spreading({"model": 1}), Build("jax", options, roll=roll), Weights())
    x = np.ones((8, 16), np.float32)
    np.testing.assert_allclose(found(x=x)["y"], nw.compile(deep, "numpy")(x=x)["y"], 1e-5, 1e-6)


def test_targets_without_loops_of_blocks(tmp_path: Path) -> None:
    (tmp_path / "deep.yaml").write_text(DEEP)
    with pytest.raises(BackendError, match="target numpy makes no loop of equal blocks; jax does"):
        write_bundle(nw.load(tmp_path / "deep.yaml"), tmp_path / "b", Build("numpy", roll=True), Weights())


def test_products_of_float32_are_six_passes(tmp_path: Path) -> None:
    compiled = compile_program(model(tmp_path, dims={"N": 8}), Build("jax"), Weights())
    work = entry_work(compiled.program, compiled.program.entries["main"])
    macs = 8 * (16 * 32 + 32 * 8)
    assert (work.macs, work.passes, work.loops) == (macs, PASSES["highest"] * macs, False)
    assert work.flops >= 2 * macs


# ---- what is refused


@needs_libtpu
@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("tpu:v5q:2x2", "libtpu knows no topology v5q:2x2: did you mean v5"),
        ("tpu:v5e:3x3", "libtpu knows no topology v5e:3x3: the nearest slices of v5e are"),
        ("tpu:v5e:2x4", "the mesh data=2, model=2 has 4 devices, tpu:v5e:2x4 has 8; give a mesh of 8 by --mesh"),
    ],
)
def test_topologies_that_do_not_fit(tmp_path: Path, device: str, message: str) -> None:
    with pytest.raises(BackendError) as caught:
        build(model(tmp_path, dims={"N": 8}), tmp_path / "b", device)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("tpu:v5e", "'tpu:v5e' is no TPU topology; write tpu:v5e:SHAPE with a shape such as 1x1, 2x2"),
        ("tpu:2x2", "is no TPU topology; Known kinds of chips are v2, v3"),
        ("tpu:v6:", "did you mean v6e?"),
        ("tpu:v5e:2x-2", "is no TPU topology"),
        ("tpu:v5e:9999x9999", "has 99980001 chips; the nearest slices of v5e are 16x16"),
        ("tpu:v5p:0x2x2", "has 0 chips"),
        ("tpux", "the jax target knows the devices cpu, cuda, tpu and topologies such as tpu:v5e:2x2, not 'tpux'"),
    ],
)
def test_names_that_are_none(tmp_path: Path, device: str, message: str) -> None:
    with pytest.raises(BackendError) as caught:
        build(model(tmp_path, dims={"N": 8}), tmp_path / "b", device)
    assert message in str(caught.value)


def test_every_documented_slice_is_a_name() -> None:
    for kind, shapes in SLICES.items():
        for shape in shapes:
            assert parse(f"tpu:{kind}:{shape}").name == f"{kind}:{shape}"


@needs_libtpu
def test_sizes_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="tpu:v5e:2x2 compiles for sizes that are known; set this one: --dim N=..."):
        build(model(tmp_path), tmp_path / "b", "tpu:v5e:2x2")


def test_without_libtpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tpu_compile, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"libtpu is needed: pip install 'netwright\[tpu\]'"):
        build(model(tmp_path, dims={"N": 8}), tmp_path / "b", "tpu:v5e:2x2")


@needs_libtpu
def test_more_than_the_memory_of_a_chip(tmp_path: Path) -> None:
    """The compiler's own words, in one line."""
    with pytest.raises(BackendError, match=r"compiling main for tpu:v5e:1x1: RESOURCE_EXHAUSTED: .*exceeds available"):
        build(model(tmp_path, dims={"N": 2**28}).spreading({}), tmp_path / "b", "tpu:v5e:1x1")


@needs_libtpu
@pytest.mark.parametrize(
    ("worker", "message"),
    [
        ("netwright.no_such_module", "the compiler's process ended: .*no_such_module"),
        ("this", "said 'The Zen of Python, by Tim Peters', which is no answer"),
    ],
)
def test_a_process_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: str, message: str) -> None:
    monkeypatch.setattr(tpu_compile, "WORKER", worker)
    with pytest.raises(BackendError, match=message):
        build(model(tmp_path, dims={"N": 8}), tmp_path / "b", "tpu:v5e:2x2")


# ---- without weights


def test_a_bundle_without_weights(tmp_path: Path) -> None:
    found = model(tmp_path).spreading({})
    write_bundle(found, tmp_path / "b", Build("numpy", weights=False), Weights())
    manifest = read_manifest(tmp_path / "b")
    assert manifest["weights"] == "none" and "weights.safetensors" not in manifest["files"]
    with pytest.raises(BackendError, match="was compiled without weights; compile it with them to run it here"):
        nw.open(tmp_path / "b")
    with pytest.raises(BackendError, match="target onnx writes weights into its own files; it needs them"):
        write_bundle(found, tmp_path / "c", Build("onnx", weights=False), Weights())
