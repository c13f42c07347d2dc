"""The ONNX backend.

A bundle holds a model for each entry (`main.onnx`, `decode.onnx`, ...), checked in full by `onnx.checker`. Weights are
initializers under their parameter paths: inside the model, or in one file `weights.bin` beside the models if there are
several or too many bytes. Inputs and outputs have the names and the order of the entry's signature; a state is the
input `state.NAME` and the output `state.NAME.next`, which the caller hands back. Sizes found at run time are named
dimensions. Nodes carry `netwright.label` and `netwright.source` as metadata: the label and the line of the spec.

The opset is 23 unless one is asked for, or a node is better off with a later one (a bitcast: 26). Two differences from
the meanings of ops are left, because onnxruntime has them: max pooling drops NaN (the setting `keep_nan` puts it back),
and float64 has no convolution and no erf, which is an error.
"""

from .backend import OnnxBackend, export_entry

__all__ = ["OnnxBackend", "export_entry"]
