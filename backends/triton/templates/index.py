"""Index arithmetic of tiles: what one index stands for along several axes, and the offset that it has in an array.

An index is the name of a variable of the kernel that counts the elements of some axes, slow to fast. Axes that lie
together in memory are one axis here, so that most offsets are one product.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ....compiler.ir import AnyDim
from ....compiler.ir.dims import product
from ..kernel import Draft


def coordinates(draft: Draft, index: str, sizes: Sequence[AnyDim]) -> list[str]:
    """The coordinate along each of the axes that ``index`` runs over."""
    return [_digit(draft, index, sizes, at) for at in range(len(sizes))]


def _digit(draft: Draft, index: str, sizes: Sequence[AnyDim], at: int) -> str:
    if sizes[at] == 1:
        return "0"
    inner = product(sizes[at + 1 :])
    text = index if inner == 1 else f"{index} // {draft.size(inner)}"
    outermost = all(size == 1 for size in sizes[:at])
    return text if outermost else f"{text} % {draft.size(sizes[at])}"


def joined(sizes: Sequence[AnyDim], strides: Sequence[AnyDim]) -> tuple[list[AnyDim], list[AnyDim]]:
    """The axes with neighbours made one where a single stride leads through both."""
    made: list[tuple[AnyDim, AnyDim]] = []
    for size, stride in zip(sizes, strides, strict=True):
        if size == 1:
            continue
        if made and made[-1][1] == stride * size:
            made[-1] = (made[-1][0] * size, stride)
        else:
            made.append((size, stride))
    return [size for size, _ in made], [stride for _, stride in made]


def offset(draft: Draft, index: str, sizes: Sequence[AnyDim], strides: Sequence[AnyDim]) -> str:
    """The offset of the elements that ``index`` counts; "0" where it is always that."""
    sizes, strides = joined(sizes, strides)
    texts = coordinates(draft, index, sizes)
    return total(scaled(draft, text, stride) for text, stride in zip(texts, strides, strict=True))


def scaled(draft: Draft, text: str, stride: AnyDim) -> str:
    """``text * stride``; "0" for a product that is always that."""
    if stride == 0 or text == "0":
        return "0"
    return text if stride == 1 else f"{text} * {draft.size(stride)}"


def tiled(terms: Iterable[str], index: str) -> str:
    """As `total`, but of the shape of ``index`` even where no term moves: a masked load takes no lone pointer."""
    text = total(terms)
    return f"{index} * 0" if text == "0" else text


def total(terms: Iterable[str]) -> str:
    """The sum of terms, without those that are "0"."""
    return " + ".join(term for term in terms if term != "0") or "0"
