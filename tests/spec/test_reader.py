"""YAML text to a tree with places: what is taken, what is refused, and where."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.spec.diagnostics import LimitError, SpecError
from netwright.spec.limits import LARGEST_TEXT
from netwright.spec.reader import read_tree
from netwright.spec.tree import YamlMap, YamlScalar, plain


def read(text: str | bytes) -> YamlMap:
    return read_tree(text, "t.yaml")


def refused(text: str | bytes) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("+7", 7),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e-5", 1e-5),
        ("1.0e-5", 1e-5),
        (".5", 0.5),
        ("1.", 1.0),
        ("-1E3", -1000.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("3:30", "3:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("'1'", "1"),
        ('"a\\tb"', "a\tb"),
        ("''", ""),
        ("a b", "a b"),
        ("-x", "-x"),
        ("=", "="),
        ("1.2.3", "1.2.3"),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    result = plain(read(f"a: {text}"))["a"]
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1", "the key `a` stands twice"),
        ("{a: {b: 1, 'b': 2}}", "1:12", "the key `b` stands twice"),
        ("a:\nb: 1", "1:1", "the key `a` has no value"),
        ("- a\n-\n", "2:2", "an item of the list is empty"),
        ("a: &x 1", "1:4", "`&x` is an anchor"),
        ("a: *x", "1:4", "`*x` is an alias"),
        ("a: !!python/object:os.system 1", "1:4", "is a tag"),
        ("a: !x {b: 1}", "1:4", "`!x` is a tag"),
        ("a: 1\n---\nb: 1\n", "2:1", "a second document"),
        ("true: 1", "1:1", "the key `true` is not text"),
        ("1.5: 1", "1:1", "the key `1.5` is not text"),
        ("? [a]\n: 1", "1:3", "a key is text, not a list"),
        ("{[a]: 1}", "1:2", "a key is text, not a list"),
        ("a:\t1", "1:3", "a tab"),
        ("a: 1\nb: 'x\ty'", "2:6", "a tab"),
        ("a: x\x00", "1:5", "U+0000"),
        ("a: x\u0085y", "1:5", "U+0085"),
        ("a: x\u2028y", "1:5", "U+2028"),
        ("a: x\u202ey", "1:5", "U+202E"),
        ('a: "x\\0"', "1:4", "control character"),
        ("a: ~", "1:4", "`~` is an empty value"),
        ("a: NULL", "1:4", "`NULL` is an empty value"),
        ("a: .inf", "1:4", "`.inf` is not taken"),
        ("a: .nan", "1:4", "`.nan` is not taken"),
        ("- 1", "1:1", "the document is a mapping"),
        ("3", "1:1", "the document is a mapping"),
        ("%YAML 1.1\n---\na: 1", "", "directives are refused"),
        ("", "", "the file is empty"),
        ("# nothing\n", "", "the file is empty"),
        ("a: b: c", "1:5", "a `:` stands where no key can be"),
        ("a: [1, 2", "1:9", "is missing here"),
        ("a: 'x", "1:6", "quotes are not closed"),
        ("a: @x", "1:4", "cannot begin a text"),
        ("a: {in: x[:, 0]}", "1:10", "is missing here"),
        ("é: {ü: c d: e}", "1:11", "is missing here"),
    ],
)
def test_refused_with_place(text: str, place: str, message: str) -> None:
    (diagnostic,) = refused(text).diagnostics
    assert message in diagnostic.message
    assert str(diagnostic.span) == (f"t.yaml:{place}" if place else "t.yaml")


def test_bytes_that_are_not_utf8() -> None:
    (diagnostic,) = refused(b"a: 1\nb: \xff\n").diagnostics
    assert str(diagnostic.span) == "t.yaml:2:1"
    assert "not UTF-8: byte 0xff" in diagnostic.message


def test_mistakes_that_leave_the_rest_readable_come_together() -> None:
    error = refused("a: 1\na: 2\nb:\nc: *x\nd: 99999999999999999999\n")
    assert [str(one.span) for one in error.diagnostics] == ["t.yaml:2:1", "t.yaml:3:1", "t.yaml:4:4", "t.yaml:5:4"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{value: max(a, b)}", "{value: 'max(a, b)'}"),
        ("a:\n  - {name: h, value: where(m, max(a, 0), b) + 1}", "{value: 'where(m, max(a, 0), b)'}"),
        ("{a: 1, b, c: 2}", "needs quotes"),
    ],
)
def test_a_torn_formula_says_to_quote(text: str, hint: str) -> None:
    error = refused(text)
    assert "has no value" in error.diagnostics[0].message
    assert hint in str(error.diagnostics[0].hint)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("[" * 200_000, "depth"),
        ("{a: " * 200_000, "depth"),
        ("- " * 200_000, "depth"),
        ("a: 99999999999999999999", "integer"),
        ("a: " + "9" * 100_000, "integer"),
        ("a: 0x" + "F" * 17, "integer"),
        ("a: -9223372036854775808", "integer"),
        ("a: 1e999", "float"),
        ("k" * 1_001 + ": 1", "key"),
        ("#" * (LARGEST_TEXT + 1), "text"),
    ],
)
def test_limits_have_names(text: str, limit: str) -> None:
    error = refused(text)
    assert isinstance(error, LimitError)
    assert error.limit == limit


def test_number_of_nodes_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwright.spec.reader.MOST_NODES", 100)
    assert read("a: [" + "1, " * 90 + "1]")
    error = refused("a: [" + "1, " * 100 + "1]")
    assert isinstance(error, LimitError)
    assert error.limit == "nodes"


def test_alias_bomb() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
    )
    assert "is an anchor" in str(refused(bomb))


def test_spans() -> None:
    tree = read("a:\n  - {b: 12, c: 'x y'}\n  - d\n\n# end\ne: 1\n")
    inner = tree["a"][0]
    assert str(tree.key_spans["a"]) == "t.yaml:1:1"
    assert (inner.span.start_line, inner.span.start_column, inner.span.end_column) == (2, 5, 22)
    assert (inner["b"].span.start_column, inner["b"].span.end_column) == (9, 11)
    assert (inner["c"].span.start_column, inner["c"].span.end_column) == (16, 21)
    # A block ends with its last item, not with the blank lines behind it.
    assert (tree["a"].span.end_line, tree["a"].span.end_column) == (3, 6)


def test_line_breaks_and_byte_order_mark() -> None:
    tree = read("\ufeffa: 1\r\nb: 2\rc: 3\n".encode())
    assert plain(tree) == {"a": 1, "b": 2, "c": 3}
    assert tree.key_spans["c"].start_line == 3


def at(text: str, char: str) -> str:
    scalar = read(text)["a"]
    assert isinstance(scalar, YamlScalar)
    where = scalar.text.index(char)
    span = scalar.place(where, where + 1)
    return f"{span.start_line}:{span.start_column}-{span.end_column}"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: x + Q", "1:8-9"),
        ("a: 'x + Q'", "1:9-10"),
        ("a: 'it''s Q'", "1:11-12"),
        ('a: "x + Q"', "1:9-10"),
        ('a: "\\u00e9\\n\\\\ Q"', "1:16-17"),
        ("a: x +\n  y *\n   Q", "3:4-5"),
        ("a: 'x +\n\n  Q'", "3:3-4"),
        ("a: |\n  x +\n    Q\n", "3:5-6"),
        ("a: >-\n  x\n  Q\n", "3:3-4"),
        ('a: "x \\\n    Q"', "2:5-6"),
    ],
)
def test_places_within_scalars(text: str, place: str) -> None:
    assert at(text, "Q") == place


def test_rendering() -> None:
    error = refused("first: 1\nsecond: *x\n")
    assert str(error) == (
        "t.yaml:2:9: error: `*x` is an alias, which is refused\n"
        "    2 | second: *x\n"
        "      |         ^^\n"
        "      hint: a text that starts with `*` needs quotes: '*x'"
    )


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=80), st.text("ab:-[]{},#&*!|>'\"%@ \n?0.1e~$", max_size=60), st.binary(max_size=40)))
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    try:
        read(text)
    except SpecError as error:
        assert str(error)
