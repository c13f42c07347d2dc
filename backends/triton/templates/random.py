"""Random bits: Threefry-2x32 with the keys and counters of `jax.random.bits`."""

from __future__ import annotations

from ..arrays import Array
from ..body import load
from ..kernel import Config, Draft, Launch, Tiles
from .tiles import nominal, power


def random_bits(seed: Array, step: Array, out: Array) -> Launch:
    """The kernel that fills ``out`` (uint32, packed) from two int64 scalars."""
    draft = Draft("random_bits", ("BLOCK",))
    draft.wide("pid", "tl.program_id(0)")
    draft.add(
        "place = pid * BLOCK + tl.arange(0, BLOCK)",
        f"seed = {_scalar(draft, seed)}",
        f"step = {_scalar(draft, step)}",
        f"first, second = {draft.helper('threefry')}("
        "(seed >> 32).to(tl.uint32), seed.to(tl.uint32), (step * 0).to(tl.uint32), step.to(tl.uint32))",
        "count = place.to(tl.int64)",
        f"a, b = {draft.helper('threefry')}(first, second, (count >> 32).to(tl.uint32), count.to(tl.uint32))",
        f"tl.store({draft.write(out)} + place, a ^ b, mask=place < {draft.size(out.elements)})",
    )
    wide = Config({"BLOCK": min(65536, power(nominal(out.elements)))})
    doc = "Random words: the key is made from the seed and the step, the counter is the place."
    return draft.launch([[Tiles(out.elements, "BLOCK")]], [Config({"BLOCK": 1024}), Config({"BLOCK": 256})], wide, doc)


def _scalar(draft: Draft, array: Array) -> str:
    return load(draft, array, draft.size(array.offset), None)
