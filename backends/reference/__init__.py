"""The reference target: the meaning of each op, in float64."""

from __future__ import annotations

from .backend import ReferenceBackend

__all__ = ["ReferenceBackend"]
