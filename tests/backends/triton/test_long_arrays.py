"""Kernels on arrays of more elements than 32 bits count: no stride and no offset is computed in 32 bits and widened then.

Such arrays are too large for a test, so the code of the kernels is read, as Triton's compiler has it first.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from netwright.backends.triton import facts
from netwright.backends.triton.helpers import sources
from netwright.backends.triton.kernel import LONG, WIDE, Config, Kernel
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.activation_smooth import Gelu
from netwright.compiler.ops.attention import Attention
from netwright.compiler.ops.gating import Softmax
from netwright.compiler.ops.samples import types
from netwright.compiler.ops.tensor import apply
from netwright.compiler.ops.window import WindowMax

from .interpreting import agrees, kernels

SCRIPT = """
import importlib.util, json, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

spec = importlib.util.spec_from_file_location("kernels", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
found = {}
for name, (types, constants, options) in json.load(sys.stdin).items():
    function = getattr(module, name)
    signature = {each: types.get(each, "constexpr") for each in function.arg_names}
    made = triton.compile(ASTSource(function, signature, constants), target=GPUTarget("cuda", 90, 32), options=options)
    found[name] = made.asm["ttir"]
print(json.dumps(found))
"""


def turned(build, x):
    return fn.transpose(x, (0, 3, 1, 2)) + 1.0


def normalized(build, x):
    return fn.transpose(apply(build, Softmax(), x), (0, 3, 1, 2))


def product(build, x, w):
    return apply(build, Gelu(), fn.dot(x, w, ((2,), (2,)), ((0,), (0,))))


def convolved(build, x, w):
    return fn.conv(x, w, padding=((1, 1), (1, 1)))


def windows(build, x):
    return apply(build, WindowMax(kernel=(1, 1, 2, 2), stride=(1, 1, 2, 2)), fn.transpose(x, (0, 3, 1, 2)))


def attended(build, q, k, v):
    return apply(build, Attention(heads=4), q, k, v, None, None, None)


IMAGE = "float32[N, H, W, C]"
CASES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "map": (turned, (IMAGE,)),
    "rows": (normalized, ("float32[N, H, W, 64]",)),
    "dot": (product, ("float32[N, H, W]", "float32[N, C, W]")),
    "conv": (convolved, ("float32[N, 16, H, W]", "float32[16, 16, 3, 3]")),
    "window_max": (windows, (IMAGE,)),
    "attention": (attended, ("float32[N, T, 256]", "float32[N, S, 256]", "float32[N, S, 256]")),
}


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Kernel, str]]:
    """For each family a kernel, and its code for long arrays."""
    chosen: dict[str, Kernel] = {}
    for family, (make, given) in CASES.items():
        (found,) = (kernel for kernel in kernels(make, types(*given)) if kernel.name.split("_", 1)[1] == family)
        chosen[found.name.replace("k0", family).replace("k1", family)] = found
    folder = tmp_path_factory.mktemp("long")
    used = {name for kernel in chosen.values() for name in kernel.helpers}
    texts = [kernel.text.replace(kernel.name, name, 1) for name, kernel in chosen.items()]
    (folder / "model.py").write_text(
        "\n\n\n".join(["import triton\nimport triton.language as tl", *sources(used), *texts])
    )
    asked = {
        name: (
            facts.signature(kernel),
            facts.constants(kernel, kernel.configs[0], wide=True),
            facts.options(kernel.configs[0]),
        )
        for name, kernel in chosen.items()
    }
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-c", SCRIPT, str(folder / "model.py")]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    made = json.loads(done.stdout)
    return {family: (kernel, made[name]) for family, (name, kernel) in zip(CASES, chosen.items(), strict=True)}


@pytest.mark.parametrize("family", CASES)
def test_sizes_are_multiplied_in_64_bits(codes: dict[str, tuple[Kernel, str]], family: str) -> None:
    """In 32 bits there is only what tiles bound: lanes, taps of a window."""
    kernel, code = codes[family]
    assert WIDE in kernel.special
    sizes = [argument.name for argument in kernel.arguments if argument.kind == "int"]
    for size in sizes:
        uses = [line for line in code.splitlines() if re.search(rf"%{size}\b", line) and "tt.func" not in line]
        assert uses and all("arith.extsi" in line for line in uses), size
    makers = dict(re.findall(r"(%[\w#:]+) = ([\w.]+)", code))
    widened = re.findall(r"arith\.extsi (%[\w#:]+) :[^\n]*i32[^\n]* to [^\n]*i64", code)
    assert "arith.muli" in code
    assert [each for each in widened if makers.get(each) == "arith.muli"] == []


@pytest.mark.usefixtures("interpreter")
@pytest.mark.parametrize("family", CASES)
def test_what_counts_in_64_bits_gives_the_same(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small arrays, as if they were long."""
    plain, asked = facts.constants, []

    def constants(kernel: Kernel, config: Config, *, wide: bool, interpreted: bool) -> dict[str, int | bool]:
        asked.append(wide)
        return plain(kernel, config, wide=True, interpreted=interpreted)

    monkeypatch.setattr(facts, "constants", constants)
    make, given = CASES[family]
    sizes = {"N": 2, "H": 6, "W": 4, "C": 3, "T": 5, "S": 7}
    agrees(make, types(*given), tmp_path, **{name: size for name, size in sizes.items() if name in "".join(given)})
    assert asked and not any(asked)


def test_arrays_are_long_before_a_tile_could_reach_past_32_bits() -> None:
    assert LONG + 2**20 <= 2**31, "Triton's tiles have 2^20 elements at most"
    (short,) = kernels(turned, types(f"int8[1, 1, {LONG - 1}, 1]"))
    (long,) = kernels(turned, types(f"int8[1, 1, {LONG}, 1]"))
    assert WIDE not in short.special and WIDE in long.special
