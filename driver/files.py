"""Files that a person asks for, written aside and renamed: a full disk or a kill leaves no half file."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every archive member, so that equal arrays are equal files."""


class OutputError(Exception):
    """A file cannot be written. One clear message."""


def check_output(path: Path, suffix: str) -> None:
    """Raises OutputError for a path that cannot become a file of that kind: better before the work than after it."""
    if path.suffix.lower() != suffix:
        raise OutputError(f"{path} should end in {suffix}")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file")
    if not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent}")


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as ``.npz``; bfloat16, which NumPy's files lack, as float32. Raises OutputError."""

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, array in arrays.items():
                with archive.open(zipfile.ZipInfo(f"{name}.npy", _EPOCH), "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, _plain(array), allow_pickle=False)

    write_file(path, write)


def _plain(array: np.ndarray) -> np.ndarray:
    return array if array.dtype.isbuiltin == 1 else array.astype(np.float32)


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Put what ``write`` writes at ``path``. Raises OutputError; nothing is left behind then."""
    with _aside(path) as file:
        write(file)


@contextmanager
def _aside(path: Path) -> Iterator[BinaryIO]:
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
