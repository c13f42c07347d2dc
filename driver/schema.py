"""The JSON Schema of the whole language, with the fields of every op and layer, from their declarations."""

from __future__ import annotations

import inspect

from pydantic import BaseModel

from ..compiler.ir import Op
from ..compiler.ops import OPS
from ..spec.layers import LAYERS
from ..spec.schema import Schema, json_schema

FORMULA: Schema = {"type": "string"}
"""A formula stands wherever a number may."""
INSERTED: Schema = {"type": "string", "pattern": r"\$"}
"""Where only words are taken, a text that inserts something."""
_UNWRITABLE = frozenset({"Dim", "Literal"})


def spec_schema() -> Schema:
    """The schema for editors: documents, nodes, and the fields of each op."""
    declared: dict[str, type[BaseModel]] = {**{k: op for k, op in OPS.items() if _writable(op)}, **LAYERS}
    return json_schema({name: _fields(kind) for name, kind in declared.items()})


def _writable(op: type[Op]) -> bool:
    """Whether a node can say it: ops with regions, or with literals, are made by the language's own constructs."""
    return "regions" not in inspect.signature(op.infer).parameters and not _UNWRITABLE & set(
        op.model_json_schema().get("$defs", {})
    )


def _fields(kind: type[BaseModel]) -> Schema:
    raw = kind.model_json_schema()
    properties = {
        key: _or_formula(value) for key, value in raw.get("properties", {}).items() if not value.get("internal")
    }
    definitions = {key: _with_float(key, value) for key, value in raw.get("$defs", {}).items()}
    return {
        "type": "object",
        "properties": properties,
        "required": raw.get("required", []),
        "$defs": definitions,
    }


def _with_float(name: str, schema: Schema) -> Schema:
    """`float` is the compute type of the document, wherever a dtype stands."""
    return {**schema, "enum": [*schema["enum"], "float"]} if name == "DType" else schema


def _or_formula(schema: Schema) -> Schema:
    """A field's schema as a person may write it."""
    notes = {key: schema[key] for key in ("description", "default") if schema.get(key) is not None}
    choices = [_writing(choice) for choice in schema.get("anyOf", [schema]) if choice.get("type") != "null"]
    only_words = all(choice.get("type") == "string" or "$ref" in choice for choice in choices)
    return {**notes, "anyOf": [*choices, INSERTED if only_words else FORMULA]}


def _writing(schema: Schema) -> Schema:
    """One form of a field without titles; items of lists may be formulas too."""
    kept: Schema = {key: value for key, value in schema.items() if key not in ("title", "description", "default")}
    if isinstance(kept.get("items"), dict):
        kept["items"] = _or_formula(kept["items"])
    if "prefixItems" in kept:
        kept["prefixItems"] = [_or_formula(item) for item in kept["prefixItems"]]
    if "anyOf" in kept:
        kept["anyOf"] = [_or_formula(item) for item in kept["anyOf"]]
    return kept
