"""The pages of the zoo: one table of all its names, and one page for each document."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from ..zoo import ZooRow, counted
from .model_page import model_page
from .pages import NOTE
from .tables import amount, memory, table

COLUMNS = ("name", "parameters", "buffers", "MACs", "FLOPs", "values at once", "at", "source")
CONVENTION = (
    "**Parameters** are the trained ones, a shared one once; **buffers** beside them (running statistics) are not "
    "trained. A **MAC** is a multiply-accumulate of a convolution, a linear layer or a matmul, for the sizes in "
    "the column *at*; attention counts its scores and its values, in full even where it is causal. **FLOPs** are "
    "two for a MAC and one for whatever else is computed of one number (an addition, an exponential), so a little "
    "more than twice the MACs. **Values at once** is the most memory that results of ops take at one time, "
    "without the weights and the inputs, in the precision of the spec. All of them are those of the first entry, "
    "`main`; a scan counts its steps. `netwright summary zoo:NAME --dim T=128` counts at other sizes, and part by "
    "part."
)
DRAWINGS = (
    "In the **drawings** a box is a node of the spec; one with double sides is a block, a part or a whole model, "
    "and most blocks have a drawing of their own below. `x4` says that it is there four times in a row, `step by "
    "step` that it walks along a sequence. Shapes stand where they change; those in the drawing of a block are of "
    "one of its calls, and `more` stands for its further inputs."
)


def zoo_pages() -> dict[str, str]:
    """The pages by name below ``docs``."""
    found: list[ZooRow] = []
    pages = {"zoo.md": ""}
    for document, group in groupby(counted(), key=lambda each: each[0].document):
        members = [(row, model) for row, model in group if row.numbers is not None and model is not None]
        if members:
            # The document as it stands first, then its variants.
            members.sort(key=lambda each: each[0].name != _stem(document))
            found += [row for row, _ in members]
            pages[f"zoo/{_stem(document)}.md"] = model_page(members)
    pages["zoo.md"] = _index(found)
    return pages


def _index(rows: Sequence[ZooRow]) -> str:
    lines = ["# The zoo\n", NOTE]
    lines.append("Every network that comes along. Use a name as `zoo:NAME`; each page has a drawing and the idea.\n")
    lines += [CONVENTION + "\n", DRAWINGS + "\n"]
    cells: list[Sequence[str]] = []
    family = ""
    for row in rows:
        if row.family != family:
            family = row.family
            cells.append([f"**{family}**", *[""] * (len(COLUMNS) - 1)])
        cells.append(_cells(row))
    lines.append(table(COLUMNS, cells, 1, 5))
    return "\n".join(lines)


def _cells(row: ZooRow) -> Sequence[str]:
    numbers = row.numbers
    assert numbers is not None
    sizes = ", ".join(f"{name} = {size}" for name, size in numbers.sizes.items())
    link = f"[{row.name}](zoo/{_stem(row.document)}.md)"
    work = (amount(numbers.macs), amount(numbers.flops), memory(numbers.activation_bytes))
    return [link, f"{numbers.parameters:,}", f"{numbers.buffers:,}", *work, sizes, ", ".join(map(_short, row.source))]


def _short(source: str) -> str:
    """A paper as `Authors (year)`."""
    found = re.match(r".{1,80}?\(\d{4}\)", source)
    return found.group() if found else source[:80]


def _stem(document: str) -> str:
    return document.rpartition("/")[2].removesuffix(".yaml")
