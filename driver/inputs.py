"""What a person gives as input: pictures, arrays in files, numbers. Each becomes an array of the declared type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..backends.executable import InputError
from ..backends.signature import EntrySignature, Field

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
MOST_PIXELS = 100_000_000


def read_inputs(entry: EntrySignature, given: Mapping[str, str], seed: int) -> dict[str, np.ndarray]:
    """An array for each input of an entry, from texts as they are typed: ``NAME=VALUE``.

    VALUE is a picture, a ``.npy`` or ``.npz`` file (its entry of that name), or JSON numbers. Inputs that are not given
    take their default, or are drawn from ``seed`` if the spec says that they are random. Raises InputError.
    """
    fields = {field.name: field for field in entry.inputs}
    values: dict[str, np.ndarray] = {}
    for name, text in given.items():
        if name not in fields:
            raise InputError(f"no input is called {name!r} (there are: {', '.join(fields) or 'none'})")
        values[name] = read_input(fields[name], text)
    for name, field in fields.items():
        if name not in values:
            values[name] = _unsaid(field, seed)
    return values


def read_input(field: Field, text: str) -> np.ndarray:
    """One input from what was typed for it. Raises InputError."""
    suffix = Path(text).suffix.lower()
    if suffix in PICTURES:
        return read_picture(Path(text), field)
    if suffix in (".npy", ".npz"):
        return _read_array(Path(text), field.name)
    try:
        return np.asarray(json.loads(text))
    except (ValueError, RecursionError):
        message = f"{field.name}={text[:60]!r} is no picture, no .npy or .npz file and no JSON numbers"
        raise InputError(f"{message}; it should be {field.type}") from None


def _read_array(path: Path, name: str) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if name in loaded:
                return np.asarray(loaded[name])
            if len(loaded.files) == 1:
                return np.asarray(loaded[loaded.files[0]])
            raise InputError(f"{path} holds {', '.join(loaded.files)}; none is {name!r}")
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is no array file: {error}") from error


def _unsaid(field: Field, seed: int) -> np.ndarray:
    source = field.source or {}
    if "default" in source and not isinstance(source["default"], str):
        return np.asarray(source["default"]).astype(field.type.dtype.numpy)
    if "random" in source and field.type.is_static:
        shape = tuple(int(size) for size in field.type.shape if isinstance(size, int))
        generator = np.random.default_rng(seed)
        uniform = source["random"].get("distribution") == "uniform"
        drawn = generator.random(shape) if uniform else generator.standard_normal(shape)
        return drawn.astype(field.type.dtype.numpy)
    raise InputError(f"input {field.name!r} ({field.type}) is missing: --input {field.name}=...")


def read_picture(path: Path, field: Field) -> np.ndarray:
    """A picture as ``[1, channels, height, width]``, prepared as the spec's `from: image` says. Raises InputError.

    Without `from` it is RGB (or gray, if the input has one channel) in 0..1 at its own size.
    """
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise InputError(f"{path} has {opened.width} x {opened.height} pixels; {MOST_PIXELS} are the most")
            picture = ImageOps.exif_transpose(opened)
            return prepare_picture(picture, field)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as a picture: {error}") from error


def prepare_picture(picture: Image.Image, field: Field) -> np.ndarray:
    """The array of a picture that is open. See `read_picture`."""
    rules: Mapping[str, Any] = (field.source or {}).get("image", {})
    single = field.type.rank == 4 and field.type.shape[1] == 1
    channels = rules.get("channels", "gray" if single else "rgb")
    picture = picture.convert("L" if channels == "gray" else "RGB")
    if "resize" in rules:
        picture = _resize(picture, _pair(rules["resize"]), rules.get("fit", "shorter"))
    if "crop" in rules:
        picture = _crop(picture, _pair(rules["crop"]))
    array = np.asarray(picture, np.float32) * np.float32(rules.get("scale", 1 / 255))
    array = array[:, :, None] if array.ndim == 2 else array
    if channels == "bgr":
        array = array[:, :, ::-1]
    mean, std = (np.asarray(rules.get(key, neutral), np.float32) for key, neutral in (("mean", 0), ("std", 1)))
    array = (array - mean) / std
    return np.ascontiguousarray(array.transpose(2, 0, 1)[None]).astype(field.type.dtype.numpy)


def _pair(size: Any) -> tuple[int, int]:
    """Height and width from one number or two."""
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    return int(height), int(width)


def _resize(picture: Image.Image, size: tuple[int, int], fit: str) -> Image.Image:
    height, width = size
    if fit == "stretch":
        return picture.resize((width, height), Image.Resampling.BILINEAR)
    pick = max if fit == "shorter" else min
    factor = pick(width / picture.width, height / picture.height)
    scaled = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
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
