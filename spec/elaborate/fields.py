"""Static values of a spec against declared ones: fields of ops and layers, args of blocks and documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from ...compiler.ir import Dim, DType, Undecided
from ...compiler.ir.dims import decide
from ..diagnostics import Diagnostic, SpecError, error_at, error_of, suggest
from ..formula.functions import weight
from ..model.declarations import ArgDecl
from ..model.formulas import StaticFormula, StaticValue
from ..source import Span
from .foreign import field_hint
from .forms import ANY_WORD, form_of, takes_dtype, words_of
from .references import part_problem
from .scope import Ref, Scope
from .values import Value, describe, signature
from .vocabulary import Declared, find_op, op_names

NO_WORDS: frozenset[str] = frozenset()
TEXT = frozenset({ANY_WORD})
NAMES = ("block", "op", "part")
"""Types of args that name something of the file where they are written."""


def read_value(scope: Scope, value: StaticValue, words: frozenset[str] = NO_WORDS, what: str = "a value here") -> Value:
    """The static value of a field that also takes these words; ``what`` names it in errors. Raises SpecError."""
    read = _read(scope, value, words, what)
    if isinstance(read, (list, dict)):
        scope.context.program.charge(weight(read), value.span)
    return read


def _read(scope: Scope, value: StaticValue, words: frozenset[str], what: str) -> Value:
    raw = value.value
    if isinstance(raw, str):
        if raw in words:
            return raw
        if ANY_WORD in words:
            return scope.template(value.text_template())
        if "$" in raw:
            return _inserted(scope, value)
        if words and raw.isidentifier() and not scope.knows(raw):
            raise error_of([unknown_word(value, words, scope.known())])
        return scope.static(value.formula(), what)
    if isinstance(raw, tuple):
        return [_read(scope, item, words, what) for item in raw]
    if isinstance(raw, Mapping):
        return {key: _read(scope, item, words, what) for key, item in raw.items()}
    return raw


def unknown_word(value: StaticValue, words: frozenset[str], known: Iterable[str]) -> Diagnostic:
    """The mistake that a field of words holds another word."""
    hint = suggest(str(value.value), {*words, *known}) or f"words: {', '.join(sorted(words))}"
    return Diagnostic(value.span, f"`{value.value}` is none of the words here, and no name that is known", hint)


def _inserted(scope: Scope, value: StaticValue) -> Value:
    """`$name` in a field of words. Alone it is the value of the name, which may be a number if the field takes both."""
    template = value.text_template()
    if len(template.pieces) == 1 and isinstance(template.pieces[0], StaticFormula):
        found = scope.static(template.pieces[0], "what a text inserts")
        return str(found) if isinstance(found, Ref) else found
    return scope.text(template)


def make_op(scope: Scope, declared: Declared, given: Mapping[str, StaticValue], spans: Any, span: Span) -> Any:
    """An op or layer with its fields set from a node. All mistakes of the node in one SpecError."""
    problems = list(field_problems(declared, given, spans, span))
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in field_names(declared):
            continue
        try:
            values[key] = read_value(scope, value, words_of(declared, key), f"the field `{key}`")
        except SpecError as error:
            problems.extend(error.diagnostics)
    if problems:
        raise error_of(problems)
    frozen = {key: _frozen(value, scope, takes_dtype(declared, key)) for key, value in values.items()}
    frozen = {**dict.fromkeys(float_defaults(declared), scope.compute), **frozen}
    known = (declared, signature(values), scope.compute)
    made = scope.context.program.ops.get(known)
    if made is not None:
        return made
    try:
        made = declared.model_validate(frozen, strict=True)
    except ValidationError as error:
        raise error_of(_explain(declared, error, given, values, span)) from None
    except Undecided as error:
        raise error_at(span, f"`{declared.name}`: {error}", "bound the sizes with `dims`") from None
    scope.context.program.ops[known] = made
    return made


@cache
def field_names(declared: Declared) -> tuple[str, ...]:
    """The fields that a person may set."""
    return tuple(name for name in declared.model_fields if name != "present")


@cache
def float_defaults(declared: Declared) -> tuple[str, ...]:
    """The fields whose default is the usual float dtype: in a spec that is the compute dtype."""
    return tuple(name for name, field in declared.model_fields.items() if field.default is DType.FLOAT32)


def field_problems(declared: Declared, given: Mapping[str, Any], spans: Any, span: Span) -> Iterator[Diagnostic]:
    """Fields that the op does not have, and required ones that are missing."""
    names = field_names(declared)
    for key in given:
        if key not in names:
            hint = field_hint(key, names) or suggest(key, names) or f"its fields: {', '.join(names) or 'none'}"
            yield Diagnostic(spans.key_span(key), f"`{declared.name}` has no field `{key}`", hint)
    for key in names:
        if declared.model_fields[key].is_required() and key not in given:
            yield Diagnostic(span, f"`{declared.name}` needs the field `{key}`", f"{key}: {form_of(declared, key)}")


def _frozen(value: Value, scope: Scope, is_dtype: bool) -> Value:
    if isinstance(value, list):
        return tuple(_frozen(item, scope, is_dtype) for item in value)
    if is_dtype and isinstance(value, str):
        return scope.compute if value == "float" else DType(value) if value in set(DType) else value
    return value


def _explain(
    declared: Declared,
    error: ValidationError,
    given: Mapping[str, StaticValue],
    values: Mapping[str, Value],
    span: Span,
) -> Iterator[Diagnostic]:
    """One mistake for each field, in the words of its declaration."""
    told = set()
    for problem in error.errors(include_url=False):
        key = str(problem["loc"][0]) if problem["loc"] else ""
        if key in told:
            continue
        told.add(key)
        own = problem["msg"].removeprefix("Value error, ") if problem["type"] == "value_error" else None
        if key not in given:
            yield Diagnostic(span, own if own and own.startswith(f"{declared.name}:") else f"`{declared.name}`: {own}")
            continue
        value, words = values[key], words_of(declared, key) - {ANY_WORD}
        hint = suggest(value, words) if isinstance(value, str) else None
        expected = f"is {form_of(declared, key)}, not {describe_static(value)}"
        yield Diagnostic(given[key].span, f"`{declared.name}`: `{key}` {expected}", hint)


def describe_static(value: Any) -> str:
    """A static value as a person writes it."""
    if isinstance(value, list):
        return "[" + ", ".join(map(describe_static, value[:8])) + (", ...]" if len(value) > 8 else "]")
    return describe(value)


_TESTS: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: isinstance(value, (int, Dim)) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "text": lambda value: isinstance(value, str),
    "list": lambda value: isinstance(value, list),
    "record": lambda value: isinstance(value, dict),
}


def read_args(
    scope: Scope,
    declared: Mapping[str, ArgDecl],
    given: Mapping[str, StaticValue],
    home: Scope,
    what: str,
    spans: Any,
    span: Span,
) -> dict[str, Value]:
    """The args of a block or document: ``given`` evaluated in ``scope``, defaults in ``home`` (the declaring file).

    All mistakes in one SpecError.
    """
    problems: list[Diagnostic] = []
    for key in given:
        if key not in declared:
            hint = suggest(key, declared) or f"its args: {', '.join(declared) or 'none'}"
            problems.append(Diagnostic(spans.key_span(key), f"{what} has no arg `{key}`", hint))
    values: dict[str, Value] = {}
    for name, declaration in declared.items():
        source, seen = (given[name], scope) if name in given else (declaration.default, home)
        if source is None:
            problems.append(Diagnostic(span, f"{what} needs the arg `{name}` ({declaration.type})", f"{name}: ..."))
            continue
        try:
            values[name] = read_arg(seen, declaration, source, name)
        except SpecError as error:
            problems.extend(error.diagnostics)
    if problems:
        raise error_of(problems)
    return values


def read_arg(scope: Scope, declaration: ArgDecl, source: StaticValue, name: str) -> Value:
    """One arg, checked against its declaration. Raises SpecError."""
    if declaration.type == "text" or declaration.type in NAMES:
        value: Value = scope.template(source.text_template())
        if declaration.type != "text":
            value = value if isinstance(value, Ref) else Ref(scope.context, value)
            _check_reference(value, declaration.type, name, source.span)
    else:
        value = read_value(scope, source, what=f"the arg `{name}`")
        if not _TESTS[declaration.type](value):
            raise error_at(source.span, f"the arg `{name}` is {declaration.type}, not {describe_static(value)}")
        if declaration.type == "float":
            value = float(value)
    check_arg(scope, declaration, value, name, source.span)
    return value


def _check_reference(found: Ref, kind: str, name: str, span: Span) -> None:
    """Raises SpecError for an arg that names nothing of its kind; an arg of type `op` may name a block, too."""
    context = found.context
    if kind == "part":
        problem = part_problem(context.loaded, found.name, span)
        if problem is not None:
            raise error_of([problem])
        return
    if context.find_block(found.name) is not None or (kind == "op" and find_op(found.name) is not None):
        return
    choices = context.block_names() if kind == "block" else [*op_names(), *context.block_names()]
    hint = suggest(found.name, choices)
    if kind == "block":
        hint = hint or f"blocks: {', '.join(choices) or 'none'}"
    raise error_at(span, f"the arg `{name}` names the {kind} `{found.name}`, which there is not", hint)


def check_arg(scope: Scope, declaration: ArgDecl, value: Value, name: str, span: Span) -> None:
    """Choices and bounds of an arg. Raises SpecError."""
    if declaration.choices is not None:
        words = TEXT if declaration.type == "text" or declaration.type in NAMES else NO_WORDS
        choices = [read_value(scope, choice, words) for choice in declaration.choices]
        plain = value.name if isinstance(value, Ref) else value
        if plain not in choices:
            listed = ", ".join(map(str, choices))
            raise error_at(
                span, f"the arg `{name}` is one of {listed}, not {plain}", suggest(str(plain), map(str, choices))
            )
    for bound, word, sign in ((declaration.min, "at least", ">="), (declaration.max, "at most", "<=")):
        if bound is None:
            continue
        limit = read_value(scope, bound)
        if not _TESTS["float"](limit) or declaration.type not in ("int", "float"):
            raise error_at(bound.span, "`min` and `max` are numbers, for args of type int or float")
        if isinstance(value, Dim):
            inside = isinstance(limit, int) and decide(value, sign, limit)
        else:
            inside = value >= limit if sign == ">=" else value <= limit
        if not inside:
            raise error_at(span, f"the arg `{name}` is {word} {limit}, not {describe(value)}")
