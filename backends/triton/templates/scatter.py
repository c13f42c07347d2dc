"""Writing at places found at run time: each update finds its own place."""

from __future__ import annotations

from collections.abc import Sequence

from ..arrays import Array
from ..body import load
from ..body import store as write_store
from ..kernel import Config, Draft, Launch, Tiles
from .index import coordinates, scaled, total
from .tiles import nominal, power


def scatter(x: Array, indices: Array, updates: Array, axis: int, add: bool, elements: bool) -> Launch:
    """Write ``updates`` into ``x``, in place.

    ``elements`` as the op scatter_elements: an index for each update; else one for each slice. Sums are atomic, so
    their order is open.
    """
    draft = Draft("scatter_add" if add else "scatter", ("BLOCK",))
    draft.wide("pid", "tl.program_id(0)")
    draft.add("at = pid * BLOCK + tl.arange(0, BLOCK)", f"inside = at < {draft.size(updates.elements)}")
    texts = coordinates(draft, "at", updates.shape)
    names = [text if text in ("0", "at") else draft.let(text, "c") for text in texts]
    middle = names if elements else names[axis : axis + len(indices.shape)]
    draft.wide("index", load(draft, indices, *_address(draft, indices, middle)))
    draft.add(f"update = {load(draft, updates, *_address(draft, updates, names))}")
    behind = axis + 1 if elements else axis + len(indices.shape)
    target, _ = _address(draft, x, [*names[:axis], "index", *names[behind:]])
    if set(names) <= {"0"}:
        # A tile of addresses, as the mask is.
        target = f"at * 0 + {target}"
    if add:
        draft.add(f'tl.atomic_add({draft.write(x)} + {target}, update, mask=inside, sem="relaxed")')
    else:
        write_store(draft, x, target, "update", "inside")
    wide = Config({"BLOCK": min(65536, max(16, power(nominal(updates.elements))))})
    configs = [Config({"BLOCK": 256}), Config({"BLOCK": 1024})]
    return draft.launch([[Tiles(updates.elements, "BLOCK")]], configs, wide, "Updates at places found at run time.")


def _address(draft: Draft, array: Array, names: Sequence[str]) -> tuple[str, str | None]:
    """The address of elements and its mask; where it is the same for every update, it is no tile and has no mask."""
    pairs = list(zip(names, array.strides, strict=True))
    moves = any(name != "0" and stride != 0 for name, stride in pairs)
    where = total((draft.size(array.offset), *(scaled(draft, name, stride) for name, stride in pairs)))
    return where, "inside" if moves else None
