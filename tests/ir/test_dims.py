"""Symbolic dimensions against plain integers: every law is tested by putting numbers in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.compiler.ir.dims import (
    AnyDim,
    Dim,
    Symbol,
    Undecided,
    bounds,
    ceildiv,
    compare,
    decide,
    divisor,
    exact_quotient,
    floordiv,
    maximum,
    minimum,
    product,
    solve,
    substitute,
    symbol,
    symbols,
)
from netwright.compiler.ir.dimtext import DimSyntaxError, parse_dim

RANGES = {"N": (1, 9), "H": (0, 40), "T": (3, 7)}
SYMBOLS = {name: Symbol(name, low, high) for name, (low, high) in RANGES.items()}
N, H, T = (symbol(name, low, high) for name, (low, high) in RANGES.items())
SIZES = st.fixed_dictionaries({name: st.integers(low, high) for name, (low, high) in RANGES.items()})

Expression = tuple
"""("symbol", name), ("number", n), (operator, left, right)."""


def _grow(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    divisors = st.tuples(st.just("number"), st.sampled_from([1, 2, 3, 4, 6, -2]))
    return st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "max", "min"]), inner, inner),
        st.tuples(st.sampled_from(["//", "%"]), inner, divisors),
    )


LEAVES = st.one_of(
    st.tuples(st.just("symbol"), st.sampled_from(sorted(RANGES))), st.tuples(st.just("number"), st.integers(-5, 8))
)
EXPRESSIONS = st.recursive(LEAVES, _grow, max_leaves=7)


def as_dim(expression: Expression) -> AnyDim:
    """The expression by the arithmetic of dimensions."""
    match expression:
        case ("symbol", name):
            return symbol(name, *RANGES[name])
        case ("number", number):
            return number
        case (operator, left, right):
            return _apply(operator, as_dim(left), as_dim(right), maximum, minimum)
    raise AssertionError(expression)


def as_number(expression: Expression, sizes: dict[str, int]) -> int:
    """The expression by the arithmetic of integers."""
    match expression:
        case ("symbol", name):
            return sizes[name]
        case ("number", number):
            return number
        case (operator, left, right):
            return _apply(operator, as_number(left, sizes), as_number(right, sizes), max, min)
    raise AssertionError(expression)


def _apply(operator: str, left: AnyDim, right: AnyDim, larger: object, smaller: object) -> AnyDim:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "//":
            return left // right
        case "%":
            return left % right
        case "max":
            return larger(left, right)  # type: ignore[operator]
        case _:
            return smaller(left, right)  # type: ignore[operator]


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS, SIZES)
def test_arithmetic_is_that_of_integers(expression: Expression, sizes: dict[str, int]) -> None:
    dim, number = as_dim(expression), as_number(expression, sizes)
    assert substitute(dim, sizes) == number
    low, high = bounds(dim)
    assert low <= number <= high
    # One symbol after the other comes to the same.
    for name, size in sizes.items():
        dim = substitute(dim, {name: size})
    assert dim == number


@settings(max_examples=200, deadline=None)
@given(EXPRESSIONS, EXPRESSIONS, SIZES)
def test_decisions_hold_for_every_size(left: Expression, right: Expression, sizes: dict[str, int]) -> None:
    a, b = as_number(left, sizes), as_number(right, sizes)
    truth = {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}
    for operator, true in truth.items():
        assert decide(as_dim(left), operator, as_dim(right)) in (None, true)


@settings(max_examples=200, deadline=None)
@given(EXPRESSIONS)
def test_text_leads_back(expression: Expression) -> None:
    dim = as_dim(expression)
    assert parse_dim(str(dim), SYMBOLS) == dim


@settings(max_examples=200, deadline=None)
@given(EXPRESSIONS, EXPRESSIONS, EXPRESSIONS)
def test_equal_sums_and_products_are_equal_objects(a: Expression, b: Expression, c: Expression) -> None:
    x, y, z = as_dim(a), as_dim(b), as_dim(c)
    for left, right in (
        (x + y, y + x),
        (x * y, y * x),
        ((x + y) + z, x + (y + z)),
        ((x * y) * z, x * (y * z)),
        (x * (y + z), x * y + x * z),
        (x - x, 0),
        (x + y - y, x),
        (maximum(x, y), maximum(y, x)),
    ):
        assert left == right and hash(left) == hash(right)


def test_normal_form() -> None:
    assert str(2 * N + 3) == "2*N + 3"
    assert str(3 - N) == "-N + 3"
    assert (N + H) * (N - H) == N**2 - H**2
    assert N - N == 0 and isinstance(N - N, int)
    assert symbol("K", 5, 5) == 5
    assert product((2, N, 3)) == 6 * N
    assert len({N + H, H + N, 1 * N + H}) == 1


def test_division() -> None:
    big = symbol("B", 0, 10**6)
    assert (6 * big + 4) // 3 == 2 * big + 1
    assert (big // 2 + 3) // 4 == (big + 6) // 8
    assert ceildiv(big, 4) == -((-big) // 4)
    assert [substitute(ceildiv(big, 4), {"B": size}) for size in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert (4 * big) // big == 4
    assert (big % 1, (8 * big) % 4) == (0, 0)
    assert H // 41 == 0, "the range settles it"
    assert floordiv(7, -2) == -4
    with pytest.raises(ValueError, match="whole numbers only"):
        floordiv(big + 1, big)
    with pytest.raises(ValueError, match="divided by zero"):
        big // 0


def test_extremes_settle_by_ranges() -> None:
    assert maximum(T, 2) == T and minimum(T, 8) == T
    assert maximum(N, N + 1) == N + 1
    assert maximum(T, 5) == maximum(5, T)
    assert isinstance(maximum(T, 5), Dim)


def test_comparisons() -> None:
    assert decide(T, ">=", 3) is True and decide(T, ">", 7) is False and decide(T, "==", 5) is None
    assert decide(N + 1, "!=", N) is True
    assert T >= 3 and N + 1 > N
    assert compare(T, "<", 8) is True
    with pytest.raises(Undecided, match="whether T < 5 depends on the sizes"):
        bool(T < 5)
    with pytest.raises(Undecided):
        bool(H)
    assert bool(N)


def test_symbols() -> None:
    assert {found.name for found in symbols(maximum((N + 1) // 2, T * 2 - 9))} == {"N", "T"}
    assert symbols(4) == set()


def test_exact_quotient() -> None:
    assert exact_quotient(6 * N * H, 2 * N) == 3 * H
    assert exact_quotient(N + 1, N) is None
    assert exact_quotient(3 * N, 2) is None
    assert exact_quotient(N + 1, N + 1) == 1


@pytest.mark.parametrize(
    ("pattern", "size", "known", "value"),
    [
        (32 * N, 96, {}, 3),
        (32 * N, 97, {}, None),
        (2 * N + 3, 9, {}, 3),
        (N + H, 9, {"H": 4}, 5),
        (N, T, {}, T),
        (N - 1, 2 * T, {}, 2 * T + 1),
    ],
)
def test_solve(pattern: AnyDim, size: AnyDim, known: dict[str, AnyDim], value: AnyDim | None) -> None:
    solved = solve(pattern, size, known)
    assert solved is not None
    assert solved[0].name == "N" and solved[1] == value


@pytest.mark.parametrize("pattern", [N + H, N * N, N // 2, maximum(N, 4), N * H, 5])
def test_solve_refuses_other_forms(pattern: AnyDim) -> None:
    assert solve(pattern, 8, {}) is None


@pytest.mark.parametrize("text", ["", "N +", "N N", "Q", "2 ** N", "(N", "max()", "N / 2", "1.5", "N.x", "f(N)", "N)"])
def test_no_dimension(text: str) -> None:
    with pytest.raises(DimSyntaxError):
        parse_dim(text, SYMBOLS)


def test_nesting_is_limited() -> None:
    assert parse_dim("(" * 60 + "N" + ")" * 60, SYMBOLS) == N
    with pytest.raises(DimSyntaxError, match="nested too deep"):
        parse_dim("(" * 100_000 + "N" + ")" * 100_000, SYMBOLS)


def test_powers() -> None:
    assert N**0 == 1 and N**2 == N * N
    for exponent in (-1, 9, 0.5):
        with pytest.raises(ValueError, match="whole power from 0 to 8"):
            N**exponent


def test_equations_that_say_what_divides() -> None:
    n = symbol("N")
    assert divisor(n, 4 * (n // 4)) == 4
    assert divisor(2 * n + 1, 3 * ((2 * n + 1) // 3)) == 3
    assert divisor(n, 4 * (n // 2)) == 0 == divisor(n, n) == divisor(8, 8)


def test_what_is_no_size_does_its_own_arithmetic() -> None:
    class Other:
        def __rsub__(self, size: object) -> str:
            return f"{size} minus this"

        __radd__ = __rmul__ = __rsub__

    n = symbol("N")
    assert n - Other() == n + Other() == n * Other() == "N minus this"
    with pytest.raises(TypeError):
        n + "1"
    with pytest.raises(TypeError):
        "1" - n
