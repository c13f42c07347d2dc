"""Symbolic dimensions: integers, or polynomials over symbols, floor divisions, maxima and minima.

A dimension is a Python ``int`` whenever its value is known, and a `Dim` otherwise. Arithmetic keeps a normal form,
so equal expressions are equal objects (``==`` and ``hash`` are structural). What structure cannot tell, `compare`
answers from the ranges of the symbols: yes, no, or undecided.

Normal form: a sum of monomials with integer coefficients; a monomial is a sorted product of atoms; an atom is a
`Symbol`, or one of `FloorDiv`, `Max`, `Min`. The only rewrites are ``(c*p + r)//c = p + r//c`` and
``(x//a + c)//b = (x + a*c)//(a*b)``, which hold for all integers with positive divisors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral

LIMIT = 2**31 - 1
"""Largest dimension of a tensor."""


class Undecided(Exception):
    """A comparison of dimensions comes out differently for different allowed sizes."""

    def __init__(self, left: AnyDim, operator: str, right: AnyDim) -> None:
        super().__init__(f"whether {left} {operator} {right} depends on the sizes found at run time")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A size that is known at run time; ``low`` and ``high`` are both included."""

    name: str
    low: int = 1
    high: int = LIMIT

    def __str__(self) -> str:
        return self.name

    def key(self) -> tuple:
        return (0, self.name, self.low, self.high)


@dataclass(frozen=True, slots=True)
class FloorDiv:
    """``numerator // divisor`` with a positive integer divisor."""

    numerator: Dim
    divisor: int

    def __str__(self) -> str:
        return f"(({self.numerator})//{self.divisor})"

    def key(self) -> tuple:
        return (1, self.numerator.key(), self.divisor)


@dataclass(frozen=True, slots=True)
class Extreme:
    """``max`` or ``min`` of two or more dimensions."""

    kind: str
    items: tuple[AnyDim, ...]

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(map(str, self.items))})"

    def key(self) -> tuple:
        return (2, self.kind, tuple(_key(item) for item in self.items))


Atom = Symbol | FloorDiv | Extreme
Monomial = tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Dim:
    """A dimension that is not a plain integer. Build it with `symbol` and arithmetic, never by hand."""

    terms: tuple[tuple[Monomial, int], ...]

    def key(self) -> tuple:
        return tuple((tuple(atom.key() for atom in monomial), factor) for monomial, factor in self.terms)

    # Arithmetic with anything that is no size is the other's business, as with a tensor under construction.

    def __add__(self, other: AnyDim) -> AnyDim:
        return _sum(self, other, 1) if _is_size(other) else NotImplemented

    __radd__ = __add__

    def __sub__(self, other: AnyDim) -> AnyDim:
        return _sum(self, other, -1) if _is_size(other) else NotImplemented

    def __rsub__(self, other: AnyDim) -> AnyDim:
        return _sum(_as_dim(other), self, -1) if _is_size(other) else NotImplemented

    def __neg__(self) -> AnyDim:
        return self * -1

    def __mul__(self, other: AnyDim) -> AnyDim:
        if not _is_size(other):
            return NotImplemented
        totals: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _as_dim(other).terms:
                monomial = tuple(sorted(left + right, key=lambda atom: atom.key()))
                totals[monomial] = totals.get(monomial, 0) + a * b
        return _normal(totals)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> AnyDim:
        if not isinstance(exponent, int) or not 0 <= exponent <= 8:
            raise ValueError("a dimension can be raised to a whole power from 0 to 8")
        result: AnyDim = 1
        for _ in range(exponent):
            result = self * result
        return result

    def __floordiv__(self, divisor: AnyDim) -> AnyDim:
        return floordiv(self, divisor)

    def __rfloordiv__(self, other: AnyDim) -> AnyDim:
        return floordiv(other, self)

    def __mod__(self, divisor: AnyDim) -> AnyDim:
        return self - divisor * floordiv(self, divisor)

    def __rmod__(self, other: AnyDim) -> AnyDim:
        return other - self * floordiv(other, self)

    def __lt__(self, other: AnyDim) -> bool:
        return compare(self, "<", other)

    def __le__(self, other: AnyDim) -> bool:
        return compare(self, "<=", other)

    def __gt__(self, other: AnyDim) -> bool:
        return compare(self, ">", other)

    def __ge__(self, other: AnyDim) -> bool:
        return compare(self, ">=", other)

    def __bool__(self) -> bool:
        return compare(self, "!=", 0)

    def __str__(self) -> str:
        parts: list[str] = []
        for monomial, factor in self.terms:
            body = "*".join(map(str, monomial))
            size = abs(factor)
            text = str(size) if not body else body if size == 1 else f"{size}*{body}"
            sign = "-" if factor < 0 else "+"
            parts.append(f" {sign} {text}" if parts else f"-{text}" if factor < 0 else text)
        return "".join(parts)

    def __repr__(self) -> str:
        return f"Dim({self})"


AnyDim = int | Dim
Shape = tuple[AnyDim, ...]


def symbol(name: str, low: int = 1, high: int = LIMIT) -> AnyDim:
    """The dimension that is one symbol; an ``int`` if its range holds one value only."""
    return low if low == high else Dim((((Symbol(name, low, high),), 1),))


def _is_size(value: object) -> bool:
    return type(value) is int or isinstance(value, (Dim, Integral))


def _as_dim(value: AnyDim) -> Dim:
    return value if isinstance(value, Dim) else Dim((((), value),) if value else ())


def _key(value: AnyDim) -> tuple:
    return _as_dim(value).key()


def _normal(totals: Mapping[Monomial, int]) -> AnyDim:
    kept = [(monomial, factor) for monomial, factor in totals.items() if factor]
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    # Constants last, otherwise by atoms: `2*N + 3` reads as people write it.
    kept.sort(key=lambda term: (not term[0], -len(term[0]), tuple(atom.key() for atom in term[0])))
    return Dim(tuple(kept))


def _sum(left: Dim, right: AnyDim, sign: int) -> AnyDim:
    totals = dict(left.terms)
    for monomial, factor in _as_dim(right).terms:
        totals[monomial] = totals.get(monomial, 0) + sign * factor
    return _normal(totals)


def floordiv(numerator: AnyDim, divisor: AnyDim) -> AnyDim:
    """``numerator // divisor``, rounded down.

    Raises `ValueError` for a divisor that is zero, or symbolic and does not divide the numerator exactly.
    """
    if isinstance(numerator, int) and isinstance(divisor, int):
        if divisor == 0:
            raise ValueError("a dimension divided by zero")
        return numerator // divisor
    if isinstance(divisor, Dim):
        quotient = exact_quotient(numerator, divisor)
        if quotient is None:
            raise ValueError(f"{numerator} // {divisor}: a dimension divides by whole numbers only")
        return quotient
    if divisor == 0:
        raise ValueError("a dimension divided by zero")
    if divisor < 0:
        return floordiv(-numerator, -divisor)
    whole: dict[Monomial, int] = {}
    rest: dict[Monomial, int] = {}
    for monomial, factor in _as_dim(numerator).terms:
        into, left = (whole, factor // divisor) if factor % divisor == 0 else (rest, factor)
        if not monomial and factor % divisor:
            # Only the remainder of a constant stays below the line.
            whole[monomial], left = factor // divisor, factor % divisor
        into[monomial] = left
    remainder = _normal(rest)
    if isinstance(remainder, int):
        return _normal(whole) + remainder // divisor
    low, high = bounds(remainder)
    if low // divisor == high // divisor:
        return _normal(whole) + low // divisor
    outer = divisor
    terms = [term for term in remainder.terms if term[0]]
    if len(terms) == 1 and terms[0][1] == 1 and len(terms[0][0]) == 1 and isinstance(terms[0][0][0], FloorDiv):
        inner = terms[0][0][0]
        constant = remainder - Dim((terms[0],))
        return _normal(whole) + floordiv(inner.numerator + constant * inner.divisor, inner.divisor * outer)
    return _normal(whole) + Dim((((FloorDiv(remainder, outer),), 1),))


def ceildiv(numerator: AnyDim, divisor: int) -> AnyDim:
    """``numerator / divisor``, rounded up."""
    return -floordiv(-numerator, divisor)


def exact_quotient(numerator: AnyDim, divisor: AnyDim) -> AnyDim | None:
    """``numerator / divisor`` if that is a polynomial again (monomial divisors only), else None."""
    below = _as_dim(divisor)
    if len(below.terms) != 1:
        return 1 if numerator == divisor else None
    atoms, factor = below.terms[0]
    totals: dict[Monomial, int] = {}
    for monomial, coefficient in _as_dim(numerator).terms:
        rest = list(monomial)
        for atom in atoms:
            if atom not in rest:
                return None
            rest.remove(atom)
        if coefficient % factor:
            return None
        totals[tuple(rest)] = coefficient // factor
    return _normal(totals)


def maximum(*items: AnyDim) -> AnyDim:
    """The largest; settled as far as ranges allow."""
    return _extreme("max", items)


def minimum(*items: AnyDim) -> AnyDim:
    """The smallest; settled as far as ranges allow."""
    return _extreme("min", items)


def _extreme(kind: str, items: Iterable[AnyDim]) -> AnyDim:
    operator = ">=" if kind == "max" else "<="
    kept: list[AnyDim] = []
    for item in items:
        if any(decide(other, operator, item) for other in kept):
            continue
        kept = [other for other in kept if not decide(item, operator, other)] + [item]
    if len(kept) == 1:
        return kept[0]
    return Dim((((Extreme(kind, tuple(sorted(kept, key=_key))),), 1),))


@lru_cache(maxsize=65536)
def bounds(value: AnyDim) -> tuple[int, int]:
    """The least and the largest value that the symbols' ranges allow (an enclosing interval, not always tight)."""
    if isinstance(value, int):
        return value, value
    low = high = 0
    for monomial, factor in value.terms:
        a, b = factor, factor
        for atom in monomial:
            c, d = _atom_bounds(atom)
            corners = (a * c, a * d, b * c, b * d)
            a, b = min(corners), max(corners)
        low, high = low + a, high + b
    return low, high


def _atom_bounds(atom: Atom) -> tuple[int, int]:
    match atom:
        case Symbol(low=low, high=high):
            return low, high
        case FloorDiv(numerator=numerator, divisor=divisor):
            low, high = bounds(numerator)
            return low // divisor, high // divisor
        case Extreme(kind=kind, items=items):
            pick = max if kind == "max" else min
            ranges = [bounds(item) for item in items]
            return pick(low for low, _ in ranges), pick(high for _, high in ranges)


_TESTS: dict[str, Callable[[int, int], bool | None]] = {
    "==": lambda low, high: True if low == high == 0 else False if low > 0 or high < 0 else None,
    "<": lambda low, high: True if high < 0 else False if low >= 0 else None,
    "<=": lambda low, high: True if high <= 0 else False if low > 0 else None,
}


def decide(left: AnyDim, operator: str, right: AnyDim) -> bool | None:
    """Whether ``left operator right`` for all allowed sizes: True, False, or None if that depends on the sizes."""
    if operator == "!=":
        equal = decide(left, "==", right)
        return None if equal is None else not equal
    if operator in (">", ">="):
        left, right, operator = right, left, "<" if operator == ">" else "<="
    return _TESTS[operator](*bounds(left - right))


def compare(left: AnyDim, operator: str, right: AnyDim) -> bool:
    """As `decide`, but raises `Undecided` where it says None."""
    answer = decide(left, operator, right)
    if answer is None:
        raise Undecided(left, operator, right)
    return answer


def symbols(value: AnyDim) -> set[Symbol]:
    """Every symbol that occurs in a dimension."""
    found: set[Symbol] = set()
    if isinstance(value, Dim):
        for monomial, _ in value.terms:
            for atom in monomial:
                match atom:
                    case Symbol():
                        found.add(atom)
                    case FloorDiv(numerator=numerator):
                        found |= symbols(numerator)
                    case Extreme(items=items):
                        for item in items:
                            found |= symbols(item)
    return found


def substitute(value: AnyDim, sizes: Mapping[str, AnyDim]) -> AnyDim:
    """The dimension with the named symbols replaced; names that are missing stay."""
    if isinstance(value, int):
        return value
    total: AnyDim = 0
    for monomial, factor in value.terms:
        product: AnyDim = factor
        for atom in monomial:
            match atom:
                case Symbol(name=name):
                    product = product * sizes.get(name, Dim((((atom,), 1),)))
                case FloorDiv(numerator=numerator, divisor=divisor):
                    product = product * floordiv(substitute(numerator, sizes), divisor)
                case Extreme(kind=kind, items=items):
                    product = product * _extreme(kind, [substitute(item, sizes) for item in items])
        total = total + product
    return total


def solve(pattern: AnyDim, size: AnyDim, known: Mapping[str, AnyDim]) -> tuple[Symbol, AnyDim | None] | None:
    """Bind the one unknown symbol of an affine dimension.

    ``pattern`` is ``factor * S + rest`` with S missing in ``known``. Returns S and its value for ``pattern == size``
    (None as value if no whole number fits), or None if the pattern has no such form.
    """
    pattern = substitute(pattern, known)
    unknown = symbols(pattern)
    if len(unknown) != 1 or not isinstance(pattern, Dim):
        return None
    (wanted,) = unknown
    factor, rest = 0, dict(pattern.terms)
    factor = rest.pop((wanted,), 0)
    if factor == 0 or any(wanted in symbols(Dim(((monomial, 1),))) for monomial in rest if monomial):
        return None
    numerator = size - _normal(rest)
    quotient = exact_quotient(numerator, factor)
    return wanted, quotient


def product(shape: Iterable[AnyDim]) -> AnyDim:
    """The number of elements of a shape."""
    known = 1
    unknown: list[Dim] = []
    for size in shape:
        if isinstance(size, int):
            known *= size
        else:
            unknown.append(size)
    total: AnyDim = known
    for dim in unknown:
        total = dim * total
    return total


def divisor(size: AnyDim, multiple: AnyDim) -> int:
    """The d of ``size == d * (size // d)``, which says that d divides the size; 0 for another equation."""
    if isinstance(size, Dim) and isinstance(multiple, Dim) and len(multiple.terms) == 1:
        monomial, factor = multiple.terms[0]
        if len(monomial) == 1 and monomial[0] == FloorDiv(size, factor):
            return factor
    return 0
