"""Every op by name. A family is a module with a tuple `OPS`; to add one, write the module and list it here."""

from __future__ import annotations

from ..ir.op import Op
from . import (
    activation,
    activation_smooth,
    aggregate,
    arithmetic,
    attention,
    batch_statistics,
    channels_last,
    contract,
    control,
    create,
    detection,
    edit,
    elementwise,
    fused,
    gating,
    index,
    loss,
    manipulate,
    matmul,
    normalize,
    placement,
    pooling,
    random,
    reduce,
    resample,
    sampling,
    shape,
    source,
    window,
)

FAMILIES: tuple[tuple[type[Op], ...], ...] = (
    elementwise.OPS,
    source.OPS,
    shape.OPS,
    reduce.OPS,
    contract.OPS,
    window.OPS,
    index.OPS,
    random.OPS,
    control.OPS,
    fused.OPS,
    placement.OPS,
    arithmetic.OPS,
    activation.OPS,
    activation_smooth.OPS,
    gating.OPS,
    aggregate.OPS,
    matmul.OPS,
    channels_last.OPS,
    create.OPS,
    manipulate.OPS,
    edit.OPS,
    normalize.OPS,
    batch_statistics.OPS,
    pooling.OPS,
    resample.OPS,
    sampling.OPS,
    loss.OPS,
    detection.OPS,
    attention.OPS,
)


def _by_name() -> dict[str, type[Op]]:
    found: dict[str, type[Op]] = {}
    for op in (op for family in FAMILIES for op in family):
        if op.name in found:
            raise ValueError(f"two ops are called {op.name}")
        found[op.name] = op
    return found


OPS: dict[str, type[Op]] = _by_name()

__all__ = ["FAMILIES", "OPS"]
