"""In 16 bits the targets that compute in them stay near the reference: they differ by roundings only."""

from __future__ import annotations

import numpy as np
import pytest

from netwright.driver.build import Build, Weights, compile_model
from netwright.driver.model import load

from .cases import CASES
from .running import error
from .test_agreement import run

CLOSE = {"float16": 5e-3, "bfloat16": 3e-2}
"""Relative to the largest value of an output; a bfloat16 has 8 bits."""


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", ["mlp", "lenet5", "lstm", "bert_base", "gpt2, cache", "vit", "unet_same"])
def test_triton_in_16_bits(name: str, dtype: str) -> None:
    case = CASES[name]
    model = load(f"zoo:{case.model}", given=case.given, dtype=dtype, **case.args)
    net = compile_model(model, Build("triton"), Weights(seed=7, everywhere=True))
    for (entry, inputs), wanted in zip(case.calls, run(name, "reference"), strict=False):
        for key, found in net.run(entry, **inputs).items():
            if wanted[key].dtype.kind == "f":
                assert error(found.astype(np.float64), wanted[key]) < CLOSE[dtype], key
