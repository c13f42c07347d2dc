"""Dimensions as Python text: how a size is written, and how a symbol is found from the shape of an array."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...compiler.ir.dims import AnyDim, Atom, Dim, Extreme, FloorDiv, Symbol, symbols
from ...compiler.ir.types import TensorType

_PLAIN = re.compile(r"[A-Z][A-Za-z0-9_]{0,30}")
_RESERVED = frozenset({"True", "False", "None"})


@dataclass(slots=True)
class Sizes:
    """The sizes that one function of the module knows.

    ``used`` gathers the symbols that its text asks for; ``texts`` holds what stands for a whole dimension (a size
    that can be read off an array but gives no symbol away).
    """

    used: dict[Symbol, None] = field(default_factory=dict)
    texts: dict[Dim, str] = field(default_factory=dict)
    _names: dict[Symbol, str] = field(default_factory=dict)

    def name(self, symbol: Symbol) -> str:
        """The Python name of a symbol: its own where that is a plain capitalised word, else ``d0``, ``d1``, ..."""
        if symbol not in self._names:
            plain = _PLAIN.fullmatch(symbol.name) and symbol.name not in _RESERVED
            free = symbol.name not in self._names.values()
            self._names[symbol] = symbol.name if plain and free else f"d{len(self._names)}"
        return self._names[symbol]

    def text(self, size: AnyDim) -> str:
        """Python for a dimension, over the names of symbols."""
        if isinstance(size, int):
            return str(size)
        if size in self.texts:
            return self.texts[size]
        parts: list[str] = []
        for monomial, factor in size.terms:
            factors = [str(abs(factor))] if abs(factor) != 1 or not monomial else []
            factors += [self._atom(atom) for atom in monomial]
            sign = "-" if factor < 0 else "+"
            body = " * ".join(factors)
            parts.append(f" {sign} {body}" if parts else f"-{body}" if factor < 0 else body)
        return "".join(parts)

    def _atom(self, atom: Atom) -> str:
        match atom:
            case Symbol():
                self.used[atom] = None
                return self.name(atom)
            case FloorDiv(numerator=numerator, divisor=divisor):
                return f"(({self.text(numerator)}) // {divisor})"
            case Extreme(kind=kind, items=items):
                texts = [self.text(item) for item in items]
                folded = texts[0]
                for text in texts[1:]:
                    # Python's own max and min cannot compare symbolic sizes while a program is exported.
                    folded = f"jax.core.{kind}_dim({folded}, {text})"
                return folded

    def shape(self, shape: Iterable[AnyDim]) -> str:
        """Python for a tuple of dimensions."""
        texts = [self.text(size) for size in shape]
        return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"

    def type(self, type: TensorType) -> str:
        """A type for a comment; uses no symbol."""
        reader = self.reader()
        return f"{type.dtype.value}[{', '.join(reader.text(size) for size in type.shape)}]"

    def reader(self) -> Sizes:
        """The same names and texts with an account of used symbols of its own."""
        return Sizes(texts=self.texts, _names=self._names)


def solutions(arrays: Iterable[tuple[str, TensorType]], sizes: Sizes) -> dict[Symbol, tuple[str, set[Symbol]]]:
    """How symbols follow from the shapes of arrays: for each its Python text and the symbols which that text uses.

    ``arrays`` are pairs of a Python expression and its type. A symbol is found where a dimension is affine in it and
    everything else is known, the simplest such dimension first. The texts can be executed in order. Dimensions that
    give no symbol away are entered in ``sizes.texts``.
    """
    axes = [
        (size, f"{text}.shape[{axis}]")
        for text, type in arrays
        for axis, size in enumerate(type.shape)
        if isinstance(size, Dim)
    ]
    axes.sort(key=lambda axis: (len(axis[0].terms), len(str(axis[0]))))
    found: dict[Symbol, tuple[str, set[Symbol]]] = {}
    progress = True
    while progress:
        progress = False
        for size, text in axes:
            solved = _solve(size, text, found, sizes)
            if solved is not None:
                found[solved[0]] = solved[1:]
                progress = True
    for size, text in axes:
        if not symbols(size) <= found.keys():
            sizes.texts.setdefault(size, text)
    return found


def _solve(
    size: Dim, text: str, known: Mapping[Symbol, object], sizes: Sizes
) -> tuple[Symbol, str, set[Symbol]] | None:
    """The one unknown symbol S of ``factor * S + rest``, as text."""
    unknown = symbols(size) - known.keys()
    if len(unknown) != 1:
        return None
    (wanted,) = unknown
    terms = dict(size.terms)
    factor = terms.pop((wanted,), 0)
    rest = Dim(tuple(terms.items()))
    if factor <= 0 or wanted in symbols(rest):
        return None
    reader = sizes.reader()
    if terms:
        plain = terms.keys() == {()} and terms[()] > 0
        less = f"{text} - {terms[()]}" if plain else f"{text} - ({reader.text(rest)})"
        text = f"({less})" if factor != 1 else less
    return wanted, text if factor == 1 else f"{text} // {factor}", set(reader.used)
