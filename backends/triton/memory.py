"""Tensors of a device: arrays in and out, and the arena of an entry for each combination of sizes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from ...compiler.ir import DType
from ...compiler.packing import pack
from .module import EntryFacts

Tensor = Any
"""A torch tensor."""
ALIGN = 256
MOST_ARENAS = 8


class Tensors:
    """Makes tensors on one device from arrays, and arrays from tensors. bool is int8 where kernels see it."""

    def __init__(self, torch: Any, device: str) -> None:
        """``torch`` is the module; ``device`` its name of the device."""
        self.torch, self.device = torch, device

    def dtype(self, name: str) -> Any:
        """Torch's dtype."""
        return getattr(self.torch, name)

    def empty(self, shape: Sequence[int], dtype: str) -> Tensor:
        """New memory."""
        return self.torch.empty(tuple(shape), dtype=self.dtype(dtype), device=self.device)

    def given(self, array: Any) -> Tensor:
        """An array or a tensor as a packed, aligned tensor on the device; the very memory where it is that already."""
        tensor = array if isinstance(array, self.torch.Tensor) else self._from_numpy(np.asarray(array))
        tensor = tensor.detach().to(self.device).contiguous()
        return tensor if tensor.data_ptr() % 16 == 0 else tensor.clone()

    def _from_numpy(self, array: np.ndarray) -> Tensor:
        array = np.ascontiguousarray(array) if array.ndim else array
        if not array.flags.writeable:
            array = array.copy()
        if array.dtype == ml_dtypes.bfloat16:
            return self.torch.from_numpy(array.view(np.int16)).view(self.torch.bfloat16)
        return self.torch.from_numpy(array)

    def array(self, tensor: Tensor) -> np.ndarray:
        """A tensor as an array, in the memory of the host."""
        tensor = tensor.detach().cpu()
        if tensor.dtype == self.torch.bfloat16:
            return tensor.view(self.torch.int16).numpy().view(ml_dtypes.bfloat16)
        return np.asarray(tensor.numpy())

    def kernels(self, tensor: Tensor) -> Tensor:
        """The tensor as kernels see it."""
        return tensor.view(self.torch.int8) if tensor.dtype == self.torch.bool else tensor


class Arenas:
    """The arenas of a program, the least recently used go."""

    def __init__(self, tensors: Tensors, check: Callable[[int], None], most: int = MOST_ARENAS) -> None:
        """``check`` is told the bytes of an arena before it is made; it raises where there is no room."""
        self.tensors, self.check, self.most = tensors, check, most
        self._arenas: OrderedDict[Hashable, list[Tensor]] = OrderedDict()
        self.bytes: dict[Hashable, int] = {}

    def get(self, key: Hashable, entry: EntryFacts, sizes: Sequence[int]) -> list[Tensor]:
        """The buffers of an entry for these sizes, as kernels see them."""
        if key in self._arenas:
            self._arenas.move_to_end(key)
            return self._arenas[key]
        while len(self._arenas) >= self.most:
            del self.bytes[self._arenas.popitem(last=False)[0]]
        table = entry.buffers(*sizes)
        widths = [elements * DType(dtype).bytes for _, _, dtype, elements in table]
        rows = tuple((first, last, width) for (first, last, _, _), width in zip(table, widths, strict=True))
        offsets, total = pack(rows, ALIGN)
        self.check(total)
        arena = self.tensors.empty((total,), "uint8")
        buffers = []
        for (_, _, dtype, _), width, offset in zip(table, widths, offsets, strict=True):
            part = arena[offset : offset + width]
            buffers.append(part.view(self.tensors.dtype("int8" if dtype == "bool" else dtype)))
        self._arenas[key], self.bytes[key] = buffers, total
        return buffers
