"""Names of TPU topologies: `tpu:v5e:2x2` is a slice of 2 x 2 chips of the kind v5e."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

from ...api import BackendError

PREFIX = "tpu:"
MOST_CHIPS = 2**15
"""More than any slice that is built; a description holds each of them."""
_NAME = re.compile(r"([a-z0-9]{1,20}):([0-9]{1,4}(?:x[0-9]{1,4}){1,2})(_twisted|_untwisted)?")
_FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")
_CUBES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16", "8x16x16", "16x16x16")
SLICES: dict[str, tuple[str, ...]] = {
    "v2": ("2x2", "4x4", "8x8", "16x16"),
    "v3": ("2x2", "4x4", "8x8", "16x16", "32x32"),
    "v4": _CUBES,
    "v5e": _FLAT,
    "v5p": _CUBES,
    "v6e": _FLAT,
    "tpu7x": _CUBES,
}
"""The slices of each kind that Google Cloud documents ("TPU versions", cloud.google.com/tpu/docs), for suggestions.

libtpu knows more of them; it has the last word.
"""


@dataclass(frozen=True, slots=True)
class Topology:
    """A kind of chip and the shape of a slice of them."""

    kind: str
    shape: str

    @property
    def name(self) -> str:
        """As libtpu reads it."""
        return f"{self.kind}:{self.shape}"

    @property
    def device(self) -> str:
        """As a person writes it."""
        return f"{PREFIX}{self.name}"


def parse(device: str) -> Topology:
    """The topology that ``tpu:KIND:SHAPE`` names. Raises `BackendError` for another text; libtpu may know it or not."""
    text = device.removeprefix(PREFIX)
    found = _NAME.fullmatch(text)
    if found is None:
        kind, _, shape = text.partition(":")
        raise BackendError(f"{device[:80]!r} is no TPU topology; {_form(kind, shape)}")
    topology = Topology(found[1], found[2] + (found[3] or ""))
    if not 1 <= _chips(found[2]) <= MOST_CHIPS:
        raise BackendError(f"{device[:80]} has {_chips(found[2])} chips; {suggestion(topology)}")
    return topology


def _form(kind: str, shape: str) -> str:
    if kind not in SLICES:
        return suggestion(Topology(kind, shape))
    return f"write {PREFIX}{kind}:SHAPE with a shape such as {', '.join(SLICES[kind][:5])}"


def suggestion(wanted: Topology) -> str:
    """What a person may have meant by a topology that there is not."""
    if wanted.kind not in SLICES:
        near = difflib.get_close_matches(wanted.kind[:20], SLICES, 1)
        listed = ", ".join(SLICES)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"{hint}Known kinds of chips are {listed}, as in {PREFIX}v5e:2x2"
    sizes = [int(size) for size in re.findall("[0-9]+", wanted.shape)]
    chips = max(1, math.prod(sizes))
    slices = SLICES[wanted.kind]
    near = sorted(slices, key=lambda shape: (abs(math.log(_chips(shape) / chips)), slices.index(shape)))[:3]
    return f"the nearest slices of {wanted.kind} are {', '.join(near)}"


def _chips(shape: str) -> int:
    return math.prod(int(size) for size in shape.split("x"))
