"""Primitives that hold or call graphs: call, scan, while, cond. Their regions see their own inputs only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..ir.graph import Builder, Graph, Value
from ..ir.op import ErrorSample, Op, OpError, Sample, Shapes, Size
from ..ir.types import DType, TensorType
from .elementwise import Add, Compare, Mul, Sub
from .samples import normal, types

Region = Callable[..., tuple[np.ndarray, ...]]


def region(build_body: Callable[..., Sequence[Value]], *texts: str) -> Graph:
    """A region for a sample: ``build_body`` gets an emitter and values of the types, and returns the results."""
    build = Builder()
    inputs = [Value(type) for type in types(*texts) if type is not None]
    return build.graph(inputs, build_body(lambda op, *operands: build.emit(op, operands)[0], *inputs))


class Call(Op):
    """The results of a function of the program. ``types`` are its result types."""

    name = "call"
    source = "ONNX functions"
    numerics = "that of its body"
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
    source = "jax.lax.scan"
    numerics = "that of its body"
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
        if self.until and (not results or results.pop() != TensorType(DType.BOOL, ())):
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

    @classmethod
    def samples(cls) -> list[Sample]:
        def decay(emit: Any, rate: Value, total: Value, row: Value) -> list[Value]:
            total = emit(Add(), emit(Mul(), rate, total), row)
            return [total, emit(Mul(), total, total)]

        def until_large(emit: Any, limit: Value, total: Value, row: Value) -> list[Value]:
            total = emit(Add(), total, row)
            return [total, total, emit(Compare(direction="gt"), total, limit)]

        rows = region(decay, "float32[3]", "float32[3]", "float32[3]")
        stops = region(until_large, "float32[]", "float32[]", "float32[]")
        scalar = np.array(2.5, np.float32)
        counted = (scalar, np.zeros((), np.float32), np.ones(5, np.float32))
        return [
            Sample(cls(constants=1, carries=1, length=4), (normal(3), normal(3), normal(4, 3)), regions=(rows,)),
            Sample(
                cls(constants=1, carries=1, length=4, reverse=True),
                (normal(3), normal(3), normal(4, 3)),
                "from the end",
                regions=(rows,),
            ),
            Sample(cls(constants=1, carries=1, length=5, until=True), counted, "ends early", regions=(stops,)),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(lambda: cls(length=3), types("float32[3]"), "has one region")]


class While(Op):
    """A loop while a condition holds. Operands: ``constants`` values, then carries.

    Regions: condition (all operands to one bool), body (all operands to the new carries). Not differentiable.
    """

    name = "while"
    source = "jax.lax.while_loop"
    numerics = "that of its bodies"
    family: ClassVar[str] = "control"
    operands = ("operands*",)
    listed: ClassVar[bool] = True
    gradient = "refused: how many steps there are is not known; those of a scan are"
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

    @classmethod
    def samples(cls) -> list[Sample]:
        def below(emit: Any, limit: Value, x: Value) -> list[Value]:
            return [emit(Compare(direction="lt"), x, limit)]

        def double(emit: Any, limit: Value, x: Value) -> list[Value]:
            return [emit(Add(), x, x)]

        regions = tuple(region(body, "float32[]", "float32[]") for body in (below, double))
        limit, one, many = (np.array(value, np.float32) for value in (100, 1, 200))
        return [
            Sample(cls(constants=1), (limit, one), "seven steps", exact=True, regions=regions),
            Sample(cls(constants=1), (limit, many), "no step", exact=True, regions=regions),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("float32[]"), "has a condition and a body")]


class Cond(Op):
    """One of two regions, by a bool scalar. Operands: the condition, then what both regions take."""

    name = "cond"
    source = "jax.lax.cond"
    numerics = "that of the branch taken; the other is not run"
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

    @classmethod
    def samples(cls) -> list[Sample]:
        def plus(emit: Any, x: Value, y: Value) -> list[Value]:
            return [emit(Add(), x, y)]

        def minus(emit: Any, x: Value, y: Value) -> list[Value]:
            return [emit(Sub(), x, y)]

        regions = tuple(region(body, "float32[3]", "float32[3]") for body in (plus, minus))
        operands = (normal(3), normal(3, salt=1))
        return [
            Sample(cls(), (np.array(flag), *operands), f"{flag}".lower(), regions=regions) for flag in (True, False)
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("bool[]", "float32[3]"), "has two regions")]


OPS: tuple[type[Op], ...] = (Call, Scan, While, Cond)
__all__ = ["OPS", "Any", "Call", "Cond", "Scan", "While", "check_region"]
