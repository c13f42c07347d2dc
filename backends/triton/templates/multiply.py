"""How the tiles of two operands are multiplied and summed, by dtype: tensor cores, fused multiply-adds, or whole
numbers, which `tl.dot` does not take."""

from __future__ import annotations

from dataclasses import dataclass

from ....compiler.ir import DType
from ..expressions import NAMES, narrowed, register
from ..kernel import INTERPRETED, Draft
from .tiles import CORES, DOUBLES, LANES, WHOLE, Shape


@dataclass(frozen=True)
class Multiply:
    """``dtype`` is that of the operands, ``sums`` that of the accumulator, ``precision`` that of the op."""

    dtype: DType
    sums: DType
    precision: str = "highest"

    @classmethod
    def of(cls, dtype: DType, accumulate: DType | None, precision: str) -> Multiply:
        """For the fields of `dot` and `conv`. Sums are never narrower than float32, whole numbers than 32 bits."""
        if dtype.is_float:
            wide = dtype is DType.FLOAT64 or accumulate is DType.FLOAT64
            return cls(dtype, DType.FLOAT64 if wide else DType.FLOAT32, precision)
        return cls(dtype, DType.INT64 if dtype is DType.INT64 else DType.INT32)

    @property
    def by_cores(self) -> bool:
        """Whether tensor cores do the work."""
        return self.sums is DType.FLOAT32 and (self.dtype.is_half or self.precision != "highest")

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The tiles that such a product may run with."""
        if not self.dtype.is_float:
            return WHOLE
        return DOUBLES if self.sums is DType.FLOAT64 else CORES if self.by_cores else LANES

    @property
    def interpreted(self) -> int:
        """The largest side of a tile in the interpreter."""
        return 1024 if self.dtype.is_float else 64

    def zeros(self) -> str:
        """The accumulator before the first step."""
        return f"tl.zeros((BLOCK_M, BLOCK_N), {NAMES[self.sums]})"

    def write(self, draft: Draft, left: str, right: str) -> None:
        """Add the product of two tiles, [BLOCK_M, BLOCK_K] and [BLOCK_K, BLOCK_N], to ``acc``."""
        if not self.dtype.is_float:
            name = NAMES[self.sums]
            draft.add(f"acc += tl.sum({left}.to({name})[:, :, None] * {right}.to({name})[None, :, :], 1)")
            return
        if self.sums is DType.FLOAT64:
            if self.dtype is not DType.FLOAT64:
                left, right = f"{left}.to(tl.float64)", f"{right}.to(tl.float64)"
            draft.add(f"acc += tl.dot({left}, {right}, out_dtype=tl.float64)")
            return
        if self.dtype is DType.FLOAT32 and self.precision == "bf16":
            draft.add(*(f"{name} = {narrowed(draft, name, DType.BFLOAT16)}" for name in (left, right)))
        if self.dtype.is_half or self.precision == "bf16":
            # The interpreter multiplies 16-bit floats as whole numbers.
            draft.special.add(INTERPRETED)
            draft.add(f"if {INTERPRETED}:", *(f"    {name} = {name}.to(tl.float32)" for name in (left, right)))
            draft.add(f"acc = tl.dot({left}, {right}, acc)")
            return
        exact = "ieee" if self.precision == "highest" else "tf32"
        draft.add(f'acc = tl.dot({left}, {right}, acc, input_precision="{exact}")')

    def write_result(self, draft: Draft, dtype: DType) -> None:
        """Bring ``acc`` to what registers hold for a value of ``dtype``; 16-bit floats go on unrounded."""
        wanted = register(dtype)
        if wanted is not self.sums:
            draft.add(f"acc = acc.to({NAMES[wanted]})")
