"""Every op says whether it has a gradient, and which; what has none is refused in words."""

from __future__ import annotations

import pytest

from netwright.compiler.differentiate import how_differentiated, pullback
from netwright.compiler.ir import Builder, Op, OpError, Sample, Value
from netwright.compiler.ops import OPS
from netwright.compiler.ops.tensor import Tensor

from .pulling import differentiable_samples, flat, forward

WORDS = ("declared", "of the decomposition", "of the region", "zero")
REFUSED = [
    pytest.param(sample, id=f"{name}-{number}")
    for name, op in OPS.items()
    if op.gradient.startswith("refused: ") and name != "fused"
    for number, sample in enumerate(op.samples())
]


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_each_op_says_how_it_is_differentiated(op: type[Op]) -> None:
    words = how_differentiated(op)
    assert words in WORDS or (words.startswith("refused: ") and len(words) > 20)


def test_an_op_that_does_not_say_it_is_named() -> None:
    class Silent(Op):
        name = "silent"

    class Odd(Op):
        name = "odd"
        gradient = "perhaps"

    with pytest.raises(ValueError, match="silent: is differentiable, but has neither a vjp nor a decomposition"):
        how_differentiated(Silent)
    with pytest.raises(ValueError, match="odd: its gradient is differentiable, zero or refused, not 'perhaps'"):
        how_differentiated(Odd)


def test_each_op_with_a_gradient_shows_it_in_a_sample() -> None:
    shown = {sample.op.name for _, sample in differentiable_samples()}
    assert {name for name, op in OPS.items() if op.gradient == "differentiable"} - shown == {"call"}


def _pulled(sample: Sample) -> None:
    graph = forward(sample)
    build = Builder(nodes=list(graph.nodes))
    seeds = {value: Tensor(build, Value(value.type)) for value in graph.outputs if value.type.dtype.is_float}
    pullback(build, seeds, graph.inputs)


@pytest.mark.parametrize("sample", REFUSED)
def test_what_has_no_gradient_says_why(sample: Sample) -> None:
    op, _ = flat(sample)
    with pytest.raises(OpError) as caught:
        _pulled(sample)
    assert str(caught.value) == f"{op.name} has no gradient: {op.gradient.removeprefix('refused: ')}"


def test_a_scan_that_may_end_early_says_why() -> None:
    (sample,) = [sample for sample in OPS["scan"].samples() if sample.op.until]
    with pytest.raises(OpError, match="a scan has no gradient if it may end early"):
        _pulled(sample)
