"""Every primitive: its meaning against an implementation that is not ours, its shape rule, its refusals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pytest

from netwright.compiler.ir import Dim, Op, OpError, Sample, Shapes, TensorType, symbol
from netwright.compiler.ir.dims import AnyDim, substitute
from netwright.compiler.ir.graph import infer_types
from netwright.compiler.ir.types import DType
from netwright.compiler.ops import FAMILIES, OPS
from netwright.compiler.ops.samples import types

from .primitive_oracles import ORACLES

PRIMITIVES = {name: op for name, op in OPS.items() if not op.is_composite() and op.family != "control"}
CASES = [
    pytest.param(sample, id=f"{name}-{number}-{sample.note.replace(' ', '_')}")
    for name, op in PRIMITIVES.items()
    for number, sample in enumerate(op.samples())
]
REFUSED = [
    pytest.param(sample, id=f"{name}-{number}")
    for name, op in PRIMITIVES.items()
    for number, sample in enumerate(op.error_samples())
]
RESERVED = {
    "op", "value", "block", "part", "name", "in", "when", "else", "repeat", "carry", "scan", "path", "compute", "doc",
}  # fmt: skip
TOLERANCE = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 3e-6, "float64": 1e-13}


def type_of(array: np.ndarray) -> TensorType:
    return TensorType(DType.of(array), array.shape)


def arrays_of(sample: Sample) -> list[np.ndarray]:
    return [np.asarray(array) for array in sample.inputs if array is not None]


def evaluate(op: Op, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The results of an op by its meaning, checked against its own shape rule."""
    arguments = op.arguments([type_of(array) for array in arrays])
    op = op.canonical(*arguments)
    declared = infer_types(op, arguments, (), Shapes())
    with np.errstate(all="ignore"):
        result = op.meaning(*op.arguments(arrays))
    results = list(result) if isinstance(result, tuple) else [result]
    assert all(isinstance(array, np.ndarray) for array in results)
    assert tuple(map(type_of, results)) == declared
    return results


def close(given: np.ndarray, wanted: np.ndarray, share: float) -> None:
    """Equal but for ``share`` of each value, or of the largest finite one where a sum has cancelled."""
    finite = np.abs(wanted[np.isfinite(wanted)])
    np.testing.assert_allclose(given, wanted, rtol=share, atol=share * float(finite.max(initial=0)))


FLOAT_CASES = [
    pytest.param(sample, id=f"{name}-{number}-{sample.note.replace(' ', '_')}")
    for name, op in PRIMITIVES.items()
    if name not in ("cast", "bitcast")  # where the dtypes are the point
    for number, sample in enumerate(op.samples())
    if any(array.dtype == np.float32 for array in arrays_of(sample))
]


@pytest.mark.parametrize("sample", CASES)
def test_meaning_equals_oracle(sample: Sample) -> None:
    arrays = arrays_of(sample)
    results = evaluate(sample.op, arrays)
    with jax.enable_x64(True), np.errstate(all="ignore"):
        answer = ORACLES[sample.op.name](sample.op, *sample.op.arguments(arrays))
        expected = [np.asarray(item) for item in (answer if isinstance(answer, tuple) else (answer,))]
    for given, wanted in zip(results, expected, strict=True):
        assert given.dtype == wanted.dtype and given.shape == wanted.shape
        if sample.exact:
            np.testing.assert_array_equal(given, wanted)
        else:
            wide = wanted.astype(np.float64)
            close(given.astype(np.float64), wide, TOLERANCE[DType.of(wanted).value])


@pytest.mark.parametrize("sample", CASES)
def test_shape_rule_with_symbols(sample: Sample) -> None:
    """Every size of 2 or more becomes a symbol: the types, their sizes put in, are those of the arrays."""
    arrays = arrays_of(sample)
    sizes: dict[str, AnyDim] = {}

    def free(size: int) -> AnyDim:
        if size < 2:
            return size
        sizes[f"S{size}"] = size
        return symbol(f"S{size}", 1)

    given = [TensorType(DType.of(array), tuple(map(free, array.shape))) for array in arrays]
    shapes = Shapes()
    arguments = sample.op.arguments(given)
    symbolic = infer_types(sample.op.canonical(*arguments), arguments, (), shapes)
    for result, array in zip(symbolic, evaluate(sample.op, arrays), strict=True):
        assert tuple(substitute(size, sizes) for size in result.shape) == array.shape
    for left, right in shapes.guards:
        assert substitute(left, sizes) == substitute(right, sizes)


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16, DType.FLOAT64])
@pytest.mark.parametrize("sample", FLOAT_CASES)
def test_meaning_takes_every_float(sample: Sample, dtype: DType) -> None:
    """In 16 bits the result is the float64 one of the rounded operands, rounded once: sums are kept in float32."""
    with np.errstate(all="ignore"):
        narrow = [array.astype(dtype.numpy) if array.dtype == np.float32 else array for array in arrays_of(sample)]
    wide = [array.astype(np.float64) if DType.of(array).is_float else array for array in narrow]
    for given, wanted in zip(evaluate(sample.op, narrow), evaluate(sample.op, wide), strict=True):
        if DType.of(given).is_float:
            assert given.dtype == dtype.numpy
            with np.errstate(all="ignore"):
                wanted = wanted.astype(dtype.numpy).astype(np.float64)
            close(given.astype(np.float64), wanted, {"float16": 1e-3, "bfloat16": 8e-3, "float64": 0}[dtype])
        else:
            np.testing.assert_array_equal(given, wanted)


@pytest.mark.parametrize("sample", REFUSED)
def test_refusals(sample: Any) -> None:
    with pytest.raises(OpError) as caught:
        op = sample.make()
        arguments = op.arguments(sample.types)
        infer_types(op.canonical(*arguments), arguments, (), Shapes())
    assert sample.match in str(caught.value)
    assert str(caught.value).startswith(op.name)


@pytest.mark.parametrize("op", PRIMITIVES.values(), ids=PRIMITIVES)
def test_declaration_is_complete(op: type[Op]) -> None:
    assert op.__doc__ and op.family and op.source and op.numerics
    assert op.samples()
    assert op.error_samples() or op.name in ("constant", "dimension", "cast", "stop_gradient")
    assert len(op.access) == len(op.operands)


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_no_reserved_key(op: type[Op]) -> None:
    """A node of a spec would not know whether the key is the op's or its own."""
    assert not RESERVED & {*op.attributes(), *(operand.rstrip("?*") for operand in op.operands)}


def test_every_op_is_registered_once() -> None:
    names = [op.name for family in FAMILIES for op in family]
    assert len(names) == len(set(names)) == len(OPS)
    assert set(PRIMITIVES) == set(ORACLES)


def test_symbolic_sizes_become_guards() -> None:
    n, m = symbol("N"), symbol("M")
    shapes = Shapes()
    add = OPS["add"]()
    result = add.infer(shapes, TensorType(DType.FLOAT32, (n,)), TensorType(DType.FLOAT32, (m,)))
    assert result.shape == (m,) and shapes.guards == [(n, m)]
    shapes = Shapes()
    cut = OPS["slice"](start=(0,), stop=(5,)).canonical(TensorType(DType.FLOAT32, (n,)))
    assert cut.infer(shapes, TensorType(DType.FLOAT32, (n,))).shape == (5,)
    ((left, right),) = shapes.guards
    assert isinstance(left, Dim) and right == 5
    assert [substitute(left, {"N": size}) == right for size in (4, 5, 6)] == [False, True, True]


def test_a_provable_slice_needs_no_guard() -> None:
    shapes, short = Shapes(), symbol("T", 1, 8)
    op = OPS["slice"](start=(0,), stop=(short,)).canonical(TensorType(DType.FLOAT32, (8,)))
    assert op.infer(shapes, TensorType(DType.FLOAT32, (8,))).shape == (short,)
    assert not shapes.guards


def test_convolution_with_free_sizes() -> None:
    n, h = symbol("N"), symbol("H")
    x, w = TensorType(DType.FLOAT32, (n, 3, h, 2 * h)), TensorType(DType.FLOAT32, (8, 3, 3, 3))
    op = OPS["conv"](stride=(2, 1), padding=((1, 1), (0, 0))).canonical(x, w)
    shapes = Shapes()
    result = op.infer(shapes, x, w)
    assert [str(size) for size in result.shape] == ["N", "8", "((H + 1)//2)", "2*H - 2"]
    assert len(shapes.guards) == 1, "only the axis without padding can be too short"
    cost = op.cost((x, w), (result,))
    assert substitute(cost.macs, {"N": 2, "H": 7}) == 2 * 8 * 4 * 12 * 27
    assert substitute(cost.flops, {"N": 2, "H": 7}) == 2 * substitute(cost.macs, {"N": 2, "H": 7})


def test_costs() -> None:
    def cost(op: Op, *texts: str) -> tuple[AnyDim, AnyDim]:
        given = types(*texts)
        op = op.canonical(*op.arguments(given))
        found = op.cost(given, infer_types(op, op.arguments(given), (), Shapes()))  # type: ignore[arg-type]
        return found.flops, found.macs

    batched = OPS["dot"](lhs_contract=(2,), rhs_contract=(1,), lhs_batch=(0,), rhs_batch=(0,))
    assert cost(batched, "float32[7, 3, 4]", "float32[7, 4, 5]") == (2 * 7 * 3 * 4 * 5, 7 * 3 * 4 * 5)
    assert cost(OPS["conv"](groups=4), "float32[2, 8, 9, 9]", "float32[12, 2, 3, 3]") == (2 * 21168, 21168)
    # A transposed convolution: every element of x meets every tap, whether zeros stand between them or around them.
    apart = OPS["conv"](input_dilation=(2, 2), padding=((2, 2), (2, 2)))
    assert cost(apart, "float32[2, 8, 5, 5]", "float32[6, 8, 4, 4]")[1] == 2 * 25 * 8 * 6 * 16
    around = OPS["conv"](padding=((3, 3), (0, 0)))
    assert cost(around, "float32[2, 8, 1, 9]", "float32[6, 8, 4, 3]")[1] == 2 * 8 * 6 * (1 * 4) * (7 * 3)
    assert cost(OPS["add"](), "float32[3, 4]", "float32[3, 4]") == (12, 0)
    assert cost(OPS["reduce_sum"](axes=1), "float32[3, 4]") == (12, 0)
    assert cost(OPS["window_max"](kernel=(2, 2)), "float32[3, 3]") == (16, 0)
    assert cost(OPS["reshape"](shape=(12,)), "float32[3, 4]") == (0, 0)
    assert cost(OPS["scatter"](mode="add"), "float32[9, 4]", "int64[2]", "float32[2, 4]") == (8, 0)


def test_attributes_have_one_form() -> None:
    x = TensorType(DType.FLOAT32, (2, 3, 4))
    assert OPS["reduce_sum"](axes=-1).canonical(x) == OPS["reduce_sum"](axes=(2,)).canonical(x)
    assert OPS["reduce_sum"]().canonical(x) == OPS["reduce_sum"](axes=(2, 0, 1)).canonical(x)
    assert OPS["transpose"](axes=(-1, 0, 1)).canonical(x) == OPS["transpose"](axes=(2, 0, 1))
    dot = OPS["dot"](lhs_contract=(-1,), rhs_contract=(-1,), accumulate=DType.FLOAT32)
    assert dot.canonical(x, x) == OPS["dot"](lhs_contract=(2,), rhs_contract=(2,))
    for op in (OPS["concat"](axis=-1), OPS["reverse"](axes=(-1, 0)), OPS["top_k"](k=1)):
        once = op.canonical([x]) if op.name == "concat" else op.canonical(x)
        assert (once.canonical([x]) if op.name == "concat" else once.canonical(x)) == once


def test_sizes_in_attributes_are_replaced() -> None:
    n = symbol("N")
    op = OPS["pad"](low=(n, 0), high=(n - 2, 1)).resolve({"N": 3})
    assert (op.low, op.high) == ((3, 0), (1, 1))
    assert OPS["iota"](length=2 * n).resolve({"N": 3}).meaning().tolist() == [0, 1, 2, 3, 4, 5]


def test_erf_to_the_last_bits() -> None:
    x = np.concatenate([np.linspace(-7, 7, 20000), [1e-300, 1e-8, np.nextafter(2, 0), 2, 6, -6]])
    wanted = np.array([math.erf(value) for value in x])
    assert np.max(np.abs(OPS["erf"]().meaning(x) / wanted - 1)) < 1e-15


def test_window_max_grad_with_nan() -> None:
    """NaN is the largest, and the first one takes all."""
    x = np.array([1, np.nan, np.nan, 5], np.float32)
    (grad,) = evaluate(OPS["window_max_grad"](kernel=(4,)), [x, np.array([3], np.float32)])
    assert grad.tolist() == [0, 3, 0, 0]
