"""Machine code without the device: the same bytes everywhere, the facts of the run, and clear words where it fails."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from triton.runtime.jit import MockTensor, mangle_type

from netwright.backends.api import BackendError
from netwright.backends.triton import facts, offline, toolchain
from netwright.backends.triton.kernel import Argument, Config, Kernel
from netwright.compiler.ir import DType

TOOLS = Path(str(importlib.util.find_spec("triton").origin)).parent / "backends" / "nvidia" / "bin"
HEAD = "import triton\nimport triton.language as tl\n\n\n"

POINTWISE = """@triton.jit(do_not_specialize=["s0"])
def k1(x0, x1, s0, BLOCK: tl.constexpr, WIDE: tl.constexpr):
    p = tl.program_id(0)
    if WIDE:
        p = p.to(tl.int64)
    i = p * BLOCK + tl.arange(0, BLOCK)
    m = i < s0
    v = tl.load(x0 + i, mask=m)
    tl.store(x1 + i, tl.exp(v.to(tl.float32)) * 2 + 1, mask=m)
"""
MULTIPLY = """@triton.jit
def k2(x0, x1, x2, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    m = tl.arange(0, M)
    n = tl.arange(0, N)
    acc = tl.zeros((M, N), tl.float32)
    for k in range(0, 1024, K):
        r = k + tl.arange(0, K)
        a = tl.load(x0 + m[:, None] * 1024 + r[None, :])
        b = tl.load(x1 + r[:, None] * 512 + n[None, :])
        acc = tl.dot(a, b, acc)
    tl.store(x2 + m[:, None] * 512 + n[None, :], acc.to(tl.float16))
"""
MODULE = HEAD + POINTWISE + "\n\n" + MULTIPLY


def pointer(name: str, dtype: DType) -> Argument:
    return Argument(name, "pointer", dtype)


K1 = Kernel(
    "k1",
    POINTWISE,
    (pointer("x0", DType.BFLOAT16), pointer("x1", DType.FLOAT32), Argument("s0", "int")),
    (Config({"BLOCK": 1024}),),
    Config({"BLOCK": 4096}),
    ("WIDE",),
)
K2 = Kernel(
    "k2",
    MULTIPLY,
    tuple(pointer(f"x{place}", DType.FLOAT16) for place in range(3)),
    (Config({"M": 64, "N": 64, "K": 64}, warps=4, stages=3),),
    Config({"M": 64, "N": 64, "K": 1024}),
)
ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
MATRIX_INSTRUCTION = {"sm_80": b"HMMA", "sm_90": b"HGMMA", "sm_100": b"UTCHMMA"}


@pytest.fixture(scope="module")
def cubins() -> dict[tuple[str, str], offline.Cubin]:
    jobs = [offline.Job(kernel, each) for kernel in (K1, K2) for each in ARCHITECTURES]
    told = []
    made = offline.compile_kernels(MODULE, jobs, lambda *counts: told.append(counts), processes=1)
    assert told == [(number, len(jobs)) for number in range(1, len(jobs) + 1)]
    assert [cubin.job for cubin in made] == jobs
    return {(cubin.job.kernel.name, cubin.job.architecture): cubin for cubin in made}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_facts_of_each(cubins, architecture):
    for name in ("k1", "k2"):
        made = cubins[name, architecture]
        assert made.data.startswith(b"\x7fELF") and made.symbol == name
        assert 8 <= made.registers <= 255 and made.spill_bytes == 0 and made.warps == 4
        line = made.to_json()
        assert json.loads(json.dumps(line)) == line
        assert line["file"] == f"kernels/{name}.{architecture}.cubin" and len(line["sha256"]) == 64
    assert cubins["k1", architecture].shared_bytes <= 4096
    assert cubins["k1", architecture].to_json()["constants"] == {"BLOCK": 1024, "WIDE": False}
    assert cubins["k2", architecture].shared_bytes >= 2 * 64 * 64 * 2
    assert cubins["k2", architecture].stages == 3


def test_registers_and_spills_are_what_the_code_says(cubins, tmp_path):
    """cuobjdump reads them from the machine code, we from what ptxas said when it made it."""
    tool = TOOLS / "cuobjdump"
    for cubin in cubins.values():
        path = tmp_path / "made.cubin"
        path.write_bytes(cubin.data)
        said = subprocess.run([tool, "-res-usage", str(path)], capture_output=True, text=True, check=True).stdout
        assert f"REG:{cubin.registers} STACK:0" in said, said


def test_16_bytes_at_once(cubins, tmp_path):
    """Alignment is known: without it loads are 4 times as many. (`LDG.E.128` or an asynchronous copy of 16 bytes.)"""
    tool = TOOLS / "nvdisasm"
    for architecture, instruction in MATRIX_INSTRUCTION.items():
        path = tmp_path / "made.cubin"
        path.write_bytes(cubins["k2", architecture].data)
        code = subprocess.run([tool, "-c", str(path)], capture_output=True, check=True).stdout
        assert instruction in code, architecture
        assert b"LDGSTS.E.BYPASS.128" in code or b"LDG.E.128" in code


def test_the_same_bytes_in_any_folder_process_and_environment(cubins, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "foreign"))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "0")
    monkeypatch.setenv("PTXAS_OPTIONS", "-O0")
    monkeypatch.setenv("DISABLE_PTXAS_OPT", "1")
    monkeypatch.chdir(tmp_path)
    # A file of that name in the working folder is not what gets imported.
    (tmp_path / "triton.py").write_text("raise SystemExit(3)")
    # Other functions above it move the lines, and come into no kernel.
    module = HEAD + "def other():\n    return 1\n\n\n" + MULTIPLY + "\n\n" + POINTWISE
    jobs = [offline.Job(kernel, "sm_90") for kernel in (K2, K1)]
    for made in offline.compile_kernels(module, jobs, processes=2):
        assert made.data == cubins[made.job.kernel.name, "sm_90"].data
    assert not (tmp_path / "foreign").exists()


RUN = """
import hashlib, importlib.util, json, os, sys, tempfile
os.environ["TRITON_DISABLE_LINE_INFO"] = "1"
os.environ["TRITON_CACHE_DIR"] = tempfile.mkdtemp(dir=sys.argv[2])
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.compiler.compiler import make_backend
from triton.runtime.jit import MockTensor, create_function_from_signature
spec = importlib.util.spec_from_file_location("model", sys.argv[1])
model = importlib.util.module_from_spec(spec)
spec.loader.exec_module(model)
target = GPUTarget("cuda", 90, 32)
backend = make_backend(target)
for launch in json.load(sys.stdin):
    function = getattr(model, launch["kernel"])
    given = [MockTensor(getattr(torch, each)) if isinstance(each, str) else each for each in launch["arguments"]]
    named = {**launch["constants"], **launch["options"], "debug": False}
    bind = create_function_from_signature(function.signature, function.params, backend)
    bound, specialization, options = bind(*given, **named)
    options, signature, constants, attributes = function._pack_args(backend, named, bound, specialization, options)
    source = ASTSource(function, signature, constants, attributes)
    made = triton.compile(source, target=target, options=options.__dict__)
    print(launch["kernel"], hashlib.sha256(made.asm["cubin"]).hexdigest())
"""


def test_the_very_kernel_of_the_run(cubins, tmp_path):
    """What Triton's own launcher makes of the same call on aligned memory is what we made, whatever the sizes are."""
    path = tmp_path / "model.py"
    path.write_text(MODULE)
    launches = [{"kernel": "k1", "arguments": ["bfloat16", "float32", size], **_said(K1)} for size in (1, 7, 4096)]
    launches.append({"kernel": "k2", "arguments": ["float16"] * 3, **_said(K2)})
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path), str(tmp_path)],
        input=json.dumps(launches),
        env=environment,
        capture_output=True,
        text=True,
    )
    found = [line.split() for line in done.stdout.splitlines() if line.startswith("k")]
    assert len(found) == 4, done.stderr
    for name, digest in found:
        assert digest == cubins[name, "sm_90"].sha256


@pytest.mark.parametrize("dtype", list(DType))
def test_pointers_have_the_types_that_triton_gives_to_tensors(dtype):
    """bool is handed over as int8."""
    seen = MockTensor(getattr(torch, "int8" if dtype is DType.BOOL else dtype.value))
    assert mangle_type(seen) == facts.signature(Kernel("k", "", (pointer("x0", dtype),), (), K1.interpreted))["x0"]


def _said(kernel: Kernel) -> dict:
    config = kernel.configs[0]
    return {"constants": facts.constants(kernel, config), "options": facts.options(config)}


def test_the_first_config_that_the_device_can_hold():
    large, small = Config({"M": 128, "N": 128, "K": 128}, 8, 3), Config({"M": 64, "N": 64, "K": 64}, 4, 2)
    kernel = replace(K2, configs=(large, small))
    made = offline.compile_kernels(MODULE, [offline.Job(kernel, each) for each in ("sm_86", "sm_90")], processes=1)
    assert [cubin.choice for cubin in made] == [1, 0]
    assert made[0].shared_bytes <= facts.SHARED_LIMITS[86] < made[1].shared_bytes
    with pytest.raises(
        BackendError, match=r"kernel k2 .* sm_86: it needs \d+ bytes of shared memory, a block has 101376"
    ):
        offline.compile_kernels(MODULE, [offline.Job(replace(K2, configs=(large,)), "sm_86")])


def test_a_kernel_that_triton_refuses():
    text = POINTWISE.replace("tl.exp(v.to(tl.float32))", "tl.nothing(v)")
    with pytest.raises(
        BackendError, match=r"kernel k1 cannot be compiled for sm_90: CompilationError.*nothing"
    ) as caught:
        offline.compile_kernels(HEAD + text, [offline.Job(K1, "sm_90")])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "where, words",
    [
        ("import", "the process that compiles kernels ended: LLVM ERROR: no"),
        ("kernel", "the process that compiles kernels ended at kernel k1 for sm_90: LLVM ERROR: no"),
    ],
)
def test_a_compiler_that_dies(where, words):
    """LLVM ends its process where it gives up."""
    death = "sys.stderr.write('LLVM ERROR: no\\n')\n    os._exit(1)\n"
    if where == "import":
        module = "import os\nimport sys\n" + HEAD + "if True:\n    " + death + POINTWISE
    else:
        module = "import os\nimport sys\n" + HEAD + POINTWISE + "\n\ndef __getattr__(name):\n    " + death
        module = module.replace("def k1(", "def k0(")
    with pytest.raises(BackendError, match=words):
        offline.compile_kernels(module, [offline.Job(K1, "sm_90")])


def test_without_triton(monkeypatch):
    monkeypatch.setattr(toolchain, "missing", lambda *modules: f"{modules[0]} is missing")
    with pytest.raises(BackendError, match="triton is missing"):
        offline.compile_kernels(MODULE, [offline.Job(K1, "sm_90")])


def test_nothing_to_do():
    assert offline.compile_kernels(HEAD, []) == []
