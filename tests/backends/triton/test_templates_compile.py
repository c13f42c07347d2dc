"""Kernels of real sizes become machine code for three architectures, as the run would compile them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from netwright.backends.triton import facts, offline
from netwright.backends.triton.helpers import sources
from netwright.backends.triton.kernel import Kernel
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.activation_smooth import Gelu
from netwright.compiler.ops.samples import types
from netwright.compiler.ops.tensor import apply

from .interpreting import kernels


def linear(build, x, w, bias, rest):
    y = fn.dot(x, w, ((2,), (0,))) + fn.along(bias, 3, 2)
    return apply(build, Gelu(), y) + rest


def block(build, x, w, bias, rest):
    y = fn.conv(fn.transpose(x, (0, 3, 1, 2)), fn.transpose(w, (3, 2, 0, 1)), padding=((1, 1), (1, 1)))
    return fn.maximum(fn.transpose(y, (0, 2, 3, 1)) + fn.along(bias, 4, 3) + rest, 0.0)


def transposed(build, x, w):
    return fn.conv(x, w, padding=((2, 2), (2, 2)), input_dilation=(2, 2))


CASES = {
    "linear": (linear, ("float16[N, T, 1024]", "float16[1024, 4096]", "float16[4096]", "float16[N, T, 4096]")),
    "block16": (
        block,
        ("bfloat16[N, 56, 56, 64]", "bfloat16[3, 3, 64, 64]", "bfloat16[64]", "bfloat16[N, 56, 56, 64]"),
    ),
    "block32": (block, ("float32[N, H, W, 64]", "float32[3, 3, 64, 64]", "float32[64]", "float32[N, H, W, 64]")),
    "transposed": (transposed, ("float16[N, 64, H, W]", "float16[64, 64, 4, 4]")),
}


@cache
def chosen() -> tuple[Kernel, ...]:
    """The product of each case, under a name of its own."""
    found = []
    for name, (make, given) in CASES.items():
        made = [kernel for kernel in kernels(make, types(*given)) if "tl.dot(" in kernel.text]
        assert len(made) == 1
        own = f"k_{name}"
        found.append(replace(made[0], name=own, text=made[0].text.replace(made[0].name, own, 1)))
    return tuple(found)


@pytest.mark.parametrize(
    ("architecture", "names"),
    [("sm_80", ("linear", "block16")), ("sm_90", tuple(CASES)), ("sm_100", ("linear", "block16"))],
    ids=["sm_80", "sm_90", "sm_100"],
)
def test_kernels_of_real_sizes_compile_and_fit(architecture, names):
    wanted = [kernel for kernel in chosen() if kernel.name.removeprefix("k_") in names]
    used = {name for kernel in wanted for name in kernel.helpers}
    texts = ("import triton\nimport triton.language as tl", *sources(used), *(kernel.text for kernel in wanted))
    made = offline.compile_kernels(
        "\n\n\n".join(texts), [offline.Job(kernel, architecture) for kernel in wanted], processes=1
    )
    assert {cubin.job.kernel.name: (cubin.choice, cubin.spill_bytes) for cubin in made} == {
        kernel.name: (0, 0) for kernel in wanted
    }
    assert all(cubin.shared_bytes <= facts.SHARED_LIMITS[80] for cubin in made)
