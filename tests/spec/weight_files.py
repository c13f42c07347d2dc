"""What the tests of weights share: declared parameters, and files that hold them or nearly do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from netwright.compiler.ir import DType, Parameter, TensorType
from netwright.spec.model.errors import validate
from netwright.spec.reader import read_tree
from netwright.spec.weights import LoadedWeights, WeightsError
from netwright.spec.weights.plan import static_shape


@dataclass(frozen=True)
class Model:
    """A model as the loader sees it: a prefix, declared layouts, a file."""

    prefix: str = ""
    layouts: Mapping[str, Any] = field(default_factory=dict)
    file: str | None = None
    whole: None = None


def layouts(text: str) -> Mapping[str, Any]:
    """The `weights` of a document, read as any spec is."""
    head = "netwright: 1\ninputs: {x: 'float[N]'}\ngraph: [{op: tanh, name: y}]\noutputs: {y: y}\nweights:\n"
    document = validate(read_tree(head + "\n".join("  " + line for line in text.strip().splitlines()), "model.yaml"))
    assert document.weights is not None
    return document.weights


def model(text: str) -> list[Model]:
    return [Model("", layouts(text))]


def parameters(dtype: str = "float32", /, **shapes: Sequence[int]) -> dict[str, Parameter]:
    """Parameters by path; ``__`` stands for a dot."""
    names = {path.replace("__", "."): shape for path, shape in shapes.items()}
    return {path: Parameter(path, TensorType(DType(dtype), tuple(shape))) for path, shape in names.items()}


def arrays(wanted: Mapping[str, Parameter], seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        path: random.normal(size=static_shape(parameter)).astype(parameter.type.dtype.numpy)
        for path, parameter in wanted.items()
    }


def same(loaded: LoadedWeights, wanted: Mapping[str, np.ndarray]) -> None:
    assert list(loaded) == list(wanted)
    for path, array in wanted.items():
        found = loaded[path]
        assert found.dtype == array.dtype and found.shape == array.shape
        assert not found.flags.writeable and found.flags.c_contiguous and found.flags.aligned
        np.testing.assert_array_equal(found, array)


SMALL = parameters(fc__weight=(3, 4), fc__bias=(3,), scale=())


def write_shards(folder: Path, values: Mapping[str, np.ndarray], index: bool = True) -> dict[str, str]:
    """A file per tensor, and an index of them."""
    folder.mkdir(exist_ok=True)
    where = {key: f"model-{at}.safetensors" for at, key in enumerate(values)}
    for key, name in where.items():
        save_file({key: values[key]}, folder / name)
    if index:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return where


def write_raw(path: Path, tensors: Sequence[tuple[str, str, list[int], bytes]]) -> None:
    header, data = {}, b""
    for key, dtype, shape, content in tensors:
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    write_file(path, json.dumps(header).encode(), data)


def write_file(path: Path, header: bytes, data: bytes = b"") -> None:
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


def message_of(call: Callable[[], Any]) -> str:
    with pytest.raises(WeightsError) as caught:
        call()
    return str(caught.value)
