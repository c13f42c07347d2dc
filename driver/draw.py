"""What a network saw, drawn over the picture that it was given: boxes of a detector, classes of a segmentation.

And the picture that it made, if it makes one.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..backends.executable import InputError
from ..backends.signature import Field
from .files import write_file
from .inputs import PICTURES, framed_picture

BOXES = ("boxes", "scores", "classes", "count")
"""The outputs of a detector: corners in pixels, left, top, right, bottom."""
MADE = "image"
"""The output that is a picture [N, 1 or 3, height, width], from 0 to 1, or from -1 to 1."""
OPACITY = 0.5


def draw(fields: Iterable[Field], given: Mapping[str, str], outputs: Mapping[str, np.ndarray], path: Path) -> str:
    """Write what the outputs say as PNG; returns what was drawn.

    That is the picture among the inputs under ``boxes`` (with ``scores``, ``classes``, ``count``); the output
    ``image``, a batch in a row; or the picture among the inputs under the likeliest class of each pixel of an output
    [1, classes, height, width], class 0 left clear. Raises InputError, OutputError.
    """
    if all(name in outputs for name in BOXES):
        picture = _given(fields, given)
        drawn = _boxes(picture, outputs)
        what = "1 box" if drawn == 1 else f"{drawn} boxes"
    elif MADE in outputs and outputs[MADE].ndim == 4 and outputs[MADE].shape[1] in (1, 3):
        picture, drawn = _made(outputs[MADE]), len(outputs[MADE])
        what = f"{drawn} pictures" if drawn > 1 else "the picture"
    else:
        picture = _given(fields, given)
        scores = [array for array in outputs.values() if array.ndim == 4 and array.shape[1] > 1]
        if not scores:
            raise InputError(f"--draw finds neither {', '.join(BOXES)} nor scores [1, classes, height, width]")
        picture, drawn = _classes(picture, scores[0][0])
        what = "1 class" if drawn == 1 else f"{drawn} classes"
    write_file(path, lambda file: picture.save(file, "PNG"))
    return what


def _given(fields: Iterable[Field], given: Mapping[str, str]) -> Image.Image:
    field = next((each for each in fields if Path(given.get(each.name, "")).suffix.lower() in PICTURES), None)
    if field is None:
        raise InputError("--draw needs a picture among the inputs: --input image=photo.png")
    return framed_picture(Path(given[field.name]), field).convert("RGB")


def _made(batch: np.ndarray) -> Image.Image:
    wide = batch.astype(np.float32)
    if not wide.size or not np.isfinite(wide).all():
        raise InputError(f"--draw: {MADE} {list(batch.shape)} has no pixels, or some that are not finite")
    unit = (wide + 1) / 2 if wide.min() < 0 else wide
    row = np.concatenate(list(np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)), axis=2)
    return Image.fromarray(row[0] if len(row) == 1 else row.transpose(1, 2, 0))


def _colour(number: int) -> tuple[int, int, int]:
    """Neighbouring numbers get colours far apart: steps of the golden ratio around the circle."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.6180339887 % 1, 0.9, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _boxes(picture: Image.Image, outputs: Mapping[str, np.ndarray]) -> int:
    pen = ImageDraw.Draw(picture)
    count = int(np.ravel(outputs["count"])[0])
    width = max(1, min(picture.size) // 200)
    # The surest last, so that they stand above the others.
    for at in reversed(range(count)):
        left, top, right, bottom = (float(edge) for edge in outputs["boxes"][0, at])
        kind = int(outputs["classes"][0, at])
        if not np.isfinite([left, top, right, bottom]).all() or right < left or bottom < top:
            continue
        edges = [max(-1.0, left), max(-1.0, top), min(picture.width, right), min(picture.height, bottom)]
        if edges[2] < edges[0] or edges[3] < edges[1]:
            continue
        pen.rectangle(edges, outline=_colour(kind), width=width)
        label = f"{kind}: {float(outputs['scores'][0, at]):.2f}"
        place = _label_place(edges, pen.textbbox((0, 0), label)[3], width)
        pen.rectangle(pen.textbbox(place, label), fill=_colour(kind))
        pen.text(place, label, fill=(0, 0, 0))
    return count


def _label_place(edges: list[float], height: float, width: int) -> tuple[float, float]:
    """In the corner of its box; above a box that it would hide, or below where there is no room above."""
    left, top, _, bottom = (max(0.0, edge) for edge in edges)
    if bottom - top >= 1.5 * height:
        return left + width, top + width
    return left, top - height - 1 if top > height else bottom + 1


def _classes(picture: Image.Image, scores: np.ndarray) -> tuple[Image.Image, int]:
    """The picture under the colours of its classes; a smaller map lies in its middle."""
    best = np.argmax(scores.astype(np.float32), axis=0)
    kinds = [int(kind) for kind in np.unique(best)]
    colours = np.zeros((*best.shape, 4), np.uint8)
    for kind in kinds:
        if kind:
            colours[best == kind] = (*_colour(kind), round(255 * OPACITY))
    layer = Image.new("RGBA", picture.size)
    layer.paste(Image.fromarray(colours), ((picture.width - best.shape[1]) // 2, (picture.height - best.shape[0]) // 2))
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB"), len(kinds)
