"""A model as ONNX protobuf: built, checked, and written without holding its weights.

The graph is one message; a file with the weights inside is that message followed by one field for each weight, which is
the same message on the wire. So no more than one weight is in memory at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, BinaryIO

import numpy as np
import onnx
import onnx.checker
import onnx.helper
import onnx.shape_inference

from ...compiler.ir import Loc, TensorType
from ...version import VERSION
from ..api import BackendError
from .emit import ELEMENT_TYPES
from .model import Attribute, Model, OnnxNode, Subgraph, Typed

_IR_VERSIONS = {18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11, 24: 12, 25: 13, 26: 13}
"""The IR version that came with each opset; onnxruntime 1.31 takes 13 at most."""
_METADATA_SINCE = 10
"""The first IR version whose nodes have metadata."""

External = Mapping[str, tuple[str, int, int]]
"""File, offset and bytes of each weight that is kept outside."""


@dataclass(frozen=True, slots=True)
class Serialized:
    """A checked model; ``write`` puts it into a file."""

    skeleton: onnx.ModelProto
    weights: tuple[tuple[str, str, TensorType], ...]
    """Name, path and type of the weights to be stored inside."""

    def write(self, file: BinaryIO, read: Callable[[str], np.ndarray]) -> None:
        """Write the model; ``read`` gives each weight by its path, one after another."""
        graph = self.skeleton.graph.SerializeToString(deterministic=True)
        outside = onnx.ModelProto()
        outside.CopyFrom(self.skeleton)
        outside.ClearField("graph")
        entries = [_initializer_head(name, type) for name, _, type in self.weights]
        total = len(graph) + sum(len(head) + size for head, size in entries)
        file.write(outside.SerializeToString(deterministic=True))
        file.write(_key(onnx.ModelProto.GRAPH_FIELD_NUMBER) + _varint(total))
        file.write(graph)
        for (name, path, type), (head, size) in zip(self.weights, entries, strict=True):
            data = raw(read(path), type, name)
            assert len(data) == size
            file.write(head)
            file.write(data)


def serialize(model: Model, program: str, external: External) -> Serialized:
    """The protobuf of a model, fully checked by `onnx.checker`.

    Weights named in ``external`` are references into files, the others are left to be written inside. Raises
    `BackendError` (a fault of ours) if the checker refuses it.
    """
    proto = onnx.ModelProto()
    proto.ir_version = _IR_VERSIONS[model.opset]
    proto.producer_name = "netwright"
    proto.producer_version = VERSION
    proto.opset_import.add(domain="", version=model.opset)
    _metadata(proto.metadata_props, {"netwright.entry": model.entry, "netwright.spec": program})
    _Graphs(model, proto.ir_version).fill(proto.graph, model.entry, model.nodes, model.inputs, model.outputs)
    for name, array in model.constants.items():
        _tensor(proto.graph.initializer.add(), model.names[name], array)
    _check(proto, model)
    inside = []
    for name, path, type in model.parameters:
        if path not in external:
            inside.append((model.names[name], path, type))
            continue
        element = ELEMENT_TYPES[type.dtype]
        tensor = proto.graph.initializer.add(name=model.names[name], data_type=element, dims=known_shape(type))
        location, offset, size = external[path]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", str(offset)), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)
    return Serialized(proto, tuple(inside))


def _check(proto: onnx.ModelProto, model: Model) -> None:
    """Check the model with its weights as inputs: types and shapes matter, and the weights may be too large to hold."""
    twin = onnx.ModelProto()
    twin.CopyFrom(proto)
    inputs = {name for name, _ in model.inputs}
    for name, _, type in model.parameters:
        if name in inputs:
            continue
        _value_info(twin.graph.input.add(), model.names[name], type)
    try:
        onnx.checker.check_model(twin, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BackendError(f"onnx: entry {model.entry} is refused by onnx.checker: {error}") from error


@dataclass(frozen=True, slots=True)
class _Graphs:
    """Fills graph messages with the nodes of one model."""

    model: Model
    ir_version: int

    def fill(
        self, graph: Any, name: str, nodes: Sequence[OnnxNode], inputs: Sequence[Typed], outputs: Sequence[Typed]
    ) -> None:
        graph.name = name
        for value, type in inputs:
            _value_info(graph.input.add(), self.model.names[value], type)
        for value, type in outputs:
            _value_info(graph.output.add(), self.model.names[value], type)
        for node in nodes:
            self.node(graph.node.add(), node)

    def node(self, proto: Any, node: OnnxNode) -> None:
        names = self.model.names
        proto.op_type = node.op
        proto.name = names[node.outputs[0]] if node.outputs else node.op
        proto.input.extend(names[name] if name else "" for name in node.inputs)
        proto.output.extend(names[name] for name in node.outputs)
        for key, value in node.attributes:
            self.attribute(proto.attribute.add(name=key), value)
        if node.loc is not None:
            place = {"netwright.label": node.loc.label, "netwright.source": _source(node.loc)}
            place = {key: text for key, text in place.items() if text}
            if self.ir_version >= _METADATA_SINCE:
                _metadata(proto.metadata_props, place)
            else:
                proto.doc_string = "\n".join(place.values())

    def attribute(self, proto: Any, value: Attribute) -> None:
        kinds = onnx.AttributeProto
        if isinstance(value, Subgraph):
            proto.type = kinds.GRAPH
            self.fill(proto.g, proto.name, value.nodes, value.inputs, value.outputs)
        elif isinstance(value, str):
            proto.type, proto.s = kinds.STRING, value.encode()
        elif isinstance(value, float):
            proto.type, proto.f = kinds.FLOAT, value
        elif isinstance(value, int):
            proto.type, proto.i = kinds.INT, value
        else:
            proto.type = kinds.INTS
            proto.ints.extend(value)


def _source(loc: Loc) -> str:
    """Where in which spec; the name of the file only, so that the folder leaves no trace."""
    return f"{PurePath(loc.file).name}:{loc.line}:{loc.column}" if loc.file else ""


def _metadata(target: Any, entries: Mapping[str, str]) -> None:
    for key, value in entries.items():
        target.add(key=key, value=value)


def _value_info(proto: Any, name: str, type: TensorType) -> None:
    proto.name = name
    tensor = proto.type.tensor_type
    tensor.elem_type = ELEMENT_TYPES[type.dtype]
    tensor.shape.SetInParent()
    for size in type.shape:
        dim = tensor.shape.dim.add()
        if isinstance(size, int):
            dim.dim_value = size
        else:
            dim.dim_param = str(size)


def _tensor(proto: Any, name: str, array: np.ndarray) -> None:
    proto.name = name
    proto.data_type = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    proto.dims.extend(array.shape)
    proto.raw_data = _little(array)


def known_shape(type: TensorType) -> tuple[int, ...]:
    """The shape of a weight, which has no symbols. Raises `BackendError` if it has."""
    sizes = tuple(size for size in type.shape if isinstance(size, int))
    if len(sizes) != type.rank:
        raise BackendError(f"onnx: a weight of type {type} has sizes that are found at run time")
    return sizes


def known_bytes(type: TensorType) -> int:
    """The bytes of a weight."""
    return math.prod(known_shape(type)) * type.dtype.bytes


def raw(array: np.ndarray, type: TensorType, name: str) -> bytes:
    """The bytes of a weight as ONNX stores them. Raises `BackendError` if it is not of its type."""
    if array.shape != type.shape or array.dtype != type.dtype.numpy:
        raise BackendError(f"onnx: weight {name} is {array.dtype}{list(array.shape)}, {type} is declared")
    return _little(array)


def _little(array: np.ndarray) -> bytes:
    """Row-major bytes, low ones first."""
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return np.ascontiguousarray(array).tobytes()


def _initializer_head(name: str, type: TensorType) -> tuple[bytes, int]:
    """What stands before the bytes of a weight in a graph message, and how many bytes they are."""
    tensor = onnx.TensorProto(name=name, data_type=ELEMENT_TYPES[type.dtype], dims=known_shape(type))
    size = known_bytes(type)
    front = tensor.SerializeToString(deterministic=True) + _key(onnx.TensorProto.RAW_DATA_FIELD_NUMBER) + _varint(size)
    return _key(onnx.GraphProto.INITIALIZER_FIELD_NUMBER) + _varint(len(front) + size) + front, size


def _key(field: int) -> bytes:
    """The key of a field that has a length."""
    return _varint(field << 3 | 2)


def _varint(value: int) -> bytes:
    """Protobuf's numbers: seven bits at a time, low ones first."""
    parts = bytearray()
    while value >= 128:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)
