"""Names of devices, and every lack of a machine: one clear error each, and nothing on another device."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from netwright.backends.api import BackendError
from netwright.backends.triton import facts, toolchain
from netwright.backends.triton.toolchain import Device, Gpu

GIB = 2**30


class FakeCuda:
    """torch.cuda with some GPUs: (name, major, minor, bytes)."""

    def __init__(self, *gpus, free: int = 0, reserved: int = 0, allocated: int = 0, problem: str = "") -> None:
        self.gpus, self.free, self.reserved, self.allocated, self.problem = gpus, free, reserved, allocated, problem

    def is_available(self) -> bool:
        return bool(self.gpus) and not self.problem

    def init(self) -> None:
        raise RuntimeError(self.problem or "No CUDA GPUs are available")

    def device_count(self) -> int:
        return len(self.gpus)

    def get_device_properties(self, index):
        name, major, minor, memory = self.gpus[index]
        return SimpleNamespace(name=name, major=major, minor=minor, total_memory=memory)

    def mem_get_info(self, name):
        return self.free, 0

    def memory_reserved(self, name):
        return self.reserved

    def memory_allocated(self, name):
        return self.allocated


H100, A100, V100 = ("H100", 9, 0, 80 * GIB), ("A100", 8, 0, 40 * GIB), ("V100", 7, 0, 32 * GIB)


@pytest.fixture
def machine(monkeypatch):
    """Give this machine a torch of the tests' making."""

    def give(cuda: FakeCuda, made_for: str | None = "12.8", hip: str | None = None) -> None:
        module = SimpleNamespace(cuda=cuda, version=SimpleNamespace(cuda=made_for, hip=hip), __version__="2.13.0+test")
        monkeypatch.setattr(toolchain, "torch", lambda: module)

    return give


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("cuda", Device("cuda", "cuda")),
        ("cuda:3", Device("cuda:3", "cuda", index=3)),
        ("interpreter", Device("interpreter", "interpreter")),
        ("sm_80", Device("sm_80", "offline", capability=80)),
        ("sm_100", Device("sm_100", "offline", capability=100)),
    ],
)
def test_names(name, wanted):
    assert toolchain.device(name) == wanted


@pytest.mark.parametrize("value, kind", [("1", "interpreter"), ("true", "interpreter"), ("0", "cuda"), ("", "cuda")])
def test_the_default_follows_the_environment(monkeypatch, value, kind):
    monkeypatch.setenv("TRITON_INTERPRET", value)
    assert toolchain.device(None).kind == kind
    monkeypatch.delenv("TRITON_INTERPRET")
    assert toolchain.device(None).kind == "cuda"


@pytest.mark.parametrize(
    "name, hint",
    [
        ("sm90", "the nearest is sm_90"),
        ("sm_91", "the nearest is sm_90"),
        ("90", "the nearest is sm_90"),
        ("sm_90a", "the nearest is sm_90"),
        ("compute_75", "the nearest is sm_80"),
        ("sm_70", "the nearest is sm_80"),
        ("sm_130", "the nearest is sm_121"),
        ("gpu", "cuda"),
        ("cuda:", "did you mean cuda"),
        ("CUDA", "did you mean cuda"),
        ("cuda:-1", "did you mean cuda"),
        ("interpeter", "did you mean interpreter"),
        ("cpu", "interpreter"),
        ("", "sm_100"),
        ("tpu:v5e:2x2", "cuda"),
    ],
)
def test_unknown_names_get_the_nearest(name, hint):
    with pytest.raises(BackendError) as caught:
        toolchain.device(name)
    assert hint in str(caught.value) and f"target triton has no device {name!r}" in str(caught.value)


def test_each_architecture_has_a_limit_of_shared_memory():
    assert {f"sm_{number}" for number in facts.SHARED_LIMITS} == set(toolchain.ARCHITECTURES)


@pytest.mark.parametrize("module", ["torch", "triton"])
def test_what_is_not_installed(monkeypatch, module):
    monkeypatch.delitem(sys.modules, module, raising=False)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == module else find(name, *rest))
    assert f"needs {module}, which is not installed" in toolchain.missing()
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(BackendError, match=r'pip install "netwright\[triton\]"'):
        toolchain.torch() if module == "torch" else toolchain.triton("cuda")


def test_what_is_broken(monkeypatch):
    def broken(name):
        raise OSError("libcudart.so.12: cannot open shared object file\nand more")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(BackendError, match=r"torch is installed but cannot be imported: libcudart.so.12: .* file$"):
        toolchain.torch()


def test_whether_there_is_a_gpu_at_all(monkeypatch):
    """Asked of the driver, without torch: for the targets that are tried when nobody names one."""

    class Driver:
        count = 2

        def cuInit(self, flags):
            return 0

        def cuDeviceGetCount(self, place):
            place._obj.value = self.count
            return 0

    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    driver = Driver()
    monkeypatch.setattr(toolchain.ctypes, "CDLL", lambda name: driver)
    assert toolchain.no_device() is None
    driver.count = 0
    assert "no NVIDIA GPU here" in toolchain.no_device()
    driver.cuInit = lambda flags: 100
    assert "no NVIDIA GPU here" in toolchain.no_device()
    monkeypatch.setattr(toolchain.ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError(name)))
    assert "TRITON_INTERPRET=1" in toolchain.no_device()
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert toolchain.no_device() is None


def test_a_gpu(machine):
    machine(FakeCuda(A100, H100))
    assert toolchain.gpu(toolchain.device("cuda")) == Gpu("cuda:0", "A100", 80, 40 * GIB)
    assert toolchain.gpu(toolchain.device("cuda:1")) == Gpu("cuda:1", "H100", 90, 80 * GIB)
    assert toolchain.gpu(toolchain.device("sm_90")).torch_name == "cuda:1", "the one that the bundle is for"


def refusal(device: str) -> str:
    with pytest.raises(BackendError) as caught:
        toolchain.gpu(toolchain.device(device))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("device", ["cuda", "sm_90"])
def test_no_gpu(machine, device):
    what = "device cuda" if device == "cuda" else "this bundle is for sm_90 (H100, H200)"
    machine(FakeCuda())
    assert refusal(device).startswith(f"{what}: no GPU that torch can use (made for CUDA 12.8): No CUDA GPUs")
    machine(FakeCuda(), made_for=None)
    assert refusal(device).startswith(f"{what}: this torch (2.13.0+test) is made for CPUs only")
    machine(FakeCuda(), made_for=None, hip="6.4")
    assert "ROCm" in refusal(device)


def test_a_driver_that_is_too_old(machine):
    problem = "The NVIDIA driver on your system is too old (found version 11040). Please update\nyour GPU driver"
    machine(FakeCuda(H100, problem=problem))
    assert "made for CUDA 12.8): The NVIDIA driver on your system is too old (found version 11040)" in refusal("cuda")


def test_a_driver_that_raises_at_once(machine):
    cuda = FakeCuda(H100, problem="CUDA unknown error")
    cuda.is_available = lambda: (_ for _ in ()).throw(RuntimeError("CUDA unknown error"))
    machine(cuda)
    assert "CUDA unknown error" in refusal("cuda")


def test_a_gpu_that_is_not_there(machine):
    machine(FakeCuda(A100, H100))
    assert refusal("cuda:2") == "there is no device cuda:2; this machine has cuda:0, cuda:1"


def test_a_gpu_that_is_too_old(machine):
    machine(FakeCuda(V100))
    found = "cuda:0 is a V100 of compute capability 7.0; target triton needs 8.0 or later"
    assert refusal("cuda") == found


def test_a_bundle_for_another_gpu(machine):
    machine(FakeCuda(A100, V100))
    found = refusal("sm_90")
    assert found.startswith("this bundle is for sm_90 (H100, H200), but cuda:0 is a A100 (sm_80), cuda:1 is a V100")


def test_memory(machine):
    gpu = Gpu("cuda:0", "H100", 90, 80 * GIB)
    machine(FakeCuda(H100, free=10 * GIB))
    toolchain.check_memory(gpu, {"weights": 6 * GIB, "activations": 4 * GIB})
    with pytest.raises(BackendError) as caught:
        toolchain.check_memory(gpu, {"weights": 6 * GIB, "activations": 4 * GIB + 2**20, "outputs": 0})
    assert str(caught.value) == (
        "too little memory on cuda:0 (H100): 10.00 GiB are needed (weights 6.00 GiB, activations 4.00 GiB),"
        " 10.00 GiB of 80.00 GiB are free"
    )
    machine(FakeCuda(H100, free=GIB, reserved=3 * GIB, allocated=GIB))
    toolchain.check_memory(gpu, {"weights": 3 * GIB})


def process(code: str, **environment: str) -> str:
    """What a fresh interpreter of Python prints."""
    kept = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    path = os.pathsep.join(each for each in sys.path if each)
    done = subprocess.run(
        [sys.executable, "-c", f"from netwright.backends.triton import toolchain\n{code}"],
        env={**kept, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_a_process_interprets_or_compiles():
    """Triton decides at its import; each wrong order has its own words."""
    kind = "print(type(toolchain.triton({!r}).language.sum).__name__)"
    assert process(kind.format("interpreter")) == "InterpretedFunction"
    assert process(kind.format("cuda")) == "JITFunction"
    assert "TRITON_INTERPRET is set, so kernels of this process run in the interpreter" in process(
        kind.format("cuda"), TRITON_INTERPRET="1"
    )
    found = process("import triton\n" + kind.format("interpreter"))
    assert "device interpreter: this process has imported triton to compile already; start a new one" in found
    late = "import os, triton\nos.environ['TRITON_INTERPRET'] = '{}'\n"
    assert "has imported triton to compile already" in process(late.format(1) + kind.format("interpreter"))
    found = process(late.format(0) + kind.format("cuda"), TRITON_INTERPRET="1")
    assert "this process has imported triton with TRITON_INTERPRET set" in found
