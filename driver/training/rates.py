"""Learning rates over time, as `compiler.training.plan.Schedule` says them."""

from __future__ import annotations

import math

from ...compiler.training.plan import Schedule


def rate_at(schedule: Schedule, step: int, steps: int) -> float:
    """The rate of a step, counted from 0, where an epoch has ``steps``.

    Cosine, linear, exponential and inverse change with each step, ``step`` after whole epochs. A warm-up rises in a
    straight line to ``start`` within its epochs; cosine and linear reach ``end`` after ``epochs``, warm-up included.
    """
    epoch = step / steps
    if epoch < schedule.warmup:
        return schedule.start * min(1.0, (step + 1) / (schedule.warmup * steps))
    if schedule.kind in ("cosine", "linear"):
        done = min(1.0, (epoch - schedule.warmup) / max(schedule.epochs - schedule.warmup, 1 / steps))
        left = (1 + math.cos(math.pi * done)) / 2 if schedule.kind == "cosine" else 1 - done
        return schedule.end + (schedule.start - schedule.end) * left
    if schedule.kind == "step":
        return schedule.start * schedule.factor ** math.floor(epoch / schedule.every)
    if schedule.kind == "exponential":
        return float(schedule.start * schedule.factor**epoch)
    if schedule.kind == "inverse":
        return schedule.start / (1 + schedule.factor * epoch)
    return schedule.start
