"""Charts are SVG that a parser reads, and show what they are given."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from netwright.driver.plot import FEW, line_chart, panels

SVG = "{http://www.w3.org/2000/svg}"
SQUARE = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]


def circles(text: str) -> list[tuple[float, float]]:
    return [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in ElementTree.fromstring(text).iter(f"{SVG}circle")]


def test_names_are_escaped_and_what_is_not_finite_is_left_out() -> None:
    text = line_chart({"a <b>": [(0, 1), (1, math.nan), (2, 3)]}, "t & u", "x", "y", dots=["a <b>"])
    assert len(circles(text)) == 2
    words = [each.text for each in ElementTree.fromstring(text).iter(f"{SVG}text")]
    assert "a <b>" in words and "t & u" in words


def test_a_logarithmic_axis_has_no_place_for_0() -> None:
    assert len(circles(line_chart({"a": [(0, 0), (1, 1e-3), (2, 10)]}, "", "", "", log=True, dots=["a"]))) == 2


def test_equal_scales_keep_a_square() -> None:
    (left, low), (right, _), (_, high), _ = circles(line_chart({"a": SQUARE}, "", "", "", equal=True, dots=["a"]))
    assert math.isclose(right - left, low - high, abs_tol=0.2)
    (left, low), (right, _), (_, high), _ = circles(line_chart({"a": SQUARE}, "", "", "", dots=["a"]))
    assert right - left > low - high


def test_few_points_are_large() -> None:
    many = [(float(k), 0.0) for k in range(FEW + 1)]
    sizes = [{c.get("r") for c in ElementTree.fromstring(text).iter(f"{SVG}circle")} for text in (
        line_chart({"a": SQUARE}, "", "", "", dots=["a"]), line_chart({"a": many}, "", "", "", dots=["a"]))]  # fmt: skip
    assert sizes == [{"5"}, {"2"}]


def test_thin_lines_stand_behind_and_not_in_the_legend() -> None:
    text = line_chart({"a": SQUARE, "level": SQUARE}, "", "", "", thin=["level"])
    assert "level" not in text
    assert text.index("#bbb") < text.index("#1f77b4")


def test_nothing_to_draw_is_an_empty_chart() -> None:
    for log in (False, True):
        ElementTree.fromstring(line_chart({"a": []}, "", "", "", log=log))
    ElementTree.fromstring(line_chart({}, "", "", "", equal=True))


def test_panels_stand_in_rows() -> None:
    root = ElementTree.fromstring(panels([line_chart({"a": SQUARE}, str(k), "", "") for k in range(3)], 2))
    places = [(each.get("x"), each.get("y")) for each in root.findall(f"{SVG}svg")]
    assert places == [("0", "0"), ("720", "0"), ("0", "400")] and root.get("viewBox") == "0 0 1440 800"
