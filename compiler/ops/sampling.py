"""Random numbers from `random_bits`: the same on every target, and those of jax.random.

Where a dtype is chosen, numbers are drawn in float32 and cast. ``seed`` and ``step`` are int64 scalars; the key is
``jax.random.fold_in(jax.random.key(seed), step)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from ..ir.dims import Shape, decide
from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, Op, OpError, Sample, Shapes, Sizes
from ..ir.types import DType, TensorType
from . import functional as fn
from .composite import Composite, in_float32, need_float
from .rules import normal_axis
from .samples import normal, types
from .tensor import Tensor

Finite = Annotated[float, Field(allow_inf_nan=False)]

_MANTISSA_BITS = 23
_ONE = 0x3F800000
_TINY = float(np.finfo(np.float32).tiny)
_CENTRE = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
           -0.00417768164, 0.246640727, 1.50140941)  # fmt: skip
_TAIL = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
         0.00943887047, 1.00167406, 2.83297682)  # fmt: skip

SEED, STEP = np.array(42), np.array(7)


def need_key(what: str, seed: TensorType, step: TensorType) -> None:
    """Raises `OpError` unless both are int64 scalars."""
    for word, type in (("seed", seed), ("step", step)):
        if type != TensorType(DType.INT64, ()):
            raise OpError(f"{what}: the {word} is int64[], not {type}")


class _Drawn(Composite):
    """Base: a pure function of seed, step and place."""

    family: ClassVar[str] = "random"
    access: ClassVar[tuple[Access, ...]] = (Access.OPAQUE,)
    gradient = "zero"

    def need_key(self, seed: TensorType, step: TensorType) -> None:
        """Raises `OpError` unless both are int64 scalars."""
        need_key(self.name, seed, step)


class _Filled(_Drawn):
    """Base: a whole tensor of random numbers."""

    operands = ("seed", "step")
    shape: Sizes
    dtype: DType = DType.FLOAT32

    def infer(self, shapes: Shapes, seed: TensorType, step: TensorType) -> TensorType:
        self.need_key(seed, step)
        if not self.dtype.is_float:
            raise OpError(f"{self.name}: gives floats, not {self.dtype.value}")
        return TensorType(self.dtype, self.shape)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(shape=(3, 5)), (SEED, STEP)),
            Sample(cls(shape=(1000,)), (np.array(2**40 + 3), np.array(0)), "a wide seed"),
            Sample(cls(shape=()), (np.array(0), np.array(2**31 - 1)), "a scalar"),
            Sample(cls(shape=(4, 4), dtype=DType.FLOAT16), (SEED, STEP), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(shape=(2,)), types("int32[]", "int64[]"), r"the seed is int64\[\]"),
            ErrorSample(lambda: cls(shape=(2,)), types("int64[]", "int64[1]"), r"the step is int64\[\]"),
            ErrorSample(lambda: cls(shape=(2,), dtype=DType.INT64), types("int64[]", "int64[]"), "gives floats"),
        ]


class RandomUniform(_Filled):
    """Numbers spread evenly over [low, high), as jax.random.uniform: 23 random bits each."""

    name = "random_uniform"
    source = "jax.random.uniform"
    low: Finite = 0.0
    high: Finite = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self

    def decompose(self, build: Builder, seed: Tensor, step: Tensor) -> Tensor:
        return uniform(seed, step, self.shape, self.low, self.high).cast(self.dtype)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [*super().samples(), Sample(cls(shape=(100,), low=-3, high=0.5), (SEED, STEP), "an interval")]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        wrong = ErrorSample(lambda: cls(shape=(2,), low=1, high=0), types("int64[]", "int64[]"), "above high")
        return [*super().error_samples(), wrong]


class RandomNormal(_Filled):
    """Normal numbers, as jax.random.normal: sqrt(2) times the inverse error function of uniform ones in (-1, 1).

    The inverse is Giles's polynomial for float32; targets agree to 1e-6, and with jax to 1e-5 (in its tails).
    """

    name = "random_normal"
    source = "Giles (2012), Approximating the Erfinv Function"
    mean: Finite = 0.0
    deviation: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0

    def decompose(self, build: Builder, seed: Tensor, step: Tensor) -> Tensor:
        lowest = float(np.nextafter(np.float32(-1), np.float32(0)))
        z = inverse_erf(uniform(seed, step, self.shape, lowest, 1)) * float(np.sqrt(2))
        z = z if self.deviation == 1 else z * self.deviation
        return (z if self.mean == 0 else z + self.mean).cast(self.dtype)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [*super().samples(), Sample(cls(shape=(20000,), mean=3, deviation=0.5), (SEED, STEP), "many, shifted")]


class Bernoulli(_Drawn):
    """True with the given probability, each by itself, as jax.random.bernoulli: uniform < p."""

    name = "bernoulli"
    source = "jax.random.bernoulli"
    operands = ("p", "seed", "step")
    access = (Access.SAME, Access.BROADCAST, Access.BROADCAST)

    def infer(self, shapes: Shapes, p: TensorType, seed: TensorType, step: TensorType) -> TensorType:
        need_float("bernoulli", p)
        self.need_key(seed, step)
        return p.with_dtype(DType.BOOL)

    def decompose(self, build: Builder, p: Tensor, seed: Tensor, step: Tensor) -> Tensor:
        return in_float32(lambda wide: uniform(seed, step, p.shape, 0, 1).cast(wide.dtype) < wide, p)

    @classmethod
    def samples(cls) -> list[Sample]:
        share = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
        return [
            Sample(cls(), (share, SEED, STEP), exact=True),
            Sample(cls(), (np.array([0, 1], np.float32), SEED, STEP), "never and always", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("int64[3]", "int64[]", "int64[]"), "takes float")]


class Categorical(_Drawn):
    """An int64 class drawn from softmax(logits) along an axis, as jax.random.categorical.

    The largest of logits + Gumbel noise, -log(-log(uniform)), is chosen. A logit of -inf is never chosen (unless all
    are: then class 0). The result has the axes of the logits but that one.
    """

    name = "categorical"
    source = "Gumbel (1954), Statistical Theory of Extreme Values; jax.random.categorical"
    operands = ("logits", "seed", "step")
    access = (Access.REDUCE, Access.BROADCAST, Access.BROADCAST)
    axis: int = -1

    def canonical(self, logits: TensorType, *others: TensorType) -> Op:
        return self.model_copy(update={"axis": normal_axis("categorical", self.axis, logits.rank)})

    def infer(self, shapes: Shapes, logits: TensorType, seed: TensorType, step: TensorType) -> TensorType:
        need_float("categorical", logits)
        self.need_key(seed, step)
        if decide(logits.shape[self.axis], "==", 0):
            raise OpError(f"categorical: {logits} has no classes along axis {self.axis}")
        return TensorType(DType.INT64, (*logits.shape[: self.axis], *logits.shape[self.axis + 1 :]))

    def decompose(self, build: Builder, logits: Tensor, seed: Tensor, step: Tensor) -> Tensor:
        def drawn(wide: Tensor) -> Tensor:
            noise = -fn.log(-fn.log(uniform(seed, step, logits.shape, _TINY, 1)))
            return fn.arg_max(wide + noise.cast(wide.dtype), self.axis)

        return in_float32(drawn, logits)

    @classmethod
    def samples(cls) -> list[Sample]:
        kept = np.where(normal(50, 8, salt=2) > 0, normal(50, 8), -np.inf).astype(np.float32)
        kept[0], kept[1, 1:] = -np.inf, -np.inf
        return [
            Sample(cls(), (normal(200, 9) * 2, SEED, STEP), exact=True),
            Sample(cls(axis=0), (normal(5, 3, 4), SEED, np.array(8)), "first axis", exact=True),
            Sample(cls(), (kept, SEED, STEP), "classes left out", exact=True),
            Sample(cls(), (normal(6), np.array(0), np.array(0)), "one draw", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("int64[3]", "int64[]", "int64[]"), "takes float"),
            ErrorSample(cls, types("float32[3]", "int64[]", "float32[]"), "the step is"),
            ErrorSample(cls, types("float32[]", "int64[]", "int64[]"), "axis -1 of a tensor with 0 axes"),
        ]


class Dropout(Composite):
    """x with a share ``rate`` of its elements, drawn by ``seed`` and ``step``, set to 0, the others over 1 - rate.

    Without a seed it is x as it is, which is the mean: what dropout does when nothing is learned.
    """

    name = "dropout"
    family: ClassVar[str] = "random"
    operands = ("x", "seed?", "step?")
    access: ClassVar[tuple[Access, ...]] = (Access.SAME, Access.BROADCAST, Access.BROADCAST)
    source = "Srivastava et al. (2014), Dropout: A Simple Way to Prevent Neural Networks from Overfitting"
    numerics = "the same elements on every target"
    rate: Annotated[float, Field(ge=0, lt=1)] = 0.5

    def infer(self, shapes: Shapes, x: TensorType, seed: TensorType | None, step: TensorType | None) -> TensorType:
        need_float("dropout", x)
        if (seed is None) != (step is None):
            raise OpError("dropout: the seed and the step are given together")
        if seed is not None and step is not None:
            need_key("dropout", seed, step)
        return x

    def decompose(self, build: Builder, x: Tensor, seed: Tensor | None, step: Tensor | None) -> Tensor:
        if seed is None or step is None or self.rate == 0:
            return x
        kept = uniform(seed, step, x.shape, 0, 1) >= self.rate
        return fn.where(kept, x / (1 - self.rate), x.like(0))

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(rate=0.7), (normal(3, 4),), "nothing is learned", exact=True),
            Sample(cls(rate=0.3), (normal(20, 30), SEED, STEP), "drawn"),
            Sample(cls(), (normal(5, 7, dtype="float16"), SEED, STEP), "float16"),
            Sample(cls(rate=0), (normal(4), SEED, STEP), "nothing goes", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(rate=1), types("float32[3]"), "less than 1"),
            ErrorSample(cls, types("int64[3]", None, None), "takes float"),
            ErrorSample(cls, types("float32[3]", "int64[]", None), "given together"),
            ErrorSample(cls, types("float32[3]", "int32[]", "int64[]"), "the seed is"),
        ]


def uniform(seed: Tensor, step: Tensor, shape: Shape, low: float, high: float) -> Tensor:
    """float32 in [low, high): random bits as the mantissa of a number in [1, 2), less 1, scaled."""
    mantissa = fn.shift_right(fn.random_bits(seed, step, shape), 32 - _MANTISSA_BITS)
    unit = fn.bitcast(mantissa | _ONE, DType.FLOAT32) - 1
    if low == 0 and high == 1:
        return unit
    # Rounded as float32 arithmetic would, so that the numbers are jax's to the last bit.
    spread = float(np.float32(high) - np.float32(low))
    return fn.maximum(unit * spread + low, low)


def inverse_erf(x: Tensor) -> Tensor:
    """The inverse of the error function on (-1, 1), to about 1e-7 relative."""
    w = -fn.log((1 - x) * (1 + x))
    centre = _polynomial(_CENTRE, w - 2.5)
    tail = _polynomial(_TAIL, fn.sqrt(w) - 3)
    return fn.where(w < 5, centre, tail) * x


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    total = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        total = total * x + coefficient
    return total


OPS: tuple[type[Op], ...] = (RandomUniform, RandomNormal, Bernoulli, Categorical, Dropout)
