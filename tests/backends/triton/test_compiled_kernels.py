"""Kernels that ops emit become machine code for three architectures, without a device.

The samples of all ops make some 1,700 different kernels, too many to compile in a test. One for each op and family of
kernels is taken here (and in 16-bit floats one for each family), and from networks, whose kernels are fused from many
ops, a third for each architecture. ``NETWRIGHT_ALL_KERNELS=1`` takes all that differ in more than their numbers, for all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest

from netwright.backends import registry
from netwright.backends.api import BackendError
from netwright.backends.triton import offline
from netwright.backends.triton.emit import emit
from netwright.backends.triton.helpers import sources
from netwright.backends.triton.kernel import WIDE, Kernel
from netwright.backends.triton.sources import kernel_sources
from netwright.compiler.ir import DType, Sample
from netwright.compiler.ops import OPS
from netwright.compiler.passes.legalize import LegalizeError
from netwright.driver.build import Build, Weights, compile_program
from netwright.driver.model import load

from ..programs import legal, sample_program
from ..test_ops import converted

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
EVERYTHING = bool(os.environ.get("NETWRIGHT_ALL_KERNELS"))
HEAD = "import triton\nimport triton.language as tl"
NARROW = (DType.FLOAT16, DType.BFLOAT16)


def samples() -> Iterator[tuple[str, Sample]]:
    """Each sample as it is, then in 16-bit floats, with a name."""
    for name, op in OPS.items():
        yield from ((name, sample) for sample in op.samples())
    for dtype in NARROW:
        for name, op in OPS.items():
            found = (converted(sample, dtype) for sample in op.samples())
            yield from ((f"{name}_{dtype}", sample) for sample in found if sample is not None)


@cache
def kernels() -> dict[str, Kernel]:
    """The kernels to compile, under names that say where they come from."""
    backend = registry.get("triton")
    found: dict[object, Kernel] = {}
    families = set()
    for name, sample in samples():
        narrow = name.endswith(tuple(map(str, NARROW)))
        try:
            emitted = emit(legal(sample_program(sample)[0], backend))
        except LegalizeError:
            continue
        texts = kernel_sources(emitted.text, [kernel.name for kernel in emitted.kernels])
        for kernel in emitted.kernels:
            family = kernel.name.split("_", 1)[1]
            dtypes = tuple(argument.dtype for argument in kernel.arguments)
            key = (family, name.rsplit("_", 1)[1]) if narrow else (family, name)
            if narrow and not set(dtypes) & set(NARROW):
                continue
            if EVERYTHING:
                key = (re.sub(r"\b\d+\b", "#", texts[kernel.name]), dtypes)
            if key not in found:
                own = f"{re.sub('[^a-z0-9]', '_', name)}_{len(found)}_{family}"
                found[key] = replace(kernel, name=own, text=kernel.text.replace(kernel.name, own, 1))
                families.add(family)
    assert {"map", "rows", "dot", "conv", "attention", "window_max"} <= families
    return {kernel.name: kernel for kernel in found.values()}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_family_of_kernels_compiles(architecture):
    made = compiled([offline.Job(kernel, architecture) for kernel in kernels().values()])
    assert [cubin.job.kernel.name for cubin in made if cubin.spill_bytes] == [], "registers suffice"


@cache
def networks() -> list[tuple[str, Kernel]]:
    """The kernels of some networks, each with its family, under names of their own."""
    found = {}
    for model in ("lenet5", "bert_base", "lstm", "unet", "vit"):
        for kernel in emit(compile_program(load(f"zoo:{model}"), Build("triton"), Weights()).program).kernels:
            own = f"{model}_{kernel.name}"
            renamed = replace(kernel, name=own, text=kernel.text.replace(kernel.name, own, 1))
            found.setdefault(kernel.text.replace(kernel.name, "", 1), (kernel.name.split("_", 1)[1], renamed))
    return list(found.values())


@pytest.mark.parametrize(("place", "architecture"), list(enumerate(ARCHITECTURES)), ids=ARCHITECTURES)
def test_kernels_of_networks_compile(place, architecture):
    chosen = [kernel for _, kernel in networks()]
    made = compiled([offline.Job(kernel, architecture) for kernel in (chosen if EVERYTHING else chosen[place::3])])
    assert len(made) >= 10


def test_kernels_that_count_in_64_bits_compile():
    """One of each family, as it runs on arrays of 2^31 elements and more."""
    families = {family: kernel for family, kernel in networks() if WIDE in kernel.special}
    assert {"map", "rows", "dot", "conv", "attention", "window_max"} <= set(families)
    compiled([offline.Job(kernel, "sm_90", wide=True) for kernel in families.values()])


def compiled(jobs: list[offline.Job]) -> list[offline.Cubin]:
    """What came of the jobs; the test fails with the text of the kernel that cannot be compiled."""
    chosen = [job.kernel for job in jobs]
    used = {name for kernel in chosen for name in kernel.helpers}
    module = "\n\n\n".join([HEAD, *sources(used), *(kernel.text for kernel in chosen)])
    try:
        made = offline.compile_kernels(module, jobs, processes=1)
    except BackendError as error:
        texts = {kernel.name: kernel.text for kernel in chosen}
        pytest.fail(f"{error}\n\n{texts.get(str(error).split()[1], '')}")
    assert len(made) == len(jobs)
    return made
