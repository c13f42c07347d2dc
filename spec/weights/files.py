"""From a path to tensors: one safetensors file, a folder or an index of shards, or an .npz archive.

Nothing outside the root is opened, neither by `..` nor through a symbolic link, and nothing that is no plain file.
Formats that can run code when they are read (pickles: .bin, .pt, .ckpt) are refused.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from .errors import WeightsError, listed, shown
from .foreign import PICKLE_REFUSED, PICKLED, refuse_suffix
from .json_text import JsonError, parse_json
from .npz_file import NpzFile
from .safetensors_file import SafetensorsFile
from .tensors import Entry, TensorFile

INDEX = ".safetensors.index.json"
LARGEST_INDEX = 32 * 2**20


class Shards:
    """Several files as one. No key may stand in two of them."""

    def __init__(self, path: Path, files: Iterable[TensorFile]) -> None:
        """Raises `WeightsError` for a key in two files."""
        self.path = path
        self._files: dict[str, TensorFile] = {}
        for file in files:
            for key in file.entries:
                if key in self._files:
                    first = self._files[key].path.name
                    raise WeightsError(f"{path}: {shown(key)} stands in {first} and in {file.path.name}")
                self._files[key] = file
        self.entries: Mapping[str, Entry] = {key: file.entries[key] for key, file in self._files.items()}

    def read(self, key: str) -> np.ndarray:
        return self._files[key].read(key)


def open_tensors(path: str | Path, root: str | Path | None = None) -> TensorFile:
    """The tensors of a file, an index, or a folder. Raises `WeightsError`.

    ``root`` is the folder that the file and all that it names must lie in; by default the folder itself, or the
    folder of the file (which may then itself be a link, for it is what a person named).
    """
    path = Path(path)
    if root is not None:
        root = Path(root)
        confine(path, root)
    kind = _kind(path)
    if kind == "folder":
        return _open_folder(path, root or path)
    if kind != "file":
        raise WeightsError(f"{path}: no plain file")
    if path.name.endswith(".json"):
        return _open_index(path, root or path.parent)
    return _open_file(path)


def confine(path: Path, root: Path) -> Path:
    """The path with all links followed. Raises `WeightsError` if that leads out of the root."""
    try:
        resolved, inside = path.resolve(), root.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{path}: {error}") from error
    if not resolved.is_relative_to(inside):
        link = "; a link leads there" if Path.absolute(path).is_relative_to(root.absolute()) else ""
        raise WeightsError(f"{path}: outside of {root}{link}")
    return resolved


def _kind(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise WeightsError(f"{path}: {reason}") from error
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def _open_file(path: Path) -> TensorFile:
    if path.suffix.lower() == ".npz":
        return NpzFile(path)
    refuse_suffix(path)
    return SafetensorsFile(path)


def _open_folder(folder: Path, root: Path) -> TensorFile:
    try:
        names = sorted(item.name for item in folder.iterdir())
    except OSError as error:
        raise WeightsError(f"{folder}: {error.strerror}") from error
    indices = [name for name in names if name.endswith(INDEX)]
    if len(indices) > 1:
        raise WeightsError(f"{folder}: has several indices, name one: {', '.join(indices[:5])}")
    if indices:
        confine(folder / indices[0], root)
        return _open_index(folder / indices[0], root)
    files = [folder / name for name in names if name.endswith(".safetensors")]
    if not files:
        pickles = [name for name in names if name.lower().endswith(PICKLED)]
        instead = f" but {listed(pickles, 3)}; {PICKLE_REFUSED}" if pickles else ""
        raise WeightsError(f"{folder}: holds no .safetensors file{instead}")
    return Shards(folder, [_open_shard(file, root) for file in files])


def _open_shard(path: Path, root: Path) -> TensorFile:
    confine(path, root)
    if _kind(path) != "file":
        raise WeightsError(f"{path}: no plain file")
    return SafetensorsFile(path)


def _open_index(path: Path, root: Path) -> TensorFile:
    """The shards that ``weight_map`` names. Each key must stand in the file that is said to hold it, nowhere else."""
    keys: dict[str, list[str]] = {}
    for key, name in _weight_map(path).items():
        keys.setdefault(name, []).append(key)
    for name in keys:
        _check_name(path, name)
    missing = [name for name in keys if not (path.parent / name).exists() and not (path.parent / name).is_symlink()]
    if missing:
        absent = [key for name in missing for key in keys[name]]
        raise WeightsError(
            f"{path}: {len(missing)} of {len(keys)} shards {'is' if len(missing) == 1 else 'are'} not there: "
            f"{listed(missing)}; with {'it' if len(missing) == 1 else 'them'} "
            f"{_count(len(absent), 'key')}: {listed(absent)}"
        )
    files = {name: _open_shard(path.parent / name, root) for name in keys}
    for name, file in files.items():
        absent = [key for key in keys[name] if key not in file.entries]
        if absent:
            raise WeightsError(
                f"{path}: the index has {_count(len(absent), 'key')} in {name} that the file does not hold: "
                f"{listed(absent)}"
            )
    for name, file in files.items():
        said = set(keys[name])
        unsaid = [key for key in file.entries if key not in said]
        if unsaid:
            raise WeightsError(
                f"{path}: {name} holds {_count(len(unsaid), 'key')} that the index does not have there: "
                f"{listed(unsaid)}"
            )
    return Shards(path, files.values())


def _check_name(path: Path, name: str) -> None:
    """Raises `WeightsError` unless this names a file beside the index or below, of the one kind that is read."""
    pure = PurePosixPath(name)
    if pure.suffix in PICKLED:
        raise WeightsError(f"{path}: names {shown(name)}; {PICKLE_REFUSED}")
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name or pure.suffix != ".safetensors":
        raise WeightsError(f"{path}: {shown(name)} is no .safetensors file beside the index")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _weight_map(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_size > LARGEST_INDEX:
            raise WeightsError(f"{path}: an index has {LARGEST_INDEX} bytes at most")
        index = parse_json(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}") from error
    except JsonError as error:
        raise WeightsError(f"{path}: no index: {error}") from error
    listed = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
        raise WeightsError(f"{path}: no index: it has no `weight_map` of keys to files")
    return listed
