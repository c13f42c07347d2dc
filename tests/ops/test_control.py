"""Loops and branches against jax.lax and plain Python, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from jax import lax

from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, Graph, Op, OpError, Sample, TensorType, Value, symbol
from netwright.compiler.ir.types import DType
from netwright.compiler.ops import OPS
from netwright.compiler.ops.control import region
from netwright.compiler.ops.elementwise import Add, Compare
from netwright.compiler.ops.samples import types
from netwright.compiler.ops.source import Cast

CONTROL = {name: op for name, op in OPS.items() if op.family == "control"}


def run(sample: Sample) -> tuple[np.ndarray, ...]:
    """The results of a sample; infers its types on the way."""
    arrays = [np.asarray(array) for array in sample.inputs]
    build = Builder()
    values = [Value(TensorType(DType.of(array), array.shape)) for array in arrays]
    outputs = build.emit(sample.op, values, sample.regions)
    results = evaluate(build.graph(values, outputs), arrays)
    assert [value.type for value in outputs] == [TensorType(DType.of(array), array.shape) for array in results]
    return results


def emit(op: Op, given: Sequence[str], *regions: Graph) -> Any:
    return Builder().emit(op, [Value(type) for type in types(*given) if type is not None], regions)


def test_scan_equals_jax() -> None:
    def decay(rate: Any) -> Any:
        def step(total: Any, row: Any) -> Any:
            total = rate * total + row
            return total, total * total

        return step

    for sample in OPS["scan"].samples()[:2]:
        rate, start, rows = sample.inputs
        total, squares = lax.scan(decay(rate), start, rows, reverse=sample.op.reverse)
        for given, wanted in zip(run(sample), (total, squares), strict=True):
            np.testing.assert_allclose(given, wanted, rtol=1e-6)


def test_scan_that_ends_early_repeats_its_last_row() -> None:
    last, rows = run(OPS["scan"].samples()[2])
    assert last == 3 and rows.tolist() == [1, 2, 3, 3, 3]


def test_while_equals_python() -> None:
    for sample in OPS["while"].samples():
        limit, value = map(float, sample.inputs)
        while value < limit:
            value *= 2
        assert run(sample)[0] == value


def test_cond_takes_one_branch() -> None:
    for sample, wanted in zip(OPS["cond"].samples(), (np.add, np.subtract), strict=True):
        np.testing.assert_array_equal(run(sample)[0], wanted(*sample.inputs[1:]))


def _same(emit: Any, *values: Value) -> list[Value]:
    return list(values)


def _whole(emit: Any, value: Value) -> list[Value]:
    return [emit(Cast(dtype=DType.INT64), value)]


def _twice(emit: Any, value: Value) -> list[Value]:
    return [emit(Add(), value, value)]


def _positive(emit: Any, value: Value) -> list[Value]:
    return [emit(Compare(direction="eq"), value, value)]


SAME, WHOLE, TWICE = (region(body, "float32[]") for body in (_same, _whole, _twice))
POSITIVE, PAIR = region(_positive, "float32[]"), region(_same, "float32[]", "float32[]")
SCAN, WHILE, COND = OPS["scan"], OPS["while"], OPS["cond"]


@pytest.mark.parametrize(
    ("op", "given", "regions", "match"),
    [
        (SCAN(carries=1, length=3), ["float32[]"], (WHOLE,), "a carried value: int64[] where float32[] is needed"),
        (SCAN(carries=1, length=3), ["int64[]"], (SAME,), "int64[] where float32[] is needed"),
        (SCAN(carries=1, length=3), ["float32[]", "float32[3]"], (SAME,), "the region takes 1 values, 2 are given"),
        (SCAN(length=3), ["float32[4]"], (SAME,), "the sequences have other lengths: 4 and 3 differ"),
        (SCAN(length=3), ["float32[]"], (SAME,), "a sequence needs an axis"),
        (SCAN(length=3, until=True), ["float32[3]"], (SAME,), "until must be one bool"),
        (SCAN(carries=2, length=3), ["float32[]"] * 2, (region(lambda emit, a, b: [a], *["float32[]"] * 2),), "fewer"),
        (WHILE(), ["float32[]"], (SAME, TWICE), "the condition gives one bool"),
        (WHILE(), ["float32[]"], (POSITIVE, WHOLE), "a carried value: int64[] where float32[] is needed"),
        (WHILE(constants=1), ["float32[]"], (POSITIVE, TWICE), "the body gives 1 values, 0 are carried"),
        (COND(), ["float32[]", "float32[]"], (SAME, TWICE), "the condition is one bool, not float32[]"),
        (COND(), ["bool[]", "float32[]"], (SAME, WHOLE), "the branches: int64[] where float32[] is needed"),
        (COND(), ["bool[]", "float32[]"], (SAME, PAIR), "the region takes 2 values, 1 are given"),
    ],
)
def test_refusals(op: Op, given: list[str], regions: tuple[Graph, ...], match: str) -> None:
    with pytest.raises(OpError) as caught:
        emit(op, given, *regions)
    assert match in str(caught.value)


@pytest.mark.parametrize(
    "sample", [sample for op in CONTROL.values() for sample in op.error_samples()], ids=lambda sample: sample.match
)
def test_error_samples(sample: Any) -> None:
    op = sample.make()
    with pytest.raises(OpError) as caught:
        Builder().emit(op, [Value(type) for type in sample.types])
    assert sample.match in str(caught.value)


def test_free_length_becomes_a_guard() -> None:
    n, t = symbol("N"), symbol("T")
    build = Builder()
    _, rows = build.emit(
        SCAN(carries=1, length=t),
        [Value(TensorType(DType.FLOAT32, ())), Value(TensorType(DType.FLOAT32, (n,)))],
        (region(lambda emit, total, row: [emit(Add(), total, row), row], "float32[]", "float32[]"),),
    )
    assert rows.type.shape == (t,) and build.shapes.guards == [(n, t)]


@pytest.mark.parametrize("op", CONTROL.values(), ids=CONTROL)
def test_declaration_is_complete(op: type[Op]) -> None:
    assert op.__doc__ and op.source and op.numerics
    assert op.samples() or op.name == "call", "a call needs the functions of a program"
