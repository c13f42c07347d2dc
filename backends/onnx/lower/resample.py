"""Upsampling by Resize."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....compiler.ir import DType, Node
from ..capabilities import Lowering
from ..emit import Emitter

_DTYPES = frozenset({DType.FLOAT32, DType.INT32, DType.UINT8, DType.INT8})


def _upsample(e: Emitter, node: Node) -> None:
    op: Any = node.op
    scales = e.constant(np.array([1, 1, *op.scale], np.float32))
    if op.mode == "nearest":
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    else:
        between = "align_corners" if op.align_corners else "half_pixel"
        how = {"mode": "linear", "coordinate_transformation_mode": between}
    e.set(node.output, e.op("Resize", e.full(node.inputs[0]), "", scales, **how))


LOWERINGS: dict[str, Lowering] = {"upsample2d": Lowering(_upsample, dtypes=_DTYPES)}
