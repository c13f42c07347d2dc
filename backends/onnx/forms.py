"""Under which shapes a value of ours exists in the ONNX graph.

Reshapes cost a node each, and a broadcast that materializes costs memory, so neither is emitted when it is met. A
`Family` is one buffer in row-major order under every shape it was asked for (a linear layer runs on `[rows, features]`
and what follows may stay there). A `Form` says that a value is such a family, or that it is a smaller one repeated:
elementwise operators of ONNX broadcast by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...compiler.ir import Node, Shape, TensorType
from ...compiler.ir.dims import product


@dataclass(slots=True)
class Family:
    """One buffer: the name of each shape under which it exists so far, in order of making."""

    known: dict[Shape, str]

    def clone(self) -> Family:
        """For a subgraph: what is made there must not be seen outside."""
        return Family(dict(self.known))


@dataclass(slots=True)
class Form:
    """A value of ours.

    ``family`` holds all its elements; or ``thin`` is a family and the shape (without leading ones) that repeats to that
    of ``type`` by NumPy's rules; or ``deferred`` is a node whose only consumer has not asked for it yet.
    """

    type: TensorType
    family: Family | None = None
    thin: tuple[Shape, Family] | None = None
    deferred: Node | None = field(default=None)

    @classmethod
    def of(cls, type: TensorType, name: str) -> Form:
        """A value under its own shape."""
        return cls(type, Family({type.shape: name}))

    @property
    def shape(self) -> Shape:
        return self.type.shape

    def clone(self) -> Form:
        """See `Family.clone`."""
        return Form(
            self.type,
            self.family and self.family.clone(),
            self.thin and (self.thin[0], self.thin[1].clone()),
        )


def stripped(shape: Shape) -> Shape:
    """The shape without leading ones."""
    first = next((axis for axis, size in enumerate(shape) if size != 1), len(shape))
    return shape[first:]


def rows(shape: Shape) -> Shape:
    """The shape as a matrix: all but the last axis in one."""
    return (product(shape[:-1]), shape[-1])


def union(shapes: list[Shape]) -> Shape:
    """The common shape of shapes that repeat to one and the same shape."""
    rank = max((len(shape) for shape in shapes), default=0)
    result: Shape = ()
    for axis in range(-rank, 0):
        sizes = [shape[axis] for shape in shapes if len(shape) >= -axis]
        result += (next((size for size in sizes if size != 1), 1),)
    return result


def fits(thin: Shape, whole: Shape, shape: Shape) -> bool:
    """Whether what repeats to ``whole`` also repeats to ``shape``, the same buffer read otherwise."""
    if shape == whole or not thin:
        return True
    return len(thin) == 1 and bool(shape) and bool(whole) and shape[-1] == whole[-1]
