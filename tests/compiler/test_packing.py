"""Buffers in one block of memory: never over each other, and close to the least that can be."""

from __future__ import annotations

import inspect
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.compiler.packing import PACKING, largest_live, pack

Row = tuple[int, int, int]

ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 12), st.sampled_from([0, 1, 63, 64, 65, 640, 1000, 4096])).map(
        lambda row: (row[0], row[0] + row[1], row[2])
    ),
    max_size=30,
)


def check(rows: list[Row], offsets: list[int], total: int, align: int = 64) -> None:
    """No two buffers that live at the same time share a byte."""
    assert len(offsets) == len(rows)
    for offset, (_, _, size) in zip(offsets, rows, strict=True):
        assert offset % align == 0 and offset + size <= total
    for (p, a), (q, b) in itertools.combinations(zip(offsets, rows, strict=True), 2):
        if a[0] <= b[1] and b[0] <= a[1] and a[2] and b[2]:
            assert p + a[2] <= q or q + b[2] <= p


@settings(max_examples=200, deadline=None)
@given(ROWS, st.sampled_from([1, 64, 256]), st.sampled_from([0, 100_000]))
def test_nothing_overlaps(rows: list[Row], align: int, effort: int) -> None:
    offsets, total = pack(rows, align, effort)
    check(rows, offsets, total, align)
    assert total >= largest_live(rows)
    assert pack(tuple(rows), align, effort) == (offsets, total)


def test_the_largest_live_set_is_counted_position_by_position() -> None:
    rows = [(0, 3, 10), (1, 1, 5), (2, 4, 7), (9, 9, 16)]
    by_hand = max(sum(size for first, last, size in rows if first <= at <= last) for at in range(10))
    assert largest_live(rows) == by_hand == 17
    assert largest_live([]) == 0 and pack([]) == ([], 0)


@pytest.mark.parametrize(
    "rows",
    [
        [(i, i + 1, 4096) for i in range(50)],
        [(i, i + 1, 64 * (1 + i % 7)) for i in range(40)],
        [(0, 99, 6400), *((i, i + 1, 6400) for i in range(1, 98))],
        [(i, 99 - i, 64 * (i + 1)) for i in range(50)],
    ],
    ids=["chain", "chain of many sizes", "a residual above a chain", "skips"],
)
def test_networks_need_no_more_than_what_lives(rows: list[Row]) -> None:
    offsets, total = pack(rows)
    check(rows, offsets, total)
    assert total == largest_live(rows)


def test_random_lives_need_little_more_than_what_lives() -> None:
    draw = random.Random(7)
    ratios = []
    for _ in range(50):
        starts = [draw.randrange(40) for _ in range(40)]
        rows = [(at, at + draw.choice([1, 1, 2, 5, 20]), 64 * draw.randrange(1, 200)) for at in starts]
        offsets, total = pack(rows)
        check(rows, offsets, total)
        ratios.append(total / largest_live(rows))
    assert sum(ratios) / len(ratios) < 1.006 and max(ratios) < 1.06


def test_the_source_stands_alone() -> None:
    """What targets copy names nothing but builtins and itself."""
    scope: dict[str, object] = {}
    text = "\n\n".join(inspect.getsource(each) for each in PACKING)
    exec(compile(text, "<packing>", "exec"), scope)
    rows = [(0, 2, 100), (1, 3, 200), (3, 4, 100)]
    assert scope["pack"](rows) == pack(rows)  # type: ignore[operator]
