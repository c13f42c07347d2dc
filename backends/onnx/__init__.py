"""The ONNX backend."""

from .backend import OnnxBackend, export_entry

__all__ = ["OnnxBackend", "export_entry"]
