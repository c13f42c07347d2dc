"""Which nodes of a graph share a kernel: groups that grow node by node, in the order of the graph.

A node joins the group of an operand if every element that it computes belongs to an element of that group's result,
and if nothing outside the group lies between (which would make a cycle). All values that a group computes vary along
its parallel axes, or along these and the axes that its reductions take away: nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from ..ir.graph import Graph, Node, Value
from .axes import Axes, Group, SpaceError, View
from .rules import Fusion
from .views import is_move, is_pointwise, is_reduction, is_scalar, reduced, result_view

CHAIN = 8
"""Most moves between a value and its reader that a kernel looks through."""
SEARCH = 500
"""Most nodes that are looked at for a cycle; beyond, two groups stay apart."""
NUMBER = 16
"""Most nodes of a scalar that each kernel computes for itself; a longer one is computed once."""
PROLOGUE = 4
"""Most nodes of a prologue; it runs again for each tile that reads the operand."""
CHEAP = frozenset(["cast", "neg", "abs", "add", "sub", "mul", "max", "min", "where", "compare", "stop_gradient"])
"""What a prologue may compute."""


class Refusal(Exception):
    """Two nodes cannot share a kernel; says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """How a node of a kernel gets an operand: a value, the moves from there, in order, and the view of a leaf."""

    base: Value
    chain: tuple[Node, ...] = ()
    view: View | None = None


@dataclass(eq=False, slots=True)
class Kernel:
    """A group: the nodes that compute in it, and how its values lie along its axes.

    ``leaves`` are the views under which values from outside are read, ``views`` those of the values computed inside.
    ``along`` are the parallel axes, ``away`` those that reductions take away.
    """

    nodes: list[Node]
    anchor: Node | None = None
    sources: dict[Node, tuple[Source, ...]] = field(default_factory=dict)
    views: dict[Value, View] = field(default_factory=dict)
    leaves: dict[Value, list[View]] = field(default_factory=dict)
    along: Group = ()
    away: Group = ()
    start: int = 0
    last: int = 0

    @property
    def kind(self) -> str:
        """The kind of `compiler.ops.fused.Fused`."""
        if self.anchor is not None:
            name = self.anchor.op.name
            return "window" if name.startswith("window") else name
        return "rows" if any(is_reduction(node) for node in self.nodes) else "pointwise"


class Grouping:
    """The kernels of one graph under a target's rules."""

    def __init__(self, graph: Graph, rules: Fusion, refused: Callable[[Node, Kernel, str], None]) -> None:
        self.graph, self.rules, self.refused = graph, rules, refused
        self.axes = Axes()
        self.producers = graph.producers()
        self.users = graph.users()
        self.outputs = set(graph.outputs)
        self.index = {node: position for position, node in enumerate(graph.nodes)}
        self.owner: dict[Node, Kernel] = {}
        self.numbers: dict[Node, int] = {}
        self.unanchored: set[Node] = set()

    def kernels(self) -> list[Kernel]:
        """Every kernel of two nodes at least, in the order of their first."""
        for node in self.graph.nodes:
            if self.is_free(node):
                continue
            if node.op.name in self.rules.anchors and self.rules.refuse(node) is None:
                self.anchored(node)
            elif (is_pointwise(node) or (self.rules.rows and is_reduction(node))) and self.rules.refuse(node) is None:
                self.place(node)
        kernels = dict.fromkeys(self.owner.values())
        return [kernel for kernel in kernels if len(kernel.nodes) > 1]

    # ---- where a node goes

    def anchored(self, node: Node) -> None:
        """A kernel around an anchor, with what is computed on the way in."""
        kernel = Kernel([node], node, start=self.index[node], last=self.index[node])
        kernel.sources[node] = tuple(Source(value) for value in node.inputs)
        for value in node.outputs:
            kernel.views[value] = self.axes.view(value.type.shape)
        kernel.along = self.axes.flat(kernel.views[node.outputs[0]])
        if node.op.name in self.rules.prologues:
            for value in dict.fromkeys(node.inputs):
                self.absorb(kernel, node, value)
        inside = {value for each in kernel.nodes for value in each.outputs}
        for each in kernel.nodes:
            for source in kernel.sources[each]:
                if source.base not in inside:
                    kernel.leaves.setdefault(source.base, [])
            self.owner[each] = kernel

    def absorb(self, kernel: Kernel, anchor: Node, value: Value) -> None:
        """Let the kernel that computes an operand, and nothing else, be a prologue."""
        source = self.chase(value)
        before = self.owning(source.base)
        if before is None or before.anchor is not None or before.away or len(before.nodes) > PROLOGUE:
            return
        path = {anchor, *source.chain, *before.nodes}
        values = [result for node in (*before.nodes, *source.chain) for result in node.outputs]
        if any(each in self.outputs or any(user not in path for user in self.users.get(each, ())) for each in values):
            return
        expensive = next((node.op.name for node in before.nodes if node.op.name not in CHEAP), None)
        if expensive is not None:
            self.refused(anchor, before, f"{expensive} would be computed again for each tile that reads it")
            return
        kernel.nodes = [*before.nodes, *kernel.nodes]
        kernel.sources |= before.sources
        kernel.start = min(kernel.start, before.start)
        kernel.sources[anchor] = tuple(source if base.base is value else base for base in kernel.sources[anchor])

    def place(self, node: Node) -> None:
        """Let a node join the kernels of its operands, or begin one of its own."""
        sources = tuple(self.chase(value) for value in node.inputs)
        near = dict.fromkeys(self.owning(source.base) for source in sources)
        free = [kernel for kernel in near if kernel and not (kernel.anchor and node in self.unanchored)]
        order = sorted(free, key=lambda kernel: -kernel.last)
        home: Kernel | None = None
        for kernel in order:
            try:
                if home is None:
                    self.join(kernel, node, sources)
                    home = kernel
                else:
                    home = self.merge(home, kernel)
            except (Refusal, SpaceError) as reason:
                self.refused(node, kernel, str(reason))
        if home is not None:
            return
        pulled = self.reclaim(node, sources[0]) if is_reduction(node) else []
        if not pulled:
            self.begin(node, sources)
            return
        for each in sorted((node, *pulled), key=self.index.__getitem__):
            self.place(each)

    def reclaim(self, node: Node, source: Source) -> list[Node]:
        """Take from an anchor's kernel what it computes for a reduction alone, to begin a kernel with it."""
        kernel = self.owning(source.base)
        if kernel is None or kernel.anchor is None or node in self.unanchored:
            return []
        self.unanchored.add(node)
        pulled: list[Node] = []
        border: list[Node] = []
        todo = [self.producers[source.base]]
        while todo:
            each = todo.pop()
            if each in pulled:
                continue
            movable = each is not kernel.anchor and each.output in kernel.views and each.output not in self.outputs
            if movable and self.readers(each) <= {node, *pulled}:
                pulled.append(each)
                bases = (source.base for source in kernel.sources[each])
                todo += [self.producers[base] for base in bases if self.owning(base) is kernel]
            else:
                border.append(each)
        # It must not cost memory: others read what stands at the border too, so that it is written in any case.
        inside = {*kernel.nodes, node}
        if not all(each in pulled or each.output in self.outputs or self.readers(each) - inside for each in border):
            return []
        self.unanchored.update(pulled)
        for each in pulled:
            del self.owner[each], kernel.views[each.output], kernel.sources[each]
        kernel.nodes = [each for each in kernel.nodes if each in kernel.sources]
        kernel.last = max(self.index[each] for each in kernel.nodes)
        read = {source.base for sources in kernel.sources.values() for source in sources}
        kernel.leaves = {base: views for base, views in kernel.leaves.items() if base in read}
        return pulled

    def readers(self, node: Node) -> set[Node]:
        """The nodes that read a node's result, directly or behind moves; results of the graph stand for themselves."""
        found: set[Node] = set()
        todo = [node]
        while todo:
            for user in self.users.get(todo.pop().output, ()):
                if is_move(user) and user.output not in self.outputs:
                    todo.append(user)
                else:
                    found.add(user)
        return found

    def begin(self, node: Node, sources: tuple[Source, ...]) -> None:
        kernel = Kernel([], start=self.index[node], last=self.index[node])
        shape = node.inputs[0].type.shape if node.inputs else node.output.type.shape
        target = self.axes.view(shape)
        kernel.along = self.axes.flat(target)
        self.add(kernel, node, sources, target)

    def join(self, kernel: Kernel, node: Node, sources: tuple[Source, ...]) -> None:
        """Add a node to a kernel that computes one of its operands. Raises `Refusal`, `SpaceError`; all stays then."""
        if len(kernel.nodes) >= self.rules.nodes:
            raise Refusal(f"a kernel holds at most {self.rules.nodes} nodes")
        others = {source.base for source in sources if self.owning(source.base) is not kernel}
        others -= {base for base in others if self.is_number(base)}
        if len(kernel.leaves.keys() | others) > self.rules.operands:
            raise Refusal(f"a kernel reads at most {self.rules.operands} operands")
        self.check_cycle(kernel, others)
        mark = self.axes.mark()
        state = kernel.along, kernel.away
        try:
            view = next(
                self.forward(kernel.views[source.base], source.chain)
                for source in sources
                if self.owning(source.base) is kernel
            )
            self.add(kernel, node, sources, view)
        except (Refusal, SpaceError):
            self.axes.undo(mark)
            kernel.along, kernel.away = state
            raise

    def add(self, kernel: Kernel, node: Node, sources: tuple[Source, ...], target: View) -> None:
        """Add a node whose operands lie along ``target``."""
        used: list[Source] = []
        for value, source in zip(node.inputs, sources, strict=True):
            if self.is_number(source.base):
                used.append(source)
            elif self.owning(source.base) is kernel:
                self.align(target, self.forward(kernel.views[source.base], source.chain))
                used.append(source)
            else:
                used.append(self.leaf(kernel, value, source, target))
        if is_reduction(node):
            self.reduce(kernel, node, target)
            view = result_view(self.axes, node, [target])
        else:
            view = target
        self.check_axes(kernel, self.axes.flat(view))
        kernel.nodes.append(node)
        kernel.sources[node] = tuple(used)
        kernel.views[node.output] = view
        for source in used:
            if source.view is not None:
                kernel.leaves.setdefault(source.base, []).append(source.view)
        kernel.last = max(kernel.last, self.index[node])
        self.owner[node] = kernel

    def leaf(self, kernel: Kernel, value: Value, source: Source, target: View) -> Source:
        """An operand from outside: looked at through its moves if these can be followed, else as it is.

        A value that the kernel reads already is read in the same way if that fits: a row beside its own mean.
        """
        base = source.base
        for view in (*kernel.leaves.get(base, ()), self.axes.view(base.type.shape)):
            mark = self.axes.mark()
            try:
                self.align(target, self.forward(view, source.chain))
                self.check_distinct((*kernel.along, *kernel.away))
                return replace(source, view=view)
            except (SpaceError, Refusal):
                self.axes.undo(mark)
        view = self.axes.view(value.type.shape)
        self.align(target, view)
        return Source(value, view=view)

    def merge(self, kernel: Kernel, other: Kernel) -> Kernel:
        """One kernel of two. Raises `Refusal`, `SpaceError`; all stays then."""
        if kernel.anchor is not None and other.anchor is not None:
            raise Refusal(f"a kernel has one anchor; these are {kernel.anchor.op.name} and {other.anchor.op.name}")
        for one, two in ((kernel, other), (other, kernel)):
            if one.anchor is not None and (two.away or self.feeds(two, one)):
                why = "reduces" if two.away else "is needed before the anchor"
                raise Refusal(f"{one.anchor.op.name} is the anchor, and the other {why}")
        if len(kernel.nodes) + len(other.nodes) > self.rules.nodes:
            raise Refusal(f"a kernel holds at most {self.rules.nodes} nodes")
        leaves = {
            base
            for one, two in ((kernel, other), (other, kernel))
            for base in one.leaves
            if self.owning(base) is not two
        }
        if len(leaves) > self.rules.operands:
            raise Refusal(f"a kernel reads at most {self.rules.operands} operands")
        for one, two in ((kernel, other), (other, kernel)):
            self.check_cycle(one, [base for base in two.leaves if self.owning(base) is not one])
        mark = self.axes.mark()
        small, large = sorted((kernel, other), key=lambda each: len(each.nodes))
        domains = [(each.along, each.away) for each in (kernel, other)]
        state = large.along, large.away
        try:
            for one, two in ((kernel, other), (other, kernel)):
                for base, views in one.leaves.items():
                    if self.owning(base) is two:
                        for view in views:
                            self.align(two.views[base], view)
            large.along, large.away = next((domain for domain in domains if domain[1]), domains[0])
            for along, away in domains:
                self.check_axes(large, along)
                if away and set(self.axes.resolve(away)) != set(self.axes.resolve(large.away)):
                    raise Refusal("the reductions are along other axes")
        except (Refusal, SpaceError):
            self.axes.undo(mark)
            large.along, large.away = state
            raise
        for base, views in small.leaves.items():
            large.leaves.setdefault(base, []).extend(views)
        large.nodes += small.nodes
        large.sources |= small.sources
        large.views |= small.views
        large.anchor = large.anchor or small.anchor
        large.start, large.last = min(large.start, small.start), max(large.last, small.last)
        for node in small.nodes:
            self.owner[node] = large
        large.leaves = {base: views for base, views in large.leaves.items() if self.owning(base) is not large}
        return large

    # ---- axes

    def forward(self, view: View, chain: Iterable[Node]) -> View:
        """The view behind moves."""
        for node in chain:
            view = result_view(self.axes, node, [view])
        return view

    def align(self, left: View, right: View) -> None:
        """Let two views of one shape be the same. Raises `SpaceError`."""
        for a, b in zip(left, right, strict=True):
            self.axes.unify(a, b)

    def reduce(self, kernel: Kernel, node: Node, view: View) -> None:
        if kernel.anchor is not None:
            raise Refusal(f"{node.op.name} needs whole rows, which a tile of {kernel.anchor.op.name} does not hold")
        these = set(reduced(self.axes, node, view))
        along, away = self.axes.resolve(kernel.along), self.axes.resolve(kernel.away)
        if away and these != set(away):
            raise Refusal(f"{node.op.name} is along other axes than the reductions of this kernel")
        if not away:
            if set(self.axes.flat(view)) != set(along):
                raise Refusal(f"{node.op.name} is not over the elements that the kernel computes")
            kernel.along = tuple(axis for axis in along if axis not in these)
            kernel.away = tuple(axis for axis in along if axis in these)

    def check_distinct(self, axes: Group) -> None:
        """Raises `Refusal` if two of these axes have become one."""
        every = self.axes.resolve(axes)
        if len(set(every)) < len(every):
            raise Refusal("a value would meet itself along another axis")

    def check_axes(self, kernel: Kernel, axes: Group) -> None:
        """Raises `Refusal` unless what varies along ``axes`` has the elements of the kernel, or of its rows."""
        self.check_distinct((*kernel.along, *kernel.away))
        self.check_distinct(axes)
        flat, along, away = (self.axes.resolve(group) for group in (axes, kernel.along, kernel.away))
        if set(flat) not in (set(along), {*along, *away}):
            if set(flat) > {*along, *away}:
                raise Refusal("what the kernel computes would be computed again for each place that it is repeated to")
            raise Refusal("it has not the elements that the kernel computes")

    # ---- the graph

    def is_free(self, node: Node) -> bool:
        """Whether each kernel that needs the node has it for itself."""
        return is_move(node) or (len(node.outputs) == 1 and self.is_number(node.output))

    def is_number(self, value: Value) -> bool:
        """Whether this is a scalar that depends on sizes only: each kernel computes it for itself."""
        node = self.producers.get(value)
        return node is not None and 0 < self.length(node) <= NUMBER

    def length(self, node: Node) -> int:
        """How many nodes a scalar of sizes takes, more than `NUMBER` counted as one more; 0 for everything else."""
        if node.outputs[0].type.rank != 0 or not (is_scalar(node) or is_pointwise(node)):
            return 0
        if node not in self.numbers:
            operands = [self.producers.get(value) for value in node.inputs]
            # Nodes are met in the order of the graph, so that those of the operands are known.
            lengths = [0 if each is None else self.length(each) for each in operands]
            self.numbers[node] = min(NUMBER + 1, 1 + sum(lengths)) if all(lengths) else 0
        return self.numbers[node]

    def owning(self, value: Value) -> Kernel | None:
        """The kernel that computes a value."""
        node = self.producers.get(value)
        return None if node is None else self.owner.get(node)

    def chase(self, value: Value) -> Source:
        """The value behind moves, and these."""
        chain: list[Node] = []
        node = self.producers.get(value)
        while node is not None and is_move(node) and len(chain) < CHAIN:
            chain.append(node)
            value = node.inputs[0]
            node = self.producers.get(value)
        return Source(value, tuple(reversed(chain)))

    def feeds(self, kernel: Kernel, anchored: Kernel) -> bool:
        """Whether a kernel computes an operand of another's anchor or prologue."""
        return any(
            source.base in kernel.views
            for node in anchored.nodes
            if node is anchored.anchor or node.output not in anchored.views
            for source in map(self.behind, anchored.sources[node])
        )

    def behind(self, source: Source) -> Source:
        return source if source.chain else self.chase(source.base)

    def check_cycle(self, kernel: Kernel, values: Iterable[Value]) -> None:
        """Raises `Refusal` if a value from outside depends on what the kernel computes."""
        seen: set[Node | Kernel] = set()
        todo = [self.producers[value] for value in values if value in self.producers]
        while todo:
            node = todo.pop()
            owner = self.owner.get(node)
            if owner is kernel:
                raise Refusal("between them lies a node of another kernel")
            key: Node | Kernel = node if owner is None else owner
            last = self.index[node] if owner is None else owner.last
            if key in seen or last < kernel.start:
                continue
            seen.add(key)
            if len(seen) > SEARCH:
                raise Refusal(f"more than {SEARCH} nodes lie between them")
            inputs: Iterable[Value] = node.inputs if owner is None else owner.leaves
            todo += [self.producers[value] for value in inputs if value in self.producers]
