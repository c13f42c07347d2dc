"""What symbolic sizes are taken for where a choice must be made before they are known.

Only choices that are right for every size are made so: which of two orders, layouts or kernels is likely the better.
"""

from __future__ import annotations

from .ir.dims import AnyDim, Dim, Symbol, substitute, symbols

NOMINAL = 64


def nominal(symbol: Symbol) -> int:
    """What a symbol is taken for: `NOMINAL`, or the nearest in its range."""
    return min(max(NOMINAL, symbol.low), symbol.high)


def nominal_size(size: AnyDim) -> int:
    """A dimension, or whatever else is computed from symbols, with each of them at its nominal value."""
    if not isinstance(size, Dim):
        return size
    found = substitute(size, {symbol.name: nominal(symbol) for symbol in symbols(size)})
    assert isinstance(found, int)
    return found
