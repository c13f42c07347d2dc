"""Boxes: their overlap, and non-maximum suppression with a fixed capacity. A box is left, top, right, bottom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from ..ir.dims import decide
from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, Op, OpError, Sample, Shapes
from ..ir.types import DType, TensorType
from . import functional as fn
from .composite import Precise, need_float
from .edit import Clip
from .geometry import Count
from .rules import need_same_dtype
from .samples import normal, types, unit
from .tensor import Tensor, apply, broadcast_shapes

Share = Annotated[float, Field(ge=0, le=1)]


class BoxIou(Precise):
    """Intersection over union of each box of x [..., A, 4] with each of y [..., B, 4]: [..., A, B].

    Boxes that do not overlap give 0, two empty boxes too.
    """

    name = "box_iou"
    family: ClassVar[str] = "detection"
    operands = ("x", "y")
    access: ClassVar[tuple[Access, ...]] = (Access.OPAQUE, Access.OPAQUE)
    source = "Jaccard (1901), Étude comparative de la distribution florale"

    def infer(self, shapes: Shapes, x: TensorType, y: TensorType) -> TensorType:
        need_float("box_iou", x)
        need_same_dtype("box_iou", x, y)
        for boxes in (x, y):
            if boxes.rank < 2:
                raise OpError(f"box_iou: boxes are [..., count, 4], not {boxes}")
            shapes.same(boxes.shape[-1], 4, f"box_iou: the last axis of {boxes}")
        batch = broadcast_shapes([x.shape[:-2], y.shape[:-2]], f"box_iou of {x} and {y}")
        return x.with_shape((*batch, x.shape[-2], y.shape[-2]))

    def formula(self, build: Builder, x: Tensor, y: Tensor) -> Tensor:
        return overlap(x[..., :, None, :], y[..., None, :, :])

    @classmethod
    def samples(cls) -> list[Sample]:
        square = np.array([[0, 0, 2, 2]], np.float32)
        others = np.array([[1, 1, 3, 3], [0, 0, 2, 2], [2, 0, 4, 2], [5, 5, 6, 6], [1, 1, 1, 1]], np.float32)
        return [
            Sample(cls(), (square, others), "overlapping, equal, touching, apart, empty"),
            Sample(cls(), (_boxes(2, 5), _boxes(2, 3, salt=1)), "batches"),
            Sample(cls(), (_boxes(1, 4) * 0, _boxes(1, 2) * 0), "all empty"),
            Sample(cls(), tuple((_boxes(4, salt=k) * 40).astype(np.float16) for k in (0, 1)), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3, 5]", "float32[2, 4]"), "5 and 4 differ"),
            ErrorSample(cls, types("float32[4]", "float32[2, 4]"), "count, 4"),
            ErrorSample(cls, types("int64[3, 4]", "int64[2, 4]"), "takes float"),
        ]


class NonMaxSuppression(Precise):
    """The best boxes of each picture, without those that overlap a better one of the same class.

    boxes [N, B, 4] (left, top, right, bottom), scores [N, B, C]: one candidate for each box and class, so a box may be
    kept for several classes. Candidates score more than ``score``; only the ``candidates`` best take part. From the
    best down (equals: lower box first, then lower class), a candidate is kept unless its intersection over union with
    a kept one of its class is more than ``iou``; it ends at ``limit``.

    Results, the best first: boxes [N, limit, 4], scores [N, limit], classes [N, limit] (int64), count [N] (int64).
    Places from count on hold boxes and scores of 0 and class -1.
    """

    name = "non_max_suppression"
    family: ClassVar[str] = "detection"
    operands = ("boxes", "scores")
    results = ("boxes", "scores", "classes", "count")
    access: ClassVar[tuple[Access, ...]] = (Access.OPAQUE, Access.OPAQUE)
    gradient = "refused: which boxes are kept has no gradient"
    source = "Girshick, Donahue, Darrell, Malik (2013), Rich Feature Hierarchies; torchvision.ops.batched_nms"
    limit: Count
    iou: Share = 0.5
    score: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    candidates: Count = 4096

    def infer(self, shapes: Shapes, boxes: TensorType, scores: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, boxes)
        need_same_dtype(self.name, boxes, scores)
        if boxes.rank != 3 or scores.rank != 3:
            raise OpError(f"{self.name}: takes boxes [N, B, 4] and scores [N, B, C], not {boxes} and {scores}")
        what = f"{self.name} of boxes {boxes} and scores {scores}"
        shapes.same(boxes.shape[2], 4, f"{what}: the last axis of boxes")
        batch = shapes.same(boxes.shape[0], scores.shape[0], what)
        shapes.same(boxes.shape[1], scores.shape[1], what)
        found = boxes.with_shape((batch, self.limit))
        whole = TensorType(DType.INT64, found.shape)
        return boxes.with_shape((*found.shape, 4)), found, whole, whole.with_shape((batch,))

    def formula(self, build: Builder, boxes: Tensor, scores: Tensor) -> Sequence[Tensor]:
        best, places = self._candidates(scores)
        box = fn.quotient(places, scores.shape[2])
        kinds = places - box * scores.shape[2]
        known = _rows(boxes, fn.minimum(box, fn.dimension(build, boxes.shape[1] - 1)))
        alive = fn.where(best > self.score, best, -np.inf)

        def step(
            constants: list[Tensor], carries: list[Tensor], rows: list[Tensor]
        ) -> tuple[list[Tensor], list[Tensor], Tensor]:
            known, kinds = constants
            (alive,) = carries
            first = fn.arg_max(alive, 1, keep=True)
            value = fn.gather_elements(alive, first, 1)
            itself = fn.iota(alive.build, alive.shape[1])[None] == first
            rival = (kinds == fn.gather_elements(kinds, first, 1)) & (overlap(known, _rows(known, first)) > self.iou)
            nothing_left = fn.reduce_sum((value > -np.inf).cast(DType.INT32)) == 0
            return [fn.where(itself | rival, -np.inf, alive)], [first[:, 0], value[:, 0]], nothing_left

        # The step that finds nothing ends the loop: the rows not reached repeat its own, which are empty.
        _, (chosen, values) = fn.scan(build, step, [known, kinds], [alive], [], self.limit, until=True)
        chosen, values = fn.transpose(chosen, (1, 0)), fn.transpose(values, (1, 0))
        found = values > -np.inf
        return [
            fn.where(found[..., None], _rows(known, chosen), 0),
            fn.where(found, values, 0),
            fn.where(found, fn.gather_elements(kinds, chosen, 1), -1),
            fn.reduce_sum(found.cast(DType.INT64), 1),
        ]

    def _candidates(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The best scores of each picture and their places in [B C]; -inf where there are fewer."""
        total = scores.shape[1] * scores.shape[2]
        flat = scores.reshape(scores.shape[0], total)
        if isinstance(total, int):
            return fn.top_k(flat, min(self.candidates, total), 1)
        if not decide(total, ">=", self.candidates):
            flat = fn.pad(flat, (0, 0), (0, self.candidates), -np.inf)
        return fn.top_k(flat, self.candidates, 1)

    @classmethod
    def samples(cls) -> list[Sample]:
        boxes, scores = _boxes(2, 30), (unit(2, 30, 3) + 1) / 2
        twins = np.repeat(_boxes(1, 4), 2, axis=1)
        even = np.full((1, 8, 2), 0.5, np.float32)
        return [
            Sample(cls(limit=10, iou=0.3), (boxes, scores)),
            Sample(cls(limit=100, iou=0.5, score=0.6), (boxes, scores), "fewer than the limit"),
            Sample(cls(limit=5, iou=0, score=0.2), (boxes, scores), "nothing may overlap"),
            Sample(cls(limit=5, iou=1), (boxes, scores), "everything may overlap"),
            Sample(cls(limit=4, score=0.99), (boxes, scores * 0.9), "nothing found"),
            Sample(cls(limit=9), (twins, even), "equal boxes and scores"),
            Sample(cls(limit=20, iou=0.3, candidates=12), (boxes, scores), "fewer candidates"),
            Sample(cls(limit=3, iou=0.4), (_boxes(1, 1), np.array([[[0.3, 0.9]]], np.float32)), "one box, two classes"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        def suppression() -> Op:
            return cls(limit=5)

        return [
            ErrorSample(suppression, types("float32[2, 9, 4]", "float32[2, 8, 3]"), "9 and 8 differ"),
            ErrorSample(suppression, types("float32[2, 9, 5]", "float32[2, 9, 3]"), "5 and 4 differ"),
            ErrorSample(suppression, types("float32[9, 4]", "float32[9, 3]"), r"\[N, B, 4\]"),
            ErrorSample(suppression, types("float32[2, 9, 4]", "float16[2, 9, 3]"), "different dtypes"),
            ErrorSample(lambda: cls(limit=0), types("float32[2, 9, 4]", "float32[2, 9, 3]"), "greater than or equal"),
            ErrorSample(lambda: cls(limit=1, iou=2), types("float32[2, 9, 4]", "float32[2, 9, 3]"), "less than or"),
        ]


def overlap(x: Tensor, y: Tensor) -> Tensor:
    """Intersection over union of boxes along the last axis; 0 where the union is empty."""
    low, high = fn.maximum(x[..., :2], y[..., :2]), fn.minimum(x[..., 2:], y[..., 2:])
    both = _area(apply(x.build, Clip(low=0), high - low))
    union = _area(x[..., 2:] - x[..., :2]) + _area(y[..., 2:] - y[..., :2]) - both
    return fn.where(union > 0, both / fn.where(union > 0, union, 1), 0)


def _area(sides: Tensor) -> Tensor:
    return sides[..., 0] * sides[..., 1]


def _rows(boxes: Tensor, places: Tensor) -> Tensor:
    """[N, K, 4] from boxes [N, B, 4] and places [N, K]."""
    return fn.gather_elements(boxes, places[..., None].broadcast_to((*places.shape, 4)), 1)


def _boxes(*shape: int, salt: int = 0) -> np.ndarray:
    """Boxes of sides up to 2 around places up to 3 apart."""
    centre, half = normal(*shape, 2, salt=salt), (unit(*shape, 2, salt=salt + 10) + 1.1) / 2
    return np.concatenate([centre - half, centre + half], -1)


OPS: tuple[type[Op], ...] = (BoxIou, NonMaxSuppression)
