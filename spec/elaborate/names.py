"""What can be told of a document without running it: names that clash or are not known, and bad references.

Every scope is looked at, called or not: blocks that nobody calls and nodes that are left out are checked, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from ..diagnostics import Collector, Diagnostic, SpecError, suggest
from ..formula.ast import Literal, Number, Unary
from ..formula.ast import names as names_in
from ..formula.parser import parse_formula
from ..load import LoadedDocument
from ..model.formulas import Formula, StaticValue, Text
from ..model.nodes import BlockNode, Node, OpNode, PartNode, ValueNode
from ..model.operands import formulas
from ..model.parts import BlockPart, OpPart
from ..model.types import RecordType, TypeExpr
from ..model.types import TensorType as DeclaredTensor
from ..source import Span
from .fields import NAMES, NO_WORDS, TEXT, field_names, field_problems, unknown_word
from .forms import ANY_WORD, words_of
from .references import arg_problems, block_problem, find_block, op_problem, part_problem
from .vocabulary import find_op

ALWAYS = frozenset({"training"})
HINTS = {
    "i": "`i` counts the iterations of a node with `repeat`",
    **dict.fromkeys(("yes", "on", "True"), "write `true`"),
    **dict.fromkeys(("no", "off", "False"), "write `false`"),
    "None": "write `null`",
}
"""What to write for a name that is not known."""
Named = tuple[str, Span]
"""A name and the place where it is defined."""


def check_names(loaded: LoadedDocument, collector: Collector, unknown: set[tuple[int, str]]) -> None:
    """Report what is wrong in a document and the libraries that it includes.

    A name that a scope does not know is reported once, where it is first used, and added to ``unknown`` with the `id`
    of the scope's model.
    """
    _Names(collector, unknown).file(loaded)


class _Names:
    def __init__(self, collector: Collector, unknown: set[tuple[int, str]]) -> None:
        self.collector = collector
        self.unknown = unknown
        self.done: set[int] = set()

    def file(self, loaded: LoadedDocument) -> None:
        """A document and the libraries that it includes, each once."""
        if id(loaded) in self.done:
            return
        self.done.add(id(loaded))
        for library in loaded.includes.values():
            self.file(library)
        document = loaded.document
        own = _collect(document.args, document.let, document.parts)
        _report_twice(self.collector, own, own)
        home = _Scope(self, loaded, document, {name for name, _ in own})
        home.static_table(document.let)
        home.parts()
        home.variants()
        for size in _values(document.usual):
            home.formula(size)
        if document.graph is not None:
            self.main(loaded, own)
        for block in _values(document.blocks):
            if not block.graph and block.outputs is None:
                message = "a block without nodes and `outputs` has no value"
                self.collector.report(block.key_span("graph"), message)
            self.scope(loaded, own, block, _collect(block.args, block.let), _symbols([block], None))

    def main(self, loaded: LoadedDocument, file: list[Named]) -> None:
        """The main graph, the entries and the training graphs."""
        document = loaded.document
        seen = _symbols([document, *_values(document.entries)], document.state)
        state = _collect(document.state)
        main = self.scope(loaded, file, document, state, seen)
        for entry in _values(document.entries):
            self.scope(loaded, file, entry, state, seen)
        if document.training is not None:
            self.training(loaded, [*file, *main], document.training, seen)

    def training(self, loaded: LoadedDocument, outer: list[Named], training: Any, seen: frozenset[str]) -> None:
        """Names of training are seen beside those of the main graph, those of a player beside both."""
        seen = seen | _symbols([training], None)
        own = self.learning(loaded, outer, training, _collect(training.inputs), seen)
        for player in _values(training.players):
            self.learning(loaded, [*outer, *own], player, [], seen)

    def learning(
        self,
        loaded: LoadedDocument,
        outer: list[Named],
        module: Any,
        inputs: list[Named],
        seen: frozenset[str],
    ) -> list[Named]:
        """The training section or a player; gives the names that it defines."""
        own = [*inputs, *_collect(module.let), *_node_names(module.graph or ())]
        _report_twice(self.collector, [*outer, *own], own)
        scope = _Scope(self, loaded, module, {name for name, _ in (*outer, *own)} | seen | ALWAYS)
        scope.declarations(getattr(module, "inputs", None))
        scope.static_table(module.let)
        scope.nodes(module.graph or ())
        for table in ("metrics", "rule"):
            for formula in _values(getattr(module, table, None)):
                scope.formula(formula)
        if module.loss is not None:
            scope.formula(module.loss)
        return own

    def scope(
        self,
        loaded: LoadedDocument,
        file: list[Named],
        module: Any,
        more: list[Named],
        symbols: frozenset[str],
    ) -> list[Named]:
        """A block, an entry or the main graph; gives the names that it defines."""
        own = [*more, *_collect(module.inputs, module.params, module.constants), *_node_names(module.graph)]
        _report_twice(self.collector, [*file, *own], own)
        known = {name for name, _ in (*file, *own)} | symbols | ALWAYS
        scope = _Scope(self, loaded, module, known)
        if module is not loaded.document:
            scope.static_table(getattr(module, "let", None))
        scope.declarations(module.inputs)
        scope.owned(module)
        scope.nodes(module.graph)
        for operand in _values(module.outputs):
            for formula in formulas(operand):
                scope.formula(formula)
        return own


class _Scope:
    """The names that one scope knows, and the checks of what is written in it."""

    def __init__(self, names: _Names, loaded: LoadedDocument, module: Any, known: set[str]) -> None:
        self.collector = names.collector
        self.unknown = names.unknown
        self.loaded = loaded
        self.module = module
        self.known = known
        self.repeated = False

    # ---- names

    def formula(self, formula: Formula, more: frozenset[str] = NO_WORDS, advice: str | None = None) -> None:
        """A formula knows all names that it uses; ``advice`` is the hint where no name is near."""
        for name, start, stop in _names_of(formula):
            if name in more or self.knows(name):
                continue
            if (id(self.module), name) in self.unknown:
                continue
            self.unknown.add((id(self.module), name))
            hint = HINTS.get(name) or suggest(name, self.known) or advice
            self.collector.report(formula.position(start, stop), f"the name `{name[:80]}` is not known here", hint)

    def knows(self, name: str) -> bool:
        """Whether a name stands for anything here."""
        return name in self.known or (name == "i" and self.repeated)

    def text(self, text: Text | None) -> None:
        """What a text inserts."""
        for formula in text.formulas if text is not None else ():
            self.formula(formula)

    def static(self, value: StaticValue, words: frozenset[str] | None = NO_WORDS) -> None:
        """A static value of a field that also takes these words; None: nobody knows which."""
        raw = value.value
        if isinstance(raw, tuple):
            for item in raw:
                self.static(item, words)
        elif isinstance(raw, Mapping):
            for item in raw.values():
                self.static(item, words)
        elif isinstance(raw, str) and not (words is None and raw.isidentifier()) and raw not in (words or ()):
            if words and ANY_WORD not in words and raw.isidentifier() and not self.knows(raw):
                self.note(unknown_word(value, words, self.known))
                return
            try:
                if "$" in raw or ANY_WORD in (words or ()):
                    self.text(value.text_template())
                else:
                    self.formula(value.formula())
            except SpecError as error:
                # Without knowing the field, a text that is no formula may be one of its words.
                if words is not None:
                    self.collector.add(error)

    def static_table(self, table: Mapping[str, StaticValue] | None) -> None:
        """Values that are formulas."""
        for value in _values(table):
            self.static(value)

    def given(self, given: Mapping[str, StaticValue], declared: Mapping[str, Any]) -> None:
        """Args against their declarations."""
        for key, value in given.items():
            declaration = declared.get(key)
            if declaration is not None:
                self.static(value, TEXT if declaration.type == "text" or declaration.type in NAMES else NO_WORDS)

    # ---- declarations

    def type(self, declared: TypeExpr) -> None:
        """A symbol in the dims of a type is bound there, other names are known."""
        for formula in _dims(declared):
            symbols = frozenset(name for name, _, _ in _names_of(formula) if name[0].isupper())
            self.formula(formula, symbols, "a size that is found at run time starts with a capital: `N`")

    def declarations(self, inputs: Mapping[str, Any] | None) -> None:
        """Types, counts and ranges of inputs."""
        for declaration in _values(inputs):
            self.type(declaration.type)
            for formula in (declaration.count, *(declaration.range or ())):
                if formula is not None:
                    self.formula(formula)

    def owned(self, module: Any) -> None:
        """Params and constants."""
        for param in _values(module.params):
            self.type(param.type)
            self.text(param.path)
            for formula in (param.when, param.trainable, param.init.value if param.init is not None else None):
                if formula is not None:
                    self.formula(formula)
        for constant in _values(module.constants):
            self.type(constant.type)
            self.static(constant.value)

    def variants(self) -> None:
        """Variants set args that there are."""
        declared: Mapping[str, Any] = self.loaded.document.args or {}
        for variant in _values(self.loaded.document.variants):
            for key in variant:
                if key not in declared:
                    self.collector.report(variant.key_span(key), f"there is no arg `{key}`", suggest(key, declared))
            self.given(variant, declared)

    def parts(self) -> None:
        """What parts refer to."""
        for part in _values(self.loaded.document.parts):
            if isinstance(part, OpPart):
                self.op(part.op, part.fields, part.fields, part.span)
            elif isinstance(part, BlockPart):
                self.block(part.block, part.fields, part.fields, part.span)
            else:
                for value in part.fields.values():
                    self.static(value, None)

    # ---- nodes

    def nodes(self, graph: Iterable[Node]) -> None:
        """Formulas, texts and references of nodes."""
        for node in graph:
            self.repeated = not isinstance(node, ValueNode) and node.repeat is not None
            for formula in _node_formulas(node):
                self.formula(formula)
            if isinstance(node, OpNode):
                self.op(node.op, node.fields, node.fields, node.span)
            elif isinstance(node, BlockNode):
                self.block(node.block, node.fields, node.fields, node.span)
            elif isinstance(node, PartNode):
                self.text(node.part)
                if node.part.literal is not None:
                    self.note(part_problem(self.loaded, node.part.literal, node.part.span))
            self.repeated = False

    def op(self, text: Text, given: Mapping[str, StaticValue], spans: Any, span: Span) -> None:
        """An op with its fields. What `$name` stands for is not known here."""
        self.text(text)
        declared = None
        if text.literal is not None:
            self.note(op_problem(self.loaded, text.literal, text.span))
            declared = find_op(text.literal)
        if declared is None:
            for value in given.values():
                self.static(value, None)
            return
        for problem in field_problems(declared, given, spans, span):
            self.note(problem)
        for key, value in given.items():
            if key in field_names(declared):
                self.static(value, words_of(declared, key))

    def block(self, text: Text, given: Mapping[str, StaticValue], spans: Any, span: Span) -> None:
        """A block with its args."""
        self.text(text)
        name = text.literal
        found = None if name is None else find_block(self.loaded, name)
        if name is not None:
            self.note(block_problem(self.loaded, name, text.span))
        if found is None:
            for value in given.values():
                self.static(value, None)
            return
        declared: Mapping[str, Any] = found[1].args or {}
        for problem in arg_problems(declared, given, f"the block `{name}`", spans, span):
            self.note(problem)
        self.given(given, declared)

    def note(self, problem: Diagnostic | None) -> None:
        """Reports a mistake if there is one."""
        if problem is not None:
            self.collector.report(problem.span, problem.message, problem.hint)


def _names_of(formula: Formula) -> tuple[tuple[str, int, int], ...]:
    """The names in a formula and where they stand in its text."""
    expr = formula.expr.operand if isinstance(formula.expr, Unary) else formula.expr
    # YAML writes numbers in more ways than formulas do.
    return () if isinstance(expr, (Number, Literal)) else _parsed(formula.text)


@lru_cache(maxsize=16_384)
def _parsed(text: str) -> tuple[tuple[str, int, int], ...]:
    return tuple((name.id, name.start, name.stop) for name in names_in(parse_formula(text)))


def _values(table: Mapping[str, Any] | None) -> Iterable[Any]:
    return () if table is None else table.values()


def _collect(*tables: Any) -> list[Named]:
    return [(name, table.key_span(name)) for table in tables if table is not None for name in table]


def _node_names(graph: Iterable[Node]) -> Iterator[Named]:
    for node in graph:
        for name in node.names:
            yield str(name), name.span


def _report_twice(collector: Collector, names: Iterable[Named], own: Iterable[Named]) -> None:
    """Reports names that stand twice among ``names``, if they are in ``own``: the others are reported elsewhere."""
    wanted = {name for name, _ in own}
    first: dict[str, Span] = {}
    for name, span in names:
        known = first.setdefault(name, span)
        if known is span or name not in wanted:
            continue
        where = f"line {known.start_line}" if known.source is span.source else str(known)
        message = f"the name `{name}` is taken: it is defined in {where} already"
        collector.report(span, message, "all names that a scope sees differ; nothing shadows")


def _symbols(modules: Iterable[Any], state: Mapping[str, Any] | None) -> frozenset[str]:
    """The dimension symbols that the inputs of a scope bind."""
    declared = [d.type for module in modules for d in _values(module.inputs)]
    declared += [d.type for d in _values(state)]
    return frozenset(
        name for type in declared for formula in _dims(type) for name, _, _ in _names_of(formula) if name[0].isupper()
    )


def _dims(declared: TypeExpr) -> Iterator[Formula]:
    if isinstance(declared, RecordType):
        for inner in declared.fields.values():
            yield from _dims(inner)
    elif isinstance(declared, DeclaredTensor):
        yield from (dim for dim in declared.dims if isinstance(dim, Formula))


def _node_formulas(node: Node) -> Iterator[Formula]:
    if isinstance(node, ValueNode):
        yield node.value
        return
    for operand in (node.in_, node.else_):
        if operand is not None:
            yield from formulas(operand)
    yield from (formula for formula in (node.when, node.repeat) if formula is not None)
    if isinstance(node, (OpNode, BlockNode)) and node.path is not None:
        for text in (node.path.prefix, *_values(node.path.each)):
            if text is not None:
                yield from text.formulas
    if isinstance(node, OpNode) and node.compute is not None:
        yield from node.compute.formulas
    if isinstance(node, (BlockNode, PartNode)):
        for operand in _values(node.carry):
            yield from formulas(operand)
        if node.scan is not None:
            for operand in _values(node.scan.over):
                yield from formulas(operand)
            scan = node.scan
            yield from (one for one in (scan.steps, scan.axis, scan.reverse, scan.lengths) if one is not None)
