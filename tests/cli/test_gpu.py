"""Each lack of a machine for the triton target on the command line: one line, code 1, nothing on another device."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import pytest
import triton

from netwright.backends.triton import toolchain

from .conftest import Cli

GIB = 2**30


def machine(*, problem: str = "", gpus: int = 1, major: int = 9, free: int = 80 * GIB, made_for: str | None = "12.8"):
    """A torch that sees some GPUs, or says why it does not."""

    def fail() -> None:
        raise RuntimeError(problem or "No CUDA GPUs are available")

    facts = SimpleNamespace(name="H100", major=major, minor=0, total_memory=80 * GIB)
    cuda = SimpleNamespace(
        is_available=lambda: gpus > 0 and not problem,
        init=fail,
        device_count=lambda: gpus,
        get_device_properties=lambda index: facts,
        mem_get_info=lambda name: (free, 80 * GIB),
        memory_reserved=lambda name: 0,
        memory_allocated=lambda name: 0,
    )
    version = SimpleNamespace(cuda=made_for, hip=None)
    return SimpleNamespace(
        cuda=cuda, version=version, __version__="2.13.0", OutOfMemoryError=RuntimeError, AcceleratorError=RuntimeError
    )


def refused(cli: Cli, *words: str) -> str:
    said = cli("run", "zoo:xor_mlp", "-t", "triton", "-i", "x=random", *words).refused()
    assert len(said.strip().splitlines()) == 1
    return said


@pytest.mark.parametrize(
    "found, device, words",
    [
        (machine(gpus=0), "cuda", "no GPU that torch can use (made for CUDA 12.8): No CUDA GPUs are available"),
        (machine(gpus=0, made_for=None), "cuda", "this torch (2.13.0) is made for CPUs only"),
        (machine(problem="The NVIDIA driver on your system is too old (found version 11040)."), "cuda", "is too old"),
        (machine(major=7), "cuda", "compute capability 7.0; target triton needs 8.0 or later"),
        (machine(), "cuda:1", "there is no device cuda:1; this machine has cuda:0"),
        (machine(free=16), "cuda", "too little memory on cuda:0 (H100)"),
    ],
    ids=["no GPU", "torch for CPUs", "old driver", "old GPU", "too few", "no memory"],
)
def test_what_is_wrong_with_a_gpu(cli: Cli, monkeypatch, found, device, words) -> None:
    monkeypatch.setattr(toolchain, "torch", lambda: found)
    monkeypatch.setattr(toolchain, "triton", lambda kind: triton)
    assert words in refused(cli, "--device", device)


@pytest.mark.parametrize("module", ["torch", "triton"])
def test_what_is_not_installed(cli: Cli, monkeypatch, module) -> None:
    find = importlib.util.find_spec
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == module else find(name, *rest))
    said = refused(cli, "--device", "interpreter")
    assert f"target triton needs {module}, which is not installed" in said and "netwright[triton]" in said


def test_a_process_that_interprets(cli: Cli, monkeypatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert "TRITON_INTERPRET is set" in refused(cli, "--device", "cuda")
