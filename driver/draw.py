"""What a network saw, drawn over the picture that it was given: boxes of a detector, classes of a segmentation."""

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
OPACITY = 0.5


def draw(fields: Iterable[Field], given: Mapping[str, str], outputs: Mapping[str, np.ndarray], path: Path) -> str:
    """Write the picture among the inputs with what the outputs say of it, as PNG; returns what was drawn.

    Draws ``boxes`` (with ``scores``, ``classes``, ``count``), or the likeliest class of each pixel of an output
    [1, classes, height, width], class 0 left clear. Raises InputError, OutputError.
    """
    field = next((each for each in fields if Path(given.get(each.name, "")).suffix.lower() in PICTURES), None)
    if field is None:
        raise InputError("--draw needs a picture among the inputs: --input image=photo.png")
    picture = framed_picture(Path(given[field.name]), field).convert("RGB")
    if all(name in outputs for name in BOXES):
        drawn = _boxes(picture, outputs)
        what = f"{drawn} boxes"
    else:
        scores = [array for array in outputs.values() if array.ndim == 4 and array.shape[1] > 1]
        if not scores:
            raise InputError(f"--draw finds neither {', '.join(BOXES)} nor scores [1, classes, height, width]")
        picture, drawn = _classes(picture, scores[0][0])
        what = f"{drawn} classes"
    write_file(path, lambda file: picture.save(file, "PNG"))
    return what


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
        place = (max(0.0, edges[0]) + width, max(0.0, edges[1]) + width)
        pen.rectangle(pen.textbbox(place, label), fill=_colour(kind))
        pen.text(place, label, fill=(0, 0, 0))
    return count


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
