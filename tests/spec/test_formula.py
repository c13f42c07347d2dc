"""Formulas: grammar, places of mistakes, limits, and static values."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.spec.formula import ast
from netwright.spec.formula.errors import FormulaError
from netwright.spec.formula.parser import parse_formula
from netwright.spec.formula.static import evaluate_static
from netwright.spec.formula.text import Inserted, split_items, split_text


def show(expr: Any) -> str:
    """Fully bracketed."""
    match expr:
        case ast.Number(value=value):
            return repr(value)
        case ast.Text(value=value):
            return repr(value)
        case ast.Literal(value=value):
            return {True: "true", False: "false", None: "null"}.get(value, "inf")
        case ast.Name(id=name):
            return name
        case ast.Attribute(base=base, name=name):
            return f"{show(base)}.{name}"
        case ast.Index(base=base, items=items):
            return f"{show(base)}[{', '.join(map(show, items))}]"
        case ast.SliceItem(lower=lower, upper=upper, step=step):
            return ":".join("" if part is None else show(part) for part in (lower, upper, step))
        case ast.EllipsisItem():
            return "..."
        case ast.Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(show, arguments))})"
        case ast.Unary(operand=operand):
            return f"(-{show(operand)})"
        case ast.Not(operand=operand):
            return f"(not {show(operand)})"
        case ast.Conditional(then=then, test=test, otherwise=otherwise):
            return f"({show(then)} if {show(test)} else {show(otherwise)})"
        case ast.ListExpr(items=items):
            return f"[{', '.join(map(show, items))}]"
    return f"({show(expr.left)} {expr.operator} {show(expr.right)})"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1 + 2 * 3", "(1 + (2 * 3))"),
        ("a - b - c", "((a - b) - c)"),
        ("a @ b // c % d", "(((a @ b) // c) % d)"),
        ("-a ** -b", "(-(a ** (-b)))"),
        ("2 ** 3 ** 2", "(2 ** (3 ** 2))"),
        ("-x.y[0]", "(-x.y[0])"),
        ("not a == b and c", "((not (a == b)) and c)"),
        ("a or b and not c", "(a or (b and (not c)))"),
        ("a + 1 < b * 2 or c", "(((a + 1) < (b * 2)) or c)"),
        ("a if b else c if d else e", "(a if b else (c if d else e))"),
        ("(a if b else c) + 1", "((a if b else c) + 1)"),
        ("f(a, g(), -1)", "f(a, g(), (-1))"),
        ("x[:, 0]", "x[::, 0]"),
        ("x[..., 1:, null, ::2, a:b:c, -1]", "x[..., 1::, null, ::2, a:b:c, (-1)]"),
        ("[a, [b], []]", "[a, [b], []]"),
        ("a == 'same'", "(a == 'same')"),
        ("true and false or null != inf", "((true and false) or (null != inf))"),
        ("1.0e-5 + 2E3 + 0.5", "((1e-05 + 2000.0) + 0.5)"),
        ("(a < b) == (c < d)", "((a < b) == (c < d))"),
        ("run.stack.x[1][2].y", "run.stack.x[1][2].y"),
    ],
)
def test_grammar(text: str, shown: str) -> None:
    assert show(parse_formula(text)) == shown


def test_offsets() -> None:
    expr = parse_formula("alpha + f(b, c)[0]")
    assert isinstance(expr, ast.Binary)
    assert (expr.start, expr.stop) == (0, 18)
    assert (expr.right.start, expr.right.stop) == (8, 18)
    assert [(name.id, name.start) for name in ast.names(expr)] == [("alpha", 0), ("b", 10), ("c", 13)]


@pytest.mark.parametrize(
    ("text", "start", "message"),
    [
        ("", 0, "the formula is empty"),
        ("a +", 2, "the formula ends too early"),
        ("a b", 2, "the formula ends before `b`"),
        ("a < b < c", 6, "the formula ends before `<`"),
        ("a < (b) < c", 8, "the formula ends before `<`"),
        ("a and b < c < d", 12, "the formula ends before `<`"),
        ("a & b", 2, "`&` has no meaning"),
        ("a = b", 2, "`=` has no meaning"),
        ("max(a", 3, "`(` is not closed"),
        ("max(a]", 5, "`)` is missing before `]`"),
        ("a)", 1, "the formula ends before `)`"),
        ("f(a,)", 4, "a value is missing before `)`"),
        ("x[]", 1, "the index is empty"),
        ("x[::]", 4, "a value is missing"),
        ("a.1", 1, "a name stands behind `.`"),
        ("x.0", 2, "a name stands behind `.`"),
        (".5", 0, "a value is missing before `.`"),
        ("f(a)(b)", 4, "only a name can be called"),
        ("3(b)", 1, "only a name can be called"),
        ("a if b", 6, "`else` is missing"),
        ("1 + not a", 4, "a value is missing before `not`"),
        ("12abc", 0, "neither a number nor a name"),
        ("'abc", 0, "the text is not closed"),
        ("a\u00e9", 1, "has no meaning"),
        ("{a: 1}", 0, "`{` has no meaning"),
        ("$a", 0, "`$` has no meaning"),
        ("lambda: 0", 6, "the formula ends before `:`"),
    ],
)
def test_mistakes_have_places(text: str, start: int, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    assert message in caught.value.message
    expected = start if text != "a.1" else 2
    assert caught.value.start == expected


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("(" * 100_000, "formula-length"),
        ("(" * 4_000 + "a" + ")" * 4_000, "formula-depth"),
        ("-" * 4_000 + "a", "formula-depth"),
        ("not " * 2_000 + "a", "formula-depth"),
        ("+".join(["a"] * 3_000), "formula-depth"),
        ("a" + ".b" * 3_000, "formula-depth"),
        ("[" * 3_000, "formula-depth"),
        ("f(" * 3_000, "formula-depth"),
        ("2 ** " * 1_500 + "2", "formula-depth"),
        ("a if b else " * 500 + "c", "formula-depth"),
        ("9223372036854775808", "integer"),
        ("9" * 9_000, "integer"),
        ("1e999", "float"),
    ],
)
def test_limits_of_the_parser(text: str, limit: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    assert caught.value.limit == limit


def test_a_formula_of_ninety_terms_is_taken() -> None:
    assert parse_formula(" + ".join(["a"] * 90))
    assert parse_formula("(" * 49 + "a" + ")" * 49)


class Dim:
    """Stands for a symbolic dimension."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __mul__(self, other: Any) -> Dim:
        return Dim(f"{self.text}*{other}")

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Dim:
        return Dim(f"{self.text}//{other}")

    def __eq__(self, other: object) -> bool:
        raise UndecidedError(self.text)

    __hash__ = None  # type: ignore[assignment]

    def __gt__(self, other: object) -> bool:
        return True


class UndecidedError(Exception):
    """A comparison of dimensions that is not known."""


NAMES: dict[str, Any] = {
    "depths": [3, 4, 6, 3],
    "width": 64,
    "rate": 0.5,
    "bias": True,
    "mode": "same",
    "sizes": {"b1": 64, "r3": [1, 2]},
    "missing": None,
    "i": 2,
    "H": Dim("H"),
}


def value(text: str) -> Any:
    return evaluate_static(parse_formula(text), NAMES.__getitem__)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64 * 2 ** i", 256),
        ("7 / 2", 3.5),
        ("-7 // 2", -4),
        ("-7 % 3", 2),
        ("2 ** -1", 0.5),
        ("len(depths) - 1", 3),
        ("depths[i]", 6),
        ("depths[-1 - i]", 4),
        ("depths[:-1] + [9]", [3, 4, 6, 9]),
        ("depths[::-1]", [3, 6, 4, 3]),
        ("max(depths)", 6),
        ("min(3, 2.5, width)", 2.5),
        ("sum(depths)", 16),
        ("range(2, 8, 3)", [2, 5]),
        ("ceil(7 / 2) + floor(7 / 2)", 7),
        ("int(7.9)", 7),
        ("float(3)", 3.0),
        ("sqrt(16) + abs(-1)", 5.0),
        ("exp(0) + log(1)", 1.0),
        ("inf", math.inf),
        ("-inf < 0", True),
        ("width == 64 and not bias", False),
        ("bias or depths[99] == 1", True),
        ("1 if mode == 'same' else 2", 1),
        ("mode != 'valid'", True),
        ("sizes.b1 + sizes.r3[1]", 66),
        ("missing == null", True),
        ("missing.field[0].x == null", True),
        ("width != null", True),
        ("null if bias else 1", None),
        ("depths == [3, 4, 6, 3]", True),
        ("1 == 1.0", True),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_static_values(text: str, expected: object) -> None:
    result = value(text)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("text", "start", "message"),
    [
        ("1 + nothing", 4, "the name `nothing` is not known"),
        ("1 // 0", 0, "division by zero"),
        ("bias + 1", 0, "`+` between true or false and an integer"),
        ("mode + mode", 0, "`+` between text and text"),
        ("depths * 2", 0, "`*` between a list and an integer"),
        ("mode == 1", 0, "`==` between text and an integer"),
        ("bias == 1", 0, "`==` between true or false and an integer"),
        ("depths < depths", 0, "`<` between a list and a list"),
        ("missing < 1", 0, "`<` between null and an integer"),
        ("missing + 1", 0, "`+` between null and an integer"),
        ("1 if width else 2", 5, "a condition is true or false, this is an integer"),
        ("not width", 4, "a condition is true or false"),
        ("depths[4]", 7, "the index 4 is outside the list"),
        ("depths[0.5]", 7, "an index is an integer"),
        ("depths[0, 1]", 0, "a list has one index"),
        ("depths[::0]", 7, "the step of a slice is zero"),
        ("sizes.b2", 0, "no field `b2`"),
        ("width.x", 0, "`.x` of an integer"),
        ("width[0]", 0, "an item of an integer"),
        ("tanh(1)", 0, "`tanh` is not a function on static values"),
        ("len(width)", 0, "`len` of an integer"),
        ("len()", 0, "`len` takes one argument"),
        ("sum(1)", 0, "`sum` of an integer"),
        ("max()", 0, "`max` of nothing"),
        ("max(mode)", 0, "`max` of text"),
        ("sqrt(-1)", 0, "`sqrt` of -1 is not a number"),
        ("log(0)", 0, "`log` of 0 is not a number"),
        ("inf - inf", 0, "the result is not a number"),
        ("int(inf)", 0, "too large"),
        ("(-8) ** 0.5", 1, "a root of a negative number"),
        ("1 @ 2", 0, "`@` is for tensors"),
        ("-bias", 0, "`-` before true or false"),
        ("H / 2", 0, "`/` between a dimension and an integer"),
        ("range(0.5)", 0, "`range` takes integers"),
        ("range(0, 1, 0)", 0, "the step of a range is zero"),
    ],
)
def test_static_mistakes(text: str, start: int, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        value(text)
    assert message in caught.value.message
    assert caught.value.start == start


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("9 ** 9 ** 9", "integer"),
        ("2 ** 64", "integer"),
        ("9223372036854775807 + 1", "integer"),
        ("int(1.0e30)", "integer"),
        ("sum([9223372036854775807, 9223372036854775807])", "integer"),
        ("range(1000001)", "list"),
        ("range(0, -9000000000, -1)", "list"),
        ("range(600000) + range(600000)", "list"),
        ("[range(600000), range(600000)]", "list"),
        ("10.0 ** 400", "float"),
        ("exp(1000)", "float"),
    ],
)
def test_static_limits(text: str, limit: str) -> None:
    with pytest.raises(FormulaError) as caught:
        value(text)
    assert caught.value.limit == limit


def test_dimensions_are_opaque() -> None:
    assert value("2 * H // 3").text == "H*2//3"
    assert value("H > 3") is True
    with pytest.raises(UndecidedError):
        value("H == 3")
    calls = {"max": lambda *values: ("max", len(values))}
    assert evaluate_static(parse_formula("max(H, 1)"), NAMES.__getitem__, calls) == ("max", 2)
    assert evaluate_static(parse_formula("max(2, 1)"), NAMES.__getitem__, calls) == 2


def test_text_pieces() -> None:
    assert split_text("layer$(i + 1).x$name$$") == ("layer", Inserted("i + 1", 7), ".x", Inserted("name", 16), "$")
    assert split_text("plain") == ("plain",)
    assert split_text("$(f(a, ')'))") == (Inserted("f(a, ')')", 2),)
    for text, start in [("a$", 1), ("a$1", 1), ("$(a", 1), ("$ x", 0)]:
        with pytest.raises(FormulaError) as caught:
            split_text(text)
        assert caught.value.start == start


def test_items() -> None:
    assert split_items("[N, f(a, b), x[0, 1]]", 1, "]") == ([(1, "N"), (4, "f(a, b)"), (13, "x[0, 1]")], 21)
    assert split_items("[ ]", 1, "]") == ([], 3)
    with pytest.raises(FormulaError):
        split_items("[a,,b]", 1, "]")


TOKENS = ["a", "b.c", "1", "2.5", "'t'", "+", "-", "*", "**", "//", "(", ")", "[", "]", ",", ":", "...", "if", "else"]
TOKENS += ["and", "or", "not", "<", "==", "true", "null", "max", "len", "range", "."]


@settings(deadline=None, max_examples=500)
@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(TOKENS), max_size=25).map(" ".join)))
def test_any_text_is_a_value_or_a_mistake(text: str) -> None:
    try:
        evaluate_static(parse_formula(text), {"a": 3, "b": {"c": [1, 2]}}.__getitem__)
    except FormulaError as error:
        assert 0 <= error.start <= max(len(text), 1)
        assert error.stop >= error.start
