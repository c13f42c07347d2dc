"""Patterns of paths against regular expressions, and their time on hostile input."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.spec.weights.matching import PathPattern, PatternError, Template


def oracle(pattern: str) -> re.Pattern[str]:
    """The same as a regular expression: lazy groups over segments that each end with a dot."""
    text = ""
    for segment in pattern.split("."):
        if segment == "**":
            text += r"((?:[^.]+\.)*?)"
        else:
            text += r"([^.]+?)".join(map(re.escape, segment.split("*"))) + r"\."
    return re.compile(text)


NAMES = st.lists(st.sampled_from(["a", "b", "ab", "ba", "aab", "0"]), min_size=1, max_size=6).map(".".join)
SEGMENTS = st.sampled_from(["a", "b", "ab", "*", "**", "a*", "*b", "a*b", "*a*", "0"])
PATTERNS = st.lists(SEGMENTS, min_size=1, max_size=5).map(".".join)


@given(PATTERNS, NAMES)
@settings(max_examples=1000, deadline=None)
def test_as_a_regular_expression(pattern: str, path: str) -> None:
    wanted = oracle(pattern).fullmatch(path + ".")
    found = PathPattern.parse(pattern).match(path)
    assert (found is None) == (wanted is None)
    if found is None:
        return
    assert wanted is not None and len(found) == PathPattern.parse(pattern).wildcards
    assert found == tuple(group.removesuffix(".") for group in wanted.groups())


@pytest.mark.parametrize(
    ("pattern", "path", "captures"),
    [
        ("a.b", "a.b", ()),
        ("a.b", "a.c", None),
        ("*.b", "a.b", ("a",)),
        ("*", "a.b", None),
        ("**", "a.b.c", ("a.b.c",)),
        ("a.**", "a", ("",)),
        ("a.**.z", "a.z", ("",)),
        ("a.**.z", "a.b.c.z", ("b.c",)),
        ("**.weight", "h.0.attn.weight", ("h.0.attn",)),
        ("h.*.attn.*", "h.11.attn.bias", ("11", "bias")),
        ("layer_*.w", "layer_11.w", ("11",)),
        ("layer_*.w", "layer_.w", None),
        ("layer_*_*.w", "layer_1_2_3.w", ("1", "2_3")),
        ("**.a.**", "a.a.b", ("", "a.b")),
    ],
)
def test_matches(pattern: str, path: str, captures: tuple[str, ...] | None) -> None:
    assert PathPattern.parse(pattern).match(path) == captures


@pytest.mark.parametrize("pattern", ["", ".a", "a.", "a..b", "a**", "a.b**.c", "***"])
def test_texts_that_are_no_patterns(pattern: str) -> None:
    with pytest.raises(PatternError):
        PathPattern.parse(pattern)


@pytest.mark.parametrize(
    ("text", "captures", "path"),
    [
        ("a.$1.b", ("x",), "a.x.b"),
        ("$2.$1", ("x", "y"), "y.x"),
        ("layer_$1_$1", ("3",), "layer_3_3"),
        ("a.$1", ("",), "a"),
        ("$1.a", ("",), "a"),
        ("a.$1.b", ("x.y",), "a.x.y.b"),
        ("cost_$$1", (), "cost_$1"),
        ("$$$1", ("x",), "$x"),
        ("plain", (), "plain"),
    ],
)
def test_templates(text: str, captures: tuple[str, ...], path: str) -> None:
    assert Template.parse(text, len(captures)).fill(captures) == path


@pytest.mark.parametrize(
    ("text", "wildcards"), [("$", 1), ("$x", 1), ("$1", 0), ("$2", 1), ("$0", 1), ("$999999999", 9)]
)
def test_templates_that_are_refused(text: str, wildcards: int) -> None:
    with pytest.raises(PatternError):
        Template.parse(text, wildcards)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (".".join(["**", "a"] * 50 + ["b"]), ".".join(["a"] * 1000)),
        ("*a" * 500 + "b", "a" * 10_000),
        (".".join(["**", "*a*a*a*b"] * 20), ".".join(["a" * 50] * 200)),
    ],
)
def test_hostile_patterns_take_no_time(pattern: str, path: str) -> None:
    assert PathPattern.parse(pattern).match(path) is None
