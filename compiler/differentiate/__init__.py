"""Reverse-mode differentiation of graphs: gradients are ordinary nodes, which every later pass and target takes."""

from .declared import how_differentiated
from .prepare import differentiable
from .reverse import gradients, pullback

__all__ = ["differentiable", "gradients", "how_differentiated", "pullback"]
