"""Reverse-mode differentiation of graphs: gradients are ordinary nodes, which every later pass and target takes."""

from .prepare import differentiable
from .reverse import gradients, pullback

__all__ = ["differentiable", "gradients", "pullback"]
