"""The way of a call on a GPU, with everything but the GPU: kernels are interpreted, the device, its clock and its memory
are of the tests' making. Choosing configs, the cache, memory, faults and what keeps an entry from a graph are real."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
import triton

from netwright.backends import registry
from netwright.backends.api import BackendError
from netwright.backends.triton import runtime, toolchain, tuning
from netwright.backends.triton.toolchain import Gpu
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, DType, TensorType, symbol
from netwright.compiler.ops.contract import Dot
from netwright.compiler.ops.control import While
from netwright.compiler.ops.elementwise import Tanh
from netwright.compiler.ops.tensor import Tensor, apply, elementwise

from ..comparing import close
from ..programs import build, entry_of, graph_of, program_of

BACKEND = registry.get("triton")
N = symbol("N")


class Clock:
    """Every launch is as long as the one before, but the third of a kernel's configs is fast."""

    turns = 0

    def __init__(self, *_: object) -> None:
        return

    def __call__(self, launch) -> float:
        Clock.turns += 1
        return Device.last_time(launch)

    def release(self) -> None:
        return


class Device:
    """What the fake device was asked for."""

    free = 2**30
    entered: list[str] = []
    configs: list[dict] = []

    @staticmethod
    def last_time(launch) -> float:
        launch()
        return 1.0 if Device.configs[-1] == Device.fast else 2.0

    fast: dict = {}


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """One H100, at the address of the CPU."""
    found = Gpu("cpu", "H100", 90, 2**30)
    monkeypatch.setattr(toolchain, "triton", lambda kind: triton)
    monkeypatch.setattr(toolchain, "gpu", lambda wanted: found)
    monkeypatch.setattr(tuning, "CudaClock", Clock)
    monkeypatch.setattr(torch.cuda, "device", lambda name: Device.entered.append(name) or nullcontext())
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda name: (Device.free, 2**30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda name: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda name: 0)
    monkeypatch.setenv("NETWRIGHT_CUDA_GRAPHS", "0")
    monkeypatch.setenv("NETWRIGHT_TUNING_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NETWRIGHT_TUNE", raising=False)
    original = runtime.Compiled._start

    def start(launcher, function, kernel, config, *rest):
        Device.configs.append(dict(config.constants))
        original(launcher, function, kernel, config, *rest)

    monkeypatch.setattr(runtime.Compiled, "_start", start)
    Device.entered, Device.configs, Device.free, Clock.turns = [], [], 2**30, 0


def dot(build_: Builder, x: Tensor, w: Tensor) -> Tensor:
    return apply(build_, Dot(lhs_contract=(1,), rhs_contract=(0,)), x, w)


def product(build_: Builder, x: Tensor, w: Tensor) -> Tensor:
    """A matrix product with something behind it."""
    return elementwise(build_, Tanh(), dot(build_, x, w))


TYPES = [TensorType(DType.FLOAT32, (N, 24)), TensorType(DType.FLOAT32, (24, 20))]


def loaded(tmp_path, make=product, types=TYPES, device="cuda", name="bundle"):
    graph = graph_of(types, make)
    program = program_of(entry_of(graph, [f"x{place}" for place in range(len(types))]))
    made = build(tmp_path / name, BACKEND, program)
    made = replace(made, manifest={**made.manifest, "backend": {**made.manifest["backend"], "device": device}})
    return graph, made


def arrays(n: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(n)
    return {
        "x0": draw.standard_normal((n, 24)).astype(np.float32),
        "x1": draw.standard_normal((24, 20)).astype(np.float32),
    }


def test_measured_once_then_remembered(gpu, tmp_path):
    graph, made = loaded(tmp_path)
    told = []
    net = BACKEND.load(replace(made, report=lambda *what: told.append(what)))
    (kernel,) = net.module.kernels.values()
    Device.fast = dict(kernel.configs[2].constants)
    given = arrays(9)
    outputs, _ = net.call("main", given, {}, {"N": 9})
    (wanted,) = evaluate(graph, list(given.values()), {"N": 9}, wide=True)
    close(outputs["y0"], wanted, DType.FLOAT32, 1)
    assert Clock.turns >= tuning.FIRST_ROUNDS * len(kernel.configs)
    assert Device.configs[-1] == Device.fast, "the call itself ran with the winner"
    assert told[-1][0] == f"tuning {kernel.name}" and told[-1][1] == told[-1][2] == Clock.turns
    assert set(Device.entered) == {"cpu"}, "Triton launches on the current device"
    turns, launches = Clock.turns, len(Device.configs)
    net.call("main", given, {}, {"N": 9})
    net.call("main", arrays(12), {}, {"N": 12})
    assert Clock.turns == turns and len(Device.configs) == launches + 2, "one class of sizes"
    net.call("main", arrays(40), {}, {"N": 40})
    assert Clock.turns > turns, "another class"
    turns = Clock.turns
    other = BACKEND.load(loaded(tmp_path, name="again")[1])
    other.call("main", given, {}, {"N": 9})
    assert Clock.turns == turns and Device.configs[-1] == Device.fast, "another process would find it"
    assert len(list((tmp_path / "cache").glob("*.json"))) == 2


def test_without_tuning_the_first_config(gpu, tmp_path, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_TUNE", "0")
    net = BACKEND.load(loaded(tmp_path)[1])
    net.call("main", arrays(9), {}, {"N": 9})
    (kernel,) = net.module.kernels.values()
    assert Clock.turns == 0 and Device.configs[-1] == kernel.configs[0].constants
    assert not (tmp_path / "cache").exists()


def test_tensors_in_and_out(gpu, tmp_path):
    net = BACKEND.load(loaded(tmp_path)[1])
    given = {name: torch.from_numpy(array) for name, array in arrays(9).items()}
    outputs, _ = net.call("main", given, {}, {"N": 9})
    assert isinstance(outputs["y0"], torch.Tensor)
    torch.testing.assert_close(outputs["y0"], (given["x0"] @ given["x1"]).tanh(), rtol=1e-4, atol=1e-5)


def test_too_little_memory_for_activations(gpu, tmp_path):
    def chain(build_: Builder, x: Tensor) -> Tensor:
        return dot(build_, dot(build_, x, x), x)

    net = BACKEND.load(loaded(tmp_path, chain, [TensorType(DType.FLOAT32, (N, N))])[1])
    Device.free = 3 * 2**20
    with pytest.raises(
        BackendError, match=r"too little memory on cpu \(H100\): 4.0 MiB are needed \(activations 4.0 MiB"
    ):
        net.call("main", {"x0": np.zeros((1024, 1024), np.float32)}, {}, {"N": 1024})
    assert not Device.configs, "nothing was launched"
    net.call("main", {"x0": np.zeros((20, 20), np.float32)}, {}, {"N": 20})


def test_too_little_memory_for_weights(gpu, tmp_path):
    types = [TensorType(DType.FLOAT32, (N, 512)), TensorType(DType.FLOAT32, (512, 512))]
    program = program_of(entry_of(graph_of(types, dot), ["x0"], params=["w"]))
    made = build(tmp_path / "bundle", BACKEND, program, {"w": np.ones((512, 512), np.float32)})
    made = replace(made, manifest={"backend": {"device": "cuda"}})
    Device.free = 2**19
    with pytest.raises(BackendError, match=r"too little memory .* 1.0 MiB are needed \(weights 1.0 MiB\)"):
        BACKEND.load(made)


@pytest.mark.parametrize(
    "fault, words",
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nSee documentation"),
            "CUDA out of memory",
        ),
        (torch.AcceleratorError("CUDA error: an illegal memory access\nCompile with ..."), "illegal memory access"),
        (triton.runtime.errors.OutOfResources(300000, 232448, "shared memory"), "shared memory, Required: 300000"),
    ],
)
def test_faults_of_the_device(gpu, tmp_path, monkeypatch, fault, words):
    net = BACKEND.load(loaded(tmp_path)[1])

    def fails(*_):
        raise fault

    monkeypatch.setattr(runtime.Compiled, "_start", fails)
    with pytest.raises(BackendError) as caught:
        net.call("main", arrays(9), {}, {"N": 9})
    assert words in str(caught.value) and "H100" in str(caught.value) and "\n" not in str(caught.value)


def test_a_config_that_does_not_fit_is_passed_over(gpu, tmp_path, monkeypatch):
    net = BACKEND.load(loaded(tmp_path)[1])
    (kernel,) = net.module.kernels.values()
    start = runtime.Compiled._start

    def fits(launcher, function, kernel, config, *rest):
        if config == kernel.configs[0]:
            raise triton.runtime.errors.OutOfResources(300000, 232448, "shared memory")
        start(launcher, function, kernel, config, *rest)

    monkeypatch.setattr(runtime.Compiled, "_start", fits)
    for measuring in (False, True):
        Device.configs.clear()
        net.launcher.chosen.clear()
        monkeypatch.setenv("NETWRIGHT_TUNE", str(int(measuring)))
        net.call("main", arrays(9), {}, {"N": 9})
        assert Device.configs and dict(kernel.configs[0].constants) not in Device.configs


def test_why_an_entry_is_not_captured(gpu, tmp_path):
    def halved(build_: Builder, x: Tensor) -> Tensor:
        """Divided by 2 while it is larger than 1."""
        types = [TensorType(DType.FLOAT32, ())]
        larger = graph_of(types, lambda inner, value: value > 1.0)
        half = graph_of(types, lambda inner, value: value * 0.5)
        (found,) = apply(build_, While(constants=0), [x], regions=(larger, half))
        return found

    net = BACKEND.load(loaded(tmp_path, halved, [TensorType(DType.FLOAT32, ())])[1])
    assert net.call("main", {"x0": np.array(20, np.float32)}, {}, {})[0]["y0"] == 0.625
    assert (
        net._obstacle("main", net.module.entries["main"]) == "its loops or branches ask the device for their conditions"
    )
    net = BACKEND.load(loaded(tmp_path, name="plain")[1])
    assert net._obstacle("main", net.module.entries["main"]) is None
