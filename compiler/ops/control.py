"""Primitives that hold or call graphs: call, scan, while, cond. Their regions see their own inputs only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..ir.graph import Graph
from ..ir.op import Op, OpError, Shapes, Size
from ..ir.types import DType, TensorType

Region = Callable[..., tuple[np.ndarray, ...]]


class Call(Op):
    """The results of a function of the program. ``types`` are its result types."""

    name = "call"
    family: ClassVar[str] = "control"
    operands = ("operands*",)
    listed: ClassVar[bool] = True
    function: str
    types: tuple[TensorType, ...]

    def infer(self, shapes: Shapes, operands: list[TensorType]) -> tuple[TensorType, ...]:
        return self.types

    def meaning(self, operands: list[np.ndarray], *, regions: tuple[Region, ...]) -> tuple[np.ndarray, ...]:
        return regions[0](*operands)


def check_region(what: str, region: Graph, given: list[TensorType], shapes: Shapes) -> None:
    """Raises `OpError` unless the region takes values of these types."""
    if len(region.inputs) != len(given):
        raise OpError(f"{what}: the region takes {len(region.inputs)} values, {len(given)} are given")
    for value, type in zip(region.inputs, given, strict=True):
        _check_same(what, value.type, type, shapes)


def _check_same(what: str, wanted: TensorType, given: TensorType, shapes: Shapes) -> None:
    if wanted.dtype is not given.dtype or wanted.rank != given.rank:
        raise OpError(f"{what}: {given} where {wanted} is needed")
    for left, right in zip(wanted.shape, given.shape, strict=True):
        shapes.same(left, right, f"{what}: {given} where {wanted} is needed")


class Scan(Op):
    """A loop over axis 0 of sequences.

    Operands: ``constants`` values, then ``carries``, then sequences of ``length`` rows. The region maps constants,
    carries and one row of each sequence to the new carries, then the rows of the outputs, then (with ``until``) one
    bool scalar. Results: the last carries, then the outputs, stacked along a new axis 0. ``reverse`` walks from the
    end; outputs keep their places. When the bool is true the loop ends after that step, carries keep their values and
    the rows not reached repeat the last one.
    """

    name = "scan"
    family: ClassVar[str] = "control"
    operands = ("operands*",)
    listed: ClassVar[bool] = True
    constants: int = 0
    carries: int = 0
    length: Size
    reverse: bool = False
    until: bool = False

    def infer(
        self, shapes: Shapes, operands: list[TensorType], *, regions: tuple[Graph, ...] = ()
    ) -> tuple[TensorType, ...]:
        if len(regions) != 1:
            raise OpError("scan: has one region")
        (region,) = regions
        kept = self.constants + self.carries
        rows: list[TensorType] = []
        for sequence in operands[kept:]:
            if sequence.rank == 0:
                raise OpError("scan: a sequence needs an axis to walk along")
            shapes.same(sequence.shape[0], self.length, "scan: the sequences have other lengths")
            rows.append(sequence.with_shape(sequence.shape[1:]))
        check_region("scan", region, [*operands[:kept], *rows], shapes)
        results = [value.type for value in region.outputs]
        if self.until:
            if not results or results.pop() != TensorType(DType.BOOL, ()):
                raise OpError("scan: until must be one bool")
        for carry, result in zip(operands[self.constants : kept], results, strict=False):
            _check_same("scan: a carried value", carry, result, shapes)
        if len(results) < self.carries:
            raise OpError("scan: the region gives fewer values than are carried")
        stacked = [type.with_shape((self.length, *type.shape)) for type in results[self.carries :]]
        return (*operands[self.constants : kept], *stacked)

    def meaning(self, operands: list[np.ndarray], *, regions: tuple[Region, ...]) -> tuple[np.ndarray, ...]:
        kept = self.constants + self.carries
        constants, carries, sequences = operands[: self.constants], operands[self.constants : kept], operands[kept:]
        steps = range(int(self.length))
        rows: dict[int, tuple[np.ndarray, ...]] = {}
        last: tuple[np.ndarray, ...] = ()
        ended = False
        for step in reversed(steps) if self.reverse else steps:
            if not ended:
                results = regions[0](*constants, *carries, *(sequence[step] for sequence in sequences))
                if self.until:
                    ended, results = bool(results[-1]), results[:-1]
                carries, last = list(results[: self.carries]), tuple(results[self.carries :])
            rows[step] = last
        if not rows:
            raise OpError("scan: no steps")
        stacked = tuple(np.stack([rows[step][k] for step in steps]) for k in range(len(last)))
        return (*carries, *stacked)


class While(Op):
    """A loop while a condition holds. Operands: ``constants`` values, then carries.

    Regions: condition (all operands to one bool), body (all operands to the new carries). Not differentiable.
    """

    name = "while"
    family: ClassVar[str] = "control"
    operands = ("operands*",)
    listed: ClassVar[bool] = True
    gradient = "refused: the number of steps is not known"
    constants: int = 0

    def infer(
        self, shapes: Shapes, operands: list[TensorType], *, regions: tuple[Graph, ...] = ()
    ) -> tuple[TensorType, ...]:
        if len(regions) != 2:
            raise OpError("while: has a condition and a body")
        condition, body = regions
        check_region("while condition", condition, operands, shapes)
        check_region("while body", body, operands, shapes)
        if [value.type for value in condition.outputs] != [TensorType(DType.BOOL, ())]:
            raise OpError("while: the condition gives one bool")
        carries = operands[self.constants :]
        if len(body.outputs) != len(carries):
            raise OpError(f"while: the body gives {len(body.outputs)} values, {len(carries)} are carried")
        for carry, result in zip(carries, body.outputs, strict=True):
            _check_same("while: a carried value", carry, result.type, shapes)
        return tuple(carries)

    def meaning(self, operands: list[np.ndarray], *, regions: tuple[Region, ...]) -> tuple[np.ndarray, ...]:
        constants, carries = operands[: self.constants], operands[self.constants :]
        while bool(regions[0](*constants, *carries)[0]):
            carries = list(regions[1](*constants, *carries))
        return tuple(carries)


class Cond(Op):
    """One of two regions, by a bool scalar. Operands: the condition, then what both regions take."""

    name = "cond"
    family: ClassVar[str] = "control"
    operands = ("condition", "operands*")
    listed: ClassVar[bool] = True

    def infer(
        self, shapes: Shapes, condition: TensorType, operands: list[TensorType], *, regions: tuple[Graph, ...] = ()
    ) -> tuple[TensorType, ...]:
        if len(regions) != 2:
            raise OpError("cond: has two regions")
        if condition != TensorType(DType.BOOL, ()):
            raise OpError(f"cond: the condition is one bool, not {condition}")
        then, otherwise = regions
        check_region("cond", then, operands, shapes)
        check_region("cond", otherwise, operands, shapes)
        if len(then.outputs) != len(otherwise.outputs):
            raise OpError("cond: the branches give different numbers of values")
        for left, right in zip(then.outputs, otherwise.outputs, strict=True):
            _check_same("cond: the branches", left.type, right.type, shapes)
        return tuple(value.type for value in then.outputs)

    def meaning(
        self, condition: np.ndarray, operands: list[np.ndarray], *, regions: tuple[Region, ...]
    ) -> tuple[np.ndarray, ...]:
        return regions[0 if bool(condition) else 1](*operands)


OPS: tuple[type[Op], ...] = (Call, Scan, While, Cond)
__all__ = ["OPS", "Any", "Call", "Cond", "Scan", "While", "check_region"]
