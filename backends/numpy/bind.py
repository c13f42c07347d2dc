"""The function of an entry that finds its sizes in the shapes of inputs, with every check that they need."""

from __future__ import annotations

from collections.abc import Collection

from ...compiler.ir import AnyDim, Dim, Entry, Symbol
from ...compiler.ir.dims import substitute, symbols
from ..source import comment, origin
from .text import dim_text, tuple_text, unpacking

KERNELS = ("solved", "agree", "guard", "known")
"""What the functions call."""


def bind_function(number: int, entry: Entry, variables: dict[str, str]) -> list[str]:
    """The lines of ``bind_<number>(shapes, states)``; ``variables`` names the size of each symbol."""
    text = [f"def bind_{number}(shapes, states):", f'    """The sizes of entry {comment(entry.name)}, from shapes."""']
    if variables:
        text.append("    # " + ", ".join(f"{variable} = {comment(symbol)}" for symbol, variable in variables.items()))
    text += unpacking([f"x{index}" for index in range(len(entry.inputs))], "shapes")
    places = [
        (index, port.name, axis, size)
        for index, port in enumerate(entry.inputs)
        for axis, size in enumerate(port.type.shape)
    ]
    solved: set[tuple[int, int]] = set()
    bound: set[str] = set()
    progress = True
    while progress:
        progress = False
        for index, name, axis, size in places:
            found = _solution(size, bound)
            if found is None:
                continue
            symbol, factor, rest = found
            facts = f"{name!a}, {axis}, {str(size)!a}, {symbol.name!a}, {symbol.low}, {symbol.high}"
            terms = f"x{index}[{axis}], {factor}, {dim_text(rest, variables)}"
            text.append(f"    {variables[symbol.name]} = solved({terms}, {facts})")
            bound.add(symbol.name)
            solved.add((index, axis))
            progress = True
    # Sizes that no input has are those of states.
    text += [
        f"    {variable} = known(states, {symbol!a})" for symbol, variable in variables.items() if symbol not in bound
    ]
    for index, name, axis, size in places:
        if (index, axis) not in solved:
            wanted = dim_text(size, variables)
            text.append(f"    agree(x{index}[{axis}], {wanted}, {name!a}, {axis}, {str(size)!a})")
    for each in entry.guards:
        left, right = dim_text(each.left, variables), dim_text(each.right, variables)
        words = f"{each.left} and {each.right}"
        text.append(f"    guard({left}, {right}, {words!a}, {origin(each.loc)!a})")
    return [*text, f"    return {tuple_text(list(variables.values()))}"]


def _solution(size: AnyDim, bound: Collection[str]) -> tuple[Symbol, int, AnyDim] | None:
    """The one symbol of a size that is not bound yet, as ``factor * symbol + rest``."""
    free = [symbol for symbol in symbols(size) if symbol.name not in bound]
    if len(free) != 1 or not isinstance(size, Dim):
        return None
    (symbol,) = free
    rest = substitute(size, {symbol.name: 0})
    factor = substitute(size, {symbol.name: 1}) - rest
    if not isinstance(factor, int) or factor == 0 or factor * Dim((((symbol,), 1),)) + rest != size:
        return None
    return symbol, factor, rest
