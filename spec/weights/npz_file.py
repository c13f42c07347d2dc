"""NumPy's .npz: an archive of arrays. Never with pickled objects."""

from __future__ import annotations

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
        return Entry(key, shape, ours, dtype.name, self.path)


def _read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape, dtype, and how many bytes header and elements take."""
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(file)
    else:
        raise ValueError(f"an array of the unknown version {version}")
    elements = 1
    for length in shape:
        if type(length) is not int or length < 0:
            raise ValueError(f"an array of the shape {shape}")
        elements *= length
    return shape, dtype, file.tell() + elements * dtype.itemsize
