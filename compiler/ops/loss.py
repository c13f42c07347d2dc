"""Losses: what a network says beside what is right, as one number or one for each example."""

from __future__ import annotations

from ..ir.op import Op
from . import loss_classes, loss_divergence, loss_pairwise

OPS: tuple[type[Op], ...] = (*loss_pairwise.OPS, *loss_divergence.OPS, *loss_classes.OPS)
