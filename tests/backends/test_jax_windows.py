"""Windows of the jax target where an axis is padded that no window runs along: XLA's own form is wrong for some of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netwright.backends.jax import JaxBackend
from netwright.compiler.ir import Sample
from netwright.compiler.ops.window import Window, WindowMax, WindowSum

from .comparing import check_sample

X = np.arange(1, 7, dtype=np.float32).reshape(3, 2)


@pytest.mark.parametrize("kind", [WindowSum, WindowMax])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize(
    ("padding", "stride"),
    [
        (((1, 1), (1, 0)), (1, 1)),
        (((1, 1), (2, 1)), (2, 1)),
        (((1, 1), (1, 0)), (1, 2)),
        (((0, 0), (0, 2)), (1, 1)),
    ],
)
def test_padding_beside_windows(
    tmp_path: Path, kind: type[Window], dtype: str, padding: object, stride: object
) -> None:
    op = kind(kernel=(3, 1), padding=padding, stride=stride)
    check_sample(JaxBackend(), Sample(op, (X.astype(dtype),), exact=True), tmp_path)
