"""The page of one document of the zoo: what it is, its idea, drawings, numbers, how to run it, where it is from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from ...backends import signature
from ...backends.signature import EntrySignature
from ...spec.zoo_index import PREFIX
from ..model import Model
from ..shipped import comes_with_weights
from ..zoo import ZooRow, knobs
from .drawings import Drawing, drawings
from .pages import NOTE
from .tables import amount, code, memory, plain, table

NUMBERS = ("use as", "parameters", "buffers", "MACs", "FLOPs", "values at once", "at")


def model_page(members: Sequence[tuple[ZooRow, Model]]) -> str:
    """The page of a document; ``members`` are its names, each with what it holds and costs and with its model.

    The first is the document as it stands.
    """
    model = members[0][1]
    document = model.loaded.document
    lines = [f"# {model.name}\n", NOTE, plain(str(document.summary or "")) + ".\n"]
    if document.idea:
        lines.append(f"**The idea.** {plain(str(document.idea))}\n")
    lines.append("## Numbers\n")
    lines.append(table(NUMBERS, [_cells(row) for row, _ in members], 1, 5))
    lines.append("How they are counted, and how drawings are read: [the zoo](../zoo.md).\n")
    for drawing in drawings([each for _, each in members]):
        lines += _drawing(drawing)
    entries = signature.from_json(signature.to_json(model.program)).entries.values()
    lines += ["## Run it\n", "```sh", *_commands(model, list(entries)), "```\n"]
    if model.program.parameters:
        lines.append("Without `--weights` they are random.\n")
    if comes_with_weights(model):
        note = f"../../zoo/{PurePosixPath(model.loaded.label).with_suffix('.md')}"
        lines.append(f"`--weights zoo` takes trained ones that come along ([how they were made]({note})).\n")
    if model.optional_inputs:
        lines.append(f"Optional inputs: {', '.join(map(code, model.optional_inputs))}.\n")
    for entry in entries:
        lines += _entry(entry)
    if knobs(model):
        lines += ["## Knobs\n", table(("`--set`", "default", ""), _knobs(model))]
    if document.weights:
        layouts = ", ".join(code(str(name)) for name in document.weights)
        lines.append(f"Checkpoints that it reads (`--weights FILE`): its own names, {layouts}.\n")
    if document.doc:
        lines += ["## Worth knowing\n", plain(str(document.doc)) + "\n"]
    if document.sources:
        lines += ["## Source\n", *(f"- {plain(str(source))}" for source in document.sources), ""]
    lines.append(f"The spec: [{model.loaded.label}](../../zoo/{model.loaded.label})")
    return "\n".join(lines) + "\n"


def _cells(row: ZooRow) -> Sequence[str]:
    numbers = row.numbers
    assert numbers is not None
    sizes = ", ".join(f"{name} = {size}" for name, size in numbers.sizes.items())
    work = (amount(numbers.macs), amount(numbers.flops), memory(numbers.activation_bytes))
    return [code(PREFIX + row.name), f"{numbers.parameters:,}", f"{numbers.buffers:,}", *work, sizes]


def _drawing(drawing: Drawing) -> Iterator[str]:
    yield f"## Inside {code(drawing.block)}\n" if drawing.block else "## The graph\n"
    yield f"```mermaid\n{drawing.chart}\n```\n"


def _commands(model: Model, entries: Sequence[EntrySignature]) -> Iterator[str]:
    name = PREFIX + model.loaded.path.stem
    yield f"netwright summary {name}"
    for entry in entries:
        given = [f" -i {field.name}={value}" for field in entry.inputs if (value := _value(field.source or {}))]
        chosen = f" --entry {entry.name}" if entry.name != "main" else ""
        several = any(getattr(part, "weights", None) for part in (model.loaded.document.parts or {}).values())
        weights = f" --weights {'DIR' if several else 'FILE'}" if model.program.parameters else ""
        yield f"netwright run {name}{chosen}{''.join(given)}{weights}"
    yield f"netwright compile {name} --target numpy -o build"


def _value(source: object) -> str:
    """What a person gives for an input; nothing where there is a default."""
    assert isinstance(source, dict)
    if "image" in source:
        return "photo.png"
    if "default" in source:
        return ""
    return "'a text'" if "text" in source else "random"


def _entry(entry: EntrySignature) -> Iterator[str]:
    rows = [("in", code(field.name), code(str(field.type)), _origin(field.source or {})) for field in entry.inputs]
    rows += [("out", code(field.name), code(str(field.type)), "") for field in entry.outputs]
    yield f"Entry {code(entry.name)}:\n"
    yield table(("", "name", "type", "from"), rows)


def _origin(source: object) -> str:
    assert isinstance(source, dict)
    said = [str(key) for key in ("image", "text", "random") if key in source]
    if "default" in source:
        said.append(
            f"{source['default']!r} if it is not given" if source["default"] != "" else "empty if it is not given"
        )
    return plain(", ".join(said))


def _knobs(model: Model) -> Iterator[Sequence[str]]:
    for knob in knobs(model):
        yield code(knob.name), "required" if knob.default is None else code(knob.default), plain(knob.doc)
