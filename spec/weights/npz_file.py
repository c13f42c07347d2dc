"""NumPy's .npz: an archive of arrays. Never with pickled objects."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np
from numpy.lib import format as npy

from ...compiler.ir import DType
from .errors import WeightsError, shown
from .tensors import Entry

_DAMAGED = (
    zipfile.BadZipFile, zlib.error, TokenError, EOFError, ValueError, TypeError, OverflowError, OSError,
    RuntimeError,
)  # fmt: skip
"""What zipfile and numpy raise for archives that are damaged, encrypted, or packed in unknown ways."""
LONGEST_HEADER = 10_000
"""Characters of one array's header, as numpy has it. numpy looks after it has read and unpacked them all."""
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4}


class NpzFile:
    """One archive. Headers are read at once, arrays when asked for."""

    def __init__(self, path: Path) -> None:
        """Raises `WeightsError` for an archive that is damaged, names one array twice, or holds something else."""
        self.path = path
        self._members: dict[str, str] = {}
        found: dict[str, Entry] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    entry = self._entry(archive, member)
                    if entry.key in found:
                        raise WeightsError(f"{path}: {shown(entry.key)} stands twice in the archive")
                    found[entry.key] = entry
                    self._members[entry.key] = member.filename
        except WeightsError:
            raise
        except _DAMAGED as error:
            raise WeightsError(f"{path}: the archive is damaged: {error}") from error
        self.entries: Mapping[str, Entry] = found

    def read(self, key: str) -> np.ndarray:
        entry = self.entries[key]
        if entry.dtype is None:
            raise WeightsError(f"{self.path}: {shown(key)} holds {shown(entry.stored)}, which is not supported")
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self._members[key]) as file:
                array = npy.read_array(file, allow_pickle=False)
        except _DAMAGED as error:
            raise WeightsError(f"{self.path}: {shown(key)} is damaged: {error}") from error
        if array.shape != entry.shape:
            raise WeightsError(f"{self.path}: the file has changed since it was opened")
        array = array.astype(entry.dtype.numpy, copy=False)  # big-endian to native
        array.flags.writeable = False
        return array

    def _entry(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Entry:
        name = member.filename
        if not name.endswith(".npy"):
            raise WeightsError(f"{self.path}: {shown(name)} in the archive is no array (.npy)")
        key = name.removesuffix(".npy")
        with archive.open(member) as file:
            shape, dtype, size = _read_npy_header(file)
        if dtype.hasobject:
            raise WeightsError(f"{self.path}: {shown(key)} holds pickled objects, which are never loaded")
        if member.file_size != size:
            raise WeightsError(f"{self.path}: {shown(key)} has {member.file_size} bytes where its header says {size}")
        try:
            ours = DType(dtype.name)
        except ValueError:
            ours = None
        return Entry(key, shape, ours, dtype.name, self.path, math.prod(shape) * dtype.itemsize)


def _read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape, dtype, and how many bytes header and elements take."""
    version = npy.read_magic(file)
    if version not in _LENGTH_BYTES:
        raise ValueError(f"an array of the unknown version {version}")
    start = file.tell()
    length = int.from_bytes(file.read(_LENGTH_BYTES[version]), "little")
    if length > LONGEST_HEADER:
        raise ValueError(f"an array's header of {length} bytes ({LONGEST_HEADER} at most)")
    file.seek(start)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"an array of the shape {shape}")
    return shape, dtype, file.tell() + math.prod(shape) * dtype.itemsize
