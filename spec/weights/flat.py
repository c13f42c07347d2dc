"""Flat files, as Darknet writes them: a header, then float32 values with neither names nor shapes.

``sequence`` lists paths; each stands for all parameters below it. The owners among these (a convolution with its batch
norm, say) follow in the order of the network, and the parameters of an owner in the order of ``each``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...compiler.ir import DType, Parameter
from .errors import WeightsError, shown
from .layouts import FlatLayout
from .plan import static_shape
from .tensors import Entry

BYTES = DType.FLOAT32.bytes


def flat_order(layout: FlatLayout, parameters: Mapping[str, Parameter]) -> list[str]:
    """The parameters in the order of the file. Raises `WeightsError` for one that has no place, or two."""
    order: dict[str, None] = {}
    for start in layout.sequence:
        below = [path for path in parameters if path == start or path.startswith(start + ".")]
        if not below:
            raise WeightsError(f"layout {layout.name}: there is no parameter below {shown(start)}")
        owners: dict[str, dict[str, str]] = {}
        for path in below:
            owner, name = _owner(layout, path)
            owners.setdefault(owner, {})[name] = path
        for named in owners.values():
            for path in (named[name] for name in layout.each if name in named):
                if path in order:
                    raise WeightsError(f"layout {layout.name}: {shown(path)} stands below two paths of the sequence")
                order[path] = None
    missing = [path for path in parameters if path not in order]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        listed = ", ".join(map(shown, missing[:5]))
        raise WeightsError(f"layout {layout.name}: the sequence leaves out {listed}{more}")
    return list(order)


def _owner(layout: FlatLayout, path: str) -> tuple[str, str]:
    """What owns a parameter, and the name in ``each`` that it bears there: the longest that ends its path."""
    names = [name for name in layout.each if path == name or path.endswith("." + name)]
    if not names:
        raise WeightsError(f"layout {layout.name}: `each` has no name for {shown(path)}")
    name = max(names, key=len)
    return path[: len(path) - len(name)], name


class FlatTensors:
    """A flat file as tensors by our own paths. Nothing is read before it is asked for."""

    def __init__(self, path: Path, layout: FlatLayout, parameters: Mapping[str, Parameter]) -> None:
        """Raises `WeightsError` unless the file has exactly the bytes that the parameters take."""
        self.path = path
        self.entries: dict[str, Entry] = {}
        self._offsets: dict[str, int] = {}
        at = layout.header
        for name in flat_order(layout, parameters):
            shape = static_shape(parameters[name])
            size = math.prod(shape) * BYTES
            self.entries[name] = Entry(name, shape, DType.FLOAT32, "F32", path, size)
            self._offsets[name] = at
            at += size
        self._size = at
        self._check_size()

    def read(self, key: str) -> np.ndarray:
        shape = self.entries[key].shape
        count = math.prod(shape)
        if count == 0:
            return np.empty(shape, np.float32)
        self._check_size()
        try:
            raw = np.memmap(self.path, np.uint8, "r", self._offsets[key], (count * BYTES,))
        except (OSError, ValueError) as error:
            raise WeightsError(f"{self.path}: {error}") from error
        array = np.asarray(raw).view("<f4").reshape(shape)
        return array if array.flags.aligned else array.copy()

    def _check_size(self) -> None:
        try:
            size = self.path.stat().st_size
        except OSError as error:
            raise WeightsError(f"{self.path}: {error.strerror}") from error
        if size != self._size:
            off = (size - self._size) / BYTES
            raise WeightsError(
                f"{self.path}: has {size} bytes, the model takes {self._size} ({abs(off):g} values "
                f"{'more' if off > 0 else 'less'} than the model has)"
            )
