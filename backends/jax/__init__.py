"""The jax target. Importing it does not import jax."""

from __future__ import annotations

from .backend import JaxBackend

__all__ = ["JaxBackend"]
