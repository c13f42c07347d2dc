"""The JSON Schema of the language (draft 2020-12), for editors and for other tools.

Derived from the models of the document. It is wider than the reader: what a formula means, which names are known and
which args a block has are not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .model.document import Document
from .model.nodes import KINDS, RESERVED_KEYS
from .model.scalars import ARG_TYPES, DTYPES

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NODES = [{"$ref": f"#/$defs/{kind.capitalize()}Node"} for kind in KINDS]
SCALARS = ("string", "number", "boolean")


def json_schema(ops: Mapping[str, Schema] | None = None) -> Schema:
    """The schema of a document.

    `ops` gives for each op the object schema of its fields, in which each field already allows a formula; without it
    an op node takes any fields.
    """
    raw = _plain(Document.model_json_schema(by_alias=True))
    definitions: Schema = raw.pop("$defs")
    definitions.update(_shared())
    for name, change in CHANGES.items():
        definitions[name] = change(definitions[name])
    for name, kind in FIELD_OWNERS.items():
        definitions[name] = _with_fields(definitions[name], (ops or {}) if kind == "op" else {}, definitions)
    definitions["Node"] = _node(ops or {})
    return {
        "$schema": DIALECT,
        "title": "netwright",
        **raw,
        "allOf": [{"if": {"required": ["graph"]}, "then": {"required": ["outputs"]}}],
        "$defs": dict(sorted(definitions.items())),
    }


def _plain(node: Any) -> Any:
    """Pydantic's schema without titles, with our references, and without the null that stands for a missing key."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "x-ref" in node:
        return {"$ref": f"#/$defs/{node['x-ref']}"}
    result = {key: _plain(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    if result.get("default", 0) is None:
        del result["default"]
    choices = result.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        choices.remove({"type": "null"})
        if len(choices) == 1:
            del result["anyOf"]
            result = {**choices[0], **result}
    if result.get("oneOf") == NODES:
        return {"$ref": "#/$defs/Node"}
    result.pop("discriminator", None)
    return result


def _shared() -> Schema:
    """What the fields of several models refer to."""
    words = "|".join(DTYPES)
    return {
        "Operand": {
            "description": "A formula, a list of operands, or a record of operands.",
            "anyOf": [
                {"type": [*SCALARS, "null"]},
                {"type": "array", "items": {"$ref": "#/$defs/Operand"}},
                {"type": "object", "additionalProperties": {"$ref": "#/$defs/Operand"}},
            ],
        },
        "StaticValue": {
            "description": "A literal, a formula, or a list or mapping of them.",
            "anyOf": [
                {"type": list(SCALARS)},
                {"type": "array", "items": {"$ref": "#/$defs/StaticValue"}},
                {"type": "object", "additionalProperties": {"$ref": "#/$defs/StaticValue"}},
            ],
        },
        "Type": {
            "description": "`any`, `dtype[dims]`, or a record of types.",
            "anyOf": [
                {"type": "string", "pattern": rf"^\s*(any|({words})\s*\[[\s\S]*\])\s*$"},
                {"type": "object", "additionalProperties": {"$ref": "#/$defs/Type"}},
            ],
        },
    }


def _node(ops: Mapping[str, Schema]) -> Schema:
    """A bare string, or a mapping with exactly one kind key; the key leads to the right errors and completions."""
    return {
        "type": ["string", "object"],
        "if": {"type": "object"},
        "then": {"oneOf": [{"required": [kind]} for kind in KINDS]},
        "else": _op_names(ops),
        "allOf": [
            {"if": {"type": "object", "required": [kind]}, "then": node}
            for kind, node in zip(KINDS, NODES, strict=True)
        ],
    }


def _op_names(ops: Mapping[str, Schema]) -> Schema:
    """The names of the ops, or a text with `$` that gives one."""
    if not ops:
        return {"type": "string"}
    return {"anyOf": [{"enum": sorted(ops)}, {"type": "string", "pattern": r"\$"}]}


def _arg(schema: Schema) -> Schema:
    return {"anyOf": [{"enum": list(ARG_TYPES)}, {"type": ["number", "boolean", "array"]}, schema]}


def _typed(schema: Schema) -> Schema:
    return {"anyOf": [{"$ref": "#/$defs/Type", "type": "string"}, schema]}


def _op_node(schema: Schema) -> Schema:
    schema["properties"]["op"] = {"type": "string"}
    return schema


CHANGES: dict[str, Callable[[Schema], Schema]] = {
    "ArgDecl": _arg,
    "InputDecl": _typed,
    "ParamDecl": _typed,
    "OpNode": _op_node,
}
FIELD_OWNERS = {"OpNode": "op", "BlockNode": "block", "OpPart": "op", "BlockPart": "block", "ModelPart": "model"}


def _with_fields(schema: Schema, ops: Mapping[str, Schema], definitions: Schema) -> Schema:
    """A node or part whose further keys are the fields of its op, or the args of its block or model."""
    properties = schema["properties"]
    del properties["fields"]
    schema["required"] = [key for key in schema["required"] if key != "fields"]
    refused = {key: False for key in sorted(RESERVED_KEYS - set(properties))}
    schema["additionalProperties"] = {"$ref": "#/$defs/StaticValue"}
    schema["properties"] = {**properties, **refused}
    if not ops:
        return schema
    shared = {key: True for key in properties}
    schema["properties"]["op"] = _op_names(ops)
    schema["allOf"] = [
        {
            "if": {"properties": {"op": {"const": name}}, "required": ["op"]},
            "then": _fields_of(name, ops[name], shared, definitions),
        }
        for name in sorted(ops)
    ]
    return schema


def _fields_of(name: str, fields: Schema, shared: Schema, definitions: Schema) -> Schema:
    """The fields of one op beside the keys that all nodes have; its own definitions are moved to the document's."""
    own = fields.get("$defs", {})
    moved = {f"#/$defs/{key}": f"#/$defs/{name}.{key}" for key in own}
    for key, value in own.items():
        definitions[f"{name}.{key}"] = _redirected(value, moved)
    result: Schema = {
        "properties": {**_redirected(fields.get("properties", {}), moved), **shared},
        "additionalProperties": False,
    }
    if fields.get("required"):
        result["required"] = list(fields["required"])
    return result


def _redirected(node: Any, moved: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [_redirected(item, moved) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: moved.get(value, value) if key == "$ref" else _redirected(value, moved) for key, value in node.items()}
