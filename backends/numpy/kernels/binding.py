"""Sizes from the shapes of inputs, and weights from their file."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import safe_open


def solved(size: int, factor: int, rest: int, name: str, axis: int, text: str, symbol: str, low: int, high: int) -> int:
    """The whole number that makes ``factor * symbol + rest`` the size of an axis. Raises `ValueError`."""
    value, over = divmod(size - rest, factor)
    if over:
        raise ValueError(f"axis {axis} of {name!r} is {size}; it must be {text} with a whole {symbol}")
    if not low <= value <= high:
        raise ValueError(
            f"axis {axis} of {name!r} makes {symbol} {value} (it is {text}); {symbol} must lie from {low} to {high}"
        )
    return value


def agree(size: int, wanted: int, name: str, axis: int, text: str) -> None:
    """Raises `ValueError` unless an axis has the size that it must have."""
    if size != wanted:
        known = "" if str(wanted) == text else f" = {wanted}"
        raise ValueError(f"axis {axis} of {name!r} is {size}; it must be {text}{known}")


def guard(left: int, right: int, text: str, where: str) -> None:
    """Raises `ValueError` unless two sizes are equal."""
    if left != right:
        raise ValueError(f"{text} must be equal; they are {left} and {right}" + (f" ({where})" if where else ""))


def known(sizes: Mapping, symbol: str) -> int:
    """The value of a symbol that no input gives: that of the states. Raises `ValueError`."""
    if symbol not in sizes:
        raise ValueError(f"no input gives the size {symbol}; run the entry that sets the state first")
    return sizes[symbol]


def read_bfloat16(path: Path, name: str) -> np.ndarray:
    """The bits of a bfloat16 tensor, a dtype that NumPy lacks, as uint16."""
    size = int(np.fromfile(path, "<u8", 1)[0])
    facts = json.loads(np.fromfile(path, np.uint8, size, offset=8).tobytes())[name]
    begin, end = facts["data_offsets"]
    return np.fromfile(path, "<u2", (end - begin) // 2, offset=8 + size + begin).reshape(facts["shape"])


def read_weights(path: Path, parameters: tuple) -> tuple:
    """The tensors of a safetensors file, in the order of the parameters: (name, dtype, shape). Raises `ValueError`."""
    found = []
    with safe_open(path, framework="numpy") as file:
        names = set(file.keys())
        for name, dtype, shape in parameters:
            if name not in names:
                raise ValueError(f"{path} lacks the tensor {name!r}")
            narrow = file.get_slice(name).get_dtype() == "BF16"
            array = read_bfloat16(path, name) if narrow else np.asarray(file.get_tensor(name))
            if array.dtype != np.dtype(dtype) or array.shape != shape:
                given, wanted = f"{array.dtype}{list(array.shape)}", f"{dtype}{list(shape)}"
                raise ValueError(f"tensor {name!r} of {path} is {given}, not {wanted}")
            found.append(array)
    return tuple(found)


KERNELS = (solved, agree, guard, known, read_bfloat16, read_weights)
