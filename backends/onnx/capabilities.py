"""What onnxruntime computes on a CPU, and from which opset on: the grounds on which nodes are claimed or refused.

The dtypes are those of its kernels (1.31). A float16 operator without a kernel runs there in float32 between casts that
it inserts itself; a bfloat16 one does not run at all, so only what moves data takes bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...compiler.ir import DType, Node

if TYPE_CHECKING:  # An emitter holds lowerings, and they are called with it.
    from .emit import Emitter

OPSETS = range(18, 27)
"""What `export --opset` takes. Axes of reductions are operands from 18 on; onnxruntime 1.31 ends at 26."""
DEFAULT_OPSET = 23
"""The first with Attention and RMSNormalization. A primitive that wants a later one raises it (bitcast: 26)."""

ALL = frozenset(DType)
INTS = frozenset(dtype for dtype in DType if dtype.kind == "int")
FLOATS = frozenset({DType.FLOAT16, DType.FLOAT32, DType.FLOAT64})
SINGLE = frozenset({DType.FLOAT16, DType.FLOAT32})
NUMBERS = INTS | FLOATS
NO_BFLOAT16 = ALL - {DType.BFLOAT16}


@dataclass(frozen=True, slots=True)
class Lowering:
    """How one op becomes ONNX, and when.

    ``emit`` appends the nodes. ``dtypes`` bounds the dtype of operand number ``operand`` (of the result if there are no
    operands). ``opset`` is the first that has the operators. ``refuse`` gives a further reason against a node at an
    opset. ``wants`` is the opset that a node asks for where none is prescribed. ``deferrable`` says whether a node
    waits until its consumer asks for it (which may take it in).
    """

    emit: Callable[[Emitter, Node], None]
    dtypes: frozenset[DType] = ALL
    operand: int = 0
    opset: int = OPSETS[0]
    refuse: Callable[[Node, int], str | None] | None = None
    wants: Callable[[Node], int] | None = None
    deferrable: Callable[[Emitter, Node], bool] | None = None


def refusal(lowerings: Mapping[str, Lowering], node: Node, opset: int | None = None) -> str | None:
    """None if the node can be emitted at this opset, else why not. Without one, primitives may raise the default."""
    name, composite = node.op.name, node.op.is_composite()
    lowering = lowerings.get(name)
    if lowering is None:
        return f"ONNX has no operator like {name} that is faster than its parts" if composite else f"{name} is unknown"
    values = node.inputs or node.outputs
    dtype = values[min(lowering.operand, len(values) - 1)].type.dtype if values else None
    if dtype is not None and dtype not in lowering.dtypes:
        return f"onnxruntime computes no {name} in {dtype.value} on a CPU"
    limit = opset if opset is not None else DEFAULT_OPSET if composite else OPSETS[-1]
    if lowering.opset > limit:
        return f"{name} needs ONNX opset {lowering.opset}, this is opset {limit}"
    return lowering.refuse(node, limit) if lowering.refuse is not None else None


def wanted_opset(lowerings: Mapping[str, Lowering], nodes: Iterable[Node]) -> int:
    """The default opset, or the later one that one of the nodes asks for."""
    found = DEFAULT_OPSET
    for node in nodes:
        lowering = lowerings[node.op.name]
        found = max(found, lowering.opset, lowering.wants(node) if lowering.wants is not None else 0)
    return found
