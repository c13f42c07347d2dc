"""A bundle: a folder with emitted files, packed weights and a manifest that lists the sha256 of each.

Written aside and renamed, so that a full disk or a kill leaves no half bundle. Opened only if every file is listed,
present, a plain file, and unchanged. The manifest is no signature: who can write the folder can write both.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import re
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from safetensors import SafetensorError, safe_open

from ..compiler.ir import DType, TensorType
from .api import BackendError, Content, Emission, Loaded

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
FORMAT = 1
_MAX_MANIFEST = 64 * 2**20
_LONGEST_NAME = 200
_LARGE = 2**20
"""Bytes of a file that is not hashed each time."""
_ALIGNMENT = 64
"""Bytes at whose multiples tensors begin that are used where they lie."""
_DIGEST = re.compile("[0-9a-f]{64}")
_SAFETENSORS_NAMES = {
    DType.BOOL: "BOOL",
    DType.INT8: "I8",
    DType.UINT8: "U8",
    DType.INT32: "I32",
    DType.UINT32: "U32",
    DType.INT64: "I64",
    DType.FLOAT16: "F16",
    DType.BFLOAT16: "BF16",
    DType.FLOAT32: "F32",
    DType.FLOAT64: "F64",
}
_DTYPES = {name: dtype for dtype, name in _SAFETENSORS_NAMES.items()}


class BundleError(BackendError):
    """A folder is no bundle, is damaged, or cannot be written."""


class _Hashing:
    """A binary file that hashes what goes through it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, data: bytes | memoryview) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def tell(self) -> int:
        return self.file.tell()


def write(folder: Path, emission: Emission, weights: Mapping[str, np.ndarray], manifest: Mapping[str, Any]) -> None:
    """Write a bundle. An existing bundle at ``folder`` is replaced; anything else there is left alone.

    Raises `BundleError` if something else stands there, or the disk refuses.
    """
    folder = Path(os.path.abspath(folder))
    if folder.is_symlink() or (folder.exists() and not _replaceable(folder)):
        raise BundleError(f"{folder} exists and is no bundle; name a new folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise BundleError(f"cannot write {folder}: {error.strerror or error}") from error
    try:
        os.chmod(aside, 0o755)
        listed = _fill(aside, emission, weights, manifest)
        _swap(aside, folder)
        for name, facts in listed.items():
            if _hashed_once(name, facts):
                _remember(folder / name, facts["sha256"])
    except OSError as error:
        raise BundleError(f"cannot write {folder}: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _replaceable(folder: Path) -> bool:
    """Whether nothing but a bundle of ours stands there: many programs call a file manifest.json."""
    if not folder.is_dir():
        return False
    if not (folder / MANIFEST).is_file():
        # What is below a folder that is no bundle may be a whole disk.
        return not any(os.scandir(folder))
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}
    try:
        listed = {str(Path(name)) for name in read_manifest(folder)["files"]}
    except BundleError:
        return False
    # Whoever imports model.py leaves compiled code beside it.
    return all(name in listed or name == MANIFEST or Path(name).suffix == ".pyc" for name in present)


def _fill(
    aside: Path, emission: Emission, weights: Mapping[str, np.ndarray], manifest: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Write all files; what the manifest says of each."""
    files: dict[str, Content] = dict(emission.files)
    if emission.weights_file:
        files[WEIGHTS] = lambda file: write_safetensors(file, weights)
    listed: dict[str, dict[str, Any]] = {}
    for name, content in sorted(files.items()):
        _check_name(name)
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        with open(aside / name, "wb") as file:
            hashing = _Hashing(file)
            if isinstance(content, bytes):
                hashing.write(content)
            else:
                content(cast(BinaryIO, hashing))
            listed[name] = {"sha256": hashing.digest.hexdigest(), "bytes": file.tell()}
    if WEIGHTS in listed:
        listed[WEIGHTS]["header_sha256"] = _header_digest(aside / WEIGHTS)
    data = {"format": FORMAT, **manifest, "files": listed}
    (aside / MANIFEST).write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return listed


def _check_name(name: str) -> None:
    path = Path(name)
    plain = name.isprintable() and len(name) <= _LONGEST_NAME
    if not plain or path.is_absolute() or ".." in path.parts or not path.name or name == MANIFEST or "\\" in name:
        raise BundleError(f"{name[:80]!r} is no file of a bundle")


def _swap(aside: Path, folder: Path) -> None:
    """Put ``aside`` in the place of ``folder``; the old one stays until the new one stands."""
    if not folder.exists():
        os.rename(aside, folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    os.rename(folder, old / "bundle")
    try:
        os.rename(aside, folder)
    except OSError:
        os.rename(old / "bundle", folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def read(folder: Path, *, verify_weights: bool = False) -> Loaded:
    """Open a bundle after checking it.

    Code, other files and the header of the weights are hashed each time; tensors when this machine sees the file for
    the first time, unless it wrote it, and with ``verify_weights``. Raises `BundleError`.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    try:
        _check_files(folder, manifest["files"], verify_weights)
    except OSError as error:
        raise BundleError(f"{folder} cannot be read: {error}") from error
    weights: Mapping[str, np.ndarray] = SafetensorsFile(folder / WEIGHTS) if WEIGHTS in manifest["files"] else {}
    return Loaded(folder, manifest, weights)


def _check_files(folder: Path, listed: Mapping[str, Mapping[str, Any]], verify_weights: bool) -> None:
    for name, facts in sorted(listed.items()):
        path = folder / name
        if path.is_symlink() or not path.is_file() or not _inside(path, folder):
            raise BundleError(f"{folder}: {name} is missing or no plain file")
        if path.stat().st_size != facts["bytes"]:
            raise BundleError(f"{folder}: {name} has {path.stat().st_size} bytes, the manifest says {facts['bytes']}")
        if name == WEIGHTS and _header_digest(path) != facts.get("header_sha256"):
            raise BundleError(
                f"{folder}: the header of {name} is not what the manifest says; it was changed or damaged"
            )
        once = _hashed_once(name, facts)
        if once and not verify_weights and _seen(path, facts["sha256"]):
            continue
        if _file_digest(path) != facts["sha256"]:
            raise BundleError(f"{folder}: {name} is not what the manifest says; it was changed or damaged")
        if once:
            _remember(path, facts["sha256"])


def _hashed_once(name: str, facts: Mapping[str, Any]) -> bool:
    """Whether a machine hashes a file when it writes it or first sees it, and later only if it has changed."""
    return bool(facts["bytes"] > _LARGE) and not name.endswith((".py", ".json"))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, its form checked, its files not. Raises `BundleError`."""
    path = folder / MANIFEST
    try:
        if not path.is_file():
            raise BundleError(f"{folder} is no bundle: it has no {MANIFEST}")
        if path.stat().st_size > _MAX_MANIFEST:
            raise BundleError(f"{path} is larger than any manifest")
        manifest = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError(f"{path}: format {FORMAT} is wanted; compile the model again")
    files = manifest.get("files")
    if not isinstance(manifest.get("target"), str) or not isinstance(files, dict):
        raise BundleError(f"{path} has no target or no files")
    for name, facts in files.items():
        _check_name(name)
        if not isinstance(facts, dict) or type(facts.get("bytes")) is not int or not _is_digest(facts.get("sha256")):
            raise BundleError(f"{path} lists a file without its size and hash")
    for key in ("name", "netwright", "weights", "device"):
        if not isinstance(manifest.get(key, ""), str):
            raise BundleError(f"{path}: {key} is a text")
    if not isinstance(manifest.get("backend", {}), dict):
        raise BundleError(f"{path}: backend is a mapping")
    return manifest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _header_digest(path: Path) -> str:
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return hashlib.sha256(file.read(min(size, 100 * 2**20))).hexdigest()


def _mark(path: Path, digest: str) -> Path:
    stat = path.stat()
    facts = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}|{digest}"
    return cache_folder() / "verified" / hashlib.sha256(facts.encode()).hexdigest()


def _seen(path: Path, digest: str) -> bool:
    try:
        return _mark(path, digest).is_file()
    except (OSError, RuntimeError):
        return False


def _remember(path: Path, digest: str) -> None:
    try:
        mark = _mark(path, digest)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except (OSError, RuntimeError):
        # A machine without a writable cache, or a user without a home, verifies again next time.
        return


def cache_folder() -> Path:
    """Where this user's caches live (``$XDG_CACHE_HOME/netwright``, by default ``~/.cache/netwright``).

    Raises `RuntimeError` for a user without a home.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "netwright"


class SafetensorsFile(Mapping[str, np.ndarray]):
    """Tensors of a safetensors file by name, read when asked for. Raises `BundleError` for a file that is damaged.

    Large ones are mapped, read-only, where they are aligned: they take no memory that the system cannot have back.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = safe_open(path, framework="numpy")
            self._names = tuple(self._file.keys())
            self._places, self._map = _places(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise BundleError(f"{path} is no safetensors file: {error}") from error

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        begin, end = self._places[name]
        dtype = _DTYPES.get(self._file.get_slice(name).get_dtype())
        if end - begin >= _LARGE and begin % _ALIGNMENT == 0 and dtype is not None:
            whole = np.frombuffer(self._map, np.uint8, end - begin, begin)
            return whole.view(dtype.numpy).reshape(self.shape(name))
        try:
            return np.asarray(self._file.get_tensor(name))
        except (SafetensorError, TypeError, ValueError) as error:
            raise BundleError(f"{self.path}: tensor {name!r} cannot be read: {error}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, without reading it."""
        return tuple(self._file.get_slice(name).get_shape())

    def dtype(self, name: str) -> str:
        """The dtype of a tensor by our names (the file's own name where we have none)."""
        text = self._file.get_slice(name).get_dtype()
        return _DTYPES[text].value if text in _DTYPES else text


def _places(path: Path) -> tuple[dict[str, tuple[int, int]], mmap.mmap]:
    """Where the bytes of each tensor begin and end, and the file in memory. Raises OSError and ValueError."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size), object_pairs_hook=_unique)
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    tensors = {name: facts["data_offsets"] for name, facts in header.items() if name != "__metadata__"}
    return {name: (8 + size + begin, 8 + size + end) for name, (begin, end) in tensors.items()}, whole


class DrawnTensors(Mapping[str, np.ndarray]):
    """Tensors that are made when asked for, of types that are known before."""

    @abstractmethod
    def type(self, name: str) -> TensorType:
        """The type of a tensor, without sizes that are not known, and without making it."""


def write_safetensors(file: BinaryIO, tensors: Mapping[str, np.ndarray]) -> None:
    """Write the safetensors format with one tensor in memory at a time (the library's writer holds them all).

    Tensors begin at multiples of 64 bytes of the file, those of other sizes after all others; by name among their kind.
    `DrawnTensors` are asked for once, others twice. Raises `BundleError` for a tensor that is not of its type.
    """
    facts = {name: _facts(tensors, name) for name in tensors}
    sizes = {name: math.prod(shape) * dtype.bytes for name, (dtype, shape) in facts.items()}
    names = sorted(facts, key=lambda name: (sizes[name] % _ALIGNMENT != 0, name))
    header: dict[str, Any] = {}
    offset = 0
    for name in names:
        dtype, shape = facts[name]
        place = [offset, offset + sizes[name]]
        header[name] = {"dtype": _SAFETENSORS_NAMES[dtype], "shape": list(shape), "data_offsets": place}
        offset += sizes[name]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for name in names:
        array, promised = tensors[name], header[name]
        if list(array.shape) != promised["shape"] or _SAFETENSORS_NAMES[DType.of(array)] != promised["dtype"]:
            found = f"{array.dtype}{list(array.shape)}"
            raise BundleError(f"tensor {name!r} is {found}, not {promised['dtype']}{promised['shape']}")
        # A view of the bytes: large tensors are not copied once more.
        file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _facts(tensors: Mapping[str, np.ndarray], name: str) -> tuple[DType, tuple[int, ...]]:
    """The dtype and the shape of a tensor."""
    if not isinstance(tensors, DrawnTensors):
        array = tensors[name]
        return DType.of(array), array.shape
    type = tensors.type(name)
    return type.dtype, tuple(int(size) for size in type.shape)  # type: ignore[arg-type]


def copy(source: Path, folder: Path) -> None:
    """Copy a bundle, written aside and renamed. Raises `BundleError`."""
    loaded = read(source)
    listed = loaded.manifest["files"]
    files: dict[str, Content] = {name: _copier(source / name) for name in listed}
    manifest = {key: value for key, value in loaded.manifest.items() if key not in ("files", "format")}
    write(folder, Emission(files, weights_file=False), {}, manifest)


def _copier(path: Path) -> Content:
    def write_to(out: BinaryIO) -> None:
        with open(path, "rb") as file:
            while block := file.read(2**20):
                out.write(block)

    return write_to
