"""A model over a mesh of devices: virtual ones of the CPU, in one process and in two, against one device.

Each run has processes of its own: JAX counts its devices once.
"""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import netwright as nw
from netwright.backends import bundle, signature
from netwright.backends.api import BackendError, Options
from netwright.backends.bundle import read_manifest
from netwright.backends.executable import InputError, bind_sizes
from netwright.backends.jax import devices, stablehlo
from netwright.backends.jax.runtime import import_model
from netwright.driver.build import Build, Weights, write_bundle

RULES: dict[str, tuple[str | None, ...]] = {
    "transformer.wte.weight": (None, "model"),
    "transformer.h.*.attn.c_attn.weight": ("model", None),
    "transformer.h.*.attn.c_attn.bias": ("model",),
    "transformer.h.*.attn.c_proj.weight": (None, "model"),
    "transformer.h.*.mlp.c_fc.weight": ("model", None),
    "transformer.h.*.mlp.c_fc.bias": ("model",),
    "transformer.h.*.mlp.c_proj.weight": (None, "model"),
    "ids": ("data", None),
    "token": ("data",),
    "cache.*.*": ("data", None, "model"),
    "run.stack.*.y": ("data", None, None),
    "logits": ("data", None, None),
}
SIZES = {"depth": 2, "width": 32, "heads": 4, "context": 16, "vocabulary": 64, "new_tokens": 4, "stop": 63}
IDS = np.arange(32).reshape(4, 8) * 7 % 60

RUN = """
import os, sys
import numpy as np
import netwright as nw

net = nw.open(sys.argv[1])
ids = np.arange(32).reshape(4, 8) * 7 % 60
found = {"logits": net(ids=ids)["logits"], "prefill": net.run("prefill", ids=ids)["logits"]}
found["decode"] = net.run("decode", token=ids[:, 0])["logits"]
if "NETWRIGHT_PROCESS" not in os.environ:
    found["tokens"] = net.run("generate", ids=ids, temperature=1.0, seed=0)["tokens"]
found["parts"] = np.array([len(array.sharding.device_set) for array in net.runtime.net.params.values()])
weight = net.runtime.net.params["transformer.h.0.mlp.c_fc.weight"]
found["part"] = np.array(weight.addressable_shards[0].data.shape)
np.savez(sys.argv[2], **found)
"""


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small GPT-2 over 2 x 4 devices."""
    folder = tmp_path_factory.mktemp("mesh") / "gpt2"
    model = nw.load("zoo:gpt2", **SIZES).spreading({"data": 2, "model": 4}, RULES)
    write_bundle(model, folder, Build("jax", Options(settings={"stablehlo": False})), Weights())
    return folder


@pytest.fixture(scope="module")
def alone() -> dict[str, np.ndarray]:
    """What one device gives."""
    net = nw.compile(nw.load("zoo:gpt2", **SIZES), "jax", settings={"stablehlo": False})
    found = {"logits": net(ids=IDS)["logits"], "prefill": net.run("prefill", ids=IDS)["logits"]}
    found["decode"] = net.run("decode", token=IDS[:, 0])["logits"]
    found["tokens"] = net.run("generate", ids=IDS, temperature=1.0, seed=0)["tokens"]
    return found


def start(folder: Path, *out: Path, script: str = RUN, **variables: str) -> subprocess.Popen[str]:
    """The bundle in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    environment |= {"JAX_PLATFORMS": "cpu", **variables}
    command = [sys.executable, "-c", script, str(folder), *map(str, out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def ended(process: subprocess.Popen[str]) -> str:
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    return said


def agree(path: Path, wanted: dict[str, np.ndarray]) -> None:
    with np.load(path) as found:
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, 1e-5, 1e-5 * float(np.abs(array).max()), err_msg=name)
        assert (found["parts"] == 8).all()
        assert found["part"].tolist() == [32, 32]


def test_gpt2_on_eight_virtual_devices_equals_one(gpt2: Path, alone: dict[str, np.ndarray], tmp_path: Path) -> None:
    ended(start(gpt2, tmp_path / "mesh.npz"))
    agree(tmp_path / "mesh.npz", alone)


def test_two_processes_over_loopback_equal_one(gpt2: Path, alone: dict[str, np.ndarray], tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    variables = {"NETWRIGHT_COORDINATOR": address, "NETWRIGHT_PROCESSES": "2"}
    running = [start(gpt2, tmp_path / f"{k}.npz", **variables, NETWRIGHT_PROCESS=str(k)) for k in range(2)]
    for process in running:
        ended(process)
    for k in range(2):
        agree(tmp_path / f"{k}.npz", {name: alone[name] for name in ("logits", "prefill", "decode")})


def test_the_sharding_can_be_read(gpt2: Path) -> None:
    text = (gpt2 / "model.py").read_text()
    ast.parse(text)
    assert "MESH = {'data': 2, 'model': 4}" in text
    assert "    'transformer.h.1.mlp.c_fc.weight': ('model', None)," in text
    assert "    'ids': ('data', None)," in text
    assert text.count("= spread(v") >= 2
    assert "XLA_FLAGS=--xla_force_host_platform_device_count=8" in text
    sharding = read_manifest(gpt2)["backend"]["sharding"]
    assert sharding["mesh"] == [["data", 2], ["model", 4]]
    assert sharding["params"]["transformer.wte.weight"] == [None, "model"]
    assert sharding["values"]["run.stack.1.y"] == ["data", None, None]


def test_the_functions_run_on_one_device_too(gpt2: Path, alone: dict[str, np.ndarray]) -> None:
    module = import_model((gpt2 / "model.py").read_text())
    params = dict(bundle.read(gpt2).weights)
    with jax.enable_x64(True):
        logits = module.main(params, {"ids": IDS})["logits"]
    np.testing.assert_allclose(logits, alone["logits"], 1e-5, 1e-5 * float(np.abs(alone["logits"]).max()))


def test_too_few_devices_are_an_error(gpt2: Path) -> None:
    """In a process where JAX has started, with one device."""
    script = (
        "import sys, jax, netwright as nw\n"
        "from netwright.backends.api import BackendError\n"
        "assert len(jax.devices()) == 1\n"
        "try:\n    nw.open(sys.argv[1])\nexcept BackendError as error:\n    print(error)\n"
    )
    said = ended(start(gpt2, script=script))
    assert said.startswith("the mesh data=2, model=4 needs 8 devices; JAX was started with 1")


SPEC = """\
netwright: 1
name: small
inputs: {x: 'float[N, 4]'}
graph:
  - {op: linear, name: a, in: x, features: 8}
  - {op: tanh, name: t}
outputs: {y: t}
sharding:
  mesh: {data: 1}
  values: {x: [data, null], t: [data, null]}
"""


def small(folder: Path, mesh: str) -> Any:
    path = folder / "small.yaml"
    path.write_text(SPEC.replace("{data: 1}", mesh))
    return nw.load(path)


def test_stablehlo_holds_the_sharding(tmp_path: Path) -> None:
    """For a free batch too: what divides it is told to the compiler, and asked of each call with its line."""
    write_bundle(small(tmp_path, "{data: 2}"), tmp_path / "b", Build("jax"), Weights())
    manifest = read_manifest(tmp_path / "b")
    assert manifest["backend"]["stablehlo"]["refused"] == {}
    exported = jax.export.deserialize(bytearray((tmp_path / "b" / "main.stablehlo").read_bytes()))
    assert exported.nr_devices == 2
    with pytest.raises(BackendError, match="was exported for a mesh of devices"):
        stablehlo.load(bundle.read(tmp_path / "b"))
    (guard,) = manifest["signature"]["entries"]["main"]["guards"]
    assert guard[:2] == ["N", "2*((N)//2)"]
    assert "small.yaml:10:12 (x is spread over the 2 devices of data)" in guard[2]
    with pytest.raises(
        InputError,
        match=r"N = 3 must be a multiple of 2 \(.*small.yaml:10:12 \(x is spread over the 2 devices of data\)",
    ):
        bind_sizes(signature.from_json(manifest["signature"]).entries["main"], {"x": (3, 4)})


def test_equal_bytes_in_every_process(tmp_path: Path) -> None:
    model = small(tmp_path, "{data: 2}")
    write_bundle(model, tmp_path / "here", Build("jax"), Weights())
    script = (
        "import sys, netwright as nw\n"
        "from netwright.driver.build import Build, Weights, write_bundle\n"
        "from pathlib import Path\n"
        "write_bundle(nw.load(sys.argv[1]), Path(sys.argv[2]), Build('jax'), Weights())\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", script, str(tmp_path / "small.yaml"), str(tmp_path / "there")]
    subprocess.run(command, check=True, env=environment, timeout=120)
    for path in sorted((tmp_path / "here").iterdir()):
        assert path.read_bytes() == (tmp_path / "there" / path.name).read_bytes(), path.name


def test_a_mesh_of_one_device_runs_here(tmp_path: Path) -> None:
    x = np.ones((3, 4), np.float32)
    spread = nw.compile(small(tmp_path, "{data: 1}"), "jax")
    plain = nw.compile(small(tmp_path, "{data: 1}"), "jax", mesh={})
    assert "sharding" not in plain.manifest["backend"]
    np.testing.assert_allclose(spread(x=x)["y"], plain(x=x)["y"], 1e-6)
    assert spread.runtime.net.mesh.size == 1


def test_other_targets_leave_a_sharding_aside_but_take_no_mesh(tmp_path: Path) -> None:
    x = np.ones((3, 4), np.float32)
    model = small(tmp_path, "{data: 2}")
    assert nw.compile(model, "numpy")(x=x)["y"].shape == (3, 8)
    with pytest.raises(BackendError, match="target numpy runs on one device; a mesh is for targets such as jax"):
        nw.compile(model, "numpy", mesh={"data": 2})


# ---- several processes


GOOD = {"NETWRIGHT_COORDINATOR": "127.0.0.1:1234", "NETWRIGHT_PROCESSES": "2", "NETWRIGHT_PROCESS": "1"}


def test_variables_of_several_processes() -> None:
    assert devices.processes({}) is None
    assert devices.processes(GOOD) == devices.Processes("127.0.0.1:1234", 2, 1)
    assert devices.processes({**GOOD, "NETWRIGHT_COORDINATOR": "[::1]:80"}) is not None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"NETWRIGHT_PROCESS": ""}, "NETWRIGHT_COORDINATOR, NETWRIGHT_PROCESSES are set, NETWRIGHT_PROCESS is not"),
        ({"NETWRIGHT_COORDINATOR": "localhost"}, "is an address and a port, as 127.0.0.1:12355, not 'localhost'"),
        ({"NETWRIGHT_PROCESSES": "two"}, "NETWRIGHT_PROCESSES is a whole number, not 'two'"),
        ({"NETWRIGHT_PROCESS": "2"}, "NETWRIGHT_PROCESS is 2; with 2 processes it is from 0 to 1"),
    ],
)
def test_variables_that_are_mistaken(changed: dict[str, str], message: str) -> None:
    with pytest.raises(BackendError) as caught:
        devices.processes({**GOOD, **changed})
    assert message in str(caught.value)


def test_a_mesh_that_the_processes_do_not_divide(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**GOOD, "NETWRIGHT_PROCESSES": "3"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BackendError, match="a mesh of 8 devices is not divisible by 3 processes"):
        devices.start(8)
