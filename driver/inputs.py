"""What a person gives as input: pictures, texts, arrays in files, numbers; each as an array of the declared type."""

from __future__ import annotations

import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..backends.executable import InputError
from ..backends.signature import EntrySignature, Field
from ..compiler.ir.dims import solve
from .memory import gibibytes, physical_memory
from .model import nearest
from .samples import random_inputs
from .text import Tokenizers

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
MOST_PIXELS = 64_000_000
"""Pixels of the largest picture that is decoded."""
_UNREADABLE = (
    UnidentifiedImageError, OSError, ValueError, TypeError, OverflowError, SyntaxError, KeyError, IndexError, EOFError,
    ZeroDivisionError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises for damaged pictures, and what rules for pictures cause that make no sense."""
RANDOM = "random"
"""The value that asks for random numbers."""


_DAMAGED = (
    OSError, ValueError, TypeError, EOFError, KeyError, OverflowError, RuntimeError,
    TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What numpy and zipfile raise for files that are none of theirs."""


def read_inputs(
    entry: EntrySignature,
    given: Mapping[str, str],
    seed: int,
    sizes: Mapping[str, int] | None = None,
    tokenizers: Tokenizers | None = None,
) -> dict[str, np.ndarray]:
    """An array for each input of an entry, from texts as they are typed: ``NAME=VALUE``.

    VALUE is a picture, a ``.npy`` or ``.npz`` file (its entry of that name), JSON numbers, the word `random`, or, where
    the spec says so, a text.
    Inputs that are not given take their default, or are drawn from ``seed`` if the spec says that they are random.
    What is drawn has the sizes of the other inputs, else those of ``sizes``, else small ones. Raises InputError.
    """
    tokenizers = tokenizers or Tokenizers()
    fields = {field.name: field for field in entry.inputs}
    values: dict[str, np.ndarray] = {}
    for name, text in given.items():
        if name not in fields:
            listed = ", ".join(fields) or "none"
            raise InputError(f"no input is called {name!r}{nearest(name, fields)} (there are: {listed})")
        if text != RANDOM:
            values[name] = read_input(fields[name], text, tokenizers)
    for name, field in fields.items():
        if name not in values and name not in given and "default" in (field.source or {}):
            values[name] = _default(field, tokenizers)
    known = {**(sizes or {}), **known_sizes(entry, values)}
    drawn = random_inputs(entry, seed, {s.name: known[s.name] for s in entry.symbols if s.name in known})
    for name, field in fields.items():
        if name in values:
            continue
        source = field.source or {}
        if RANDOM not in source and given.get(name) != RANDOM:
            raise InputError(f"input {name!r} ({field.type}) is missing: --input {name}={_example(field)}")
        uniform = RANDOM in source and source[RANDOM].get("distribution") == "uniform"
        values[name] = _uniform(drawn[name], seed) if uniform else drawn[name]
    return values


def _example(field: Field) -> str:
    if "image" in (field.source or {}):
        return "photo.png"
    if "text" in (field.source or {}):
        return "'Once upon a time'"
    return "array.npy" if field.type.rank else "1"


def _uniform(drawn: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(drawn.shape).astype(drawn.dtype)


def known_sizes(entry: EntrySignature, values: Mapping[str, np.ndarray]) -> dict[str, int]:
    """The symbols that the shapes of some inputs settle; what contradicts is left to whoever checks them."""
    known: dict[str, int] = {}
    for _ in entry.symbols:
        for field in entry.inputs:
            if field.name not in values or values[field.name].ndim != field.type.rank:
                continue
            for wanted, size in zip(field.type.shape, values[field.name].shape, strict=True):
                solved = solve(wanted, size, known)
                if solved is not None and isinstance(solved[1], int):
                    known.setdefault(solved[0].name, solved[1])
    return known


def read_input(field: Field, text: str, tokenizers: Tokenizers | None = None) -> np.ndarray:
    """One input from what was typed for it. Raises InputError."""
    suffix = Path(text).suffix.lower()
    if suffix in PICTURES:
        return read_picture(_file(Path(text)), field)
    if suffix in (".npy", ".npz"):
        return _read_array(_file(Path(text)), field.name)
    is_text = "text" in (field.source or {})
    try:
        numbers = json.loads(text)
    except (ValueError, RecursionError):
        pass
    else:
        if isinstance(numbers, list) or not is_text:
            try:
                return np.asarray(numbers)
            except ValueError as error:
                message = f"the lists in {field.name}={text[:60]!r} are not equally long, or too deep"
                raise InputError(f"{message}; it should be {field.type}") from error
    if is_text:
        return (tokenizers or Tokenizers()).encode(field, text)
    message = f"{field.name}={text[:60]!r} is no picture, no .npy or .npz file, no JSON numbers and not `random`"
    raise InputError(f"{message}; it should be {field.type}")


def _file(path: Path) -> Path:
    try:
        if path.is_file():
            return path
        present = path.exists()
    except (OSError, ValueError):
        present = False
    raise InputError(f"{path} is no regular file" if present else f"there is no file {path}")


def _read_array(path: Path, name: str) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if name not in loaded and len(loaded.files) != 1:
                raise InputError(f"{path} holds {', '.join(loaded.files)}; none is {name!r}")
            member = name if name in loaded else loaded.files[0]
            _check_member(path, loaded.zip, member)
            return np.asarray(loaded[member])
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(f"{path} is no array file: {error}") from error
    except MemoryError as error:
        raise InputError(f"{path} holds more than fits into memory") from error


def _check_member(path: Path, archive: zipfile.ZipFile, member: str) -> None:
    """A small archive may hold an array that fills the memory."""
    room = physical_memory()
    size = next((info.file_size for info in archive.infolist() if info.filename in (member, f"{member}.npy")), 0)
    if room is not None and size > room:
        raise InputError(f"{path}: {member} has {gibibytes(size)}, this machine has {gibibytes(room)}")


def _default(field: Field, tokenizers: Tokenizers) -> np.ndarray:
    value = (field.source or {})["default"]
    if isinstance(value, str) and "text" in (field.source or {}):
        return tokenizers.encode(field, value)
    try:
        return np.asarray(value).astype(field.type.dtype.numpy)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"the default of {field.name!r} is no array of {field.type.dtype}: {error}") from error


def read_picture(path: Path, field: Field) -> np.ndarray:
    """A picture as ``[1, channels, height, width]``, prepared as the spec's `from: image` says. Raises InputError.

    Without `from` it is RGB (or gray, if the input has one channel) in 0..1 at its own size. Where the input is
    ``[N, features]`` the pixels are one row.
    """
    if field.type.rank != 4 and not (field.type.rank == 2 and "image" in (field.source or {})):
        raise InputError(f"{path} is a picture; input {field.name!r} is {field.type}, not [N, channels, height, width]")
    with _refusing(path):
        return picture_array(framed_picture(path, field), field)


def framed_picture(path: Path, field: Field) -> Image.Image:
    """The picture in the size, the frame and the channels that the network sees. Raises InputError."""
    with _refusing(path), warnings.catch_warnings():
        # Our own limit, which is an error, stands before Pillow's, which is a warning.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                message = f"{path} has {opened.width} x {opened.height} pixels"
                raise InputError(f"{message}; {MOST_PIXELS:,} are the most that are read")
            return _framed(ImageOps.exif_transpose(opened), field)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """What a damaged or immense picture raises is one message."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory") from error
    except _UNREADABLE as error:
        raise InputError(f"{path} cannot be read as a picture: {error}") from error


def prepare_picture(picture: Image.Image, field: Field) -> np.ndarray:
    """The array of a picture that is open. See `read_picture`."""
    return picture_array(_framed(picture, field), field)


def _framed(picture: Image.Image, field: Field) -> Image.Image:
    rules = _rules(field)
    picture = picture.convert("L" if rules["channels"] == "gray" else "RGB")
    if "resize" in rules:
        picture = _resize(picture, _pair(rules["resize"]), rules.get("fit", "shorter"))
    if "crop" in rules:
        picture = _crop(picture, _pair(rules["crop"]))
    return picture


def _rules(field: Field) -> Mapping[str, Any]:
    single = field.type.rank == 4 and field.type.shape[1] == 1
    return {"channels": "gray" if single else "rgb", **(field.source or {}).get("image", {})}


def picture_array(picture: Image.Image, field: Field) -> np.ndarray:
    """A framed picture as numbers."""
    rules = _rules(field)
    unit = 1 / 255 if field.type.dtype.is_float else 1
    array = np.asarray(picture, np.float32) * np.float32(rules.get("scale", unit))
    array = array[:, :, None] if array.ndim == 2 else array
    if rules["channels"] == "bgr":
        array = array[:, :, ::-1]
    mean, std = (np.asarray(rules.get(key, neutral), np.float32) for key, neutral in (("mean", 0), ("std", 1)))
    array = (array - mean) / std
    array = np.ascontiguousarray(array.transpose(2, 0, 1)[None]).astype(field.type.dtype.numpy)
    return array.reshape(1, -1) if field.type.rank == 2 else array


def _pair(size: Any) -> tuple[int, int]:
    """Height and width from one number or two."""
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    height, width = int(height), int(width)
    if height < 1 or width < 1:
        raise ValueError(f"a picture of {height} x {width} pixels is asked for")
    _check_pixels(width, height)
    return height, width


def _check_pixels(width: int, height: int) -> None:
    """Raises InputError for a picture that would be made larger than one that is read."""
    if width * height > MOST_PIXELS:
        raise InputError(f"a picture of {width:,} x {height:,} pixels would be made; {MOST_PIXELS:,} are the most")


def _resize(picture: Image.Image, size: tuple[int, int], fit: str) -> Image.Image:
    height, width = size
    if fit == "stretch":
        return picture.resize((width, height), Image.Resampling.BILINEAR)
    pick = max if fit == "shorter" else min
    factor = pick(width / picture.width, height / picture.height)
    scaled = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    # A picture that is one pixel wide and very high grows with its shorter side.
    _check_pixels(*scaled)
    picture = picture.resize(scaled, Image.Resampling.BILINEAR)
    if fit == "shorter":
        return picture
    # Letterbox: the rest is filled with mid gray, as in the YOLO papers' code.
    background = Image.new(picture.mode, (width, height), 114 if picture.mode == "L" else (114, 114, 114))
    background.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    return background


def _crop(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    height, width = size
    left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
    return picture.crop((left, top, left + width, top + height))
