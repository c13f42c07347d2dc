"""Which graphs of a model are drawn: what it does as a whole, then the blocks that it is made of."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...compiler.ir import Entry, Program
from ..model import Model
from ..summary import usual_sizes
from .flowchart import Called, Chart, chart
from .written import MAIN, Home, Written, written_in

MOST_BLOCKS = 10
MOST_BOXES = 60


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart, and the block that it shows; nothing for the model as a whole."""

    block: str
    chart: Chart


def drawings(models: Sequence[Model]) -> list[Drawing]:
    """The main graph of the first model, then the blocks of its own file and its libraries, from the outside in.

    The other models are variants, of which blocks are drawn that those before do not have. A graph that only calls one
    function is drawn as that function. Of a block that is called in several forms the one with the most boxes is drawn.
    Sub-models have pages of their own.
    """
    found: list[Drawing] = []
    blocks: dict[Home, Chart] = {}
    known: set[Home] = set()
    for model in models:
        sketch = _Sketch(model.program, written_in(model.loaded), _sizes(model))
        homes = {home for graph in model.program.functions.values() if (home := sketch.written.home(graph)) is not None}
        if found and homes <= known:
            continue
        known |= homes
        whole, files = sketch.whole()
        own = {model.loaded.label, *(library.label for library in model.loaded.includes.values()), *files}
        if not found:
            found = [Drawing("", whole)] if len(whole.boxes) <= MOST_BOXES else []
        for home, made in sketch.blocks(whole.calls, own):
            if home not in blocks or len(made.boxes) > len(blocks[home].boxes):
                blocks[home] = made
    return [*found, *(Drawing(name, made) for (_, name), made in list(blocks.items())[:MOST_BLOCKS])]


def _sizes(model: Model) -> dict[str, int]:
    """The usual sizes; a symbol that is 1 stays a symbol."""
    return {name: size for name, size in usual_sizes(model).items() if size > 1}


def _says_something(made: Chart) -> bool:
    several = len(made.boxes) > 1 or any(box.times > 1 or box.loops for box in made.boxes.values())
    return several and len(made.boxes) <= MOST_BOXES


@dataclass(slots=True)
class _Sketch:
    program: Program
    written: Written
    sizes: Mapping[str, int]

    def whole(self) -> tuple[Chart, set[str]]:
        """The main graph, or what it does nothing but call, and the files that led there."""
        made = self.entry(self.program.entries["main"])
        files: set[str] = set()
        while len(made.calls) == 1 and len(made.boxes) == 1 and not any(box.loops for box in made.boxes.values()):
            called = made.calls[0]
            home = self.written.home(self.program.functions[called.name])
            files |= {home[0]} if home is not None else set()
            made = self.function(called)
        return made, files

    def blocks(self, calls: Sequence[Called], files: Container[str]) -> Iterator[tuple[Home, Chart]]:
        """The blocks of some files that calls lead to, each function once, nearer ones first."""
        pending, seen = list(calls), set[str]()
        while pending:
            called = pending.pop(0)
            if called.name in seen:
                continue
            seen.add(called.name)
            made = self.function(called)
            pending += made.calls
            home = self.written.home(self.program.functions[called.name])
            if home is not None and home[0] in files and home[1] != MAIN and _says_something(made):
                yield home, made

    def entry(self, entry: Entry) -> Chart:
        count = len(entry.inputs)
        owned = frozenset(entry.graph.inputs[count : count + len(entry.params)])
        states = len(entry.graph.inputs) - count - len(owned)
        names = ([*(port.name for port in entry.inputs), *["state"] * states], list(entry.outputs))
        used = frozenset(range(len(entry.outputs)))
        return chart(self.program, entry.graph, owned, used, self.written, self.sizes, names)

    def function(self, called: Called) -> Chart:
        graph = self.program.functions[called.name]
        home = self.written.home(graph)
        module = self.written.modules.get(home) if home is not None else None
        names = tuple([str(name) for name in getattr(module, key, None) or ()] for key in ("inputs", "outputs"))
        return chart(self.program, graph, called.owned, called.used, self.written, self.sizes, (names[0], names[1]))
